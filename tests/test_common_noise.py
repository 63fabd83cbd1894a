"""One seed is one noise: `plan` says so, and sums of different runs on it bring one warning."""

import warnings

import numpy as np
import pytest
import xarray as xr

import montezarr as mz


def run(x0=100.0, sigma=0.2, seed=42, **options):
    process = mz.GeometricBrownianMotion(mu=0.05, sigma=sigma)
    return mz.simulate(process, 4096, T=3, x0=x0, seed=seed, chunks=1024, **options)


ONE, TWO, THREE = run(), run(50.0), run(70.0)
A, B, C = ONE.x, TWO.x, THREE.x
OTHER_SIGMA = run(sigma=0.3).x
INDEPENDENT = run(50.0, stream="stock 2").x
OTHER_SEED = run(50.0, seed=1).x
BOTH = xr.concat([A, B], "asset")
HALF = xr.DataArray([0.5, 0.5], dims="asset")
LONG_SHORT = xr.DataArray([1.0, -1.0], dims="asset")


def end(x):
    return x.isel(time=-1)


SUMS = {
    "sum": A + B,
    "difference in the process": A + OTHER_SIGMA,
    "weighted": 0.5 * A + 0.5 * B,
    "integers": 2 * A + B * 3,
    "three": sum([A, B, C]),
    "numpy": np.add(A, B),
    "payoffs": (end(A) - 100).clip(min=0) + (end(B) - 50).clip(min=0),
    "gains": (end(A) - A.isel(time=0)) + (end(B) - B.isel(time=0)),
    "returns": 0.3 * (end(A) / A.isel(time=0) - 1) + 0.7 * (end(B) / B.isel(time=0) - 1),
    "losses": (100 - A) + (50 - B),
    "losses from x0": (A.isel(time=0) - end(A)) + (B.isel(time=0) - end(B)),
    "events": (A > 120) + (B > 60),
    "both negative": -A - B,
    "minus a negative": A - (-B),
    "less an independent one": (A + B) - INDEPENDENT,
    "functions": np.exp(A / 100) + np.exp(B / 50),
    "over times": A.max("time") + B.mean("time"),
    "increments": A.diff("time") + B.diff("time"),
    "running": A.cumsum("time") + B.cumsum("time"),
    "selected": A.where(A > 100, 0) + B.fillna(0),
    "some paths": A.isel(path=slice(1024, None)) + B.isel(path=slice(1024, None)),
    "goes on": (A + B).isel(time=-1).clip(min=150),
    "sum along a dimension": BOTH.sum("asset"),
    "mean along a dimension": end(BOTH).mean("asset"),
    "sum of variables": xr.Dataset({"a": A, "b": B}).to_dataarray("v").sum("v"),
    "weights along a dimension": (BOTH * HALF).sum("asset"),
    "weighted mean": BOTH.weighted(HALF).mean("asset"),
    "dot": xr.dot(BOTH, HALF),
}

NO_SUMS = {
    "difference": A - B,
    "finite difference": (B - A) / 0.02,
    "second difference": A - 2 * B + C,
    "second difference in another order": A + C - 2 * B,
    "second difference of differences": (A - B) - (B - C),
    "minus one": A + (-1) * B,
    "ratio": A / B,
    "ratio of a sum": (A + B) / C,
    "product": A * B,
    "largest": np.maximum(A, B),
    "comparison": A > B,
    "choice": xr.where(A > B, A, B),
    "absolute difference": abs(A - B),
    "squared differences": (A - B) ** 2 + (C - B) ** 2,
    "control": A - 0.9 * (B - 50.0),
    "long and short": (end(A) - A.isel(time=0)) - (end(B) - B.isel(time=0)),
    "long and short in a sum": (A.isel(time=0) - end(A)) + (end(B) - B.isel(time=0)),
    "signs along a dimension": (BOTH * LONG_SHORT).sum("asset"),
    "difference along a dimension": BOTH.diff("asset"),
    "largest along a dimension": BOTH.max("asset"),
    "side by side": BOTH,
    "one after the other": xr.concat([A, B], "path"),
    "signs by time": A + xr.DataArray([1.0, -1.0, 1.0, -1.0], dims="time") * B,
    "twice the same": A + A,
    "two times of one run": end(A) + A.isel(time=1),
    "another stream": A + INDEPENDENT,
    "another seed": A + OTHER_SEED,
    "a constant": A + 100.0,
}


