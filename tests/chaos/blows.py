"""The kinds of blows. Each trial does one work, strikes it, goes on, and compares what is left."""

import contextlib
import os
import resource
import shutil
import signal
import time
from pathlib import Path

import psutil
from store_runs import files

import montezarr as mz
from chaos import work
from chaos.children import Child, Left, call, is_unnamed
from montezarr.store import _task, _writer

DEADLY = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
AT_WORK = 0.25
"""Seconds that a work takes, about, when its chunks are slowed; blows come at any time of it."""


class Trial:
    """One trial: where it happens, what is at random, and what went wrong.

    Parameters
    ----------
    folder : Path
        For its files.
    rng : random.Random
        Decides.
    right : Right
        What undisturbed works leave.
    """

    def __init__(self, folder, rng, right):
        self.folder, self.rng, self.right = folder, rng, right
        self.lost, self.hung, self.wrong, self.unnamed = [], [], [], []
        self.story = []

    def note(self, outcome):
        """Look at how a child ended."""
        if outcome["hung"]:
            self.hung.append(list(self.story))
        if is_unnamed(outcome):
            self.unnamed.append(f"{self.story}: {outcome['message']}")
        return outcome

    def finish(self, name, statistics, folder, call_it=None):
        """Do the work once more, undisturbed, and compare."""
        function = call_it or work.WORKS[name][1]
        outcome = self.note(Child(function, folder, statistics).wait())
        if outcome["error"] is not None or outcome["code"] != 0:
            self.wrong.append(f"{self.story}, then undisturbed: {outcome['message']}")
            return
        self.compare(folder, self.right.files(name, statistics))

    def compare(self, folder, right):
        """Compare the files of a folder."""
        found = files(folder)
        differing = sorted(k for k in found.keys() | right.keys() if found.get(k) != right.get(k))
        if differing:
            self.wrong.append(f"{self.story}: {differing[:5]}")

    def look(self, store, before):
        """Return how many paths a store shows, which are to be the right ones and never fewer."""
        found = call(work.shown, store)
        count, is_right = found or (0, True)
        if not is_right:
            self.wrong.append(f"{self.story}: other paths")
        if count < before and before:
            self.lost.append(f"{self.story}: {count} of {before} paths")
        return max(count, before)


class Right:
    """What undisturbed works begin with and leave, each made once."""

    def __init__(self, folder):
        self.folder, self._files = folder, {}

    def begun(self, name, statistics):
        """Return the folder in which a work begins."""
        folder = self.folder / f"{name}-{statistics}"
        if not folder.exists():
            call(work.prepared, folder, name, statistics)
        return folder

    def files(self, name, statistics):
        """Return the files that a work leaves."""
        key = name, statistics
        if key not in self._files:
            done = work.copied(self.begun(*key), self.folder / f"{name}-{statistics}-done")
            call(work.WORKS[name][1], done, statistics)
            self._files[key] = files(done)
        return self._files[key]


def _start(trial, names=tuple(work.WORKS)):
    name, statistics = trial.rng.choice(names), trial.rng.random() < 0.4
    folder = work.copied(trial.right.begun(name, statistics), trial.folder / "work")
    return name, statistics, folder


def _ended(trial, child, name, folder, shown):
    """Wait until a work has ended, and return how many paths its store shows, if it has one."""
    trial.note(child.wait())
    child.end_all()
    if name in ("write", "extend", "merge"):
        shown = trial.look(folder / work.STORE, shown)
    return shown


def signals(trial):
    """Send signals to the driver at random times, up to three times over, and go on."""
    name, statistics, folder = _start(trial)
    shown = 0
    for _ in range(trial.rng.randint(1, 3)):
        pause = trial.rng.uniform(0, 2 * AT_WORK / work.CHUNKS)
        child = Child(work.WORKS[name][1], folder, statistics, pause)
        child.sleep(trial.rng.uniform(0, 1.3 * AT_WORK))
        number = trial.rng.choice(DEADLY)
        trial.story.append(f"{name} {statistics} {signal.Signals(number).name}")
        if trial.rng.random() < 0.2:
            child.strike(signal.SIGSTOP)
            time.sleep(0.05)
            child.strike(signal.SIGCONT)
        child.strike(number)
        if number in (signal.SIGTERM, signal.SIGINT) and trial.rng.random() < 0.5:
            time.sleep(trial.rng.uniform(0, 0.05))
            child.strike(number)
        shown = _ended(trial, child, name, folder, shown)
    trial.finish(name, statistics, folder)


def workers(trial):
    """Send signals to worker processes; the run goes on without them."""
    name, statistics, folder = _start(trial, ("write", "extend", "repair"))
    backend = trial.rng.choice(("processes", "multiprocessing", "joblib"))
    child = Child(work.WORKS[name][1], folder, statistics, 0.15, backend)
    trial.story.append(f"{name} {statistics} {backend}")
    child.sleep(trial.rng.uniform(0.5, 4.0))
    for _ in range(trial.rng.randint(1, 2)):
        number = trial.rng.choice((signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGSTOP))
        with contextlib.suppress(psutil.Error, IndexError):
            there = [p for p in psutil.Process(child.pid).children() if _is_worker(p)]
            victim = trial.rng.choice(there)
            trial.story.append(signal.Signals(number).name)
            victim.send_signal(number)
            if number == signal.SIGSTOP:
                child.sleep(0.3)
                victim.send_signal(signal.SIGCONT)
        child.sleep(trial.rng.uniform(0, 0.5))
    trial.note(child.wait())
    child.end_all()
    trial.finish(name, statistics, folder)


