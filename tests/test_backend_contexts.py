"""A backend in force belongs to the thread, task or process that entered its block."""

import asyncio
import os
import subprocess
import sys
import threading
import traceback

import dask
import numpy as np
import pytest
from patience import PATIENCE

import montezarr as mz
from montezarr.execute import BACKENDS, in_force
from montezarr.execute._base import ProcessBackend

N, T = 6000, 8
GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
LOCAL = [name for name, kind in BACKENDS.items() if not kind.in_processes]
SPAWNED = [
    name
    for name, kind in BACKENDS.items()
    if issubclass(kind, ProcessBackend) and kind.check_allowed is mz.Backend.check_allowed
]
"""Those that start worker processes, and need nobody's permission for it."""


@pytest.fixture(scope="module")
def ds():
    return mz.simulate(GBM, n_paths=N, T=T, x0=100.0, dt=1 / 252, seed=3, chunks=1024)


@pytest.fixture(scope="module")
def expected(ds):
    with mz.backend("synchronous"):
        return mz.reduce(ds, ["mean", "q50"])


def in_threads(work, count):
    """Run work(i) in so many threads at once; return what each returned or raised."""
    out, gate = [None] * count, threading.Barrier(count)

    def run(i):
        gate.wait()
        try:
            out[i] = work(i)
        except BaseException as error:
            out[i] = error

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads), "a thread never ended"
    return out


class Boom(Exception):
    pass


def fail_in(name):
    with mz.backend(name, n_jobs=2):
        raise Boom


def check_all(found, expected, failing):
    for i, result in enumerate(found):
        if i == failing:
            assert isinstance(result, Boom)
        else:
            assert not isinstance(result, BaseException), "".join(
                traceback.format_exception(result)
            )
            assert result.identical(expected)
    assert in_force() is None
    assert dask.config.get("scheduler", None) is None


@pytest.mark.parametrize(
    "name", [*LOCAL, *(pytest.param(name, marks=pytest.mark.slow) for name in SPAWNED)]
)
def test_threads_with_a_block_each_do_not_end_one_another(name, ds, expected):
    def work(i):
        if i == 5:
            return fail_in(name)
        with mz.backend(name, n_jobs=2):
            return mz.reduce(ds, ["mean", "q50"])

    check_all(in_threads(work, 8), expected, 5)


@pytest.mark.parametrize("name", ["threads", pytest.param("processes", marks=pytest.mark.slow)])
def test_one_backend_shared_by_threads_lasts_until_the_last_of_them(name, ds, expected):
    place = mz.backend(name, n_jobs=2)

    def work(i):
        if i == 2:
            with place:
                raise Boom
        for _ in range(3):
            with place:
                found = mz.reduce(ds, ["mean", "q50"])
        return found

    check_all(in_threads(work, 6), expected, 2)
    assert not place.is_running


def test_streams_in_threads_each_run_to_their_end(ds, expected):
    def work(i):
        with mz.backend("threads", n_jobs=2):
            *_, last = mz.stream(ds, ["mean", "q50"])
        return last.dataset[list(expected.data_vars)]

    for found in in_threads(work, 8):
        assert np.array_equal(found.x_mean, expected.x_mean)


def test_a_block_is_in_force_in_its_own_thread_alone(ds):
    seen = {}
    with mz.backend("threads", n_jobs=2) as place:
        thread = threading.Thread(target=lambda: seen.update(there=in_force()))
        thread.start()
        thread.join()
        assert in_force() is place
    assert seen == {"there": None}


def test_plain_dask_in_another_thread_computes_as_if_there_were_no_block(ds):
    names = set()

    def note(chunk):
        names.add(threading.current_thread().name)
        return chunk

    noted = ds.x.data.map_blocks(note, dtype=float)
    with mz.backend("synchronous"):
        thread = threading.Thread(target=noted.compute, name="caller")
        thread.start()
        thread.join()
        assert "caller" not in names  # on Dask's own threads
        names.clear()
        noted.compute()
        assert names == {threading.current_thread().name}


def test_what_dask_was_configured_with_holds_beside_a_block_of_another_thread(ds):
    calls = []

    def get(dsk, keys, **options):
        calls.append(threading.current_thread().name)
        return dask.get(dsk, keys)

    with dask.config.set(scheduler=get), mz.backend("synchronous"):
        thread = threading.Thread(target=ds.x.compute, name="other")
        thread.start()
        thread.join()
        ds.x.compute()
    assert calls == ["other"]


def test_asyncio_tasks_have_their_own(ds, expected):
    async def task(name):
        with mz.backend(name, n_jobs=1) as place:
            await asyncio.sleep(0.01)
            assert in_force() is place
            return mz.reduce(ds, ["mean", "q50"])

    async def main():
        return await asyncio.gather(*(task(name) for name in ("threads", "synchronous", "threads")))

    assert all(found.identical(expected) for found in asyncio.run(main()))
    assert in_force() is None


def test_batches_read_on_after_their_block_say_so(ds):
    place = mz.backend("threads", n_jobs=1)
    with place:
        batches = mz.batches(ds, 1024)
        next(batches)
    with pytest.raises(mz.BackendError, match="was stopped"):
        list(batches)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("name", ["threads", "processes"])
def test_a_forked_child_runs_in_a_backend_of_its_own(name, ds, expected):
    with mz.backend(name, n_jobs=2):
        assert mz.reduce(ds, ["mean", "q50"]).identical(expected)
        pid = os.fork()
        if pid == 0:  # a child that hangs is killed below
            same = False
            try:
                same = mz.reduce(ds, ["mean", "q50"]).identical(expected)
            finally:
                os._exit(0 if same else 1)
        ended = threading.Event()
        killer = threading.Timer(PATIENCE, lambda: ended.is_set() or os.kill(pid, 9))
        killer.start()
        _, status = os.waitpid(pid, 0)
        ended.set()
        killer.cancel()
        assert os.waitstatus_to_exitcode(status) == 0
        assert mz.reduce(ds, ["mean", "q50"]).identical(expected)


IN_A_TASK = """
import distributed
import montezarr as mz

gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
ds = mz.simulate(gbm, n_paths=6000, T=8, x0=100.0, dt=1 / 252, seed=3, chunks=1024)
with mz.backend("synchronous"):
    expected = mz.reduce(ds, ["mean", "q50"])
options = dict(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0")
with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
    found = client.submit(lambda: mz.reduce(ds, ["mean", "q50"]), pure=False).result()
print("same" if found.identical(expected) else "another")
"""


def test_a_reduction_inside_a_task_of_an_in_process_client_ends():
    # In a process of its own: what a Client of one's own process leaves open is Dask's affair.
    done = subprocess.run(
        [sys.executable, "-c", IN_A_TASK], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.stdout == "same\n", done.stderr


def test_a_setting_of_dasks_outlives_a_client_that_came_and_went_in_a_block():
    distributed = pytest.importorskip("distributed")
    with dask.config.set(scheduler="threads"):
        with mz.backend("synchronous"):
            cluster = distributed.LocalCluster(
                n_workers=1, processes=False, dashboard_address=None, silence_logs=50
            )
            client = distributed.Client(cluster)
            with mz.backend("threads", 1):
                pass
            client.close()
            cluster.close()
        assert dask.config.get("scheduler") == "threads"
