"""`reduce`: what its results are called, groups, what is observed, what is left out or refused."""

import re
import warnings

import dask
import numpy as np
import pytest
import xarray as xr

import montezarr as mz
from montezarr.reduction.passes import _budget
from montezarr.reduction.sources import DrawnBlocks
from montezarr.run import _provenance

N = 3_500
STATISTICS = ["mean", "std", "q05", "median", "min", "skewness"]


@pytest.fixture(scope="module")
def ds():
    """Paths of two variables with units."""
    process = mz.Heston(mu=0.05, kappa=1.5, theta=0.09, xi=0.4, rho=-0.7)
    ds = mz.simulate(process, N, T=4, dt=0.5, seed=5, chunks=1024)
    ds.s.attrs["units"] = "EUR"
    return ds


@pytest.fixture(scope="module")
def x():
    """Paths of one variable that is 0 at first."""
    return mz.simulate(mz.BrownianMotion(), N, T=4, dt=0.5, seed=5, chunks=1024).x


def array(values, dims=("path",), **attrs):
    return xr.DataArray(np.asarray(values), dims=dims, name="x", attrs=attrs)


def refused(error, text, obj, statistics="mean", **options):
    """Assert that a call is refused at once, with a message that names the argument."""
    with pytest.raises(error, match=text) as caught:
        mz.reduce(obj, statistics, **options)
    assert isinstance(caught.value, mz.MontezarrError)


# --- names, dimensions, attributes ---------------------------------------------------------------


def test_results_are_called_after_variable_and_statistic(ds):
    found = mz.reduce(ds, ["mean", "min"])
    assert set(found.data_vars) == {
        f"{variable}_{name}"
        for variable in "sv"
        for name in ("mean", "mean_se", "min", "min_path", "max", "max_path", "nonfinite")
    }
    for variable in found.data_vars.values():
        assert variable.dims == ("time",)
    xr.testing.assert_identical(found.time, ds.time)
    assert found.attrs == {"n_paths": N, "montezarr": ds.attrs["montezarr"]}
    np.testing.assert_allclose(found.s_mean, ds.s.mean("path"), rtol=1e-12)


def test_names_stand_for_statistics(x):
    found = mz.reduce(x, STATISTICS)
    one_by_one = mz.reduce(
        x,
        [mz.Mean(), mz.StandardDeviation(), mz.Extrema(), mz.Moments(), mz.Quantile((0.05, 0.5))],
    )
    xr.testing.assert_identical(found, one_by_one)
    xr.testing.assert_identical(mz.reduce(x, "q5"), mz.reduce(x, mz.Quantile((0.5,))))
    xr.testing.assert_identical(mz.reduce(x, ["var", "variance"]), mz.reduce(x, mz.Variance()))
    assert list(mz.reduce(x, ["q995", "q01", "median", "q5"])["quantile"]) == [0.01, 0.5, 0.995]


def test_units_are_powers_of_those_of_the_variable(ds):
    found = mz.reduce(
        ds, ["mean", "variance", "skewness", "count", mz.Histogram(edges=[0.0, 1.0, 2.0])]
    )
    units = {name: found[name].attrs.get("units") for name in found.data_vars}
    assert units["s_mean"] == units["s_mean_se"] == "EUR"
    assert units["s_variance"] == units["s_variance_se"] == "(EUR)^2"
    assert units["s_density"] == units["s_density_se"] == "(EUR)^-1"
    for name in ("skewness", "kurtosis_se", "count", "histogram", "nonfinite"):
        assert units[f"s_{name}"] == units[f"v_{name}"] == "1"
    assert units["v_mean"] is None  # it has none itself


def test_attributes_say_what_was_done_to_the_paths(ds):
    found = mz.reduce(ds, ["mean", "variance", "std", "min", mz.TimeAverage()])
    methods = {name: found[name].attrs.get("cell_methods") for name in found.data_vars}
    assert methods["s_mean"] == "path: mean"
    assert methods["s_variance"] == "path: variance"
    assert methods["s_std"] == "path: standard_deviation"
    assert methods["s_min"] == "path: minimum"
    assert methods["s_max"] == "path: maximum"
    assert methods["s_time_average"] == "time: mean path: mean"
    assert all(variable.attrs["long_name"] for variable in found.data_vars.values())
    assert found.s_mean_se.attrs["long_name"] == "s mean se"


def test_one_level_gives_no_dimension_and_a_sequence_does(x):
    one = mz.reduce(x, mz.Quantile(0.5)).x_quantile
    assert one.dims == ("time",)
    assert one.attrs["quantile"] == 0.5
    several = mz.reduce(x, mz.Quantile([0.5])).x_quantile
    assert several.dims == ("time", "quantile")
    assert several["quantile"].values.tolist() == [0.5]
    assert np.array_equal(several.values[:, 0], one.values)
    last = x.isel(time=-1)
    assert mz.reduce(last, mz.Exceedance(1.0)).x_exceedance.dims == ()
    assert mz.reduce(last, mz.Exceedance([1.0])).x_exceedance.dims == ("level",)
    assert mz.reduce(x, mz.Autocorrelation([1, 2])).x_autocorrelation.dims == ("lag",)
    assert mz.reduce(x, mz.Autocorrelation(1)).x_autocorrelation.dims == ()


