"""Masked paths of scenarios: each scenario masks its own, as the separate run does."""

import numpy as np
import pytest
import xarray as xr

import montezarr as mz
from montezarr.random.distributions import Normal

LIMITS = xr.DataArray([9.0, 12.0, 99.0], dims="limit")
OPTIONS = {
    "seed": 3, "on_nonfinite": "mask", "dims": {"x": ("time",), "count": ("time",), "last": ()},
}  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore::montezarr.MontezarrWarning")


def fragile(rng, n, limit):
    """Return paths of which those above a limit, which may be one per path, are not finite."""
    x = rng.standard_normal((n, 12)).cumsum(1)
    count = (10 * x).astype(np.int64)
    x = np.where(x.max(axis=1, keepdims=True) > np.reshape(limit, (-1, 1)), np.nan, x)
    return {"x": x, "count": count, "last": x[:, -1]}


@pytest.fixture(scope="module")
def ds():
    return mz.simulate(fragile, 1500, vary={"limit": LIMITS}, **OPTIONS)


@pytest.fixture(scope="module")
def stored(ds, tmp_path_factory):
    return mz.write(ds, tmp_path_factory.mktemp("masks") / "paths.zarr")


@pytest.fixture(scope="module")
def alone():
    return [mz.simulate(fragile, 1500, limit=limit, **OPTIONS) for limit in LIMITS.values.tolist()]