def caught(function):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        result = function()
    return [w for w in found if w.category is mz.CommonNoiseWarning], result


@pytest.mark.parametrize("name", SUMS)
def test_a_sum_of_runs_on_one_noise_warns_once_where_it_is_called(name):
    found, _ = caught(lambda: mz.reduce(SUMS[name].rename("y"), "mean"))
    assert [warning.filename for warning in found] == [__file__]
    text = str(found[0].message)
    assert text.startswith("y adds variables of two runs on one seed and stream")
    assert "stream='a name'" in text
    assert "warnings.filterwarnings('ignore', category=montezarr.CommonNoiseWarning)" in text


@pytest.mark.parametrize("name", NO_SUMS)
def test_nothing_else_warns(name):
    found, _ = caught(lambda: mz.reduce(NO_SUMS[name].rename("y"), "mean"))
    assert found == []


def test_the_runs_are_named():
    with pytest.warns(mz.CommonNoiseWarning, match=r"sigma=0\.2\) from 100\.0 and .* from 50\.0"):
        mz.reduce(A + B, "mean")
    with pytest.warns(mz.CommonNoiseWarning, match=r"sigma=0\.2\).* and .*sigma=0\.3\)"):
        mz.reduce(A + OTHER_SIGMA, "mean")


def test_it_is_a_warning_of_the_package_and_can_be_filtered():
    assert issubclass(mz.CommonNoiseWarning, mz.MontezarrWarning)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=mz.CommonNoiseWarning)
        mz.reduce(A + B, "mean")


def test_stream_plan_and_write_warn_too(tmp_path):
    assert len(caught(lambda: [*mz.stream(A + B, "mean")])[0]) == 1
    assert len(caught(lambda: mz.plan(A + B))[0]) == 1
    assert len(caught(lambda: mz.plan(A + B, "mean"))[0]) == 1
    assert len(caught(lambda: mz.plan(end(A).mean("path") + end(B).mean("path")))[0]) == 1
    ds = ONE.assign(y=end(A) + end(B))
    with pytest.warns(mz.CommonNoiseWarning):
        mz.write(ds, tmp_path / "sum.zarr")
    several = xr.Dataset({"y": A + B, "z": A + C, "d": A - B})
    assert len(caught(lambda: mz.reduce(several, "mean"))[0]) == 1
    assert len(caught(lambda: mz.reduce(several, {"d": "mean"}))[0]) == 0


def test_variables_of_one_run_never_warn():
    heston = mz.Heston(mu=0.0, kappa=1.0, theta=0.04, xi=0.3, rho=-0.5)
    ds = mz.simulate(heston, 4096, T=3, x0={"s": 1.0, "v": 0.04}, seed=42, chunks=1024)
    assert caught(lambda: mz.reduce((ds.s + ds.v).rename("y"), "mean"))[0] == []
    assert mz.plan(ds.s + ds.v).noise == ""
    other = mz.simulate(heston, 4096, T=3, x0={"s": 2.0, "v": 0.04}, seed=42, chunks=1024)
    assert len(caught(lambda: mz.reduce(ds.s + other.s, "mean"))[0]) == 1
    assert len(caught(lambda: mz.reduce(ds.s + other.v, "mean"))[0]) == 1


