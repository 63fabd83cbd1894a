"""Clients of Dask that other threads make and close meanwhile: a block stays in force."""

import json
import logging
import os
import subprocess
import sys
import threading
import types
import warnings
from concurrent.futures import ThreadPoolExecutor

import dask
import dask.base
import distributed
import pytest

import montezarr as mz
from montezarr.execute import configured, in_force
from montezarr.execute.dask import Dask

OF_CLIENTS = "dask.distributed"
"""What a Client that becomes the default one configures Dask with."""


@pytest.fixture
def ds():
    return mz.simulate(mz.RandomWalk(), n_paths=3000, T=4, seed=1, chunks=1024)


@pytest.fixture(autouse=True)
def as_before():
    yield
    assert in_force() is None
    assert dask.config.get("scheduler", None) is None
    assert OF_CLIENTS not in dask.base.named_schedulers


def threads_of(array):
    """Return the names of the threads that compute the chunks of an array."""
    names = set()

    def note(chunk):
        names.add(threading.current_thread().name)
        return chunk

    noted = array.map_blocks(note, dtype=array.dtype)  # which tries it here
    names.clear()
    noted.compute()
    return names


def in_a_thread(function, *args):
    with ThreadPoolExecutor(1, thread_name_prefix="caller") as pool:
        return pool.submit(function, *args).result()


HERE = {threading.current_thread().name}


def test_what_is_private_of_dask_is_there():
    assert isinstance(dask.base.named_schedulers, dict)
    assert dask.base.get_scheduler(scheduler="sync") is dask.base.named_schedulers["sync"]


def test_a_client_that_comes_while_a_block_is_in_force_does_not_take_its_place(ds):
    """It configures Dask for the whole process, whichever thread it is of."""
    with mz.backend("synchronous"):
        with dask.config.set(scheduler=OF_CLIENTS):
            assert threads_of(ds.x.data) == HERE
            with pytest.raises(RuntimeError, match="no Client active"):  # as without a block
                in_a_thread(threads_of, ds.x.data)
            with mz.backend("synchronous"):
                assert threads_of(ds.x.data) == HERE
        with dask.config.set(scheduler="threads"):  # what somebody asks for by name holds
            assert threads_of(ds.x.data) != HERE


def test_a_client_that_closes_after_its_block_leaves_nothing_behind(ds):
    with mz.backend("synchronous"):
        client = dask.config.set(scheduler=OF_CLIENTS)
    client.__exit__(None, None, None)  # puts back what it found, which was ours
    assert threads_of(ds.x.data) != HERE
    with mz.backend("synchronous"):
        assert threads_of(ds.x.data) == HERE
        assert not in_a_thread(threads_of, ds.x.data) & {*HERE, "caller_0"}
    assert configured() is None


def test_a_client_that_closes_before_its_block_ends_is_not_configured_again(ds):
    with dask.config.set(scheduler=OF_CLIENTS), mz.backend("synchronous"):
        assert threads_of(ds.x.data) == HERE
    assert dask.config.get("scheduler", None) is None


class Closing:
    """A Client of another thread, which closes or has not started."""

    asynchronous, cluster = False, None
    current = staticmethod(lambda allow_global=True: None)

    def __init__(self, status="closing", scheduler=None):
        self.status, self.scheduler = status, scheduler

    def get_executor(self):
        return self

    def nthreads(self):
        return {"worker": 3}

    def get_versions(self, packages):
        return {"client": {"packages": {}}, "workers": {}}

    def scheduler_info(self, n_workers=-1):
        return {"workers": {}}

    def shutdown(self, wait):
        raise distributed.client.ClosedClientError("Can't send cancel-keys message.")


ADDRESS = types.SimpleNamespace(address="tcp://127.0.0.1:1")


@pytest.mark.parametrize(
    "client", [Closing(), Closing("closed", ADDRESS), Closing("newly-created")]
)
def test_a_client_of_another_thread_that_is_not_there_is_none(client, monkeypatch):
    monkeypatch.setattr(distributed, "default_client", lambda: client)
    ds = mz.simulate(mz.RandomWalk(), n_paths=3000, T=4, seed=1)
    assert "threads" in mz.plan(ds).backend
    assert mz.reduce(ds, "mean").sizes == {"time": 5}
    assert mz.backend("auto").name == "threads"


def test_a_client_that_closes_between_two_questions_is_none(monkeypatch):
    there = Closing("running", ADDRESS)
    monkeypatch.setattr(distributed, "default_client", lambda: there)
    found = configured()
    assert found.workers == 3
    asked_for = mz.backend(there)
    there.scheduler_info = lambda n_workers=-1: {}  # which it forgets as it closes
    with pytest.raises(mz.BackendError, match="new Client"):
        assert found.worker_bytes
    monkeypatch.setattr(distributed, "default_client", lambda: Closing())
    assert found.worker_bytes is None
    with pytest.raises(mz.BackendError, match="new Client"):
        assert asked_for.worker_bytes

    def leave():
        there.status = "closing"
        raise OSError("Timed out.")

    monkeypatch.setattr(distributed, "default_client", lambda: there)
    monkeypatch.setattr(there, "nthreads", leave)
    assert configured() is None


