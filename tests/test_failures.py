"""What goes wrong in a worker: exceptions, values that are not finite, deaths, hangs, Ctrl-C."""

import os
import signal
import subprocess
import sys
import threading

import backend_samplers as samplers
import numpy as np
import psutil
import pytest
from leaks import check_nothing_left, snapshot
from patience import PATIENCE, until

import montezarr as mz
from montezarr.execute import BACKENDS

N, T = 5000, 20
PROCESSES = ("processes", "multiprocessing", "joblib", "joblib-multiprocessing", "ray", "dask")
KILLABLE = PROCESSES[:-1]


def draw(process, place, **options):
    engine = mz.MonteCarloEngine(process)
    return engine, lambda: engine.simulate(
        N, T, 1.0, parallel=True, backend=place, n_jobs=2, seed=7, **options
    )


@pytest.fixture(scope="module")
def undisturbed():
    return draw(samplers.Loop(), "synchronous")[1]().dataset.x.values


@pytest.mark.parametrize("name", BACKENDS)
def test_the_error_is_that_of_the_lowest_path_and_its_replay_line_raises_it(name):
    before = snapshot()
    engine, run = draw(samplers.Failing(17, 4000), name, batch_size=500)
    with pytest.raises(mz.SamplerError) as caught:
        run()
    error = caught.value
    assert error.path == 17
    for text in (
        "path 17: ValueError: cannot do 17",
        "SeedSequence(7, spawn_key=(17,))",
        "T: 20",
        "x0: 1.0",
        "'paths': (17, 4000)",
        "original traceback",
        "backend_samplers.py",
    ):
        assert text in str(error), text
    with pytest.raises(ValueError, match="cannot do 17") as again:
        eval(error.context["replay"], {"mz": mz, "engine": engine})
    assert again.traceback[-1].path.name == "backend_samplers.py"
    check_nothing_left(before)


@pytest.mark.parametrize("name", BACKENDS)
def test_masked_paths_are_listed_and_the_others_untouched(name, undisturbed):
    _, run = draw(samplers.Failing(17, 4000), name, on_error="mask")
    with pytest.warns(mz.MaskedPathsWarning, match="2 of 5,000 paths failed") as caught:
        result = run()
    assert caught[0].message.paths == (17, 4000)
    assert "biased towards the survivors" in str(caught[0].message)
    assert caught[0].filename == __file__
    x = result.dataset.x.values
    assert np.flatnonzero(np.isnan(x).all(axis=1)).tolist() == [17, 4000]
    rest = np.delete(np.arange(N), [17, 4000])
    assert np.array_equal(x[rest], undisturbed[rest])
    assert list(result.metadata["masked"]) == [17, 4000]
    assert "cannot do 4000" in result.metadata["masked"][4000]


def test_masked_paths_of_lazy_datasets_and_stores(tmp_path, undisturbed):
    ds = mz.simulate(samplers.Failing(17, 4000), N, T, 1.0, seed=7, on_error="mask", chunks=1024)
    x = ds.x.compute().values
    assert np.flatnonzero(np.isnan(x[:, -1])).tolist() == [17, 4000]
    with mz.backend("threads", 2), pytest.warns(mz.MaskedPathsWarning) as caught:
        stored = mz.write(ds, tmp_path / "a.zarr")
    assert caught[0].message.paths == (17, 4000)
    assert caught[0].filename == __file__
    assert np.array_equal(stored.x.values, x, equal_nan=True)
    with mz.backend("threads", 2), pytest.warns(mz.MaskedPathsWarning):
        parts = list(mz.batches(ds, 1500))
    assert np.array_equal(np.concatenate([p.x.values for p in parts]), x, equal_nan=True)


class Counts:
    """Integer states, of which some paths fail."""

    def sample_path(self, T, x0, rng):
        if samplers.index_of(rng) == 5:
            raise ValueError("five")
        return rng.poisson(3, T + 1)


def some_labels(rng, T):
    if samplers.index_of(rng) == 5:
        raise ValueError("five")
    return ["up"] * (T + 1)


class FailingBlock:
    """A batch sampler whose second block fails."""

    def sample_paths(self, n, T, x0, rng):
        if samplers.index_of(rng) == 1:
            raise ValueError("block one")
        return rng.standard_normal((n, T + 1))