def test_stored_runs_are_seen_as_well(tmp_path):
    for ds, name in ((ONE, "one"), (TWO, "two")):
        mz.write(ds, tmp_path / f"{name}.zarr")
    mz.write(run(50.0, stream="stock 2"), tmp_path / "other.zarr")
    one, two, other = (mz.open(tmp_path / f"{name}.zarr").x for name in ("one", "two", "other"))
    for a, b, count in (
        (one, two, 1), (one, B, 1), (one, other, 0), (one, A, 0), (one, -two, 0)
    ):  # fmt: skip
        assert len(caught(lambda: mz.reduce(a + b, "mean"))[0]) == count
    again = mz.open(tmp_path / "one.zarr").x
    assert caught(lambda: mz.reduce(one + again, "mean"))[0] == []


def test_other_kinds_of_random_numbers_are_other_noise():
    def walk(rng, T):
        return rng.standard_normal(T + 1)

    def steps(rng, T):
        return 2 * rng.standard_normal(T + 1)

    def by_seed(seed, T):
        return np.random.default_rng(seed).standard_normal(T + 1)

    one, two, three = (
        mz.simulate(f, 100, T=3, seed=42, chunks=1024).x for f in (walk, steps, by_seed)
    )
    brownian = mz.simulate(mz.BrownianMotion(), 100, T=3, seed=42, chunks=1024).x
    assert len(caught(lambda: mz.reduce(one + two, "mean"))[0]) == 1
    assert caught(lambda: mz.reduce(one + brownian, "mean"))[0] == []
    assert caught(lambda: mz.reduce(one + three, "mean"))[0] == []
    assert np.corrcoef(one.values.ravel(), brownian.values.ravel())[0, 1] < 0.3


def test_one_seed_may_be_written_in_several_ways():
    padded, exact = run(50.0, seed=[42, 0]).x, run(50.0, seed=np.random.SeedSequence(42)).x
    for other in (padded, exact):
        assert len(caught(lambda: mz.reduce(A + other, "mean"))[0]) == 1
    longer = run(50.0, seed=[42, 0, 0, 0, 0]).x
    assert caught(lambda: mz.reduce(A + longer, "mean"))[0] == []


def test_a_run_that_starts_where_another_ends_is_one_run():
    chained = mz.simulate(mz.BrownianMotion(), 4096, T=3, x0=end(A), seed=7, chunks=1024)
    assert mz.plan(chained.x).noise == ""
    assert caught(lambda: mz.reduce(chained.x + A, "mean"))[0] == []


def test_a_plan_says_how_the_noises_go_together():
    common = "2 runs on common noise: one seed and stream"
    for expression in (A - B, A / B, OTHER_SIGMA - A):
        plan = mz.plan(expression)
        assert plan.noise == common
        assert common in str(plan)
        assert mz.plan(expression, "mean").noise == common
    assert mz.plan(A).noise == mz.plan(ONE).noise == mz.plan(A * 2).noise == ""
    assert mz.plan(A - INDEPENDENT).noise == "2 runs on independent noise"
    assert mz.plan(A - OTHER_SEED).noise == "2 runs on independent noise"
    mixed = "2 of 3 runs on common noise, the others independent"
    assert mz.plan(A - B - INDEPENDENT).noise == mixed


def test_a_plan_of_several_runs_has_the_costs_of_all():
    one, both = mz.plan(A), mz.plan(A - B)
    assert both.total_bytes == 2 * one.total_bytes
    assert both.tasks == 2 * one.tasks
    assert both.peak_bytes == 2 * one.peak_bytes
    assert both.paths == one.paths
    assert both.seconds_per_path > 0
    assert mz.plan(ONE.assign(y=B)).total_bytes == 2 * one.total_bytes


def test_the_sum_is_wrong_by_what_the_warning_says():
    def variance(x):
        return mz.reduce(end(x).rename("y"), "variance").y_variance.item()

    apart = variance(A) + variance(B)
    with pytest.warns(mz.CommonNoiseWarning):
        assert variance(A + B) > 1.7 * apart
    assert abs(variance(A + INDEPENDENT) / apart - 1) < 0.1
