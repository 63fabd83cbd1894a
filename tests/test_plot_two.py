"""Maps of the density over time, and two runs together: their data are those of the statistics."""

import sys

import numpy as np
import pytest
import xarray as xr

import montezarr as mz

GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)


def run(process=GBM, n_paths=5000, T=4, **options):
    options = {"x0": 100.0, "dt": 0.25, "seed": 3} | options
    return mz.simulate(process, n_paths=n_paths, T=T, **options)


@pytest.fixture(scope="module")
def ds():
    out = run()
    out["x"].attrs["units"] = "USD / kg"
    return out


@pytest.fixture(autouse=True)
def _no_pyplot(monkeypatch):
    """Let figures go with their tests: those of pyplot would stay."""
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)


def texts(ax):
    legend = ax.get_legend()
    return [legend.get_title().get_text(), *(text.get_text() for text in legend.get_texts())]


def mesh(ax):
    """Return edges of the times, edges of the bins, and values (bins, times), 0 where masked."""
    found = ax.collections[0]
    corners = np.asarray(found.get_coordinates())
    return corners[0, :, 0], corners[:, 0, 1], found.get_array().filled(0.0)


# --- density ---------------------------------------------------------------------------------


def test_a_map_shows_the_histogram_at_each_time(ds):
    ax = mz.plot.density(ds, bins=12, range=(60, 180))
    times, edges, values = mesh(ax)
    assert times.tolist() == [-0.125, 0.125, 0.375, 0.625, 0.875, 1.125]
    assert edges == pytest.approx(np.linspace(60, 180, 13))
    for k, column in enumerate(ds.x.values.T):
        counts = np.histogram(column, edges)[0]
        assert values[:, k] == pytest.approx(counts / (5000 * 10.0))
    bar = ax.figure.axes[1]
    assert bar.get_ylabel() == "probability density [1/(USD / kg)]"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time", "x [USD / kg]")


def test_by_default_a_map_reaches_as_far_as_the_paths():
    made = run(mz.BrownianMotion(), x0=0.0)
    _, edges, values = mesh(mz.plot.density(made))
    assert len(edges) == 61
    assert (edges[0], edges[-1]) == pytest.approx((made.x.values.min(), made.x.values.max()))
    assert (values * np.diff(edges)[:, None]).sum(axis=0) == pytest.approx(np.ones(5))


def test_a_map_of_what_is_stored_or_streamed_is_the_same(ds, tmp_path):
    mz.write(ds, tmp_path / "a.zarr")
    edges = np.linspace(60, 180, 13)
    last = list(mz.stream(ds, mz.Histogram(edges)))[-1]
    first = mesh(mz.plot.density(ds, bins=12, range=(60, 180)))[2]
    for data in (mz.open(tmp_path / "a.zarr"), xr.open_zarr(tmp_path / "a.zarr").x, last):
        again = mesh(mz.plot.density(data, bins=12, range=(60, 180)))[2]
        assert (again == first).all()


def test_logarithmic_colours_show_the_tails(ds):
    norm = mz.plot.density(ds, log=True).collections[0].norm
    values = mz.plot.density(ds).collections[0].get_array()
    assert norm.vmax == values.max()
    assert norm.vmin >= values.min()
    assert mz.plot.density(ds).collections[0].norm.vmax < values.max()


@pytest.mark.parametrize("log", [False, True])
def test_where_no_path_is_inside_a_map_is_empty(log):
    ax = mz.plot.density(run(mz.BrownianMotion(), x0=0.0), log=log, range=(100, 101))
    assert (mesh(ax)[2] == 0).all()
    ax.figure.canvas.draw()


def test_integers_dates_and_states_have_their_maps():
    made = run(mz.RandomWalk(), x0=0, T=6)
    ax = mz.plot.density(made)
    _, edges, values = mesh(ax)
    assert edges.tolist() == np.arange(-6.5, 7).tolist()
    assert values[:, -1] == pytest.approx(
        [(made.x.values[:, -1] == k).mean() for k in range(-6, 7)]
    )
    assert ax.figure.axes[1].get_ylabel() == "probability"
    dates = made.assign_coords(time=np.datetime64("2026-01-01") + np.arange(7))
    assert (mesh(mz.plot.density(dates))[2] == values).all()
    chain = mz.MarkovChain(transition=[[0.9, 0.1], [0.5, 0.5]], states=["calm", "storm"])
    ax = mz.plot.density(run(chain, x0="calm"))
    assert [text.get_text() for text in ax.get_yticklabels()] == ["calm", "storm"]
    assert mesh(mz.plot.density(made.isel(time=[3])))[2].shape[1] == 1


# --- compare ---------------------------------------------------------------------------------


def test_two_runs_have_their_bands_and_the_largest_difference():
    a, b = run(), run(mz.GeometricBrownianMotion(mu=0.05, sigma=0.25), n_paths=3000, seed=4)
    ax = mz.plot.compare(a, b, labels=["low", "high"])
    levels = mz.Quantile([0.05, 0.5, 0.95])
    tables = [mz.reduce(x, levels) for x in (a, b)]
    for k, table in enumerate(tables):
        for i, line in enumerate(ax.lines[3 * k : 3 * k + 3]):
            assert line.get_ydata().tolist() == table.x_quantile.values[:, i].tolist()
        corners = ax.collections[k].get_paths()[0].vertices
        assert corners[:, 1].max() == table.x_quantile.values[:, 2].max()
        assert corners[:, 1].min() == table.x_quantile.values[:, 0].min()
    gap = abs(tables[0].x_quantile - tables[1].x_quantile)[1:]
    error = np.hypot(tables[0].x_quantile_se, tables[1].x_quantile_se)[1:]
    largest = float((gap / error).max())
    assert largest > 8
    assert texts(ax) == [
        f"largest difference: {largest:.2g} standard errors", "low: 90% of paths",
        "high: 90% of paths", "low: median", "high: median",
    ]  # fmt: skip


