"""Heavy tails of what statistics along time average: one number of each path."""

import itertools
import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
import xarray as xr

import montezarr as mz
from montezarr.reduction.accumulate import (
    VALUES,
    Accumulator,
    PartialState,
    ReducedVariable,
    dump_states,
)
from montezarr.statistics import Estimate, Sample, Source, Statistic, tree_sum

TIMES = 4

PER_PATH = [mz.TimeAverage(), mz.TimeAverage("step"), mz.Drawdown(), mz.Autocorrelation([1, 2])]

ORDINARY = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape),
    "uniform": lambda rng, shape: rng.random(shape),
    "Poisson": lambda rng, shape: rng.poisson(2.0, shape) + 0.0,
    "lognormal(0.5)": lambda rng, shape: rng.lognormal(0.0, 0.5, shape),
    "prices": lambda rng, shape: 4000.0 * rng.lognormal(0.0, 0.2, shape),
    "constant": lambda rng, shape: np.full(shape, 0.1),
    "normal at 1e6": lambda rng, shape: 1e6 + rng.standard_normal(shape),
}


def independent(draw, rng, n):
    return draw(rng, (n, TIMES))


def scaled(draw, rng, n):
    """Each path is one value, at four scales: as heavy along it as across the paths."""
    return draw(rng, (n, 1)) * np.array([1.0, 0.5, 1.0, 0.7])


def paths(values):
    time = np.arange(values.shape[1]) / 1.0
    return xr.DataArray(values, dims=("path", "time"), coords={"time": time}, name="x")


