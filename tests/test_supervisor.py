"""The life of a backend: nested, shared, ended early, and with a pool that fails."""

import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, wait
from pathlib import Path

import backend_samplers as samplers
import dask
import numpy as np
import pytest
from leaks import check_nothing_left, children, snapshot
from patience import PATIENCE

import montezarr as mz
from montezarr.execute import BACKENDS
from montezarr.execute._shared_objects import SharedObjects
from montezarr.execute.processes import _SpawnedPool
from montezarr.samplers.task import RangeTask

T = 10


@pytest.fixture
def ds():
    return mz.simulate(samplers.Loop(), 3000, T, 1.0, seed=7, chunks=1024)


def test_one_backend_entered_twice_ends_with_the_outer_block(ds):
    before = snapshot()
    wanted = float(ds.x.mean().compute(scheduler="synchronous"))
    place = mz.backend("processes", 1)
    with place:
        with place:
            assert float(ds.x.mean().compute()) == wanted
        assert float(ds.x.mean().compute()) == wanted
        assert place.executor.submit(abs, -1).result() == 1
    assert dask.config.get("scheduler", None) is None
    assert float(ds.x.mean().compute()) == wanted
    check_nothing_left(before)


def test_blocks_that_end_out_of_order_leave_the_one_that_runs(ds):
    one, other = mz.backend("processes", 1), mz.backend("threads", 2)
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert mz.plan(ds).backend.startswith("threads")
    ds.x.mean().compute()
    other.__exit__(None, None, None)
    assert dask.config.get("scheduler", None) is None
    ds.x.mean().compute()


def test_a_block_gives_back_what_was_configured(ds):
    with dask.config.set(scheduler="synchronous"):
        with mz.backend("threads", 2):
            assert mz.plan(ds).backend.startswith("threads")
        assert dask.config.get("scheduler") == "synchronous"
    assert dask.config.get("scheduler", None) is None


def test_threads_of_the_caller_share_one_executor():
    before = snapshot()
    place = mz.backend("processes", 1)
    made, make = [], place.make_executor
    place.make_executor = lambda: made.append(make()) or made[-1]

    def use():
        with place.running():
            assert place.executor.submit(abs, -2).result() == 2

    with place.running():
        users = [threading.Thread(target=use) for _ in range(8)]
        for user in users:
            user.start()
        for user in users:
            user.join()
    assert len(made) == 1
    check_nothing_left(before)


@pytest.mark.parametrize("name", ["processes", "dask"])
def test_lazy_collections_compute_in_other_threads_too(name, ds):
    wanted = float(ds.x.mean().compute(scheduler="synchronous"))
    found = []
    with mz.backend(name, 1):
        worker = threading.Thread(target=lambda: found.append(float(ds.x.mean().compute())))
        worker.start()
        worker.join()
        parts = list(mz.batches(ds.isel(time=[0, -1]), 1000))
    assert found == [wanted]
    assert len(parts) == 3


def test_what_dask_holds_of_a_backend_travels_as_a_name():
    with mz.backend("processes", 1) as place:
        assert pickle.loads(pickle.dumps(place.scheduler)) == "synchronous"
        assert pickle.loads(pickle.dumps(place.executor)) == "synchronous"


def test_an_iterator_left_half_way_does_not_keep_the_workers(ds):
    before = snapshot()
    with mz.backend("processes", 2):
        parts = mz.batches(ds, 500)
        next(parts)
        assert children()
    check_nothing_left(before)
    with pytest.raises((RuntimeError, CancelledError)):
        list(parts)


class BrokenPool(_SpawnedPool):
    """Cannot start anything."""

    def submit(self, function, *args):
        raise OSError(24, "Too many open files")


def test_a_pool_that_fails_tells_all_who_wait_and_all_who_come():
    place = mz.backend("processes", 1)
    place.make_pool = lambda: BrokenPool(1)
    with place.running():
        futures = [place.executor.submit(abs, k) for k in range(5)]
        done, _ = wait(futures, timeout=PATIENCE)
        assert len(done) == 5
        for future in futures:
            assert isinstance(future.exception(), OSError)
        with pytest.raises(RuntimeError, match="got OSError: Too many open files"):
            place.executor.submit(abs, 1)