@pytest.mark.filterwarnings("ignore::montezarr.MaskedPathsWarning")
def test_masks_of_integers_labels_and_blocks():
    counts = mz.MonteCarloEngine(Counts()).simulate(10, 4, seed=1, on_error="mask")
    x = counts.dataset.x
    assert x.dtype == np.int64
    assert x.attrs["masked_value"] == np.iinfo(np.int64).min
    assert (x[5] == x.attrs["masked_value"]).all()
    assert (x.values.min(axis=1) >= 0).sum() == 9
    assert sum(counts.state_distribution(2).values()) == pytest.approx(1)

    labels = mz.MonteCarloEngine(some_labels).simulate(
        10, 4, seed=1, on_error="mask", labels=["up", "down"]
    )
    assert labels.dataset.x[5].values.tolist() == [-1] * 5
    assert labels.paths[5].states.tolist() == [None] * 5
    assert labels.paths[4].states.tolist() == ["up"] * 5
    assert labels.state_distribution(0) == {"up": 1.0}

    block = mz.MonteCarloEngine(FailingBlock()).simulate(3000, 4, seed=1, on_error="mask")
    masked = np.isnan(block.dataset.x.values[:, 0])
    assert np.flatnonzero(masked).tolist() == list(range(1024, 2048))


def test_retry_draws_the_same_path_again_and_says_so(tmp_path, undisturbed):
    _, run = draw(samplers.Flaky(1017, tmp_path, 2), "processes", on_error="retry", retries=3)
    with pytest.warns(mz.MontezarrWarning, match=r"drawn again: paths 1017 \(3 attempts\)"):
        result = run()
    assert np.array_equal(result.dataset.x.values, undisturbed)
    assert result.metadata["retried"] == {1017: 3}
    _, run = draw(samplers.Failing(17), "threads", on_error="retry", retries=2)
    with pytest.raises(mz.SamplerError, match="also when drawn again, 2 times") as caught:
        run()
    assert caught.value.path == 17


def test_values_that_are_not_finite_meet_their_policy(undisturbed):
    process = samplers.Infinite(17, 4000)
    with pytest.raises(mz.SamplerError, match="x is inf at time 20") as caught:
        draw(process, "threads")[1]()
    assert caught.value.path == 17
    kept = draw(process, "threads", on_nonfinite="keep")[1]()
    assert np.isinf(kept.dataset.x.values[[17, 4000], -1]).all()
    with pytest.warns(mz.MaskedPathsWarning) as warned:
        masked = draw(process, "threads", on_nonfinite="mask")[1]()
    assert warned[0].message.paths == (17, 4000)
    assert np.isnan(masked.dataset.x.values[[17, 4000]]).all()
    assert np.array_equal(masked.dataset.x.values[18:4000], undisturbed[18:4000])
    with pytest.raises(mz.SamplerError, match="x is inf"):
        draw(process, "threads", on_nonfinite="retry")[1]()


def test_policies_do_not_share_an_array(tmp_path):
    arguments = (samplers.Failing(17), 100, T, 1.0)
    one = mz.simulate(*arguments, seed=7)
    other = mz.simulate(*arguments, seed=7, on_error="mask")
    assert one.x.data.name != other.x.data.name
    assert one.attrs["montezarr"] == other.attrs["montezarr"]
    with pytest.raises(mz.SamplerError):
        one.x.compute()
    assert np.isnan(other.x.compute().values).sum() == T + 1
    import pickle

    import cloudpickle

    again = pickle.loads(cloudpickle.dumps(other))
    assert again.x.data.name == other.x.data.name


@pytest.mark.parametrize("how", ["kill", "segfault", "exit"])
@pytest.mark.parametrize("name", PROCESSES)
def test_a_worker_that_dies_once_changes_nothing(name, how, tmp_path, undisturbed):
    before = snapshot()
    process = samplers.Deadly(3000, how, tmp_path / "died")
    result = draw(process, name, batch_size=250)[1]()
    assert (tmp_path / "died").exists()
    assert np.array_equal(result.dataset.x.values, undisturbed)
    check_nothing_left(before)


@pytest.mark.parametrize("name", PROCESSES)
def test_a_worker_killed_from_outside_changes_nothing(name, tmp_path, undisturbed):
    before = snapshot()
    failures, drawing, killed = [], tmp_path / "drawing", tmp_path / "killed"
    drawing.mkdir()

    def assassin():
        try:
            until(lambda: len(os.listdir(drawing)) > 1, "a worker")
            pids = [int(name) for name in os.listdir(drawing) if int(name) != os.getpid()]
            os.kill(pids[0], signal.SIGKILL)
        except BaseException as error:
            failures.append(error)
        finally:
            killed.touch()

    thread = threading.Thread(target=assassin)
    thread.start()
    process = samplers.Announcing(drawing, 0.0, until=killed)
    result = draw(process, name, batch_size=200)[1]()
    thread.join()
    assert not failures
    assert np.array_equal(result.dataset.x.values, undisturbed)
    check_nothing_left(before)


