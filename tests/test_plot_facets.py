"""Pictures with Axes for each entry of further dimensions, by the conventions of xarray."""

import numpy as np
import pytest
import xarray as xr

import montezarr as mz
from montezarr.plot import _data

pytest.importorskip("matplotlib")

GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
SIGMA, MU = [0.1, 0.2, 0.3], [0.0, 0.1]
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


@pytest.fixture(scope="module")
def ds():
    vary = {"sigma": xr.DataArray(SIGMA, dims="sigma"), "mu": xr.DataArray(MU, dims="mu")}
    return mz.simulate(GBM, 3000, 4, 100.0, dt=0.25, seed=3, vary=vary)


@pytest.fixture(scope="module")
def table(ds):
    return mz.reduce(ds.x, mz.Quantile(LEVELS)).x_quantile


@pytest.fixture
def passes(monkeypatch):
    """Return the list of the passes over the paths, to which pictures add."""
    found, reduced = [], _data.reduced
    monkeypatch.setattr(_data, "reduced", lambda *args: found.append(args) or reduced(*args))
    return found


def medians(ax):
    return [np.asarray(line.get_ydata()) for line in ax.lines if line.get_linewidth() == 2.0]


def titles(axes):
    return [ax.get_title() for ax in axes.flat]


def texts(legend):
    return [text.get_text() for text in legend.get_texts()]


def test_a_fan_has_axes_for_each_column_and_row_from_one_pass(ds, table, passes):
    axes = mz.plot.fan(ds, row="sigma", col="mu", title="Prices")
    assert axes.shape == (3, 2)
    assert len(passes) == 1
    for (i, k), ax in np.ndenumerate(axes):
        expected = table.isel(sigma=i, mu=k).sel(quantile=0.5)
        np.testing.assert_array_equal(medians(ax)[0], expected)
        assert len(ax.lines) == 7  # six single paths
        assert ax.get_ylim() == axes[0, 0].get_ylim()
    assert titles(axes) == ["mu = 0", "mu = 0.1", "", "", "", ""]
    sides = [[text.get_text() for text in ax.texts] for ax in axes[:, 1]]
    assert sides == [["sigma = 0.1"], ["sigma = 0.2"], ["sigma = 0.3"]]
    figure = axes[0, 0].figure
    assert figure.get_suptitle() == "Prices"
    assert texts(figure.legends[0]) == ["90% of paths", "50% of paths", "median"]
    assert [ax.get_xlabel() for ax in axes[:, 0]] == ["", "", "time"]
    assert [ax.get_ylabel() for ax in axes[0]] == ["x", ""]


def test_columns_hold_colours(ds, table):
    axes = mz.plot.fan(ds, col="mu", hue="sigma")
    for k, ax in enumerate(axes[0]):
        for i, median in enumerate(medians(ax)):
            np.testing.assert_array_equal(median, table.isel(sigma=i, mu=k).sel(quantile=0.5))
    legend = axes[0, 0].figure.legends[0]
    assert texts(legend)[:3] == ["0.1", "0.2", "0.3"]
    assert legend.get_title().get_text() == "sigma"


def test_a_legend_of_colours_hides_nothing(ds):
    pictures = [
        mz.plot.fan(ds.isel(mu=0), hue="sigma"),
        mz.plot.paths(ds.isel(mu=0), hue="sigma"),
        mz.plot.histogram(ds.isel(mu=0), time=1.0, hue="sigma"),
    ]
    for ax in pictures:
        ax.figure.canvas.draw()
        assert ax.get_legend().get_window_extent().x0 >= ax.get_window_extent().x1
    own = mz.plot.figure().subplots(1, 2)[0]
    ax = mz.plot.fan(ds.isel(mu=0), hue="sigma", ax=own)
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().x1 <= ax.get_window_extent().x1


def test_results_have_panels_as_paths_do(ds, table):
    found = mz.reduce(ds.x, mz.Quantile(LEVELS))
    for a, b in zip(mz.plot.fan(found, col="mu", hue="sigma").flat,
                    mz.plot.fan(ds, col="mu", hue="sigma").flat, strict=True):  # fmt: skip
        np.testing.assert_array_equal(medians(a), medians(b))


def test_columns_wrap_and_rows_may_do_so(ds):
    one = ds.isel(mu=0)
    axes = mz.plot.fan(one, col="sigma", col_wrap=2)
    assert axes.shape == (2, 2)
    assert titles(axes)[:3] == ["sigma = 0.1", "sigma = 0.2", "sigma = 0.3"]
    assert [ax.get_visible() for ax in axes.flat] == [True, True, True, False]
    assert [ax.get_xlabel() for ax in axes.flat[:3]] == ["", "time", "time"]
    assert axes[0, 1].xaxis.get_tick_params()["labelbottom"]
    assert mz.plot.fan(one, row="sigma").shape == (3, 1)
    assert mz.plot.fan(one, row="sigma", col_wrap=5).shape == (1, 3)