def test_a_dimension_keeps_its_name_where_all_agree_on_it(x):
    levels = [0.5, 1.0]
    found = mz.reduce(x, [mz.Exceedance(levels), mz.FirstPassage(levels)])
    assert found.x_exceedance.dims == ("time", "level")
    assert found.x_first_passage_time.dims == ("level",)
    assert found.level.values.tolist() == levels


def test_a_dimension_is_renamed_where_two_disagree_on_it(x, ds):
    found = mz.reduce(x, [mz.Exceedance([0.5, 1.0]), mz.FirstPassage([0.1, 2.0])])
    assert found.x_exceedance.dims == ("time", "x_exceedance_level")
    assert found.x_survival.dims == ("x_first_passage_level", "time")
    assert found.x_exceedance_level.values.tolist() == [0.5, 1.0]
    assert found.x_first_passage_level.values.tolist() == [0.1, 2.0]
    found = mz.reduce(ds.isel(time=-1), mz.Histogram())
    for name in "sv":
        assert found[f"{name}_histogram"].dims == (f"{name}_histogram_bin",)
        left, right = (found[f"{name}_histogram_bin_{side}"] for side in ("left", "right"))
        assert left.dims == right.dims == (f"{name}_histogram_bin",)
        assert np.array_equal(left[1:], right[:-1])


def test_a_dimension_is_renamed_where_the_variable_has_one_of_its_name(x):
    values = np.arange(24.0).reshape(12, 2)
    found = mz.reduce(array(values, ("path", "level")), mz.Exceedance([3.0, 4.0]))
    assert found.x_exceedance.dims == ("level", "x_exceedance_level")
    by = (x.isel(time=-1) > 0).rename("level")
    found = mz.reduce(x, mz.Exceedance([0.0, 1.0]), by=by)
    assert found.x_exceedance.dims == ("level", "time", "x_exceedance_level")
    assert found.level.dtype == bool


def test_times_of_covariances_are_those_of_the_variable(x):
    found = mz.reduce(x, [mz.Covariance(), "mean"])
    assert found.x_covariance.dims == ("time", "time_2")
    assert found.x_mean.dims == ("time",)
    assert np.array_equal(found.time_2, x.time)
    diagonal = np.diagonal(found.x_covariance)
    np.testing.assert_allclose(diagonal, mz.reduce(x, "var").x_variance, rtol=1e-12)


def test_two_results_of_one_name_are_refused(x):
    error = mz.ArgumentValueError
    refused(error, "^statistics: .*'x_variance'", x, [mz.Variance(), mz.Variance(ddof=0)])
    refused(error, "^statistics: .*'x_quantile'", x, ["median", mz.Quantile(0.1)])
    for same in (["std", "std"], ["std", mz.StandardDeviation()], [mz.StandardDeviation(), "std"]):
        assert "x_std" in mz.reduce(x, same)
    refused(error, "^statistics: .*q100", x, "q100")


def test_statistics_may_be_given_for_each_variable(ds):
    found = mz.reduce(ds, {"s": ["mean", "max"], "v": mz.Quantile(0.9)})
    of_s = ("mean", "mean_se", "max", "max_path", "min", "min_path", "nonfinite")
    of_v = ("quantile", "quantile_se", "quantile_low", "quantile_high", "nonfinite")
    names = {*(f"s_{name}" for name in of_s), *(f"v_{name}" for name in of_v)}
    assert set(found.data_vars) == names
    refused(mz.ArgumentValueError, "^statistics: .*'w'", ds, {"w": "mean"})
    refused(mz.ArgumentValueError, "^statistics", ds, {})


def test_the_paths_may_be_along_another_dimension(ds):
    wanted = mz.reduce(ds.compute(), STATISTICS)
    renamed = ds.compute().rename(path="sample").transpose("time", "sample")
    xr.testing.assert_identical(mz.reduce(renamed, STATISTICS, "sample"), wanted)
    xr.testing.assert_identical(mz.reduce(ds.rename(path="k"), STATISTICS, dim="k"), wanted)


def test_what_has_no_paths_is_left_out(ds):
    more = ds.assign(rate=0.05, curve=("time", np.arange(5.0))).assign_coords(
        day=("time", [*"abcde"])
    )
    more = more.assign_coords(weight=("path", np.arange(N)), place="here")
    found = mz.reduce(more, "mean")
    wanted = mz.reduce(ds, "mean").assign_coords(day=more.day.variable, place="here")
    xr.testing.assert_identical(found, wanted)


def test_an_array_without_a_name_is_x_and_its_coordinates_stay_away():
    values = xr.DataArray(np.arange(6.0), dims="path")
    assert mz.reduce(values, "mean").x_mean == 2.5
    own = xr.DataArray(np.arange(6.0), dims="path", name="y", coords={"y": 3.0})
    assert mz.reduce(own, "mean").y_mean == 2.5
    assert mz.reduce(xr.Dataset({0: values}), "mean")["0_mean"] == 2.5


def test_numbers_of_any_type_are_folded():
    values = np.array([3, 0, 1, 1])
    wanted = mz.reduce(array(values * 1.0), STATISTICS)
    for dtype in ("int8", "uint64", "float16", "float32", ">f8", ">i4", "longdouble"):
        xr.testing.assert_identical(mz.reduce(array(values.astype(dtype)), STATISTICS), wanted)
    assert mz.reduce(array([True, False, True, True]), "mean").x_mean == 0.75