def test_two_samples_of_one_distribution_are_near_and_a_run_is_itself(ds):
    title = texts(mz.plot.compare(run(seed=5), run(seed=6)))[0]
    assert float(title.split()[2]) < 4
    assert texts(mz.plot.compare(ds, ds))[0] == "largest difference: none"


def test_a_difference_without_a_standard_error_is_not_known(ds):
    def constant(value):
        return xr.DataArray(np.full(50, value), dims="path", name="x")

    one, other = run(n_paths=1), run(n_paths=1, seed=4)
    for a, b in ((one, other), (constant(0.0), constant(1.0))):
        assert texts(mz.plot.compare(a, b))[0] == "largest difference: not known"
    assert texts(mz.plot.compare(one, one))[0] == "largest difference: none"
    with pytest.warns(mz.MontezarrWarning, match="not finite"):
        ax = mz.plot.compare(ds, (ds.x * np.nan).compute())
    assert texts(ax)[0] == "largest difference: not known"


def test_labels_may_begin_with_an_underscore(ds):
    x = ds.x.isel(time=-1)
    for a in (ds, x):
        shown = texts(mz.plot.compare(a, a, labels=["_a", "_b"]))[1:]
        assert len(shown) == 4
        assert [text.lstrip()[:2] for text in sorted(shown)] == ["_a", "_a", "_b", "_b"]


def test_results_are_compared_with_paths(ds):
    last = list(mz.stream(run(seed=8), mz.Quantile([0.05, 0.5, 0.95])))[-1]
    title = texts(mz.plot.compare(last, ds))[0]
    assert title == texts(mz.plot.compare(run(seed=8), ds))[0]


def test_one_value_per_path_is_compared_in_the_same_bins(ds):
    a, b = ds.x.isel(time=-1), run(seed=9, n_paths=2000).x.isel(time=-1)
    ax = mz.plot.compare(a, b, quantiles=[0.1, 0.9])
    (first, edges, _), (second, other, _) = (patch.get_data() for patch in ax.patches)
    assert edges.tolist() == other.tolist()
    assert first == pytest.approx(np.histogram(a.values, edges)[0] / (5000 * np.diff(edges)))
    assert second == pytest.approx(np.histogram(b.values, edges)[0] / (2000 * np.diff(edges)))
    for part, x in zip(ax.collections, (a, b), strict=True):
        places = [segment[0][0] for segment in part.get_segments()]
        assert places == mz.reduce(x, mz.Quantile([0.1, 0.9])).x_quantile.values.tolist()
    assert texts(ax)[1:] == ["a", "a: quantiles", "b", "b: quantiles"]


# --- errors ----------------------------------------------------------------------------------

DS = run(n_paths=50)
LAST = list(mz.stream(DS, mz.Mean()))[-1]

ROWS = [
    (lambda: mz.plot.density(1), TypeError, "data"),
    (lambda: mz.plot.density(DS.x.isel(time=0)), ValueError, "data"),
    (lambda: mz.plot.density(DS.assign(y=DS.x)), ValueError, "data: .*one variable"),
    (lambda: mz.plot.density(run(n_paths=None)), ValueError, "data: .*n_paths=None"),
    (lambda: mz.plot.density(LAST), ValueError, "data: .*_density"),
    (lambda: mz.plot.density(DS, bins=1.5), TypeError, "bins"),
    (lambda: mz.plot.density(DS, range=(1, 1)), ValueError, "range"),
    (lambda: mz.plot.density(DS, range=(1e300, 1.0000000000000002e300)), ValueError, "range"),
    (lambda: mz.plot.density(DS, range="all"), TypeError, "range"),
    (lambda: mz.plot.density(DS, log=None), TypeError, "log"),
    (lambda: mz.plot.density(DS, title=1), TypeError, "title"),
    (lambda: mz.plot.density(DS, range=(-1e308, 1e308)), ValueError, "range"),
    (lambda: mz.plot.compare(DS, DS, xlabel=b"t"), TypeError, "xlabel"),
    (lambda: mz.plot.density(DS, ax=3), TypeError, "ax"),
    (lambda: mz.plot.compare(DS, 1), TypeError, "b:"),
    (lambda: mz.plot.compare(1, DS), TypeError, "a:"),
    (lambda: mz.plot.compare(DS, DS.x.isel(time=0)), ValueError, "b:"),
    (lambda: mz.plot.compare(DS.x.isel(time=0), DS), ValueError, "b:"),
    (lambda: mz.plot.compare(DS.x.isel(time=0), LAST), ValueError, "b:"),
    (lambda: mz.plot.compare(DS, run(n_paths=50, T=5)), ValueError, "b: .*5 times"),
    (lambda: mz.plot.compare(DS, LAST), ValueError, "b: .*_quantile"),
    (lambda: mz.plot.compare(DS, DS, labels="ab"), TypeError, "labels"),
    (lambda: mz.plot.compare(DS, DS, labels=["a"]), ValueError, "labels"),
    (lambda: mz.plot.compare(DS, DS, quantiles=[0.5, 0.9]), ValueError, "quantiles"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), ROWS)
def test_what_cannot_be_drawn_is_told_at_the_call(call, kind, text):
    with pytest.raises(kind, match=text) as found:
        call()
    assert isinstance(found.value, mz.MontezarrError)


def test_without_matplotlib_nothing_is_computed(ds, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for call in (lambda: ds.mz.plot.density(), lambda: ds.mz.plot.compare(ds)):
        with pytest.raises(mz.MissingDependencyError, match=r'pip install "montezarr\[plot\]"'):
            call()