def test_limits_are_shared_unless_the_caller_says_otherwise(ds):
    axes = mz.plot.fan(ds.isel(mu=0), col="sigma", sharey=False)
    assert len({ax.get_ylim() for ax in axes.flat}) == 3
    counted = mz.plot.histogram(ds.isel(mu=0), time=1.0, col="sigma")
    heights = [ax.dataLim.y1 for ax in counted.flat]
    assert counted[0, 2].get_ylim() == (0.0, pytest.approx(1.2 * max(heights)))


def test_single_paths_are_the_same_in_every_panel(ds):
    axes = mz.plot.paths(ds, n=2, band=None, mean=False, row="mu", col="sigma")
    labels = {tuple(line.get_label() for line in ax.lines) for ax in axes.flat}
    assert len(labels) == 1
    path = int(labels.pop()[0].removeprefix("_path "))
    np.testing.assert_array_equal(
        axes[1, 2].lines[0].get_ydata(), mz.replay(ds, path, sigma=0.3, mu=0.1).x
    )
    assert not axes[0, 0].figure.legends


def test_histograms_have_one_axis_and_the_closed_form_of_their_scenario(ds, passes):
    axes = mz.plot.histogram(ds, time=1.0, row="mu", col="sigma", range=(0, 400))
    assert len(passes) == 1
    for (i, k), ax in np.ndenumerate(axes):
        process = mz.GeometricBrownianMotion(mu=MU[i], sigma=SIGMA[k])
        line = ax.lines[0]
        np.testing.assert_allclose(line.get_ydata(), process.density(line.get_xdata(), 1.0, 100.0))
    assert texts(axes[0, 0].figure.legends[0]) == ["3,000 paths", "closed form"]
    # Where the texts differ, each has its own.
    axes = mz.plot.histogram(ds.isel(mu=0), time=1.0, col="sigma", range=(50, 150))
    assert not axes[0, 0].figure.legends
    assert "outside" in texts(axes[0, 2].get_legend())[0]
    coloured = mz.plot.histogram(ds, time=1.0, col="mu", hue="sigma")
    assert [len(ax.patches) for ax in coloured.flat] == [3, 3]


def test_maps_have_one_scale_of_colours(ds, passes):
    axes = mz.plot.density(ds, row="mu", col="sigma", bins=30)
    assert len(passes) == 1
    meshes = [ax.collections[0] for ax in axes.flat]
    assert len({mesh.norm.vmax for mesh in meshes}) == 1
    assert len(axes[0, 0].figure.axes) == 7  # one bar of colours
    edges = meshes[0].get_coordinates()[:, 0, 1]
    found = mz.reduce(ds.x, mz.Histogram(edges)).x_density.transpose("mu", "sigma", "bin", "time")
    for mesh, expected in zip(meshes, found.values.reshape(6, 30, 5), strict=True):
        np.testing.assert_array_equal(mesh.get_array().filled(0.0), expected)


def test_two_runs_are_compared_panel_by_panel(ds):
    vary = {"sigma": xr.DataArray(SIGMA, dims="sigma"), "mu": xr.DataArray(MU, dims="mu")}
    other = mz.simulate(GBM, 3000, 4, 101.0, dt=0.25, seed=4, vary=vary)
    axes = mz.plot.compare(ds, other, row="mu", col="sigma")
    a, b = (mz.reduce(run.x, mz.Quantile([0.05, 0.5, 0.95])) for run in (ds, other))
    errors = np.hypot(a.x_quantile_se, b.x_quantile_se)
    largest = (abs(a.x_quantile - b.x_quantile) / errors.where(errors > 0)).max(
        ["time", "quantile"]
    )
    for (i, k), ax in np.ndenumerate(axes):
        note = f"largest difference: {largest.isel(mu=i, sigma=k).item():.2g} standard errors"
        assert ax.get_title().rpartition("\n")[2] == note
    assert texts(axes[0, 0].figure.legends[0])[-2:] == ["a: median", "b: median"]
    last = mz.plot.compare(ds.x.isel(time=-1), other.x.isel(time=-1), col="mu", hue="sigma")
    assert [len(ax.patches) for ax in last.flat] == [6, 6]
    with pytest.raises(ValueError, match="b: expected the entries along 'mu' of a"):
        mz.plot.compare(ds.isel(mu=[0]), other.isel(mu=[1]), col="mu", hue="sigma")


# --- convergence -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def snapshots(ds):
    payoff = (ds.x.isel(time=-1) - 100).clip(min=0).rename("payoff")
    return list(mz.stream(payoff, "mean"))


