"""The measured cost of a path, and the decisions that follow from it."""

import importlib
import re
from types import SimpleNamespace

import backend_samplers as samplers
import pytest

import montezarr as mz
from montezarr.reduction.sources import PathData, block_source_of
from montezarr.run import Run, cost, first_path
from montezarr.run import choose_backend as choice

DRAWN = importlib.import_module("montezarr.reduction.sources._drawn")


class Clock:
    """A clock that goes on by a moment when it is read, and when a sampler says so."""

    now, reads = 0.0, 0

    def __call__(self):
        self.reads += 1
        self.now += 1e-5
        return self.now


@pytest.fixture(autouse=True)
def shortest_task(monkeypatch):
    """Have tasks as long as users have them: other tests cut short runs."""
    monkeypatch.setattr(DRAWN, "REDUCTION_TASK_MIN_SECONDS", 0.004)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Measure by a clock of our own: what else runs on the machine costs nothing."""
    clock = Clock()
    watch = SimpleNamespace(perf_counter=clock, thread_time=lambda: 0.0)
    monkeypatch.setattr("montezarr.core.stopwatch.time", watch)
    monkeypatch.setattr(first_path, "_kept", {})
    monkeypatch.setattr(cost, "_measured", {})
    monkeypatch.setattr(cost, "_at_most", {})
    monkeypatch.setattr(Slow, "clock", clock)
    return clock


class Slow(samplers.Loop):
    clock = None

    def sample_path(self, T, x0, rng):
        self.clock.now += 2e-3
        return super().sample_path(T, x0, rng)


def run(process, n_paths, x0=1.0, **options):
    return Run.behind(mz.simulate(process, n_paths, 10, x0, seed=1, **options))


def test_a_path_is_measured_and_the_measurement_kept(clock):
    first = run(Slow(), 10_000)
    seconds = cost.measure(first)
    assert seconds == pytest.approx(2e-3 + 1e-5)
    assert 2 < clock.reads < 30  # 20 ms, ten paths
    clock.reads = 0
    assert cost.measure(first) == seconds
    assert clock.reads == 0
    assert mz.plan(mz.simulate(Slow(), 10_000, 10, 1.0, seed=1)).seconds_per_path == seconds


def test_paths_before_the_first_failure_tell_the_cost():
    assert cost.measure(run(samplers.Failing(5), 1000)) == pytest.approx(1e-5)


@pytest.mark.parametrize(
    ("process", "n_paths", "options", "name", "reason"),
    [
        (mz.RandomWalk(), 10**6, {}, "threads", "releases the GIL"),
        (samplers.Batch(), 10**6, {}, "threads", "releases the GIL"),
        (samplers.Loop(), 100, {}, "synchronous", "too little"),
        (samplers.Loop(), 10**6, {}, "joblib", "a loop in Python"),
        (samplers.Legacy(), 10**6, {"legacy_global_rng": True}, "joblib", "a loop in Python"),
        (samplers.Legacy(), 100, {"legacy_global_rng": True}, "synchronous", "too little"),
    ],
)
def test_auto_decides_by_sampler_and_cost_and_plan_prints_it(
    process, n_paths, options, name, reason
):
    ds = mz.simulate(process, n_paths, 10, 1 if name == "threads" else 1.0, seed=1, **options)
    plan = mz.plan(ds)
    assert plan.backend.startswith(f"{name} (auto: ")
    assert reason in plan.backend
    assert re.search(rf"backend +{name}", str(plan))
    assert "s per path" in str(plan)


def test_auto_without_joblib_takes_the_standard_library(monkeypatch):
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    assert choice.choose_backend(run(samplers.Loop(), 10**6)).name == "processes"


def test_auto_runs_compiled_code_that_releases_the_gil_on_threads():
    from numba import njit

    @njit(nogil=True)
    def free(rng, T):
        return rng.standard_normal(T + 1)

    @njit
    def looped(rng, T):
        return rng.standard_normal(T + 1)

    @njit(fastmath=True)
    def holding(rng, T):
        return rng.standard_normal(T + 1)

    assert choice.choose_backend(run(free, 10**7)).name == "threads"
    assert choice.choose_backend(run(looped, 10**7)).name == "threads"
    assert choice.choose_backend(run(holding, 10**8)).name == "joblib"


def test_auto_does_not_need_pickling():
    class Local(samplers.Loop):
        def __reduce__(self):
            return _fail, ()

    def path(rng, T):
        return rng.standard_normal(T + 1)

    picked = choice.choose_backend(run(path, 10**6))
    assert picked.name == "joblib"


def _fail():
    raise TypeError


def test_decisions_follow_from_the_cost():
    parallel = mz.should_parallelize
    assert not parallel(100, 4, seconds_per_path=1e-3)
    assert parallel(10_000, 4, seconds_per_path=1e-3)
    assert not parallel(10**9, 1, seconds_per_path=1e-3)
    assert not parallel(10**9, 4, seconds_per_path=0)
    assert mz.optimal_n_jobs(3, 8, seconds_per_path=10.0) == 3
    assert mz.optimal_n_jobs(10**6, 8, seconds_per_path=1e-4) == 8
    assert mz.optimal_n_jobs(10, 8, seconds_per_path=1e-4) == 1
    size = mz.optimal_batch_size
    assert size(20_000, 2, seconds_per_path=1e-3) == 200  # 0.2 s
    assert size(1000, 2, seconds_per_path=1e-3) == 62  # 16 tasks
    assert size(100, 2, seconds_per_path=1.0) == 1
    assert size(100, 2, seconds_per_path=1e-6) == 100  # one task: it would end in 20 ms
    assert size(5, 8, seconds_per_path=1e-2) == 2
    for function in (mz.should_parallelize, mz.optimal_n_jobs, mz.optimal_batch_size):
        for bad in ({"seconds_per_path": -1}, {"seconds_per_path": "1"}):
            with pytest.raises((TypeError, ValueError), match="seconds_per_path"):
                function(10, 2, **bad)
        with pytest.raises((TypeError, ValueError), match="n_paths"):
            function(0, 2, seconds_per_path=1)


def sizes_of_trial(monkeypatch, clock, process, n_paths, per_call):
    """Return how many paths a measurement draws at once, each time, and what it finds."""
    sizes = []

    def drawn(sampler, start, stop, x0=None):
        sizes.append(stop - start)
        clock.now += per_call + (stop - start) * 1e-8

    monkeypatch.setattr("montezarr.samplers.task.sample_range", drawn)
    return sizes, cost.measure(run(process, n_paths, x0=1))


def test_where_calls_cost_more_than_paths_more_are_drawn_at_once(monkeypatch, clock):
    sizes, seconds = sizes_of_trial(monkeypatch, clock, mz.RandomWalk(), 10**6, 6e-5)
    assert sizes == [1024, 1024, 15360]
    assert seconds < 2e-8  # not 7e-8, which blocks of their own would take


def test_what_was_drawn_before_needs_no_draw_for_compilers(monkeypatch, clock):
    monkeypatch.setattr(cost, "_at_most", {run(mz.RandomWalk(), 10**6, x0=1).fingerprint: 1e-7})
    assert sizes_of_trial(monkeypatch, clock, mz.RandomWalk(), 10**6, 6e-5)[0] == [16384]


def test_long_paths_are_measured_on_few_blocks(monkeypatch, clock):
    assert sizes_of_trial(monkeypatch, clock, mz.RandomWalk(), 10**6, 1e-3)[0] == [1024] * 3


def test_batch_samplers_are_measured_on_two_blocks(monkeypatch, clock):
    assert sizes_of_trial(monkeypatch, clock, samplers.Batch(), 10**6, 6e-5)[0] == [1024] * 3


@pytest.mark.parametrize(("per_path", "tasks"), [(1e-9, 1), (1e-7, 1), (1e-6, 8)])
def test_what_lasts_no_longer_than_a_task_should_is_one_task(monkeypatch, per_path, tasks):
    monkeypatch.setattr(cost, "measure", lambda run, place=None: per_path)
    ds = mz.simulate(mz.RandomWalk(), 30 * 1024, 10, 1, seed=1)
    with mz.backend("threads", n_jobs=2):
        feed = block_source_of(PathData.of(ds))
        assert len(list(feed.items(0, 30 * 1024, feed.size()))) == tasks


@pytest.mark.parametrize(("workers", "seconds"), [(2, 1.0), (100, 1.0), (1000, 8.0)])
def test_many_workers_get_longer_tasks(monkeypatch, workers, seconds):
    monkeypatch.setattr(cost, "measure", lambda run, place=None: 1e-3)
    ds = mz.simulate(mz.RandomWalk(), 10**9, 10, 1, seed=1)
    with mz.backend("threads", n_jobs=workers) as place:
        assert cost.task_seconds(place) == seconds
        size = block_source_of(PathData.of(ds)).size()
        assert seconds / 2.5 < size * 1e-3 <= max(seconds, 1.024)


def test_a_task_writes_more_chunks_where_workers_are_many(monkeypatch):
    monkeypatch.setattr(cost, "measure", lambda run, place=None: 1e-3)
    made = run(mz.RandomWalk(), 10**9, x0=1)
    with mz.backend("threads", n_jobs=2) as few, mz.backend("threads", n_jobs=1000) as many:
        assert cost.chunks_per_task(made, few, 1024, 10**6) == 1
        assert cost.chunks_per_task(made, many, 1024, 10**6) == 7  # of 1.024 s, and 8 s a task
        assert cost.chunks_per_task(made, many, 10_000, 10**6) == 1
        assert cost.chunks_per_task(made, many, 1024, 16_000) == 2  # 8 tasks for each worker
        monkeypatch.setattr(cost, "measure", lambda run, place=None: None)
        assert cost.chunks_per_task(made, many, 1024, 10**6) == 1


def test_what_the_first_paths_took_saves_a_measurement(monkeypatch):
    clocks = SimpleNamespace(perf_counter=Clock(), thread_time=Clock())
    monkeypatch.setattr("montezarr.core.stopwatch.time", clocks)
    monkeypatch.setattr(cost, "measure", None)  # never asked
    last = mz.simulate(mz.RandomWalk(), 10_000, 10, 1, seed=1).x.isel(time=-1)
    feed = block_source_of(PathData.of(last.to_dataset()))
    assert [item[:2] for item in feed.items(0, 10_000, feed.size())] == [(0, 10_000)]
