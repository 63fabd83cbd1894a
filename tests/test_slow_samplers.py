"""Slow paths: every worker draws parts of a block, and the bits are those of whole blocks."""

from types import SimpleNamespace

import numpy as np
import pytest
import slow_paths
import xarray as xr

import montezarr as mz
from montezarr.core.stopwatch import CallTimes, Stopwatch
from montezarr.run import Run, cost, first_path
from montezarr.run.chunk_policy import paths_of_part

BLOCK = 1024
T = 4


def one_path(rng, T, scale=1.0):
    """Return a path that takes as long as the clock is told."""
    slow_paths.draw()
    return scale * rng.standard_normal(T + 1).cumsum()


def failing(rng, T):
    """Return a path, or fail about one time in ten."""
    x = one_path(rng, T)
    if x[1] > 1.3:
        raise ValueError("too large")
    return x


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Measure by the clock, and forget what was measured before."""
    watch = SimpleNamespace(perf_counter=lambda: slow_paths.now, thread_time=lambda: slow_paths.now)
    monkeypatch.setattr("montezarr.core.stopwatch.time", watch)
    forget(monkeypatch)


def forget(monkeypatch, step=0.05):
    """Have paths take so long from now on."""
    monkeypatch.setattr(slow_paths, "step", step)
    monkeypatch.setattr(first_path, "_kept", {})
    for name in ("_measured", "_at_most"):
        monkeypatch.setattr(cost, name, {})


def simulated(n_paths=200, function=one_path, **options):
    return mz.simulate(function, n_paths, T, seed=7, **options)


EXPRESSIONS = {
    "paths": lambda: simulated(2100).x,
    "squares": lambda: (simulated(2100).x ** 2).sum("time"),
    "single times": lambda: simulated(2100).x.isel(time=[0, -1]),
    "masked": lambda: simulated(2100, failing, on_error="mask").x,
    "masked squares": lambda: np.exp(simulated(2100, failing, on_error="mask").x),
    "scenarios": lambda: simulated(1100, vary={"scale": xr.DataArray([1.0, 2.0], dims="scale")}).x,
    "drawn parameters": lambda: simulated(1100, vary={"scale": mz.Normal(1.0, 0.1)}),
    "two runs": lambda: simulated(1100).x - simulated(1100, stream="other").x,
}


@pytest.mark.parametrize("kind", EXPRESSIONS)
@pytest.mark.filterwarnings("ignore::montezarr.MaskedPathsWarning")
@pytest.mark.filterwarnings("ignore::montezarr.MontezarrWarning")
def test_parts_have_the_bits_of_whole_blocks(kind, monkeypatch):
    statistics = ["mean", "std", "q05"]
    with mz.backend("threads", 2):
        found = mz.reduce(EXPRESSIONS[kind](), statistics)
        forget(monkeypatch, 0.0)
        whole = mz.reduce(EXPRESSIONS[kind](), statistics)
    xr.testing.assert_identical(found, whole)


def test_a_transform_sees_whole_blocks(monkeypatch):
    sizes = []

    def seen(ds):
        sizes.append(ds.sizes["path"])
        return ds.x.max("time")

    with mz.backend("threads", 2):
        found = mz.reduce(simulated(1500).x, "mean", transform=seen)
        assert set(sizes[-2:]) == {BLOCK}
        forget(monkeypatch, 0.0)
        xr.testing.assert_identical(found, mz.reduce(simulated(1500).x, "mean", transform=seen))


def test_long_slow_paths_are_put_together_in_parts_of_a_block(monkeypatch):
    monkeypatch.setattr("montezarr.reduction.sources._drawn.WHOLE_BLOCK_MAX_BYTES", 20_000)
    with mz.backend("threads", 2):
        found = mz.reduce(simulated(1500).x, ["mean", "std"])
        forget(monkeypatch, 0.0)
        xr.testing.assert_identical(found, mz.reduce(simulated(1500).x, ["mean", "std"]))


CALLS = {
    "compute": lambda ds, path: ds.x.compute(),
    "reduce": lambda ds, path: mz.reduce(ds, "mean"),
    "stream": lambda ds, path: list(mz.stream(ds, "mean")),
    "write": lambda ds, path: mz.write(ds, path / "store"),
    "batches": lambda ds, path: list(mz.batches(ds, 100)),
    "random batches": lambda ds, path: list(mz.batches(ds, 100, order="random", seed=1)),
}


@pytest.mark.parametrize("name", CALLS)
def test_all_workers_draw_where_all_paths_are_in_one_block(name, tmp_path, monkeypatch):
    monkeypatch.setattr(slow_paths, "threads", set())
    slow_paths.met.clear()
    with mz.backend("threads", 2):
        ds = simulated()
        monkeypatch.setattr(slow_paths, "waits", True)
        CALLS[name](ds, tmp_path)
    assert len(slow_paths.threads) == 2


def test_a_lazy_chunk_is_a_part_of_a_block_and_what_is_asked_for_is_kept(monkeypatch):
    with mz.backend("threads", 2):
        ds = simulated()
        assert set(ds.chunks["path"]) == {8}
        assert Run.behind(ds).store_chunk == BLOCK
        assert simulated(stream="other").chunks["path"] == ds.chunks["path"]
        assert simulated(chunks=1).chunks["path"] == (200,)
        assert "25 of 8 paths" in str(mz.plan(ds))
        assert "25 tasks of 8 paths, parts of a block" in mz.plan(ds, "mean").reduction
        values = ds.x.values
        forget(monkeypatch, 0.0)
        whole = simulated()
        assert whole.chunks["path"] == (200,)
        np.testing.assert_array_equal(values, whole.x.values)


def test_the_part_follows_from_cost_paths_and_workers():
    assert paths_of_part(0.05, 200, 2) == 8  # 0.4 s, twelve tasks for each worker
    assert paths_of_part(0.05, 10**4, 2) == 16  # 0.8 s
    assert paths_of_part(1.0, 100, 64) == paths_of_part(5.0, None, 2) == 1
    assert paths_of_part(0.05, 10**6, 2) == 64  # not too many for a graph
    assert paths_of_part(1e-4, 10**6, 2) is None
    assert paths_of_part(1e-3, None, 2) == 512


def test_a_stream_counts_single_paths_and_draws_none_beyond_the_rule():
    with mz.backend("threads", 2):
        ds = simulated()
        found = list(mz.stream(ds.x, ["mean", "std"], every=50))
        assert [snapshot.paths for snapshot in found] == [50, 100, 150, 200]
        for snapshot in found:
            whole = mz.reduce(simulated(snapshot.paths).x, ["mean", "std"])
            for name in whole:
                np.testing.assert_array_equal(snapshot[name], whole[name])
        endless = simulated(None).x
        stream = mz.stream(endless, "mean", until=mz.PathCount(100))
        before = slow_paths.count
        *_, last = stream
        assert (last.paths, slow_paths.count - before) == (100, 100)
        rule = mz.PathCount(70) | mz.StandardError(abs=1e-9)
        assert [s.paths for s in mz.stream(endless, "mean", rule, every=30)] == [30, 60, 70]


def test_a_stream_stops_within_a_block_and_a_saved_one_goes_on(tmp_path):
    with mz.backend("threads", 2):
        stream = mz.stream(simulated(None).x, "mean", mz.PathCount(10**6), every=10)
        for snapshot in stream:
            stream.stop()
        assert snapshot.stopped == "by the user"
        assert 10 <= snapshot.paths < 200
        whole = mz.reduce(simulated(snapshot.paths).x, "mean")
        assert snapshot["x_mean"].equals(whole["x_mean"])
        *_, last = mz.stream(simulated(None).x, "mean", mz.PathCount(1100), every=550)
        last.save(tmp_path / "state")
        again = mz.stream(
            simulated(None).x, "mean", mz.PathCount(1200), every=600, resume_from=tmp_path / "state"
        )
        *_, last = again
        assert last["x_mean"].equals(mz.reduce(simulated(1200).x, "mean")["x_mean"])


@pytest.mark.filterwarnings("ignore::montezarr.MaskedPathsWarning")
@pytest.mark.filterwarnings("ignore::montezarr.MontezarrWarning")
def test_a_store_has_the_same_bytes(tmp_path, monkeypatch):
    def made(n_paths):
        ds = simulated(n_paths, failing, on_error="mask")
        return ds.assign(last=ds.x.isel(time=-1) ** 2)

    def written(name):
        mz.write(made(1500), tmp_path / name, statistics=["mean", "q05"])
        return {
            file.relative_to(tmp_path / name): file.read_bytes()
            for file in sorted((tmp_path / name).rglob("*")) if file.is_file()
        }  # fmt: skip

    with mz.backend("threads", 2):
        parts = written("parts")
        forget(monkeypatch, 0.0)
        assert parts == written("whole")
        forget(monkeypatch)
        mz.extend(tmp_path / "parts", 2100, ds=made(2100))
        forget(monkeypatch, 0.0)
        mz.extend(tmp_path / "whole", 2100, ds=made(2100))
    one, two = (mz.open(tmp_path / name) for name in ("parts", "whole"))
    xr.testing.assert_identical(one.load(), two.load())


def test_batches_are_the_same(monkeypatch):
    def taken(**options):
        return xr.concat(mz.batches(simulated(300), 70, **options), "path").x.values

    with mz.backend("threads", 2):
        parts = taken(), taken(order="random", seed=3)
        forget(monkeypatch, 0.0)
        np.testing.assert_array_equal(parts, [taken(), taken(order="random", seed=3)])


@pytest.mark.filterwarnings("ignore::montezarr.MontezarrWarning")
def test_the_error_is_that_of_the_first_path_that_fails():
    with mz.backend("threads", 2), pytest.raises(mz.SamplerError) as found:
        mz.reduce(simulated(900, failing), "mean")
    paths = simulated(200, failing, on_error="mask")
    with pytest.warns(mz.MaskedPathsWarning) as warned:
        mz.reduce(paths, "mean")
    assert found.value.path == warned[0].message.paths[0]


def test_other_load_on_the_machine_is_no_part_of_the_cost(monkeypatch):
    times = SimpleNamespace(wall=0.0, cpu=0.0)
    watch = SimpleNamespace(perf_counter=lambda: times.wall, thread_time=lambda: times.cpu)
    monkeypatch.setattr("montezarr.core.stopwatch.time", watch)
    busy = Stopwatch()
    times.wall, times.cpu = 5.0, 1.0
    assert busy.seconds() == 1.0
    asleep = Stopwatch()
    times.wall, times.cpu = 6.0, 1.01
    assert asleep.seconds() == 1.0


def test_a_call_that_was_held_up_makes_no_sampler_one_that_sleeps():
    calls = CallTimes()
    calls.add(0.5, 0.5, counts=False)
    calls.add(0.001, 3.0)
    assert calls.seconds == 0.001
    calls.add(0.001, 4.0)
    assert calls.seconds == 7.0  # most of them sleep
    calls.add(0.001, 0.001)
    assert calls.seconds == pytest.approx(0.003)