def test_convergence_has_colours_and_panels(snapshots):
    known = xr.DataArray([[4.0, 8.0, 12.0], [11.0, 14.0, 18.0]], dims=("mu", "sigma"))
    axes = mz.plot.convergence(snapshots, hue="sigma", col="mu", target=known)
    for k, ax in enumerate(axes.flat):
        for i, line in enumerate(medians(ax)):
            expected = [float(s["payoff_mean"].isel(sigma=i, mu=k)) for s in snapshots]
            assert line.tolist() == expected
        dashed = [line.get_ydata()[0] for line in ax.lines if line.get_linewidth() == 1.4]
        assert dashed == known.isel(mu=k).values.tolist()
    legend = axes[0, 0].figure.legends[0]
    assert texts(legend)[3:] == ["95% confidence sequence", "95% interval", "target"]
    single = mz.plot.convergence(snapshots, col="mu", row="sigma", target=known)
    for (i, k), ax in np.ndenumerate(single):
        assert medians(ax)[0][-1] == float(snapshots[-1]["payoff_mean"].isel(sigma=i, mu=k))


def test_a_trace_keeps_results_with_dimensions(snapshots):
    trace = mz.plot.Trace(["mu", "sigma"])
    for snapshot in snapshots:
        trace.add(snapshot)
    assert trace.names == ("payoff_mean",)
    assert trace.estimate("payoff_mean").shape == (len(snapshots), 2, 3)
    last = snapshots[-1]["payoff_mean_cs_low"].transpose("mu", "sigma")
    np.testing.assert_array_equal(trace.cs_low("payoff_mean")[-1], last)
    ax = mz.plot.convergence(trace, col="mu", hue="sigma")[0, 0]
    assert len(medians(ax)) == 3
    with pytest.raises(ValueError, match=r"stream: expected a Trace with dims \('sigma',\)"):
        mz.plot.convergence(trace, hue="sigma")
    with pytest.raises(TypeError, match="dims: expected names"):
        mz.plot.Trace("sigma")


def many():
    sigma = xr.DataArray(np.linspace(0.1, 0.5, 70), dims="sigma")
    return mz.simulate(GBM, 100, 4, 100.0, seed=1, vary={"sigma": sigma})


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda ds, s: mz.plot.fan(ds, col="m"), ValueError, "col: expected a dimension of data"),
        (lambda ds, s: mz.plot.fan(ds, row="sigm"), ValueError, r"row: .*mean 'sigma'\?"),
        (lambda ds, s: mz.plot.fan(ds, col="mu", hue="mu"), ValueError, "another dimension than"),
        (lambda ds, s: mz.plot.fan(ds, col=1), TypeError, "col: expected the name"),
        (lambda ds, s: mz.plot.fan(ds, col="mu", row="sigma", col_wrap=2), ValueError,
         "col_wrap: expected None without one of"),
        (lambda ds, s: mz.plot.fan(ds, hue="mu", col_wrap=2), ValueError, "without col or row"),
        (lambda ds, s: mz.plot.fan(ds.isel(mu=0), col="sigma", col_wrap=0), ValueError, "col_wrap"),
        (lambda ds, s: mz.plot.fan(ds, col="mu", row="sigma", ax=mz.plot.figure().subplots()),
         ValueError, "ax: expected None with col or row"),
        (lambda ds, s: mz.plot.fan(ds, col="mu", sharey=1), TypeError, "sharey"),
        (lambda ds, s: mz.plot.fan(many(), col="sigma"), ValueError, r"col: .*64.*None, None, 2"),
        (lambda ds, s: mz.plot.fan(ds), ValueError, "or pass hue='sigma', col='mu'"),
        (lambda ds, s: mz.plot.fan(ds, hue="sigma"), ValueError, "expected dims"),
        (lambda ds, s: mz.plot.density(ds), ValueError, "or pass col='sigma', row='mu'"),
        (lambda ds, s: mz.plot.convergence(s), ValueError, "one number"),
        (lambda ds, s: mz.plot.convergence(s, hue="sigma"), ValueError, "with the dims sigma"),
        (lambda ds, s: mz.plot.convergence(s, hue="sigma", col="mu",
                                           target=xr.DataArray([1.0], dims="sigma")),
         ValueError, "target: expected a number for each"),
    ],
)  # fmt: skip
def test_places_that_cannot_be_are_refused(ds, snapshots, call, error, said):
    with pytest.raises(error, match=said):
        call(ds, snapshots)


def test_a_figure_of_panels_is_saved(ds, tmp_path):
    mz.plot.save_fan(ds, tmp_path / "fan.png", col="mu", hue="sigma", title="All")
    assert (tmp_path / "fan.png").stat().st_size > 10_000
