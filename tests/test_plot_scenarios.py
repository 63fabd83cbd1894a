"""Pictures with a further dimension in colours: scenarios, or entries of a vector."""

import numpy as np
import pytest
import xarray as xr

import montezarr as mz

pytest.importorskip("matplotlib")

GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
SIGMA = [0.1, 0.2, 0.3]
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def run(mu=0.05, n_paths=3000, **options):
    process = mz.GeometricBrownianMotion(mu=mu, sigma=0.2)
    vary = {"sigma": xr.DataArray(SIGMA, dims="sigma", attrs={"units": "1/year"})}
    return mz.simulate(process, n_paths, 4, 100.0, dt=0.25, seed=3, vary=vary, **options)


@pytest.fixture(scope="module")
def ds():
    return run()


@pytest.fixture(scope="module")
def cases():
    """Return zipped scenarios with labels."""
    labels = {"case": ["calm", "wild"]}
    vary = {
        "sigma": xr.DataArray([0.1, 0.3], dims="case", coords=labels),
        "mu": xr.DataArray([0.0, 0.1], dims="case"),
    }
    return mz.simulate(GBM, 2000, 4, 100.0, dt=0.25, seed=3, vary=vary)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def lines(ax, width):
    return [np.asarray(line.get_ydata()) for line in ax.lines if line.get_linewidth() == width]


def colours(ax, width):
    return [tuple(line.get_color()) for line in ax.lines if line.get_linewidth() == width]


def test_a_fan_in_colours_has_the_quantiles_of_each_scenario(ds):
    ax = mz.plot.fan(ds, hue="sigma")
    table = mz.reduce(ds.x, mz.Quantile(LEVELS)).x_quantile
    for i, median in enumerate(lines(ax, 2.0)):
        np.testing.assert_array_equal(median, table.isel(sigma=i).sel(quantile=0.5))
    edges = lines(ax, 0.9)
    np.testing.assert_array_equal(edges[4], table.sel(sigma=0.3, quantile=0.05))
    np.testing.assert_array_equal(edges[5], table.sel(sigma=0.3, quantile=0.95))
    assert len(ax.collections) == 6
    assert legend(ax) == ["0.1", "0.2", "0.3", "90% of paths", "50% of paths"]
    assert ax.get_legend().get_title().get_text() == "sigma"
    assert len(set(colours(ax, 2.0))) == 3


def test_a_fan_of_a_result_is_that_of_the_paths(ds):
    found = mz.reduce(ds.x, mz.Quantile(LEVELS))
    for a, b in zip(mz.plot.fan(ds, hue="sigma").lines, mz.plot.fan(found, hue="sigma").lines,
                    strict=True):  # fmt: skip
        np.testing.assert_array_equal(a.get_ydata(), b.get_ydata())


def test_single_paths_in_colours_are_the_same_of_each_scenario(ds):
    ax = mz.plot.paths(ds, n=4, hue="sigma")
    drawn = [line for line in ax.lines if line.get_linewidth() == 0.7]
    indices = [int(line.get_label().removeprefix("_path ")) for line in drawn]
    assert indices[:4] == indices[4:8] == indices[8:]
    for line, sigma, path in zip(drawn, np.repeat(SIGMA, 4), indices, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), mz.replay(ds, path, sigma=sigma).x)
    means = mz.reduce(ds.x, "mean").x_mean
    np.testing.assert_array_equal(np.array(lines(ax, 2.0)), means)
    assert legend(mz.plot.paths(ds, n=1, hue="sigma", band=None, mean=False)) == [
        "0.1",
        "0.2",
        "0.3",
    ]
    singles = lines(mz.plot.fan(ds, hue="sigma", samples=2), 0.6)
    assert len(singles) == 6


def test_histograms_in_colours_have_the_same_bins_and_their_closed_forms(ds):
    ax = mz.plot.histogram(ds, time=1.0, hue="sigma", range=(50, 250), bins=40)
    found = mz.reduce(ds.x.isel(time=-1), mz.Histogram(np.linspace(50, 250, 41)))
    for i, patch in enumerate(ax.patches):
        np.testing.assert_allclose(patch.get_data().values, found.x_density.isel(sigma=i))
    assert legend(ax)[0] == "0.1: 3,000 paths"
    assert legend(ax)[-1] == "closed form"
    for line, sigma in zip(ax.lines, SIGMA, strict=True):
        exact = mz.GeometricBrownianMotion(mu=0.05, sigma=sigma).density(
            line.get_xdata(), 1.0, 100.0
        )
        np.testing.assert_allclose(line.get_ydata(), exact)
    result = mz.plot.histogram(found, hue="sigma")
    for a, b in zip(ax.patches, result.patches, strict=True):
        np.testing.assert_array_equal(a.get_data().values, b.get_data().values)