def test_times_may_be_dates(x):
    days = np.datetime64("2020-01-01") + np.arange(5)
    dated = x.assign_coords(time=days.astype("datetime64[ns]"))
    found = mz.reduce(dated, ["mean", mz.TimeAverage(), mz.Covariance()])
    assert (found.time.values == dated.time.values).all()
    assert found.x_covariance.dims == ("time", "time_2")
    assert (found.time_2.values == dated.time.values).all()
    np.testing.assert_allclose(
        found.x_time_average, mz.reduce(x, mz.TimeAverage()).x_time_average, rtol=1e-12
    )


@pytest.mark.parametrize(
    "part",
    [
        lambda x: x[100:2500],
        lambda x: x[::3],
        lambda x: x[::-1],
        lambda x: x[[5, 5, 3000, 1]],
        lambda x: x.isel(path=slice(0, 1)),
        lambda x: x.chunk(path=900, time=2),
        lambda x: x.cumsum("path"),
        lambda x: x - x.mean("path"),
        lambda x: xr.concat([x, -x], "sign"),
        lambda x: x.expand_dims("one"),
        lambda x: x.assign_coords(path=np.arange(N) * 2)[7:],
    ],
)
def test_what_xarray_makes_of_paths_is_folded_as_the_same_in_memory(x, part):
    obj = part(x)
    found = mz.reduce(obj, ["mean", "q05", "min"])
    memory = mz.reduce(obj.compute(scheduler="synchronous"), ["mean", "q05", "min"])
    if obj.sizes["path"] < N or obj.data.name.startswith("getitem"):
        # Of a selection only what is lazy knows its paths, for which see test_path_indices.py.
        names = ["x_min_path", "x_max_path"]
        found, memory = found.drop_vars(names), memory.drop_vars(names)
    xr.testing.assert_identical(found, memory)


def test_the_accessors_reduce_too(ds, x):
    xr.testing.assert_identical(ds.mz.reduce("mean"), mz.reduce(ds, "mean"))
    xr.testing.assert_identical(x.mz.reduce("mean"), mz.reduce(x, "mean"))


# --- groups --------------------------------------------------------------------------------------

GROUPS = {
    "bool": lambda x: (x.isel(time=-1) > 0).rename("up"),
    "int": lambda x: np.floor(x.isel(time=1)).astype("int64").rename("step"),
    "per time": lambda x: (np.floor(x) % 3).astype("int8").rename("phase"),
}