@pytest.mark.parametrize("how", ["kill", "segfault", "exit"])
@pytest.mark.parametrize("name", PROCESSES)
def test_a_path_that_kills_every_worker_is_given_up_with_its_range(name, how):
    if name in ("ray", "dask") and how == "segfault":
        pytest.skip("they write a dump for each, and see no more of it than of a kill")
    before = snapshot()
    with pytest.raises(
        mz.WorkerDied, match="paths 3000 to 3249: the worker died 3 times"
    ) as caught:
        draw(samplers.Deadly(3000, how), name, batch_size=250)[1]()
    error = caught.value
    assert (error.start, error.stop, error.deaths) == (3000, 3250, 3)
    if name in ("processes", "multiprocessing"):
        words = {"kill": "SIGKILL", "segfault": "segmentation fault", "exit": "exit status 0"}
        assert words[how] in str(error)
    check_nothing_left(before)


@pytest.mark.parametrize("name", KILLABLE)
def test_a_lazy_collection_outlives_a_worker_too(name, tmp_path):
    process = samplers.Deadly(1500, "kill", tmp_path / "died")
    ds = mz.simulate(process, 3000, T, 1.0, seed=7, chunks=1024)
    with mz.backend(name, 2):
        found = float(ds.x.sum().compute())
    assert found == float(ds.x.sum().compute(scheduler="synchronous"))


@pytest.mark.parametrize("name", KILLABLE)
def test_a_sampler_that_hangs_meets_its_timeout(name):
    before = snapshot()
    with pytest.raises(mz.WorkerTimeout, match="paths 1500 to 1749: took longer than") as caught:
        draw(samplers.Hanging(1500), name, batch_size=250, timeout=5.0)[1]()
    assert isinstance(caught.value, TimeoutError)
    check_nothing_left(before)


def test_workers_end_when_their_parent_is_killed(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "import montezarr as mz, backend_samplers as s\n"
        "engine = mz.MonteCarloEngine(s.Announcing(sys.argv[1], 0.001))\n"
        "engine.simulate(10**5, 5, 1.0, parallel=True, backend=sys.argv[3], n_jobs=2, seed=1)\n"
    )
    for name in ("processes", "multiprocessing", "joblib"):
        folder = tmp_path / name
        folder.mkdir()
        here = os.path.dirname(__file__)
        parent = subprocess.Popen([sys.executable, "-c", code, folder, here, name])
        until(lambda folder=folder: len(os.listdir(folder)) > 2)  # its own trial, and two workers
        workers = [int(f) for f in os.listdir(folder) if int(f) != parent.pid]
        parent.kill()
        parent.wait()
        until(lambda workers=workers: not any(map(psutil.pid_exists, workers)), name)


INTERRUPTED = """
import os, signal, sys, threading, time
sys.path.insert(0, sys.argv[2])
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell had it ignored
import montezarr as mz, backend_samplers as s
def press():
    while len(os.listdir(sys.argv[1])) < 3:
        time.sleep(0.02)
    for _ in range(int(sys.argv[4])):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
threading.Thread(target=press, daemon=True).start()
started = None
try:
    mz.MonteCarloEngine(s.Announcing(sys.argv[1], float(sys.argv[6]))).simulate(
        10**4, 5, 1.0, parallel=True, backend=sys.argv[3], n_jobs=2, seed=1,
        batch_size=int(sys.argv[5]))
except KeyboardInterrupt:
    import psutil
    left = [p for p in psutil.Process().children(recursive=True)
            if "resource_tracker" not in " ".join(p.cmdline())]
    print("interrupted", len(left))
"""


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("name", ["processes", "multiprocessing", "joblib"])
def test_interrupted_it_drains_and_interrupted_twice_it_leaves(name, times, tmp_path):
    # One batch takes 0.5 s, or, where nobody should wait for it, half an hour.
    batch = ("50", "0.01") if times == 1 else ("2000", "1")
    here = os.path.dirname(__file__)
    command = [sys.executable, "-c", INTERRUPTED, tmp_path, here, name, str(times), *batch]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.stdout == "interrupted 0\n", done.stderr
    assert "Traceback" not in done.stderr