def test_the_closed_form_of_a_selected_scenario_has_its_parameters(ds):
    ax = mz.plot.histogram(ds.x.sel(sigma=0.3), time=1.0)
    exact = next(line for line in ax.lines if line.get_label() == "closed form")
    process = mz.GeometricBrownianMotion(mu=0.05, sigma=0.3)
    np.testing.assert_allclose(exact.get_ydata(), process.density(exact.get_xdata(), 1.0, 100.0))


def test_a_closed_form_knows_the_times_of_a_scenario_of_steps():
    vary = {"dt": xr.DataArray([0.25, 0.5], dims="dt")}
    ds = mz.simulate(GBM, 2000, 4, 100.0, seed=3, vary=vary)
    ax = mz.plot.histogram(ds.x.sel(dt=0.5).isel(time=-1))
    exact = next(line for line in ax.lines if line.get_label() == "closed form")
    np.testing.assert_allclose(exact.get_ydata(), GBM.density(exact.get_xdata(), 2.0, 100.0))


def test_two_runs_are_compared_scenario_by_scenario(ds):
    other = run(mu=0.15)
    ax = mz.plot.compare(ds, other, hue="sigma", labels=["slow", "fast"])
    assert legend(ax) == ["0.1", "0.2", "0.3", "slow", "fast"]
    medians = [line for line in ax.lines if line.get_linewidth() == 2.0]
    assert [line.is_dashed() for line in medians] == [False] * 3 + [True] * 3
    assert [line.get_color() for line in medians[:3]] == [line.get_color() for line in medians[3:]]
    table = mz.reduce(other.x, mz.Quantile([0.5])).x_quantile.isel(quantile=0)
    np.testing.assert_array_equal(medians[5].get_ydata(), table.sel(sigma=0.3))
    title = ax.get_legend().get_title().get_text()
    alone = mz.plot.compare(ds.x.sel(sigma=0.1), other.x.sel(sigma=0.1)).get_legend()
    assert title.partition("\n")[0] == alone.get_title().get_text()  # the largest of the three
    last = mz.plot.compare(ds.x.isel(time=-1), other.x.isel(time=-1), hue="sigma")
    assert len(last.patches) == 6


def test_labels_have_colours_without_an_order_and_a_coordinate_is_a_hue(cases):
    assert legend(mz.plot.fan(cases, hue="case"))[:2] == ["calm", "wild"]
    by_value = mz.plot.fan(cases, hue="mu")
    assert legend(by_value)[:2] == ["0", "0.1"]
    assert by_value.get_legend().get_title().get_text() == "mu"
    assert colours(by_value, 2.0) != colours(mz.plot.fan(cases, hue="case"), 2.0)


def test_entries_of_a_vector_have_colours():
    def vector(rng, T):
        return {"v": rng.standard_normal((T + 1, 2)).cumsum(0)}

    dims, coords = {"v": ("time", "asset")}, {"asset": ["A", "B"]}
    ds = mz.simulate(vector, 500, 3, seed=1, dims=dims, coords=coords)
    ax = mz.plot.fan(ds, hue="asset")
    table = mz.reduce(ds.v, mz.Quantile([0.5])).v_quantile.isel(quantile=0)
    np.testing.assert_array_equal(np.array(lines(ax, 2.0)), table.transpose("asset", "time"))


def many():
    sigma = xr.DataArray(np.linspace(0.1, 0.5, 30), dims="sigma")
    return mz.simulate(GBM, 100, 4, 100.0, seed=1, vary={"sigma": sigma})


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda ds: mz.plot.fan(ds, hue="sigm"), ValueError, r"hue: .*mean 'sigma'\?"),
        (lambda ds: mz.plot.paths(ds, hue=3), TypeError, "hue: expected the name of a dimension"),
        (lambda ds: mz.plot.fan(ds.x.sel(sigma=0.1), hue="sigma"), ValueError, "hue: .*none of"),
        (lambda ds: mz.plot.fan(ds), ValueError, r"\.sel\(sigma=0\.1\), or pass hue='sigma'\."),
        (lambda ds: mz.plot.density(ds), ValueError, r"sel\(sigma=0\.1\), or pass col='sigma'\."),
        (lambda ds: mz.plot.histogram(ds, time=1.0), ValueError, "or pass hue='sigma'"),
        (lambda ds: mz.plot.compare(ds, ds), ValueError, "a: .*or pass hue='sigma'"),
        (lambda ds: mz.plot.compare(ds, ds[{"sigma": [0, 1]}], hue="sigma"), ValueError, "entries"),
        (lambda ds: mz.plot.fan(many(), hue="sigma"), ValueError, r"12 .*slice\(None, None, 3\)"),
    ],
)  # fmt: skip
def test_an_error_says_what_to_select_or_to_colour(ds, call, error, said):
    with pytest.raises(error, match=said):
        call(ds)