def quietly(*args, **options):
    """Reduce without the warning about values that do not count."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mz.MontezarrWarning)
        return mz.reduce(*args, **options)


def assert_groups(found, x, codes, statistics):
    """Assert that the results of each group are those of its values alone."""
    name = found.x_mean.dims[0]
    for group in found[name].values:
        member = codes == group
        member = member if member.ndim == 2 else member[:, None]
        alone = array(np.where(member, x.values, np.nan), x.dims).assign_coords(time=x.time)
        wanted = quietly(alone, statistics)
        part = found.sel({name: group})
        for key in set(wanted.data_vars) - {"x_nonfinite"}:
            assert np.array_equal(part[key], wanted[key], equal_nan=True), (group, key)
        assert (part.x_nonfinite == 0).all()


@pytest.mark.parametrize("kind", GROUPS)
@pytest.mark.parametrize("way", ["drawn", "chunk by chunk", "in memory", "only the groups"])
def test_groups_are_told_by_a_variable(x, kind, way):
    by = GROUPS[kind](x)
    codes, obj = by.values, x
    statistics = ["mean", "count", mz.Quantile([0.3, 0.9], exact=True), mz.Extrema()]
    if way == "chunk by chunk":
        obj, by = x.chunk(path=777), by.chunk(path=777)
    elif way == "in memory":
        obj, by = x.compute(), by.compute()
    elif way == "only the groups":
        by = by.compute()
    found = mz.reduce(obj, statistics, by=by)
    assert found.x_mean.dims == (by.name, "time")
    assert found.x_quantile.dims == (by.name, "time", "quantile")
    assert found[by.name].dtype == codes.dtype
    assert found[by.name].values.tolist() == sorted(set(codes.ravel().tolist()))
    assert_groups(found, x, codes, statistics)


@pytest.mark.parametrize("way", ["drawn", "in memory"])
def test_groups_by_an_array_go_with_statistics_of_some_variables(x, way):
    ds = xr.Dataset({"end": x.isel(time=-1, drop=True), "rest": x.isel(time=1, drop=True)})
    by = (x.isel(time=2, drop=True) > 0).rename("up")
    if way == "in memory":
        ds, by = ds.compute(), by.compute()
    found = mz.reduce(ds, {"end": "mean"}, by=by)
    xr.testing.assert_identical(found, mz.reduce(ds[["end"]], "mean", by=by))


def test_the_graph_of_an_expression_is_searched_once_for_its_runs(x, monkeypatch):
    searched, search = [], _provenance.origins_behind
    monkeypatch.setattr(
        _provenance, "origins_behind", lambda arrays: searched.append(1) or search(arrays)
    )
    mz.reduce((x - 1.0).clip(min=0.0), "mean")
    assert len(searched) == 1


def test_groups_with_labels_are_all_there_and_called_by_them():
    chain = mz.MarkovChain(transition=np.full((3, 3), 1 / 3), states=["low", "high", "never"])
    ds = mz.simulate(chain, N, T=3, x0="low", seed=1).rename(x="state")
    ds["payoff"] = ds.state * 2.0
    found = mz.reduce(ds.isel(time=-1), ["mean", "count"], by="state")
    names = {"payoff_mean", "payoff_mean_se", "payoff_count", "payoff_nonfinite", "state_ungrouped"}
    assert set(found.data_vars) == names
    assert found.payoff_mean.dims == ("state",)
    assert found.state.values.tolist() == ["low", "high", "never"]
    assert found.payoff_mean.values.tolist() == [0.0, 2.0, 4.0]
    found = mz.reduce(ds, ["mean", "count"], by="state")  # at first one label alone is there
    assert found.payoff_count.dims == ("state", "time")
    assert found.payoff_count.isel(time=0).values.tolist() == [N, 0, 0]
    assert np.isnan(found.payoff_mean[1:, 0]).all()


def test_groups_that_some_blocks_lack_have_the_bits_of_their_values_alone(x):
    codes = np.zeros(N, np.int64)
    codes[2_000:2_050], codes[3_400] = 7, -1
    statistics = ["mean", "variance", "median", "min", mz.Drawdown(), mz.Covariance()]
    wanted = None
    for obj in (x, x.compute(), x.chunk(path=100), x.chunk(path=3000)):
        found = mz.reduce(obj, statistics, by=array(codes).rename("rare"))
        assert found.rare.values.tolist() == [-1, 0, 7]
        wanted = found if wanted is None else wanted
        xr.testing.assert_identical(found, wanted)
    assert_groups(wanted, x, codes, statistics)
    assert wanted.x_min_path.values.min() == 0
    assert (wanted.x_min_path.sel(rare=-1) == 3400).all()


def test_groups_may_be_a_coordinate_or_a_variable_of_the_dataset(x):
    codes = np.arange(N) % 2
    wanted = mz.reduce(x, "mean", by=array(codes).rename("half"))
    given = x.assign_coords(half=("path", codes))
    xr.testing.assert_identical(mz.reduce(given, "mean", by="half"), wanted)
    for ds in (x.to_dataset().assign(half=("path", codes)), given.to_dataset(name="x")):
        found = mz.reduce(ds, "mean", by="half")
        xr.testing.assert_identical(found.x_mean, wanted.x_mean)
        assert "half_mean" not in found


def test_groups_need_a_name_of_their_own(x, ds):
    up = x.isel(time=-1) > 0  # xarray keeps the name
    assert up.name == "x"
    refused(mz.ArgumentValueError, r"^by: .*'x'.*by\.rename\('group'\)", x, by=up)
    refused(mz.ArgumentValueError, "^by: .*rename", ds, by=(ds.s.isel(time=-1) > 1).rename("v"))
    refused(mz.ArgumentValueError, "^by: .*rename", x, by=up.rename("time"))
    assert mz.reduce(x, "mean", by=up.rename(None)).x_mean.dims == ("group", "time")
    both = ds.assign(up=ds.s > 1)
    for one in (both, both.compute()):
        found = mz.reduce(one, "mean", by=one.up)
        names = {f"{v}_{name}" for v in "sv" for name in ("mean", "mean_se", "nonfinite")}
        assert set(found.data_vars) == {*names, "up_ungrouped"}
        xr.testing.assert_identical(found, mz.reduce(one, "mean", by="up"))


def test_groups_of_what_is_observed(x):
    def observe(ds):
        last, early = (ds.x.isel(time=k, drop=True) for k in (-1, 1))
        return xr.Dataset({"last": last, "up": early > 0})

    found = mz.reduce(x, ["mean", "count"], transform=observe, by="up")
    up = x.isel(time=1).values > 0
    assert found.last_count.values.tolist() == [(~up).sum(), up.sum()]
    last = x.isel(time=-1).values
    np.testing.assert_allclose(found.last_mean, [last[~up].mean(), last[up].mean()], rtol=1e-12)
    xr.testing.assert_identical(
        mz.reduce(x.compute(), ["mean", "count"], transform=observe, by="up"), found
    )


def test_groups_out_of_these_terms_are_refused(x):
    value, kind = mz.ArgumentValueError, mz.ArgumentTypeError
    refused(kind, "^by: .*labels or booleans", x, by=x.isel(time=0).rename("g"))
    refused(kind, "^by", x, by=3)
    refused(value, "^by: expected one of x, time, .*'nothing'", x, by="nothing")
    refused(value, "^by: .*3500 paths", x, by=array([1, 2, 3]))
    refused(value, "^by: .*dimension 'path'", x, by=array([1, 2, 3, 4, 5], ("time",)))
    plane = array(np.zeros((N, 2), int), ("path", "other")).rename("g")
    refused(value, "^by: .*paths alone.*'other'", x, by=plane)
    group = array(np.zeros(N, int)).rename("g")
    refused(value, "^statistics: .*edges, or states", x, mz.Histogram(), by=group)
    refused(value, "^obj: .*beside", group, by="g")
    refused(value, "^compute: .*labels", x, by=group, compute=False)


# --- what is observed ----------------------------------------------------------------------------


def test_what_is_observed_may_be_an_array_or_several(x):
    found = mz.reduce(x, "mean", transform=lambda ds: ds.x.max("time").rename("top"))
    assert set(found.data_vars) == {"top_mean", "top_mean_se", "top_nonfinite"}
    np.testing.assert_allclose(found.top_mean, x.values.max(axis=1).mean(), rtol=1e-12)

    def observe(ds):
        assert set(ds.coords) == {"time"}
        total = ds.x.sum("time").assign_attrs(units="m")
        return xr.Dataset({"total": total, "square": ds.x.isel(time=[1, 2]) ** 2, "no_path": 3})

    found = mz.reduce(x, "mean", transform=observe)
    assert found.square_mean.dims == ("time",)
    assert found.time.values.tolist() == [0.5, 1.0]
    assert found.total_mean.attrs["units"] == "m"
    assert not any(name.startswith(("x_", "no_path")) for name in found.data_vars)


def test_what_is_observed_is_the_same_wherever_the_paths_are_from(x, tmp_path):
    def observe(ds):
        return ds.x.mean("time")

    wanted = mz.reduce(x, ["mean", "std"], transform=observe)
    ds = x.to_dataset()
    mz.write(mz.simulate(mz.BrownianMotion(), N, T=4, dt=0.5, seed=5, chunks=1024), tmp_path / "a")
    rows = array(np.ascontiguousarray(x.values), x.dims).assign_coords(time=x.time)
    for obj in (
        x.compute(),
        x.chunk(path=777),
        x.chunk(path=3499),
        mz.open(tmp_path / "a").x,
        rows,
    ):
        found = mz.reduce(obj, ["mean", "std"], transform=observe)
        assert found.x_mean == wanted.x_mean
        assert found.x_std_se == wanted.x_std_se
    assert mz.reduce(ds.mean("time"), "mean").x_mean == wanted.x_mean


def test_what_depends_on_other_paths_is_refused(x):
    for observe in (lambda ds: ds.x - ds.x.mean("path"), lambda ds: ds.x.cumsum("path")):
        refused(mz.ArgumentValueError, "^transform: .*every path alike", x, transform=observe)
        refused(
            mz.ArgumentValueError, "^transform: .*every path alike", x.compute(), transform=observe
        )


def test_what_is_not_observed_is_refused(x):
    value, kind = mz.ArgumentValueError, mz.ArgumentTypeError
    for obj in (x, x.compute(), x.chunk(path=777)):
        refused(
            value, "^transform: .*returns .* paths", obj, transform=lambda ds: ds.isel(path=[0])
        )
        refused(value, "^transform: .*paths", obj, transform=lambda ds: ds.mean("path"))
        refused(kind, "^transform: .*DataArray or Dataset", obj, transform=lambda ds: ds.x.values)
        refused(kind, "^transform: expected a function", obj, transform="mean")
        refused(kind, "numbers", obj, transform=lambda ds: ds.x.astype(str))
        with pytest.raises(ZeroDivisionError):
            mz.reduce(obj, "mean", transform=lambda ds: ds.x * (1 / 0))


def test_an_error_in_what_is_observed_names_the_paths(x):
    special = x.values[2500, -1]

    def observe(ds):
        if (ds.x == special).any():
            raise ValueError("so special")
        return ds.x

    with pytest.raises(mz.SamplerError, match="so special") as caught:
        mz.reduce(x, "mean", transform=observe)
    notes = [str(caught.value)]
    for obj in (x.compute(), x.chunk(path=777)):
        with pytest.raises(ValueError, match="so special") as caught:
            mz.reduce(obj, "mean", transform=observe)
        notes += caught.value.__notes__
    for note in notes:
        start, stop = map(int, re.search(r"paths (\d+) to (\d+)", note).groups())
        assert start <= 2500 <= stop


# --- lazily --------------------------------------------------------------------------------------


class Counting:
    """Notes the blocks that it draws."""

    def __init__(self):
        self.drawn = []

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        return Counting, ()

    def sample_paths(self, n, T, x0, rng):
        self.drawn.append(n)
        return rng.standard_normal((n, T + 1))


def test_nothing_is_computed_before_lazy_results_are(monkeypatch):
    sampler = Counting()
    ds = mz.simulate(sampler, 20 * 1024, T=3, seed=1, chunks=1024)
    some = mz.reduce(ds, ["mean", "std", "q05"], compute=False)
    assert sum(sampler.drawn) <= 6 * 1024  # at the call of `simulate`, and to measure the cost
    assert all(dask.is_dask_collection(array.data) for array in some.data_vars.values())
    assert some.x_mean.dtype == np.float64
    assert some.attrs["n_paths"] == 20 * 1024
    sampler.drawn.clear()
    found = some.compute(scheduler="synchronous")
    assert sum(sampler.drawn) == 20 * 1024  # once for all results
    xr.testing.assert_identical(found, mz.reduce(ds, ["mean", "std", "q05"]))


def test_an_expression_is_not_computed_before_lazy_results_are(x):
    def fails(block):
        raise OSError("now")

    broken = x.copy(data=x.data.map_blocks(fails, dtype=float, meta=np.empty((0, 0))))
    some = mz.reduce(broken, "mean", compute=False)
    with pytest.raises(OSError, match="now"):
        some.compute()


def test_two_lazy_results_are_computed_together(x, ds, monkeypatch):
    obj = x.isel(time=-1)
    one = mz.reduce(obj, ["mean", "q05"], compute=False)
    monkeypatch.setattr(DrawnBlocks, "size", lambda self: 2048)  # as if measured again, more slowly
    two = mz.reduce(obj, ["mean", "q05"], compute=False)
    of_s, of_v = (
        mz.reduce(ds, {name: "mean"}, transform=lambda ds: ds, compute=False) for name in "sv"
    )
    found = dask.compute(one, two, of_s, of_v)
    wanted = mz.reduce(obj, ["mean", "q05"])
    xr.testing.assert_identical(found[0], wanted)
    xr.testing.assert_identical(found[1], wanted)
    xr.testing.assert_identical(found[2].s_mean, mz.reduce(ds, "mean").s_mean)
    xr.testing.assert_identical(found[3].v_mean, mz.reduce(ds, "mean").v_mean)


def test_lazy_results_run_on_a_backend_and_with_groups():
    chain = mz.MarkovChain(transition=np.full((2, 2), 0.5), states=["a", "b"])
    ds = mz.simulate(chain, N, T=3, x0="a", seed=1, chunks=1024).rename(x="state")
    ds["twice"] = ds.state * 2.0
    some = mz.reduce(ds, ["mean", mz.Exceedance(0.5)], by="state", compute=False)
    with mz.backend("threads", 2):
        found = some.compute()
    xr.testing.assert_identical(found, mz.reduce(ds, ["mean", mz.Exceedance(0.5)], by="state"))


def test_what_is_known_only_from_the_paths_is_refused_lazily(x):
    error = mz.ArgumentValueError
    refused(error, "^compute: .*exact", x, mz.Quantile(exact=True), compute=False)
    refused(error, "^compute: .*Histogram.*edges", x, mz.Histogram(), compute=False)
    refused(error, "^compute: .*Proportion.*states", x, mz.Proportion(), compute=False)


# --- what does not count -------------------------------------------------------------------------


def test_values_that_are_not_finite_are_left_out_counted_and_warned_about():
    values = np.random.default_rng(1).normal(size=(3000, 2))
    values[5:10, 0], values[2000, 1], values[2999, 1] = np.nan, np.inf, -np.inf
    statistics = ["mean", "std", "q05", "min", "count", "skewness"]
    obj = array(values, ("path", "k"))
    for one in (obj, obj.chunk(path=700), obj.astype("float32")):
        with pytest.warns(
            mz.MontezarrWarning, match=r"x: 7 of 6,000 values .*x_nonfinite"
        ) as record:
            found = mz.reduce(one, statistics)
        assert len(record) == 1
        assert record[0].filename == __file__
        assert found.x_nonfinite.values.tolist() == [5, 2]
        assert found.x_count.values.tolist() == [2995, 2998]
    finite = quietly(obj, statistics)
    for k in range(2):
        column = values[np.isfinite(values[:, k]), k]
        assert finite.x_min[k] == column.min()
        np.testing.assert_allclose(finite.x_mean[k], column.mean(), rtol=1e-12)
        np.testing.assert_allclose(finite.x_std[k], column.std(ddof=1), rtol=1e-12)
    assert finite.x_nonfinite.attrs["units"] == "1"


def test_paths_with_a_hole_are_left_out_of_statistics_along_time_and_warned_about(ds):
    holed = ds.compute()
    holed.s[7, 2] = np.nan
    with pytest.warns(mz.MontezarrWarning, match="s: 1 of 17,500 values"):
        found = mz.reduce(holed, mz.TimeAverage())
    rest = np.delete(holed.s.values, 7, axis=0)
    np.testing.assert_allclose(found.s_time_average, np.trapezoid(rest, axis=1).mean() / 4, 1e-12)
    assert found.s_nonfinite == 1
    assert found.v_nonfinite == 0
    with pytest.warns(mz.MontezarrWarning, match="s: 1 of 17,500 values") as record:
        mz.reduce(holed, ["mean", mz.TimeAverage(), mz.Covariance("variable")])
    assert len(record) == 1
    with pytest.warns(mz.MontezarrWarning, match="1 of 35,000 values"):
        mz.reduce(holed, mz.Covariance("variable"))


class Fragile:
    """Fails on every tenth path; else it counts."""

    def sample_path(self, T, x0, rng):
        index = rng.bit_generator.seed_seq.spawn_key[-1]
        if index % 10 == 9:
            raise ValueError("no")
        return np.full(T + 1, index % 3)


def test_masked_paths_of_integers_are_left_out():
    ds = mz.simulate(Fragile(), 1500, T=2, x0=0, seed=1, dtype="int16", on_error="mask")
    masked = ds.x.attrs["masked_value"]
    index = np.arange(1500)
    good = (index % 3)[index % 10 != 9]
    with pytest.warns(mz.MontezarrWarning) as record:
        found = mz.reduce(ds, ["mean", "count", "max", mz.Proportion()])
    kinds = [warning.category for warning in record]
    assert kinds.count(mz.MaskedPathsWarning) == 1
    assert any("x: 450 of 4,500 values" in str(warning.message) for warning in record)
    assert (found.x_count == 1350).all()
    assert (found.x_nonfinite == 150).all()
    np.testing.assert_allclose(found.x_mean, good.mean(), rtol=1e-12)
    assert (found.x_max == 2).all()
    assert found.state.values.tolist() == [0, 1, 2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mz.MontezarrWarning)
        memory = ds.compute()
        assert (memory.x.values == masked).sum() == 450
        xr.testing.assert_identical(
            mz.reduce(memory, ["mean", "max"]), mz.reduce(ds, ["mean", "max"])
        )
        last = memory.isel(time=-1).assign(y=("path", index * 1.0))
        found = mz.reduce(last, "count", by="x")
    assert found.x.values.tolist() == [0, 1, 2]
    assert found.y_count.sum() == 1350


# --- exact quantiles -----------------------------------------------------------------------------

LEVELS = (0.0, 0.001, 0.25, 0.5, 0.75, 0.999, 1.0)


def order_statistics(values):
    """Return the order statistics of ceil(q n) by sorting, (..., levels)."""
    ordered, n = np.sort(values, axis=0), len(values)
    return np.stack([ordered[max(1, int(np.ceil(n * q))) - 1] for q in LEVELS], axis=-1)


@pytest.mark.parametrize("way", ["simulated", "stored", "in memory", "with ties", "float32"])
def test_exact_quantiles_are_order_statistics(way, tmp_path):
    process, dtype = mz.BrownianMotion(sigma=1e-3), "float32" if way == "float32" else None
    if way == "with ties":
        process = mz.PoissonProcess(rate=1.0)
    ds = mz.simulate(process, 7 * 1024 + 5, T=3, seed=3, chunks=1024, dtype=dtype)
    values = ds.x.values
    if way == "stored":
        mz.write(ds, tmp_path / "a")
        ds = mz.open(tmp_path / "a")
    elif way == "in memory":
        ds = ds.compute()
    found = mz.reduce(ds, mz.Quantile(LEVELS, exact=True)).x_quantile
    assert np.array_equal(found, order_statistics(values))
    assert found.attrs["relative_error"] == 0
    about = mz.reduce(ds, mz.Quantile(LEVELS)).x_quantile
    assert (abs(about - found) <= 0.005 * abs(found)).all()


def test_exact_quantiles_cut_bins_until_few_values_are_left(monkeypatch):
    from montezarr.statistics import _selection

    monkeypatch.setattr(_selection, "SELECTION_VALUES_MAX", 10)
    monkeypatch.setattr(_selection, "SELECTION_COUNTERS_MAX", 2**8)
    values = np.random.default_rng(1).normal(size=5000)
    values[:2000] = 0.25  # more than are collected at last
    values[2000:2500], values[2500:3000] = 0.0, -0.0
    found = mz.reduce(array(values), mz.Quantile(LEVELS, exact=True)).x_quantile
    assert np.array_equal(found, order_statistics(values))


# --- refusals ------------------------------------------------------------------------------------


def test_bad_arguments_are_errors_that_name_them(x, ds):
    value, kind = mz.ArgumentValueError, mz.ArgumentTypeError
    refused(kind, "^obj: expected a DataArray or Dataset", np.zeros(3))
    refused(kind, "^obj: .*numbers in 'x'", array(["a", "b"]))
    refused(value, "^obj: .*at least one path", array([]))
    refused(value, "^obj: .*values in 'x'.*'k': 0", array(np.zeros((9, 0)), ("path", "k")))
    refused(value, "^dim: .*'path'", array([1.0, 2.0], ("time",)))
    refused(value, "^dim: .*'nothing'", x, dim="nothing")
    refused(kind, "^dim", x, dim=3)
    refused(value, "^dim: ", x, dim="time")
    refused(kind, "^compute", x, compute=1)
    refused(kind, "^show_progress", x, show_progress="yes")
    refused(value, "^statistics", x, [])
    refused(kind, "^statistics", x, None)
    refused(kind, "^statistics", x, [3])
    refused(kind, r"^statistics: .*Call it: Mean\(\)", x, mz.Mean)
    refused(value, r"^statistics: .*Did you mean 'mean'\?", x, "meen")
    refused(value, r"^statistics: .*Did you mean 'skewness'\?", x, ["mean", "Skewnes"])
    refused(value, "^statistics: .*'q05'", x, "q-5")
    refused(value, "^statistics: .*needs a time", x.isel(time=0), mz.Drawdown())
    refused(value, "^statistics: .*two variables or more", x, mz.Covariance("variable"))
    refused(value, "^lags: .*5 times of x", x, mz.Autocorrelation(5))
    dated = x.isel(time=0).to_dataset(name="y").assign(x=x)
    refused(value, "^statistics: .*equal dimensions", dated, mz.Covariance("variable"))
    engine = mz.MonteCarloEngine(mz.BrownianMotion())
    result = engine.simulate(10, 2, seed=1)
    refused(kind, r"^obj: .*Pass its \.dataset", result)


def test_what_does_not_fit_into_memory_is_refused(x, monkeypatch):
    monkeypatch.setattr(_budget, "memory_limit", lambda: 100_000)
    refused(mz.MemoryBudgetError, "^statistics: .*KiB.*to use", x, [mz.Covariance(), "mean"])
    monkeypatch.setattr(_budget, "memory_limit", lambda: 2**40)
    mz.reduce(x, mz.Covariance())


def test_paths_without_end_are_for_a_stream():
    ds = mz.simulate(mz.BrownianMotion(), None, T=3, seed=1)
    refused(mz.ArgumentValueError, "^obj: .*stream", ds)
    refused(mz.ArgumentValueError, "^obj: .*stream", ds, compute=False)


def test_the_error_of_a_sampler_is_that_of_its_lowest_path(x):
    class Failing:
        def sample_path(self, T, x0, rng):
            if rng.bit_generator.seed_seq.spawn_key[-1] in (1500, 2500):
                raise ValueError("cannot")
            return np.zeros(T + 1)

    ds = mz.simulate(Failing(), 3000, T=1, seed=1)
    with mz.backend("threads", 2), pytest.raises(mz.SamplerError, match="cannot") as caught:
        mz.reduce(ds, "mean")
    assert caught.value.path == 1500


# --- a cluster -----------------------------------------------------------------------------------


def test_paths_that_a_cluster_holds_are_folded_there(x):
    from distributed import Client

    wanted = mz.reduce(x, ["mean", "q05"])
    with Client(
        processes=False, n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0"
    ) as client:
        held = x.to_dataset().persist()
        xr.testing.assert_identical(mz.reduce(held.x, ["mean", "q05"]), wanted)
        squares = (held.x**2).isel(time=-1)
        found = mz.reduce(squares, ["mean", mz.Quantile(0.5, exact=True)])
        alone = mz.reduce((x.compute() ** 2).isel(time=-1), ["mean", mz.Quantile(0.5, exact=True)])
        assert found.equals(alone)
        lazy = mz.reduce(held.x, ["mean", "q05"], compute=False)
        xr.testing.assert_identical(lazy.compute(), wanted)
        assert client.status == "running"


# --- what must not pass in silence, or late --------------------------------------------------


def failing(rng):
    if rng.bit_generator.seed_seq.spawn_key[-1] % 7 == 3:
        raise ValueError("every seventh path")
    return rng.integers(0, 10, 5)


@pytest.mark.filterwarnings("ignore::montezarr.MontezarrWarning")
def test_masked_integers_are_left_out_of_whatever_is_made_of_them(tmp_path):
    N = 1100
    ds = mz.simulate(failing, N, seed=1, on_error="mask", chunks=1024)
    lost = sum(i % 7 == 3 for i in range(N))
    for made in (ds.x, ds.x.astype(float), ds.x * 2, ds.x.clip(min=0), ds.x.sum("time"), ds.x > 5):
        found = mz.reduce(made.rename("x"), "count")
        assert (found.x_count == N - lost).all()
        assert (found.x_nonfinite == lost).all()
    for there in (ds.x.compute(), mz.write(ds, tmp_path / "a.zarr").x):
        assert (mz.reduce(there, "count").x_count == N - lost).all()
        refused(mz.ArgumentValueError, "^obj: .*masked .*where", there * 2)
        masked = there.where(there != there.masked_value).drop_attrs() * 2
        assert (mz.reduce(masked, "count").x_nonfinite == lost).all()


def test_values_without_a_group_are_counted_and_warned_about(x):
    end = x.isel(time=-1).compute()
    codes = xr.DataArray(np.arange(N) % 3, dims="path", name="regime")
    codes.attrs = {"flag_values": np.array([0, 1]), "flag_meanings": "calm storm"}
    with pytest.warns(mz.MontezarrWarning, match="regime: .* belong to no group"):
        found = mz.reduce(end, "count", by=codes)
    assert int(found.x_count.sum()) + int(found.regime_ungrouped) == N
    with pytest.raises(mz.ArgumentValueError, match=r"^by: expected at most 1024 groups"):
        mz.reduce(end, "mean", by=xr.DataArray(np.arange(N), dims="path", name="each"))


def test_dimensions_may_have_other_names_than_they_had():
    ds = mz.simulate(mz.BrownianMotion(), n_paths=5, T=4, seed=1)
    for turned, dim in (
        (ds.rename(path="scenario"), "time"),
        (ds.rename(path="s", time="path"), "path"),
    ):
        np.testing.assert_allclose(mz.reduce(turned, "mean", dim=dim).x_mean, ds.x.mean("time"))


def test_what_depends_on_its_chunk_is_computed_as_dask_would(x):
    def rule(block):
        return block * (1.0 if (block > 2).sum() == 0 else 0.0)

    odd = x.copy(data=x.chunk(path=1024).data.map_blocks(rule, dtype=float))
    expected = odd.compute()
    found = mz.reduce(odd, "mean")
    np.testing.assert_allclose(found.x_mean, expected.mean("path"), atol=1e-12)


def test_values_of_both_signs_need_no_bins_for_all_numbers_between_them():
    ds = mz.simulate(mz.BrownianMotion(), n_paths=20_000, T=20, seed=1)
    state = mz.Quantile(0.5).chunk(mz.Sample(ds.x.values.T.reshape(21, 1, -1).copy()))
    assert state.counts.nbytes < mz.Quantile(0.5).bytes_for(21)


def test_observed_arrays_cannot_be_changed():
    there = xr.DataArray(np.arange(2048.0), dims="path", name="v")

    def careless(block):
        block.v.values[block.v.values < 0] = 0
        return block.v

    with pytest.raises(ValueError, match="read-only"):
        mz.reduce(there, "mean", transform=careless)


def test_times_must_increase_where_they_count(x):
    back = x.isel(time=slice(None, None, -1))
    for statistic in (mz.FirstPassage(1.0), mz.TimeAverage()):
        refused(mz.ArgumentValueError, "^x: .*increases", back, statistic)


def test_lazy_results_of_other_times_or_policies_are_others(x):
    stretched = x.assign_coords(time=[0.0, 0.1, 0.2, 0.3, 10.0])
    both = [mz.reduce(v, mz.TimeAverage(), compute=False) for v in (x, stretched)]
    found = dask.compute(*both)
    for lazily, v in zip(found, (x, stretched), strict=True):
        xr.testing.assert_identical(lazily, mz.reduce(v, mz.TimeAverage()))