def named(obj, statistics, **options):
    """Return the estimates that a reduction warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mz.reduce(obj, statistics, **options)
    told = [w for w in caught if isinstance(w.message, mz.HeavyTailWarning)]
    assert len(told) <= 1
    return {name for w in told for name in w.message.estimates}


def all_of(laws, seed, n):
    """Return paths of every law, along which values are independent, or the same."""
    found = {}
    for law, draw in laws.items():
        for make in (independent, scaled):
            name = f"{law}, {make.__name__}"
            found[name] = paths(make(draw, np.random.default_rng(seed), n)).rename(name)
    return xr.Dataset(found)


AVERAGES = [mz.TimeAverage(), mz.Drawdown(), mz.Autocorrelation(1)]


def test_ordinary_paths_are_left_alone():
    for seed in range(20):
        assert not named(all_of(ORDINARY, seed, 600), AVERAGES)
    assert not named(all_of(ORDINARY, 0, 20_000), AVERAGES)


def test_heavy_paths_are_told_of_by_name():
    laws = {"Cauchy": lambda rng, shape: rng.standard_cauchy(shape)}
    statistics = [*AVERAGES, mz.Quantile(0.5)]
    runs = [named(all_of(laws, seed, 600), statistics) for seed in range(20)]
    for statistic in AVERAGES:
        for make in ("independent", "scaled"):
            name = f"Cauchy, {make}_{statistic.name}"
            assert sum(name in found for found in runs) >= 19
    assert not any("quantile" in name for found in runs for name in found)


def test_an_autocorrelation_needs_what_a_variance_needs():
    """Of values that are the same along a path, its root mean square is the value itself."""
    for seed in range(20):
        x = np.random.default_rng(seed).lognormal(0.0, 1.5, 3000)
        x = paths(np.repeat(x[:, None], 3, axis=1))
        assert named(x, mz.Autocorrelation(1)) == {"x_autocorrelation"}
        assert named(x.isel(time=0), "variance") == {"x_variance"}


def test_an_average_is_told_of_as_a_mean_of_averages_is():
    for seed in range(20):
        x = paths(np.random.default_rng(seed).pareto(1.5, (2000, 5)))
        found = named(x, mz.TimeAverage("step"))
        averages = x.isel(time=slice(4)).mean("time")
        assert bool(found) == bool(named(averages, "mean"))


def test_every_way_tells_of_paths():
    rng = np.random.default_rng(3)
    x = paths(rng.standard_cauchy((5000, TIMES)))
    g = xr.DataArray(rng.random(5000) < 0.5, dims="path", name="g")
    average = mz.TimeAverage()
    for obj in (x, x.chunk(path=700), x.chunk(path=1500, time=2), x.to_dataset()):
        assert named(obj, average) == {"x_time_average"}
    assert named(x, average, by=g) == {"x_time_average"}
    assert named(x, [average, mz.Covariance()]) == {
        "x_time_average", "x_covariance", "x_correlation",
    }  # fmt: skip
    with pytest.warns(mz.HeavyTailWarning, match="x_time_average"):
        *_, last = mz.stream(x, average)
    assert last["x_time_average_cs_high"] == np.inf  # nor is a sequence claimed
    with pytest.warns(mz.HeavyTailWarning, match="x_time_average"):
        mz.reduce(x, average, compute=False).compute()
    light = paths(rng.standard_normal((5000, TIMES)))
    both = xr.Dataset({"a": light.rename("a"), "b": x.rename("b")})
    assert named(both, average) == {"b_time_average"}


def test_a_group_alone_may_be_heavy():
    rng = np.random.default_rng(4)
    values = rng.standard_normal((4000, TIMES))
    is_heavy = np.arange(4000) % 2 == 0
    values[is_heavy] = rng.standard_cauchy((2000, TIMES))
    g = xr.DataArray(is_heavy, dims="path", name="g")
    assert named(paths(values), mz.Drawdown(), by=g) == {"x_drawdown"}
    assert not named(paths(values[~is_heavy]), mz.Drawdown())


def test_terms_are_those_of_the_statistic_that_asks():
    sample = Sample(np.ones((3, 1, 1, 1)), 0, Source("x", np.array([0.0, 1.0, 3.0])))
    sample.values[0] = 7.0
    found = [mz.TimeAverage(rule).chunk(sample).mean.item() for rule in ("trapezoid", "step")]
    assert found == pytest.approx([2.0, 3.0])


# A statistic of one's own.


class Squares(NamedTuple):
    n: Any
    second: Any
    fourth: Any


@dataclass(frozen=True)
class MeanSquare(Statistic):
    """The mean of the squares. Result: ``<variable>_mean_square``."""

    State = Squares
    without_error = ("mean_square",)

    def terms(self, sample):
        return sample.values**2

    def chunk(self, sample):
        squares = np.nan_to_num(sample.terms_of(self).values)
        return Squares(sample.count, tree_sum(squares), tree_sum(squares**2))

    def merge(self, a, b):
        return Squares(*(x + y for x, y in zip(a, b, strict=True)))

    def finalize(self, state, source):
        return {"mean_square": Estimate(state.second / state.n, power=2)}

    def powers(self, state, source):
        mean = state.second / state.n
        return {"mean_square": (1, state.n, mean, state.fourth - mean * state.second)}

    def reference(self, values, source):
        return {"mean_square": np.nanmean(values**2, axis=-1)}


def test_terms_of_ones_own_are_judged_as_they_are():
    """Squares of values of the Pareto index 1 / 3 have no variance, the values have one."""
    x = np.random.default_rng(1).standard_t(3, 50_000)
    x = xr.DataArray(x, dims="path", name="x")
    assert named(x, ["mean", MeanSquare()]) == {"x_mean_square"}
    normal = xr.DataArray(np.random.default_rng(1).standard_normal(50_000), dims="path", name="x")
    assert not named(normal, ["mean", MeanSquare()])


# The state.


def folded_of(fold, values, cuts):
    parts = []
    for low, high in itertools.pairwise(cuts):
        part = PartialState()
        fold.add(part, low, [values[:, low:high]])
        parts.append(part)
    total = parts.pop(len(parts) // 2)
    for part in parts:
        fold.join(total, part)
    fold.finish(total, values.shape[1])
    return total


def test_tails_of_terms_do_not_depend_on_how_paths_come_together():
    values = np.random.default_rng(5).standard_cauchy((TIMES, 9000))
    values[1, ::50] = np.nan
    source = Source("x", np.arange(float(TIMES)))
    statistics = (mz.TimeAverage(), mz.Covariance(), mz.Autocorrelation(1), mz.Drawdown())
    fold = Accumulator([ReducedVariable(source, (0,), 1, 0, statistics, (None,))])
    whole = folded_of(fold, values, [0, 9000])
    assert sorted(whole.tails) == [(0, None, which) for which in (VALUES, 0, 2, 3)]
    for cuts in ([0, 1024, 9000], [0, 100, 2000, 4500, 9000]):
        other = folded_of(fold, values, cuts)
        assert dump_states({}, other, with_tails=True) == dump_states({}, whole, with_tails=True)


def test_terms_made_on_the_way_are_those_that_are_asked_for():
    values = np.random.default_rng(6).standard_normal((TIMES, 2, 3, 1024))
    values[0, 0, 0, 5] = np.nan
    for statistic in PER_PATH:
        sample = Sample(values, 0, Source("x", np.arange(float(TIMES))))
        statistic.chunk(sample)
        np.testing.assert_array_equal(sample.terms_of(statistic).values, statistic.terms(sample))


def test_a_snapshot_knows_the_tails_of_terms_and_one_of_an_earlier_version_does_not(
    tmp_path, monkeypatch
):
    x = paths(np.random.default_rng(2).standard_cauchy((5000, TIMES)))
    statistics = [mz.TimeAverage(), mz.Autocorrelation(1)]
    with pytest.warns(mz.HeavyTailWarning):
        snapshots = list(mz.stream(x, statistics))
    snapshots[1].save(tmp_path / "new")
    with pytest.warns(mz.HeavyTailWarning, match="x_time_average.*x_autocorrelation"):
        *_, last = mz.stream(x, statistics, resume_from=tmp_path / "new")
    np.testing.assert_array_equal(last["x_time_average"], snapshots[-1]["x_time_average"])

    from montezarr.reduction.streaming import _state

    dump = _state.dump_states
    monkeypatch.setattr(_state, "dump_states", lambda *args, with_tails: dump(*args))
    snapshots[1].save(tmp_path / "old")
    *_, last = mz.stream(x, statistics, resume_from=tmp_path / "old")
    np.testing.assert_array_equal(last["x_autocorrelation"], snapshots[-1]["x_autocorrelation"])
