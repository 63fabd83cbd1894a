"""Pictures, accessor and engine results of scalars, vectors, integers and truth values."""

import inspect

import numpy as np
import pytest
import xarray as xr

import montezarr as mz
from montezarr.accessor import PlotMethods

pytest.importorskip("matplotlib")

N, T = 64, 5


def model(n, T, rng):
    """Return states in a vector and alone, counts, and values of the whole path."""
    v = rng.standard_normal((n, T + 1, 3)).cumsum(1)
    return {
        "v": v,
        "x": v[:, :, 0],
        "count": rng.poisson(3, (n, T + 1)).astype(np.int32),
        "final": v[:, -1, 0],
        "w": v[:, -1],
    }


SCHEMA = {
    "dims": {"v": ("time", "asset"), "w": ("asset",)},
    "coords": {"asset": ["A", "B", "C"]},
}


@pytest.fixture(scope="module")
def ds():
    return mz.simulate(model, n_paths=N, T=T, seed=1, **SCHEMA).compute()


def ticks(axis):
    return axis.get_major_locator()()


# --- what is drawn ---------------------------------------------------------------------------


def test_one_entry_of_a_vector_is_drawn_like_a_variable(ds):
    for draw in (mz.plot.fan, mz.plot.paths):
        alone, entry = draw(ds.x), draw(ds.v.sel(asset="A"))
        for a, b in zip(alone.lines, entry.lines, strict=True):
            np.testing.assert_array_equal(a.get_ydata(), b.get_ydata())
    one, other = (mz.plot.histogram(array) for array in (ds.final, ds.w.isel(asset=0)))
    assert one.patches[0].get_data().values.tolist() == other.patches[0].get_data().values.tolist()


def test_states_are_drawn_of_a_dataset_that_has_scalars_beside_them(ds):
    ax = ds[["x", "final", "w"]].mz.plot.fan()
    assert ax.get_ylabel() == "x"
    assert ds[["x", "final", "w"]].mz.plot.histogram().get_xlabel() == "final"
    assert ds[["x", "final"]].mz.plot.compare(ds[["x", "w"]]).get_ylabel() == "x"
    assert ds[["final"]].mz.plot.compare(ds.w.isel(asset=0)).get_xlabel() == "final"


@pytest.mark.parametrize("name", ["count", "up"])
def test_integers_and_truth_values_have_whole_ticks(ds, name):
    data = ds.assign(up=ds.x > 0)[name]
    for ax, axis in (
        (mz.plot.paths(data), "yaxis"),
        (mz.plot.density(data), "yaxis"),
        (mz.plot.histogram(data, time=3.0), "xaxis"),
    ):
        assert ax.get_figure() is not None
        assert not np.any(ticks(getattr(ax, axis)) % 1)
    at_once = mz.plot.histogram(data.isel(time=3))
    assert at_once.get_ylabel() == "probability"
    assert mz.plot.compare(data, data).get_legend().get_title().get_text().endswith("none")


def test_results_of_vectors_are_drawn_entry_by_entry(ds):
    found = mz.reduce(ds.v, [mz.Quantile([0.1, 0.5, 0.9]), mz.Histogram(np.linspace(-9, 9, 10))])
    one = found.isel(asset=1)
    assert mz.plot.fan(one).get_ylabel() == "v"
    assert mz.plot.density(one).get_ylabel() == "v"
    assert mz.plot.histogram(one.isel(time=-1)).get_xlabel() == "v"


# --- what is told ----------------------------------------------------------------------------

