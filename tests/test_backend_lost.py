"""Clusters and Clients that go away, and systems without room: one error, which says what to do."""

import errno
import os
import subprocess
import sys
import types
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

import pytest
from known_secret import SECRET

import montezarr as mz
from montezarr.execute._lost import cluster_lost, no_start
from montezarr.execute._shared_objects import SharedObjects
from montezarr.execute.processes import _SpawnedPool

ADDRESS = f"tcp://user:{SECRET}@host:4444"


class FakeClient:
    """As much of a Client as the backend uses; what is asked of it fails, once it is to."""

    cluster = None
    dashboard_link = "http://127.0.0.1:1/status"

    def __init__(self, error=None, then="raise"):
        self.status, self.futures, self.error, self.then = "running", {}, error, then
        self.scheduler = types.SimpleNamespace(address=ADDRESS)
        self.pool = ThreadPoolExecutor(1)

    def nthreads(self):
        return {"worker": 1}

    def scheduler_info(self, n_workers=-1):
        return {"workers": {}}

    def get_versions(self, packages):
        return {"client": {"packages": {}}, "workers": {}}

    def get_executor(self):
        return self

    def shutdown(self, wait=True):
        self.pool.shutdown(wait=wait)
        if self.then == "close":
            raise dask_errors()[0]

    def submit(self, function, *args, key=None, pure=True):
        if key.startswith("recipe"):
            return args[0]
        if self.then == "raise":
            raise self.error
        if self.then == "never":
            self.closes.status = "closed"
            return Future()
        if self.then in ("cancel", "close"):
            future = Future()
            future.cancel()
            return future
        return self.pool.submit(self._fail)

    def _fail(self):
        raise self.error

    def get(self, dsk, keys, **options):
        raise self.error


def dask_errors():
    from distributed.client import ClosedClientError, FutureCancelledError
    from distributed.comm import CommClosedError

    return [
        ClosedClientError("closed"),
        CommClosedError("ConnectionPool closing."),
        FutureCancelledError("key", "scheduler-restart"),
        CancelledError(""),
        OSError("Timed out trying to connect to tcp://host:4444 after 30 s"),
    ]


@pytest.fixture(autouse=True)
def _no_page(monkeypatch):
    monkeypatch.setattr("montezarr.execute.dask.on_client", [])


USES = {
    "reduce": lambda ds, path: mz.reduce(ds, "mean"),
    "write": lambda ds, path: mz.write(ds, path),
    "batches": lambda ds, path: list(mz.batches(ds, 1000)),
    "lazy": lambda ds, path: ds.compute(),
}


def check_refused(use, client, path):
    ds = mz.simulate(mz.RandomWalk(), n_paths=5000, T=2, seed=1, chunks=1024)
    with (
        pytest.raises(mz.BackendError, match="expected the Dask cluster at host:4444 ") as caught,
        mz.backend(client),
    ):
        USES[use](ds, path)
    text = str(caught.value)
    assert "new Client" in text
    assert SECRET not in text


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("use", USES)
def test_a_cluster_that_does_not_take_tasks_any_more_is_named(use, number, tmp_path):
    check_refused(use, FakeClient([*dask_errors(), None][number]), tmp_path / "a.zarr")


@pytest.mark.parametrize("use", ["reduce", "write", "batches"])
@pytest.mark.parametrize("number", range(4))
def test_a_cluster_that_lost_its_tasks_is_named(use, number, tmp_path):
    client = FakeClient(dask_errors()[number], then="fail")
    check_refused(use, client, tmp_path / "a.zarr")


@pytest.mark.parametrize("use", ["reduce", "write", "batches"])
def test_tasks_that_were_cancelled_without_a_word_are_not_waited_for(use, tmp_path):
    check_refused(use, FakeClient(then="cancel"), tmp_path / "a.zarr")


@pytest.mark.parametrize("use", ["reduce", "write", "batches"])
def test_a_client_that_is_closed_before_its_tasks_are_cancelled_hides_no_error(use, tmp_path):
    check_refused(use, FakeClient(then="close"), tmp_path / "a.zarr")


@pytest.mark.parametrize("use", ["reduce", "write", "batches"])
@pytest.mark.parametrize("part", ["client", "cluster"])
def test_tasks_of_a_closed_cluster_that_never_end_are_not_waited_for(use, part, tmp_path):
    client = FakeClient(then="never")
    client.cluster = types.SimpleNamespace(status="running", scheduler=None)
    client.closes = client if part == "client" else client.cluster
    check_refused(use, client, tmp_path / "a.zarr")


class Restarted(FakeClient):
    """Draws the first chunk; of the others one is cancelled, and the rest are never heard of."""

    def submit(self, function, *args, key=None, pure=True):
        if key.startswith("recipe"):
            return args[0]
        future = Future() if hasattr(self, "second") else self.pool.submit(function, *args)
        self.second = future
        return future


def test_an_error_while_somebody_restarts_the_client_does_not_wait_for_ever(tmp_path):
    client = Restarted()

    def tell(done, total, failed):
        if done:
            client.second.cancel()
            raise RuntimeError("in the display")

    ds = mz.simulate(mz.RandomWalk(), n_paths=5000, T=2, seed=1, chunks=1024)
    with mz.backend(client), pytest.raises(RuntimeError, match="in the display"):
        mz.write(ds, tmp_path / "a.zarr", on_progress=tell)


