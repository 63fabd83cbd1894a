"""Runs that write a store in processes of their own, to be killed, stopped, raced and resumed.

Importing montezarr takes a second and more. So most runs are forks of one process, the `Nursery`,
that has imported it and has no threads; a run on worker processes is a fresh driver, as users have.
"""

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

from patience import PATIENCE, until

CHUNK = 1024
KEPT = 20
MARK = "MONTEZARR_TEST_MARK"
"""Variable of the environment by which a driver and all that it starts are found."""


def dataset(kind="one", chunks=6, T=6):
    """Return what a run writes, and with which options; the last chunk is no whole one."""
    import montezarr as mz

    n = n_of(chunks)
    if kind == "two":
        process = mz.Heston(mu=0.0, kappa=1.0, theta=0.04, xi=0.5, rho=-0.5)
        ds = mz.simulate(process, n, T, {"s": 100.0, "v": 0.04}, dt=1 / 24, seed=5, chunks=CHUNK)
        return ds, {}
    if kind == "large":  # a recipe that refers to what lies beside it
        rows = [[1.0 + (i * j) % 97 for j in range(90)] for i in range(90)]
        process = mz.MarkovChain(transition=[[x / sum(row) for x in row] for row in rows])
        return mz.simulate(process, n, T, seed=5, chunks=CHUNK), {}
    process = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    ds = mz.simulate(process, n, T, 100.0, dt=0.05, seed=5, chunks=CHUNK)
    return ds, {"statistics": ["mean"]} if kind == "statistics" else {}


def run(job):
    """Write a store as `job` says.

    Its ``pause`` slows each chunk, ``drawn`` and ``ended`` count those begun and those done; the
    first chunk waits until there is a file ``waits_for``; ``left`` is one made when all is over.
    """
    import montezarr as mz
    from montezarr.store import _task, _writer

    _writer.PUBLISH_SECONDS = job.get("every", 0.2)
    if job.keys() & {"pause", "drawn", "ended", "waits_for"}:
        _writer.ChunkTask = slowed(_task.ChunkTask, job)
    ds, options = dataset(**{key: job[key] for key in ("kind", "chunks", "T") if key in job})
    options |= job.get("options", {})
    with mz.backend(job.get("backend", "threads"), n_jobs=2):
        try:
            mz.write(ds, job["path"], **options)
        finally:
            if "left" in job:
                Path(job["left"]).touch()


def run_again_and_again(job):
    """Write one store after the other, and make each grow, until told; the last ones stay."""
    import montezarr as mz

    folder = Path(job["path"])
    for k in itertools.count():
        path = folder / f"{k:06}.zarr"
        run(job | {"path": str(path)})
        if "grow_to" in job:
            mz.extend(path, n_of(job["grow_to"]))
        if k >= KEPT:
            shutil.rmtree(folder / f"{k - KEPT:06}.zarr")
        if os.path.exists(job["again_until"]):
            return


def n_of(chunks):
    """Return the paths of so many chunks, of which the last is no whole one."""
    return chunks * CHUNK - 300


def slowed(task, job):
    """Return a kind of task that notes each chunk and takes its time; workers get it by value."""

    def note(name, chunk):
        if name in job:
            with open(job[name], "ab", buffering=0) as file:
                file.write(b"%d\n" % chunk)

    class Slowed(task):
        def _one(self, chunk, *rest):
            note("drawn", chunk)
            time.sleep(job.get("pause", 0.0))
            while chunk == 0 and "waits_for" in job and not os.path.exists(job["waits_for"]):
                time.sleep(0.01)
            note("ended", chunk)
            return super()._one(chunk, *rest)

    return Slowed


def fault_of(job):
    """Return the fault of a job, aimed at this process."""
    return job["fault"].replace("PID", str(os.getpid())) if "fault" in job else None


def outcome_of(job):
    """Run a job; what it raised, as text."""
    try:
        run(job)
    except BaseException as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        outcome = {"error": kinds[0], "kinds": kinds, "message": str(error)}
    else:
        outcome = {"error": None, "kinds": [], "message": ""}
    return outcome