def _is_worker(process):
    command = " ".join(process.cmdline())
    return "spawn_main" in command or ("loky" in command and "tracker" not in command)


def late_tasks(trial):
    """Let a task outlive its writer: it wakes when another one has finished the store, or more."""
    folder = trial.folder / "work"
    folder.mkdir()
    chunk, when = trial.rng.randrange(work.CHUNKS), trial.rng.choice(("drawn", "written"))
    statistics = trial.rng.random() < 0.4
    n = trial.rng.choice((work.N, work.FEW))
    chunk = chunk % -(-n // work.CHUNK)
    trial.story.append(f"{statistics} chunk {chunk} {when} of {n}")
    gate, asleep = trial.folder / "gate", trial.folder / "asleep"
    child = Child(_leave_behind, folder, statistics, n, chunk, when, asleep, gate)
    deadline = time.monotonic() + 60
    while not asleep.exists() and not child.is_over() and time.monotonic() < deadline:
        time.sleep(0.002)
    # The lock is free when the writer has ended, while its task lives on. Of two signals that come
    # before the first one is handled only one is left, so another one follows.
    left = trial.folder / "left"
    while not left.exists() and not child.is_over() and time.monotonic() < deadline:
        child.strike(signal.SIGINT)
        until = time.monotonic() + trial.rng.choice((0.03, 0.3))
        while not left.exists() and time.monotonic() < until:
            time.sleep(0.002)
    trial.note(Child(work.write, folder, statistics, n).wait())
    trial.note(Child(work.extend, folder, statistics).wait())
    gate.touch()
    trial.note(child.wait())
    child.end_all()
    trial.compare(folder, trial.right.files("write", statistics))
    trial.look(folder / work.STORE, work.N)


def _leave_behind(folder, statistics, n, chunk, when, asleep, gate):
    """Write, be stopped in the middle, and live on with a task that still works on a chunk."""
    kind = _task.ChunkTask

    class Late(kind):
        def _one(self, number, *args):
            if number == chunk and when == "drawn":
                asleep.touch()
                work.wait_for(gate)
            if number == chunk and when == "written":
                place, put = self.location, self.location.put

                def late(key, *rest, **options):
                    asleep.touch()
                    work.wait_for(gate)
                    put(key, *rest, **options)

                self.location = _With(place, late)
            return super()._one(number, *args)

    _writer.ChunkTask = Late
    try:
        with mz.backend("threads", 2):
            mz.write(work.paths(n), folder / work.STORE, **work.options(statistics))
    except (KeyboardInterrupt, SystemExit):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    (asleep.parent / "left").touch()
    work.wait_for(gate)
    time.sleep(0.1)


class _With:
    """A place whose `put` is another one."""

    def __init__(self, place, put):
        self._location, self.put = place, put

    def __getattr__(self, name):
        return getattr(self._location, name)


def moved(trial):
    """Move, remove or replace the store, or its lock, under a writer; another one writes there."""
    folder = trial.folder / "work"
    folder.mkdir()
    store, aside = folder / work.STORE, trial.folder / "aside"
    statistics = trial.rng.random() < 0.4
    child = Child(work.write, folder, statistics, work.N, 5, 0.06)
    deadline = time.monotonic() + 60
    while not (store / "montezarr/lock").exists() and not child.is_over():
        if time.monotonic() > deadline:
            break
        time.sleep(0.001)
    child.sleep(trial.rng.uniform(0, AT_WORK))
    how = trial.rng.choice(("rename", "remove", "lock", "journal", "manifest", "copy back"))
    trial.story.append(f"{how} {statistics}")
    with contextlib.suppress(FileNotFoundError):
        if how == "remove":
            shutil.rmtree(store, ignore_errors=True)
        elif how in ("rename", "copy back"):
            aside.mkdir()
            os.rename(store, aside / work.STORE)
            if how == "copy back":
                shutil.copytree(aside / work.STORE, store)
        else:
            name = {"lock": "lock", "journal": "journal", "manifest": "manifest.json"}[how]
            (store / "montezarr" / name).unlink()
    if how != "copy back" and trial.rng.random() < 0.7:
        second = Child(work.write, folder, statistics).wait()
        if "StoreLockedError" not in second["kinds"]:
            trial.note(second)
    trial.note(child.wait())
    child.end_all()
    _mended(trial, folder, statistics)
    if aside.exists():
        _mended(trial, aside, statistics)


def _mended(trial, folder, statistics):
    """Repair, where that is what a store says it needs, and finish."""
    store = folder / work.STORE
    outcome = Child(work.write, folder, statistics).wait()
    if "StoreError" in outcome["kinds"] and "repair" in outcome["message"]:
        trial.note(Child(work.repair, folder, statistics).wait())
    trial.finish("write", statistics, folder)
    if store.exists():
        trial.look(store, work.N)


def forks(trial):
    """Fork a child in the middle of a run, that lives on when the writer was killed."""
    folder = trial.folder / "work"
    folder.mkdir()
    statistics = trial.rng.random() < 0.4
    backend = trial.rng.choice(("threads", "processes"))
    use = trial.rng.choice(("sleep", "reduce", "write"))
    after = trial.rng.randint(0, 3) * work.CHUNK
    trial.story.append(f"{backend} {use} {statistics}")
    child = Child(_fork_within, folder, statistics, backend, use, after)
    child.sleep(trial.rng.uniform(0.1, 1.5))
    if use == "sleep":
        child.strike(signal.SIGKILL)
        trial.note(child.wait())
    else:
        outcome = trial.note(child.wait())
        if outcome["value"] not in (None, 0):
            trial.wrong.append(f"{trial.story}: the fork ended with {outcome['value']}")
    trial.finish("write", statistics, folder)
    child.end_all()


def _fork_within(folder, statistics, backend, use, after):
    """Write, and fork when so many paths are there; return how the fork ended."""
    forked = []

    def tell(done, total, failed):
        if done < after or forked:
            return
        forked.append(os.fork())
        if forked[0] == 0:
            code = 1
            try:
                if use == "sleep":
                    time.sleep(60)
                elif use == "reduce":
                    mz.reduce(work.paths(2000).x, "mean")
                else:
                    mz.write(work.paths(2000), folder.parent / "fork.zarr")
                code = 0
            finally:
                os._exit(code)

    work.write(folder, statistics, pause=0.03, backend=backend, on_progress=tell)
    if use == "sleep":
        return 0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found, status = os.waitpid(forked[0], os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(forked[0], signal.SIGKILL)
    return "no end"


def disks(trial):
    """Have no room: files may not grow beyond some bytes, until there is room again."""
    name, statistics, folder = _start(trial)
    shown = 0
    for _ in range(trial.rng.randint(1, 2)):
        size = int(10 ** trial.rng.uniform(0.5, 5.0))
        trial.story.append(f"{name} {statistics} {size}")
        limits = {resource.RLIMIT_FSIZE: size}
        child = Child(work.WORKS[name][1], folder, statistics, limits=limits)
        shown = _ended(trial, child, name, folder, shown)
    trial.finish(name, statistics, folder)


def descriptors(trial):
    """Have too few descriptors: no files, pipes and processes more."""
    name, statistics, folder = _start(trial)
    backend = trial.rng.choice(("threads", "threads", "processes"))
    more = trial.rng.randint(0, 14)
    trial.story.append(f"{name} {statistics} {backend} {more} descriptors")
    limits = {resource.RLIMIT_NOFILE: psutil.Process().num_fds() + 2 + more}
    child = Child(work.WORKS[name][1], folder, statistics, 0.0, backend, limits=limits)
    _ended(trial, child, name, folder, 0)
    trial.finish(name, statistics, folder)


def cluster(trial):
    """Strike the workers, the scheduler or the Client of a Dask cluster."""
    folder = trial.folder / "work"
    folder.mkdir()
    how = trial.rng.choice(
        ("worker", "worker", "workers", "stop", "restart", "close client", "close cluster")
    )
    statistics = trial.rng.random() < 0.4
    after = trial.rng.randint(1, 3) * work.CHUNK
    trial.story.append(f"{how} {statistics} after {after}")
    child = Child(_on_a_cluster, folder, statistics, how, after)
    trial.note(child.wait())
    child.end_all()
    trial.look(folder / work.STORE, 0)
    trial.finish("write", statistics, folder)


def _on_a_cluster(folder, statistics, how, after):
    import distributed

    os.environ["MONTEZARR_WORKER"] = "1"
    # It is not closed at the end: this process ends at once, and Dask may wait for what was struck.
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    )
    client = distributed.Client(cluster, set_as_default=False)
    pids = list(client.run(os.getpid).values())
    struck = []

    def tell(done, total, failed):
        if done < after or struck:
            return
        struck.append(how)
        if how in ("worker", "workers"):
            for pid in pids[: 1 if how == "worker" else 2]:
                os.kill(pid, signal.SIGKILL)
        elif how == "stop":
            os.kill(pids[0], signal.SIGSTOP)
            time.sleep(0.5)
            os.kill(pids[0], signal.SIGCONT)
        elif how == "restart":
            client.restart(timeout=20)
        else:
            with contextlib.suppress(TimeoutError):
                (client if how == "close client" else cluster).close(timeout=2)

    with mz.backend(client):
        mz.write(work.paths(), folder / work.STORE, on_progress=tell, **work.options(statistics))


KINDS = {
    "signals": signals,
    "workers": workers,
    "late tasks": late_tasks,
    "moved": moved,
    "forks": forks,
    "disks": disks,
    "descriptors": descriptors,
    "cluster": cluster,
}
"""By name, each kind of blow."""

__all__ = ["KINDS", "Left", "Path", "Right", "Trial"]