EXPRESSIONS = [
    lambda ds: ds[["x", "count", "last"]],
    lambda ds: (ds.x * 2).rename("x"),
    lambda ds: (ds.x.isel(time=-1) > 0).rename("x"),
    lambda ds: ds.x.max("time"),
    lambda ds: ds.x.fillna(7.0),
    # No replacement of a masked value is in the range, but other paths are.
    lambda ds: ((ds.x > 5.0) & (ds.x < 8.0)).rename("x"),
    lambda ds: xr.where((ds.x > 5.0) & (ds.x < 8.0), 1.0, 0.0).rename("x"),
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_statistics_of_a_scenario_are_those_of_the_separate_run(ds, alone, expression):
    found = mz.reduce(expression(ds), ["mean", "std"])
    for i, one in enumerate(alone):
        xr.testing.assert_equal(
            found.isel(limit=i, drop=True), mz.reduce(expression(one), ["mean", "std"])
        )


@pytest.mark.parametrize("transform", [None, lambda ds: ds * 2.0], ids=["none", "a function"])
@pytest.mark.parametrize("of_one", [True, False], ids=["of one variable", "of several"])
def test_expressions_that_dask_computes_leave_out_masked_paths(of_one, transform):
    def one(rng, n, limit):
        return fragile(rng, n, limit)["x"]

    function = one if of_one else fragile
    options = {k: v for k, v in OPTIONS.items() if k != "dims"} if of_one else OPTIONS

    def above(ds):
        return (ds.x.isel(time=-1).chunk(path=500) > 0).rename("above")

    ds = mz.simulate(function, 1500, vary={"limit": LIMITS}, **options)
    assert "chunk by chunk" in str(mz.plan(above(ds)))
    found = mz.reduce(above(ds), "mean", transform=transform)
    for i, limit in enumerate(LIMITS.values.tolist()):
        alone = mz.simulate(function, 1500, limit=limit, **options)
        right = mz.reduce(above(alone), "mean", transform=transform)
        for name in ("above_mean", "above_nonfinite"):
            np.testing.assert_array_equal(found[name][i], right[name])


@pytest.mark.parametrize("expression", EXPRESSIONS[1:5])
@pytest.mark.parametrize("paths", [slice(5, 1400), slice(None, None, -1)], ids=["part", "reversed"])
def test_a_selection_of_paths_leaves_out_those_that_the_separate_run_does(expression, paths):
    def selected(**limit):
        made = mz.simulate(fragile, 1500, chunks=1024, **limit, **OPTIONS)
        return expression(made).isel(path=paths)

    y = selected(vary={"limit": LIMITS})
    assert mz.plan(y, "mean").reduction.startswith("chunk by chunk")
    found = mz.reduce(y, ["mean", "std"])
    for i, limit in enumerate(LIMITS.values.tolist()):
        right = mz.reduce(selected(limit=limit), ["mean", "std"])
        xr.testing.assert_equal(found.isel(limit=i, drop=True), right)


def test_a_variable_alone_and_parameters_by_path_have_masks_in_a_selection():
    def alone(rng, n, limit):
        return fragile(rng, n, limit)["x"]

    limits = np.random.default_rng(1).uniform(9.0, 12.0, 1500)
    wide = xr.DataArray(np.stack([limits, limits + 1]), dims=("k", "path"))
    for function in (fragile, alone):
        for values in (LIMITS, limits, wide):
            vary = {"limit": values}
            options = OPTIONS if function is fragile else {"seed": 3, "on_nonfinite": "mask"}
            ds = mz.simulate(function, 1500, chunks=1024, vary=vary, **options)
            drawn = ds.x.isel(path=slice(5, 1400)).compute()
            right = (drawn.max(drawn.dims[-1]) > 0).where(drawn.notnull().all(drawn.dims[-1]))
            y = (ds.x.max(drawn.dims[-1]) > 0).isel(path=slice(5, 1400)).rename("y")
            found = mz.reduce(y, "mean")
            assert found.y_nonfinite.sum() == right.isnull().sum() > 0
            np.testing.assert_allclose(found.y_mean, right.mean("path"), rtol=1e-12)


def test_a_selection_of_several_runs_leaves_out_the_paths_that_either_masks():
    one = mz.simulate(fragile, 1500, chunks=1024, limit=9.0, **OPTIONS)
    other = mz.simulate(fragile, 1500, chunks=1024, limit=6.0, **OPTIONS | {"seed": 4})
    y = ((one.x.max("time") > 0).astype(float) + (other.x.max("time") > 0)).rename("y")
    assert mz.plan(y, "mean").reduction.startswith("block by block")
    known = one["last"].notnull() & other["last"].notnull()
    right = y.where(known).compute()
    assert mz.reduce(y, "mean").y_nonfinite == right.isnull().sum()
    part = mz.reduce(y.isel(path=slice(5, 1400)), "mean")
    assert part.y_nonfinite == right[5:1400].isnull().sum() > 0
    np.testing.assert_allclose(part.y_mean, right[5:1400].mean(), rtol=1e-12)


@pytest.mark.parametrize("name", ["x", "count"])
def test_simulated_stored_and_streamed_paths_have_the_same_statistics(ds, stored, name):
    found = mz.reduce(ds[name], "mean")
    xr.testing.assert_equal(found, mz.reduce(stored[name], "mean"))
    last = list(mz.stream(ds[name], "mean"))[-1].dataset
    for key in found:
        np.testing.assert_array_equal(found[key], last[key])


def test_statistics_taken_while_writing_are_those_of_the_store(ds, tmp_path):
    stored = mz.write(ds, tmp_path / "paths.zarr", statistics=[mz.Mean()])
    found = mz.reduce(stored.x, "mean").x_mean
    np.testing.assert_array_equal(
        mz.open(tmp_path / "paths.zarr", group="statistics").x_mean, found
    )


def test_a_contrast_leaves_out_the_paths_that_either_scenario_masks(ds, alone):
    last = ds.x.isel(time=-1)
    found = mz.reduce((last - last.sel(limit=99.0)).rename("d"), ["mean", "count"])
    for i, one in enumerate(alone):
        gap = one.x.isel(time=-1).values - alone[-1].x.isel(time=-1).values
        kept = gap[np.isfinite(gap)]
        assert found.d_nonfinite[i] == len(gap) - len(kept)
        np.testing.assert_allclose(found.d_mean[i], kept.mean(), atol=1e-15)


def test_a_scenario_that_is_selected_masks_no_path_of_another(ds, alone):
    found = mz.reduce((ds.x.sel(limit=99.0) * 2).rename("x"), "mean")
    xr.testing.assert_equal(
        found.drop_vars("limit"), mz.reduce((alone[2].x * 2).rename("x"), "mean")
    )


def test_paths_on_which_a_function_fails_are_masked_by_scenario():
    def failing(rng, limit):
        x = rng.standard_normal(6).cumsum()
        return x if x.max() < limit else 1 / 0

    vary = {"limit": xr.DataArray([4.0, 9.0], dims="limit")}
    with mz.backend("synchronous"):
        ds = mz.simulate(failing, 300, seed=4, vary=vary, on_error="mask")
        found = mz.reduce(ds.x, "mean")
        alone = mz.simulate(failing, 300, seed=4, limit=9.0, on_error="mask")
        np.testing.assert_array_equal(
            found.x_mean.sel(limit=9.0), mz.reduce(alone.x, "mean").x_mean
        )
    assert (found.x_nonfinite.sel(limit=4.0) > 0).all()


def test_parameters_of_masked_paths_are_known(tmp_path):
    ds = mz.simulate(fragile, 1500, vary={"limit": Normal(10.0, 2.0)}, **OPTIONS)
    stored = mz.write(ds, tmp_path / "paths.zarr")
    for name in ("limit", "x"):
        xr.testing.assert_equal(mz.reduce(ds[name], "mean"), mz.reduce(stored[name], "mean"))
    assert mz.reduce(ds.limit, "mean").limit_nonfinite == 0
    assert mz.reduce(ds.last, "mean").last_nonfinite > 0


def test_ranges_of_paths_with_parameters_of_their_own_leave_out_masked_ones():
    ds = mz.simulate(fragile, 1500, vary={"limit": Normal(10.0, 2.0)}, **OPTIONS)
    inside = ((ds.last > 1.0) & (ds.last < 2.0)).rename("inside")
    whole = ds.compute()
    is_known = np.isfinite(whole.last)
    right = ((whole.last > 1.0) & (whole.last < 2.0))[is_known].mean()
    found = mz.reduce(xr.Dataset({"inside": inside, "double": ds.limit * 2}), "mean")
    np.testing.assert_allclose(found.inside_mean, right, rtol=1e-12)
    assert found.inside_nonfinite == (~is_known).sum() > 0
    assert found.double_nonfinite == 0


def test_single_paths_of_a_picture_are_gaps_in_their_scenario_alone(ds, alone):
    pytest.importorskip("matplotlib")
    first, second = (np.isnan(one.last.values) for one in alone[:2])
    path = int(np.flatnonzero(first & ~second)[0])
    part = ds.x.isel(path=slice(path, path + 1))
    ax = mz.plot.paths(part, n=1, hue="limit", band=None, mean=False)
    assert [np.isnan(line.get_ydata()).all() for line in ax.lines] == [True, False, False]