def _nurse():
    """Fork the jobs of each line of the input together, and tell how they ended."""
    from montezarr.store import _faults, _write

    # What is imported and compiled here need not be in each child. To open what was written would
    # start a thread here, and takes longer there than all the rest.
    _write.open_location = lambda place: None
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("one", "two"):
            run({"path": f"{folder}/{kind}.zarr", "kind": kind, "backend": "synchronous"})
    assert threading.active_count() == 1, "a process with threads would fork"
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        gate, opener = os.pipe()
        children = {}
        for job in order["jobs"]:
            end, start = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(opener)
                os.read(gate, 1)  # until all are there
                _faults._fault = fault_of(job)
                os.write(start, json.dumps(outcome_of(job)).encode())
                os._exit(0)
            os.close(start)
            children[pid] = end
        os.close(opener)
        os.close(gate)
        if order.get("kill_after"):
            _wait_for_chunks(order["jobs"][0], *order["kill_after"])
            for pid in children:
                os.kill(pid, signal.SIGKILL)
        codes = _wait(set(children))
        results = []
        for pid, end in children.items():
            with os.fdopen(end, "rb") as file:
                told = json.loads(file.read() or b"{}")
            results.append({"pid": pid, "code": codes[pid]} | told)
        print(json.dumps(results), flush=True)


def _wait_for_chunks(job, chunks, seconds):
    """Wait until a job has drawn some chunks more, and some seconds, which are few."""

    def drawn():
        file = Path(job["drawn"])
        return file.read_bytes().count(b"\n") if file.exists() else 0

    wanted = drawn() + chunks
    until(lambda: drawn() >= wanted, "chunks")
    time.sleep(seconds)


def _wait(pids):
    deadline = time.monotonic() + PATIENCE
    codes = {}
    while pids:
        for pid in list(pids):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                codes[pid] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                pids.discard(pid)
                continue
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                codes[pid] = os.waitstatus_to_exitcode(status)
                pids.discard(pid)
        time.sleep(0.001)
    return codes


def _environment():
    return os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "error"}


class Nursery:
    """A process that has imported montezarr, and forks a child for each job."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, __file__, "nurse"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment(),
        )  # fmt: skip
        if self.process.stdout.readline() != "ready\n":
            self.close()
            raise RuntimeError("it could not begin")

    def run_all(self, *jobs, kill_after=None):
        """Run jobs that start together; after some chunks, and seconds, they are killed."""
        self.process.stdin.write(json.dumps({"jobs": jobs, "kill_after": kill_after}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def run(self, kill_after=None, **job):
        """Run one job."""
        return self.run_all(job, kill_after=kill_after)[0]

    def close(self):
        """End it."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(PATIENCE)


class Driver:
    """A fresh process that runs one job, and what it starts."""

    def __init__(self, **job):
        self.mark = uuid.uuid4().hex
        # A pipe would be waited for until all have ended that it started.
        self.said = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, __file__, json.dumps(job)],
            stdout=subprocess.DEVNULL, stderr=self.said,
            env=_environment() | {MARK: self.mark}, start_new_session=True,
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.said.close()
        self.wait_until_gone()

    def wait(self, seconds=PATIENCE):
        """Return how it ended, and what it said."""
        code = self.process.wait(seconds)
        self.said.seek(0)
        return code, self.said.read().decode()

    def wait_for(self, done):
        """Wait until something is true while it runs."""

        def is_done():
            assert done() or self.process.poll() is None, self.wait()
            return done()

        until(is_done)

    def left(self):
        """Return the processes that carry its mark."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and self._is_mine(entry):
                    found.append(int(entry.name))
        return found

    def _is_mine(self, entry):
        alive = (entry / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        return alive and f"{MARK}={self.mark}".encode() in (entry / "environ").read_bytes()

    def wait_until_gone(self):
        """Wait until all that it started has ended."""
        until(lambda: not self.left(), self.left)


def files(root):
    """Return every file below `root` with a digest of its content."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(root).rglob("*"))
        if not path.is_dir()
    }


def leftovers(root):
    """Return what only a writer at work has."""
    own = Path(root) / "montezarr"
    return [name for name in ("tmp", "lock") if (own / name).exists()]


if __name__ == "__main__":
    if sys.argv[1] == "nurse":
        _nurse()
    else:
        the_job = json.loads(sys.argv[1])
        the_fault = fault_of(the_job)
        if the_fault is not None:
            os.environ["MONTEZARR_FAULT"] = the_fault  # workers inherit it
        (run_again_and_again if "again_until" in the_job else run)(the_job)