@pytest.mark.parametrize("when", ["before", "since"])
def test_a_closed_client_is_refused_at_once(when):
    client = FakeClient()
    if when == "since":
        place = mz.backend(client)
    client.status = "closed"
    take = mz.backend if when == "before" else lambda _: place.__enter__()
    with pytest.raises(mz.BackendError, match="the Client is closed"):
        take(client)


def test_an_error_of_a_task_stays_what_it_is():
    with pytest.raises(mz.StoreError, match="a task's"):
        check_refused("reduce", FakeClient(mz.StoreError("a task's"), then="fail"), None)


def test_an_address_where_nobody_listens_is_named():
    import dask

    settings = {"distributed.comm.timeouts.connect": "200ms"}
    with (
        dask.config.set(settings),
        pytest.raises(mz.BackendError, match=r"127\.0\.0\.1:1 to be there"),
        mz.backend("tcp://127.0.0.1:1"),
    ):
        pass


SCHEDULER = """
import sys, threading, time
from distributed import LocalCluster, Client
import montezarr as mz, subprocess, os, signal
def slow(rng, T):
    time.sleep(0.01)
    return rng.standard_normal(T + 1)
if __name__ == "__main__":
    run = [sys.executable, "-c", "from distributed.cli.dask_scheduler import main; main()"]
    file = sys.argv[1]
    scheduler = subprocess.Popen([*run, "--host", "127.0.0.1", "--port", "0",
        "--dashboard-address", "127.0.0.1:0", "--scheduler-file", file], stderr=subprocess.DEVNULL)
    while not os.path.exists(file):
        time.sleep(0.05)
    work = "from distributed.cli.dask_worker import main; main()"
    worker = subprocess.Popen([sys.executable, "-c", work, "--scheduler-file", file, "--no-nanny",
        "--nthreads", "1", "--no-dashboard"], stderr=subprocess.DEVNULL)
    client = Client(scheduler_file=file, set_as_default=False)
    client.wait_for_workers(1)
    ds = mz.simulate(slow, n_paths=10**5, T=2, seed=1, chunks=16)
    told = lambda done, *_: done > 100 and scheduler.poll() is None and scheduler.kill()
    try:
        with mz.backend(client):
            mz.write(ds, sys.argv[2], on_progress=told)
    except mz.BackendError as error:
        print(error)
    worker.kill()
    sys.stdout.flush()
    os._exit(0)
"""


@pytest.mark.slow
def test_a_scheduler_that_is_killed_is_said_to_have_ended(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCHEDULER)
    said = subprocess.run(
        [sys.executable, script, tmp_path / "file.json", tmp_path / "a.zarr"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "expected the Dask cluster at 127.0.0.1:" in said.stdout
    assert mz.open(tmp_path / "a.zarr").sizes["path"] > 100


def test_what_stands_before_the_host_of_an_address_is_not_shown():
    text = str(cluster_lost(ADDRESS, OSError("Timed out.")))
    assert "at host:4444 to be there" in text
    assert SECRET not in text


class FullPool(_SpawnedPool):
    """Cannot start anything, as where shared memory is full."""

    def submit(self, function, *args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_shared_memory_is_named_with_what_is_free(tmp_path):
    place = mz.backend("processes", 1)
    place.make_pool = lambda: FullPool(1)
    with place, pytest.raises(mz.BackendError, match="workers of 'processes'") as caught:
        mz.write(mz.simulate(mz.RandomWalk(), 5000, 3, seed=1), tmp_path / "a.zarr")
    assert "free in" in str(caught.value)
    assert "TMPDIR" in str(caught.value)
    assert "more, got" not in str(caught.value)  # it is not the disk of the store


class Wide:
    """A sampler of some size, which workers share."""

    def __init__(self):
        self.table = bytes(100_000)

    def sample_path(self, T, x0, rng):
        return rng.standard_normal(T + 1)


def test_a_temporary_directory_without_room_is_named(monkeypatch, tmp_path):
    def full(self, key, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / key))

    monkeypatch.setattr(SharedObjects, "_stored", full)
    ds = mz.simulate(Wide(), n_paths=2000, T=2, x0=0.0, seed=1)
    with mz.backend("processes", 1), pytest.raises(mz.BackendError, match="No space") as caught:
        mz.reduce(ds, "mean")
    assert str(tmp_path) in str(caught.value)


def test_what_is_written_in_part_is_taken_away(monkeypatch, tmp_path):
    monkeypatch.setattr(
        "montezarr.execute._shared_objects.tempfile.gettempdir", lambda: str(tmp_path)
    )
    shared_objects = SharedObjects()
    with pytest.raises(mz.BackendError, match="File name too long"):
        shared_objects.store("k" * 300, b"data")
    with pytest.raises(mz.BackendError):
        shared_objects.store("missing/key", b"data")
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []
    shared_objects.clear()


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOSPC, "free in"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EAGAIN, "ulimit -u"),
        (errno.ENOENT, "TMPDIR"),
    ],
)
def test_each_refusal_of_the_system_has_its_remedy(code, remedy):
    outer = RuntimeError("it failed")
    outer.__cause__ = OSError(code, os.strerror(code))
    text = str(no_start("dask", outer))
    assert os.strerror(code) in text
    assert remedy in text


def test_what_reads_on_outside_of_its_block_is_told_so():
    ds = mz.simulate(mz.RandomWalk(), n_paths=5000, T=3, seed=1)
    with mz.backend("threads", n_jobs=1):
        pieces = mz.batches(ds, 500)
        next(pieces)
    with pytest.raises(mz.BackendError, match="read on inside its with block"):
        list(pieces)