def test_the_end_of_an_executor_answers_every_future():
    for cancel in (False, True):
        with mz.backend("processes", 1).running() as place:
            executor = place.executor
            first = executor.submit(time.sleep, 0.3)
            rest = [executor.submit(abs, k) for k in range(20)]
            executor.shutdown(wait=False, cancel_futures=cancel)
            _, waiting = wait([first, *rest], timeout=PATIENCE)
            assert not waiting
            assert first.result() is None
            assert rest[-1].cancelled() == cancel
            with pytest.raises(RuntimeError, match="was closed"):
                executor.submit(abs, 1)


def test_a_program_that_forgot_a_backend_ends_at_once(tmp_path):
    """It does not wait for its task, which lasts for an hour."""
    code = (
        "import os, sys, time; sys.path.insert(0, sys.argv[2])\n"
        "import montezarr as mz, patience\n"
        "place = mz.backend('processes', 1)\n"
        "place.__enter__()\n"
        "place.executor.submit(patience.last, sys.argv[1])\n"
        "patience.until(lambda: os.path.exists(sys.argv[1]))\n"
    )
    command = [sys.executable, "-c", code, tmp_path / "begun", Path(__file__).parent]
    subprocess.run(command, check=True, timeout=PATIENCE)


def test_a_file_of_a_sampler_goes_when_the_sampler_does(tmp_path):
    import gc

    from montezarr.run import Run

    shared_objects = SharedObjects()
    ds = mz.simulate(samplers.Loop(), 100, T, 1.0, seed=1)
    task = RangeTask(Run.behind(ds).sampler)
    _, used, kept = shared_objects.dumps(task)
    [file] = used.values()
    assert Path(file).exists()
    assert shared_objects.dumps(task)[1] == used
    del task, kept, ds
    gc.collect()
    assert not Path(file).exists()
    shared_objects.clear()
    assert not Path(file).parent.exists()


def test_a_backend_beside_which_options_are_given_is_refused():
    place = mz.backend("processes", 1)
    with pytest.raises(mz.ArgumentValueError, match="no timeout beside a Backend"):
        mz.MonteCarloEngine(samplers.Loop()).simulate(
            10, T, 1.0, parallel=True, backend=place, timeout=1
        )


def test_the_engine_runs_in_the_block_around_it():
    with mz.backend("processes", 1):
        inside = mz.MonteCarloEngine(samplers.Loop()).simulate(100, T, 1.0, parallel=True, seed=1)
    assert inside.metadata["backend"] == "processes"


def test_a_trial_that_hangs_or_kills_does_so_in_a_worker():
    for sampler in (samplers.Hanging(20), samplers.Deadly(20, "exit")):
        with pytest.raises((mz.WorkerTimeout, mz.WorkerDied), match="paths "):
            mz.MonteCarloEngine(sampler).simulate(
                2000, T, 1.0, parallel=True, backend="processes", n_jobs=1, seed=1, timeout=5
            )


def test_with_a_timeout_auto_takes_processes():
    result = mz.MonteCarloEngine(samplers.Loop()).simulate(
        50, T, 1.0, parallel=True, n_jobs=1, seed=1, timeout=PATIENCE
    )
    assert result.metadata["backend"] in ("joblib", "processes")


def test_the_lowest_path_counts_across_both_policies():
    class Both(samplers.Failing):
        def sample_path(self, T, x0, rng):
            x = super().sample_path(T, x0, rng)
            if samplers.index_of(rng) == 650:
                x[3] = np.nan
            return x

    for size in (100, 1000):
        with pytest.raises(mz.SamplerError) as caught:
            mz.MonteCarloEngine(Both(700)).simulate(2000, T, 1.0, seed=1, batch_size=size)
        assert caught.value.path == 650


def test_every_backend_says_what_it_is():
    for name in BACKENDS:
        options = {"allow_network": True} if name == "ray" else {}
        place = mz.backend(name, 1, **options)
        assert name in repr(place)
        assert "not running" in repr(place)