def test_one_s_own_client_that_was_closed_is_named(monkeypatch):
    client = Closing("closed", ADDRESS)
    monkeypatch.setattr(Closing, "current", lambda allow_global=True: client)
    monkeypatch.setattr(distributed, "default_client", lambda: client)
    with pytest.raises(mz.BackendError, match="the Client is closed"):
        configured()


def test_a_closed_client_that_has_nothing_to_cancel_is_no_error(monkeypatch):
    monkeypatch.setattr("montezarr.execute.dask.on_client", [])
    client = Closing("running", ADDRESS)
    with Dask(client=client):  # which has no dashboard either
        client.status = "closed"


def test_what_dask_logs_stays_silent_until_the_last_cluster_has_ended(monkeypatch):
    from montezarr.execute import _cluster

    handler = logging.StreamHandler()
    monkeypatch.setattr(logging.getLogger("distributed"), "handlers", [handler])
    first, second = _cluster._logs_silent(), _cluster._logs_silent()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert handler.level == logging.ERROR
    second.__exit__(None, None, None)
    assert handler.level == logging.NOTSET


def test_filters_of_warnings_are_put_back_by_threads_that_change_them():
    from montezarr.execute import _cluster

    before = list(warnings.filters)

    def change(_):
        with _cluster.process_wide():
            warnings.filterwarnings("ignore", "nothing")

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(change, range(400)))
    finally:
        sys.setswitchinterval(switch)
    assert warnings.filters == before


def test_an_export_changes_nothing_for_other_threads(ds, tmp_path):
    pytest.importorskip("h5netcdf")
    from montezarr.store.export import export

    mz.write(ds, tmp_path / "a.zarr")
    seen, told = [], []

    def note(done, total, masked):
        told.append(done)
        if len(told) == 1:
            seen.append(in_a_thread(threads_of, ds.x.data))

    export(tmp_path / "a.zarr", tmp_path / "a.nc", on_progress=note)
    assert "caller_0" not in seen[0]  # but threads of Dask's, as without an export
    assert told == sorted(told)


PROGRAM = """
import json, logging, os, sys, threading, traceback
import distributed, numpy as np
import montezarr as mz

COUNT, IN_PROCESSES, IS_DEFAULT, folder = json.loads(sys.argv[1])


class Boom(Exception):
    pass


def work(i, ds, expected):
    options = dict(n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0",
                   silence_logs=logging.CRITICAL) if IN_PROCESSES else dict(
                   n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0",
                   silence_logs=logging.CRITICAL)
    with distributed.LocalCluster(**options) as cluster:
        with distributed.Client(cluster, set_as_default=IS_DEFAULT) as client:
            with mz.backend("dask", client=client):
                if i == COUNT // 2:
                    raise Boom
                same = mz.reduce(ds, ["mean", "q50"]).identical(expected)
                stored = mz.write(ds, os.path.join(folder, f"{i}.zarr"))
                *_, last = mz.stream(ds, ["mean", "q50"])
                same &= np.array_equal(last.dataset.x_mean, expected.x_mean)
                return same and np.array_equal(stored.x, ds.x)


def main():
    gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    ds = mz.simulate(gbm, n_paths=6000, T=8, x0=100.0, dt=1 / 252, seed=3, chunks=1024)
    with mz.backend("synchronous"):
        expected = mz.reduce(ds, ["mean", "q50"])
    gate, out = threading.Barrier(COUNT), ["never ended"] * COUNT

    def run(i):
        gate.wait()
        try:
            out[i] = bool(work(i, ds, expected))
        except BaseException as error:
            out[i] = type(error).__name__
            if not isinstance(error, Boom):
                traceback.print_exc()

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(COUNT)]
    [thread.start() for thread in threads]
    [thread.join(200) for thread in threads]
    print(json.dumps(out), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "in_processes", "is_default"), [(8, False, True), (3, True, False)]
)
def test_threads_that_start_a_cluster_each_run_there(count, in_processes, is_default, tmp_path):
    """What Dask prints as clusters of one process end is its own affair."""
    script = tmp_path / "script.py"
    script.write_text(PROGRAM)
    arguments = json.dumps([count, in_processes, is_default, str(tmp_path)])
    done = subprocess.run(
        [sys.executable, str(script), arguments], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == [True] * (count // 2) + ["Boom"] + [True] * (count - count // 2 - 1), (
        done.stderr
    )
