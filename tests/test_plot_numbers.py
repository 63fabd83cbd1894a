"""Histograms and convergence: counts, closed forms and traces are those of the statistics."""

import sys
import tracemalloc

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import montezarr as mz

GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)


def run(process=GBM, n_paths=5000, T=4, **options):
    options = {"x0": 100.0, "dt": 0.25, "seed": 3} | options
    return mz.simulate(process, n_paths=n_paths, T=T, **options)


@pytest.fixture(scope="module")
def ds():
    out = run()
    out["x"].attrs["units"] = "USD"
    return out


@pytest.fixture(scope="module")
def payoff(ds):
    return (ds.x.isel(time=-1) - 105).clip(min=0).rename("payoff")


@pytest.fixture(autouse=True)
def _no_pyplot(monkeypatch):
    """Let figures go with their tests: those of pyplot would stay."""
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def closed_form(ax):
    found = [line for line in ax.lines if line.get_label() == "closed form"]
    return found[0] if found else None


# --- histogram -------------------------------------------------------------------------------


def test_a_histogram_counts_all_paths_between_the_given_ends(ds):
    values = ds.x.isel(time=-1)
    ax = mz.plot.histogram(values, bins=20, range=(80, 120))
    counts, edges = np.histogram(values.values, 20, (80, 120))
    heights, found, _ = ax.patches[0].get_data()
    assert found == pytest.approx(edges)
    assert heights == pytest.approx(counts / (5000 * 2.0))
    share = 100 * (1 - counts.sum() / 5000)
    assert legend(ax) == [f"5,000 paths, {share:.2g}% outside", "closed form"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x [USD]", "probability density [1/USD]")


def test_by_default_the_bins_hold_what_the_first_paths_do():
    values = run(mz.BrownianMotion(), x0=0).x.isel(time=-1)
    ax = mz.plot.histogram(values, density=False)
    heights, edges, _ = ax.patches[0].get_data()
    values = values.values
    assert len(heights) == 80
    assert heights.sum() == 5000
    assert (edges[0], edges[-1]) == (values.min(), values.max())
    assert ax.get_ylabel() == "number of paths"


def test_far_outliers_widen_no_bin():
    array = xr.DataArray(np.random.default_rng(1).standard_cauchy(3000), dims="path", name="x")
    _, edges, _ = mz.plot.histogram(array).patches[0].get_data()
    assert edges[-1] < 0.5 * np.abs(array.values).max()


def test_the_density_of_the_process_is_drawn_over_its_paths(ds, tmp_path):
    mz.write(ds, tmp_path / "a.zarr")
    law = stats.lognorm(s=0.2, scale=100 * np.exp(0.03))
    for data, time in (
        (ds.x.isel(time=-1), None),
        (ds, 1.0),
        (mz.open(tmp_path / "a.zarr"), 1.0),
        (ds.compute(), 1.0),
        (run(keep=[0, 2, 4]), 1.0),
        (run(dtype="float32"), 1.0),
    ):
        x, y = closed_form(mz.plot.histogram(data, time=time)).get_data()
        assert y == pytest.approx(law.pdf(x), rel=1e-9)
    x, y = closed_form(mz.plot.histogram(ds, time=1.0, density=False, bins=10)).get_data()
    assert y == pytest.approx(5000 * law.pdf(x) * (x[-1] - x[0]) / 10, rel=1e-9)


def test_probabilities_are_drawn_over_integers():
    ax = mz.plot.histogram(run(mz.RandomWalk(), x0=0, T=6), time=1.5)
    heights, edges, _ = ax.patches[0].get_data()
    assert edges.tolist() == np.arange(-6.5, 7).tolist()
    x, y = closed_form(ax).get_data()
    inside = ~np.isnan(y)
    assert x[inside].tolist() == list(range(-6, 7, 2))
    assert y[inside] == pytest.approx(stats.binom(6, 0.5).pmf(range(7)))
    assert np.abs(heights[inside] - y[inside]).max() < 4 * (0.25 / 5000) ** 0.5
    assert ax.get_ylabel() == "probability"


def test_bins_of_many_integers_hold_the_same_number_of_them():
    ax = mz.plot.histogram(run(mz.PoissonProcess(rate=900.0), x0=5), time=1.0, bins=30)
    _, edges, _ = ax.patches[0].get_data()
    width = edges[1] - edges[0]
    assert width > 1
    assert edges.tolist() == (edges[0] + width * np.arange(len(edges))).tolist()
    assert edges[0] % 1 == 0.5
    x, y = closed_form(ax).get_data()
    law = stats.poisson(900)
    expected = (law.cdf(x + width / 2 - 0.25 - 5) - law.cdf(x - width / 2 - 5)) / width
    assert y == pytest.approx(expected, rel=1e-6)


def test_states_have_their_names():
    chain = mz.MarkovChain(transition=[[0.9, 0.1], [0.5, 0.5]], states=["calm", "storm"])
    ax = mz.plot.histogram(run(chain, x0="calm"), time=0.5)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["calm", "storm"]
    assert closed_form(ax).get_ydata() == pytest.approx(chain.distribution(2, "calm"))


def test_over_what_is_made_of_paths_no_density_is_drawn(ds, payoff):
    for array in (
        payoff,
        ds.x.isel(time=-1) * 1.0000001,
        ds.x.isel(time=-1, path=slice(1, None)),
        ds.x.mean("time"),
        run(x0=np.linspace(90, 110, 5000)).x.isel(time=-1),
        run(mz.Diffusion(drift=lambda t, x: -x, diffusion=lambda t, x: 1 + 0 * x)).x.isel(time=-1),
        ds.x.isel(time=0),
    ):
        assert closed_form(mz.plot.histogram(array)) is None


def test_a_closed_form_is_drawn_over_the_paths_of_the_process_and_nothing_else(tmp_path):
    # Of the first 256 paths none is beyond.
    made = run(mz.BrownianMotion(), x0=0.0, n_paths=3000)
    last = made.x.isel(time=-1)
    high = last.values
    limit = float(high[:256].max())
    assert (high > limit).any()
    mz.write(made, tmp_path / "a.zarr")
    stored = mz.open(tmp_path / "a.zarr")
    cut = [last.clip(max=limit), last[high <= limit]]
    for ds in (made, stored):
        cut += [ds.clip(max=limit), ds.isel(path=high <= limit), ds.compute().clip(max=limit)]
        cut += [ds.clip(max=limit).persist(), ds.compute().clip(max=limit).chunk(path=1024)]
    for data in cut:
        time = None if isinstance(data, xr.DataArray) else 1.0
        assert closed_form(mz.plot.histogram(data, time=time)) is None
    with pytest.warns(mz.MontezarrWarning, match="not finite"):
        assert closed_form(mz.plot.histogram(last.where(last <= limit))) is None
    for data in (last.rename("y"), last.chunk(path=1024), last[:2000], last[:100]):
        assert closed_form(mz.plot.histogram(data)) is not None
    for data in (made.persist(), stored.isel(path=slice(2000)), stored.compute().chunk()):
        assert closed_form(mz.plot.histogram(data, time=1.0)) is not None


def test_over_millions_of_integers_no_closed_form_is_summed():
    made = run(mz.PoissonProcess(rate=3.0), x0=0, n_paths=100)
    tracemalloc.start()
    ax = mz.plot.histogram(made, time=1.0, range=(0, 2e7))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**25
    assert closed_form(ax) is None
    assert closed_form(mz.plot.histogram(made, time=1.0, range=(0, 9e4))) is not None


def test_the_legend_stands_above_the_bars(ds):
    ax = mz.plot.histogram(ds, time=1.0)
    top = max(ax.patches[0].get_data().values.max(), closed_form(ax).get_ydata().max())
    assert ax.get_ylim() == pytest.approx((0, 1.2 * top))


def test_a_density_over_rates_has_their_inverse_units(ds):
    rate = ds.x.isel(time=-1).assign_attrs(units="1/year")
    assert mz.plot.histogram(rate).get_ylabel() == "probability density [year]"


def test_a_snapshot_of_a_histogram_is_drawn(payoff):
    edges = np.linspace(0, 40, 11)
    last = list(mz.stream(payoff, mz.Histogram(edges)))[-1]
    ax = mz.plot.histogram(last, density=False)
    heights, found, _ = ax.patches[0].get_data()
    assert heights.tolist() == last["payoff_histogram"].values.tolist()
    assert found.tolist() == edges.tolist()
    total = int(last["payoff_histogram"].sum() + last["payoff_histogram_above"])
    assert total == 5000
    assert legend(ax)[0].startswith("5,000 paths")


# --- convergence and Trace -------------------------------------------------------------------


def test_a_trace_has_the_numbers_of_each_snapshot(payoff):
    snapshots = list(mz.stream(payoff, ["mean", "std"]))
    trace = mz.plot.Trace()
    for snapshot in snapshots:
        trace.add(snapshot)
    assert len(trace) == len(snapshots)
    assert trace.names == ("payoff_mean", "payoff_std")
    assert trace.paths.tolist() == [snapshot.paths for snapshot in snapshots]
    for name in trace.names:
        for field, key in (
            (trace.estimate, name), (trace.se, f"{name}_se"),
            (trace.cs_low, f"{name}_cs_low"), (trace.cs_high, f"{name}_cs_high"),
        ):  # fmt: skip
            assert field(name).tolist() == [float(snapshot[key]) for snapshot in snapshots]
    with pytest.raises(ValueError, match="more than 5000"):
        trace.add(snapshots[0])
    with pytest.raises(TypeError, match="snapshot"):
        trace.add(snapshots[0].dataset)


def test_convergence_shows_the_trace(payoff):
    snapshots = list(mz.stream(payoff, "mean"))
    trace = mz.plot.Trace()
    for snapshot in snapshots:
        trace.add(snapshot)
    pictures = [
        mz.plot.convergence(source, target=8.0)
        for source in (trace, snapshots, iter(snapshots), mz.stream(payoff, "mean"))
    ]
    name, paths = "payoff_mean", trace.paths
    for ax in pictures:
        assert ax.get_xscale() == "log"
        line = next(found for found in ax.lines if found.get_label() == "estimate")
        assert line.get_xdata().tolist() == paths.tolist()
        assert line.get_ydata().tolist() == trace.estimate(name).tolist()
        for part, low, high in (
            (ax.collections[0], trace.cs_low(name), trace.cs_high(name)),
            (ax.collections[1],
             trace.estimate(name) - 1.959963984540054 * trace.se(name),
             trace.estimate(name) + 1.959963984540054 * trace.se(name)),
        ):  # fmt: skip
            corners = part.get_paths()[0].vertices
            for i, n in enumerate(paths):
                ends = corners[corners[:, 0] == n, 1]
                assert (ends.min(), ends.max()) == pytest.approx((low[i], high[i]))
        assert ax.lines[-1].get_ydata()[0] == 8.0
        assert legend(ax) == ["95% confidence sequence", "95% interval", "estimate", "target 8"]
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("number of paths", "payoff mean [USD]")


def test_a_wrong_name_ends_the_stream_at_its_first_snapshot(payoff):
    seen = []

    def snapshots():
        for snapshot in mz.stream(payoff, ["mean", "std"]):
            seen.append(snapshot.paths)
            yield snapshot

    with pytest.raises(ValueError, match="payoff_mean, payoff_std"):
        mz.plot.convergence(snapshots(), "median")
    assert seen == [1024]


def test_groups_have_no_confidence_sequence_but_an_interval(payoff):
    # One group after the other is a dimension, so it cannot be drawn as one number.
    by = (payoff > 0).rename("paid")
    with pytest.raises(ValueError, match="one number"):
        mz.plot.convergence(mz.stream(payoff, "mean", by=by), "payoff_mean")


def test_the_legend_is_seen_where_bands_reach_under_it(payoff):
    ax = mz.plot.convergence(mz.stream(payoff, "mean"))
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1,024", "5,000"]
    frame = ax.get_legend().get_frame()
    assert frame.get_visible()
    assert frame.get_facecolor()[:3] == (1.0, 1.0, 1.0)


def test_a_run_without_end_converges_until_its_rule():
    endless = run(n_paths=None)
    ax = mz.plot.convergence(mz.stream(endless.x.isel(time=-1), "mean", until=mz.PathCount(3000)))
    assert ax.lines[0].get_xdata()[-1] == 3072