SELECT = [
    (lambda ds: mz.plot.fan(ds.v), r"data: .*\.sel\(asset='A'\), or pass hue='asset'\."),
    (lambda ds: mz.plot.paths(ds.v), r"data: .*\.sel\(asset='A'\), or pass hue='asset'\."),
    (lambda ds: mz.plot.density(ds.v), r"data: .*\.sel\(asset='A'\), or pass col='asset'\."),
    (lambda ds: mz.plot.compare(ds.v, ds.v), r"a: .*\.sel\(asset='A'\), or pass hue='asset'"),
    (lambda ds: mz.plot.histogram(ds.v), r"data: .*\.isel\(time=-1, asset=0\), or pass hue="),
    (lambda ds: mz.plot.histogram(ds.v, time=1.0), r"data: .*\.sel\(asset='A'\), or pass hue="),
    (lambda ds: mz.plot.histogram(ds.x), r"data: .*time=, or \.isel\(time=-1\)\."),
    (lambda ds: mz.plot.histogram(ds.final, time=1.0), "time: expected None"),
    (lambda ds: mz.plot.fan(ds.final), "data: .*no times: draw a histogram."),
    (lambda ds: mz.plot.fan(ds.w), r"data: .*histogram of one entry, with \.sel\(asset='A'\)\."),
    (lambda ds: mz.plot.fan(ds), r"data: .*Pick one, such as ds\['x'\]\."),
    (lambda ds: mz.plot.histogram(ds[["v", "x"]]), r"data: .*ds\['v'\]\.isel\(time=-1, asset=0\)"),
    (lambda ds: mz.plot.fan(ds.rename(asset="the asset").v), r"\.isel\(\{'the asset': 0\}\)"),
    (lambda ds: ds.v.mz.plot.convergence(), r"stream: .*\.isel\(time=-1, asset=0\)"),
    (lambda ds: ds.w.mz.plot.convergence("mean", "w_mean"), r"stream: .*\.isel\(asset=0\)"),
    (
        lambda ds: mz.plot.fan(mz.reduce(ds.v, mz.Quantile([0.1, 0.9]))),
        r"v_quantile has the dims time, asset, quantile: take \.sel\(asset='A'\)",
    ),
    (
        lambda ds: mz.plot.histogram(mz.reduce(ds.v, mz.Histogram([0.0, 1.0]))),
        r"take \.isel\(time=-1, asset=0\)",
    ),
]


@pytest.mark.parametrize(("call", "text"), SELECT)
def test_an_error_says_what_to_select(ds, call, text):
    with pytest.raises(mz.ArgumentValueError, match=text):
        call(ds)


# --- accessor --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fan", "paths", "density", "histogram"])
def test_a_method_of_the_accessor_has_arguments_and_help_of_its_picture(name):
    method, function = getattr(PlotMethods, name), getattr(mz.plot, name)
    first, *others = inspect.signature(function).parameters.values()
    assert list(inspect.signature(method).parameters.values())[1:] == others
    doc = inspect.getdoc(method)
    assert f"`montezarr.plot.{name}`" in doc
    assert f"\n{first.name} : " not in doc
    for parameter in others:
        assert parameter.name in doc


def test_an_accessor_is_called_after_its_variable(ds):
    assert str(ds.v.mz).startswith("ds.v.mz: ")
    assert str(ds.v.rename("a b").mz).startswith("ds['a b'].mz: ")
    assert str(xr.DataArray([1.0], dims="path").mz).startswith("array.mz: ")


@pytest.mark.parametrize("name", sorted({*mz.plot.__all__} - {"Trace", "figure", "require"}))
def test_the_help_of_every_picture_describes_every_parameter(name):
    function = getattr(mz.plot, name)
    doc = inspect.getdoc(function)
    assert "{" not in doc.partition("Parameters\n---")[2].partition("Returns\n---")[0]
    described = doc.partition("Parameters\n---")[2].partition("\n\n")[0]
    for parameter in inspect.signature(function).parameters.values():
        assert parameter.name in described, parameter.name
    assert "\nMissingDependencyError\n" in doc or name == "save_fan"
    assert max(map(len, doc.splitlines())) <= 96


# --- results of the engine -------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [None, 16])
def test_a_path_has_its_scalars_and_vectors_at_every_position(ds, batch_size):
    options = {} if batch_size is None else {"batch_size": batch_size}
    result = mz.MonteCarloEngine(model).simulate(N, T, seed=1, **SCHEMA, **options)
    path, expected = result.paths[7], ds.isel(path=7)
    for t in (0, 3, -1):
        for name, state in path[t].items():
            own = expected[name]
            own = own.isel(time=t) if "time" in own.dims else own
            np.testing.assert_array_equal(state, own.values)
    assert path.dims["v"] == ("time", "asset")


def test_times_need_not_be_the_first_dimension():
    def rows(rng, T):
        return {"v": np.arange(2 * (T + 1)).reshape(2, T + 1), "x": rng.random(T + 1)}

    result = mz.MonteCarloEngine(rows).simulate(5, 3, seed=1, dims={"v": ("asset", "time")})
    np.testing.assert_array_equal(result.paths[1][2]["v"], [2, 6])


def test_a_result_of_one_number_per_path_has_no_times():
    result = mz.MonteCarloEngine(lambda rng: rng.random()).simulate(5, 3, seed=1)
    assert "5 paths, 40 B" in str(result)
    assert result.paths[1][2] == result.dataset.isel(path=1).to_dataarray().values.item()
