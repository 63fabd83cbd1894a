"""Pictures: the data in their artists are those of statistics; their texts; errors."""

import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import montezarr as mz

GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]


def run(n_paths=5000, process=GBM, T=4, **options):
    options = {"x0": 100.0, "dt": 0.25, "seed": 3} | options
    return mz.simulate(process, n_paths=n_paths, T=T, **options)


@pytest.fixture(scope="module")
def ds():
    out = run()
    out["x"].attrs.update(units="USD", long_name="price")
    out["time"].attrs["units"] = "years"
    return out


@pytest.fixture(autouse=True)
def _no_pyplot():
    """Let figures go with their tests: those of pyplot would stay."""
    before = sys.modules.pop("matplotlib.pyplot", None)
    yield
    sys.modules.pop("matplotlib.pyplot", None)  # which a test has imported
    if before is not None:
        sys.modules["matplotlib.pyplot"] = before


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def line(ax, label):
    return next(found for found in ax.lines if found.get_label() == label)


def band(ax, label):
    """Return times, low and high ends of a filled band."""
    found = next(part for part in ax.collections if part.get_label() == label)
    corners = found.get_paths()[0].vertices
    times = np.unique(corners[:, 0])
    ends = [corners[corners[:, 0] == t, 1] for t in times]
    return times, np.array([e.min() for e in ends]), np.array([e.max() for e in ends])


# --- fan -------------------------------------------------------------------------------------


def test_a_fan_shows_quantiles_of_all_paths(ds):
    ax = mz.plot.fan(ds)
    table = mz.reduce(ds, mz.Quantile(LEVELS)).x_quantile
    for label, low, high in (("90% of paths", 0.05, 0.95), ("50% of paths", 0.25, 0.75)):
        times, bottom, top = band(ax, label)
        assert times == pytest.approx(ds.time.values)
        assert bottom == pytest.approx(table.sel(quantile=low).values)
        assert top == pytest.approx(table.sel(quantile=high).values)
    assert (line(ax, "median").get_ydata() == table.sel(quantile=0.5).values).all()
    assert legend(ax) == ["90% of paths", "50% of paths", "median"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time [years]", "price [USD]")
    assert ax.get_xlim() == (0.0, 1.0)


def test_the_single_paths_of_a_fan_are_paths_and_a_seed_chooses_them(ds):
    values = ds.x.values
    rows = [found.get_ydata() for found in mz.plot.fan(ds, samples=5).lines[:-1]]
    assert len(rows) == 5
    chosen = [int(np.flatnonzero((values == row).all(axis=1))[0]) for row in rows]
    assert chosen == sorted(chosen)
    assert max(chosen) >= 1024, "from all of them, not the first ones"
    again = mz.plot.fan(ds, samples=5).lines[0].get_ydata()
    other = mz.plot.fan(ds, samples=5, seed=1).lines[0].get_ydata()
    assert (again == rows[0]).all()
    assert not (other == rows[0]).all()
    assert len(mz.plot.fan(ds, samples=0).lines) == 1


def test_simulated_stored_and_streamed_paths_give_one_fan(ds, tmp_path):
    mz.write(ds, tmp_path / "paths.zarr")
    last = list(mz.stream(ds, mz.Quantile(LEVELS)))[-1]
    stored, plain = mz.open(tmp_path / "paths.zarr"), xr.open_zarr(tmp_path / "paths.zarr")
    first = mz.plot.fan(ds)
    for data, count in (
        (stored, 6), (plain, 6), (plain.x, 6), (ds.compute(), 6), (last, 0), (last.dataset, 0),
    ):  # fmt: skip
        ax = mz.plot.fan(data)
        for label in ("90% of paths", "50% of paths"):
            for a, b in zip(band(ax, label), band(first, label), strict=True):
                assert (a == b).all()
        assert ax.get_ylabel() == "price [USD]"
        singles = [found.get_ydata() for found in ax.lines[:-1]]
        assert len(singles) == count
        for row, expected in zip(singles, first.lines[:-1], strict=False):
            assert (row == expected.get_ydata()).all()


def test_an_expression_on_paths_and_a_part_of_the_times_has_its_fan(ds):
    part = np.log(ds.x).isel(time=slice(1, None, 2)).rename("log")
    ax = mz.plot.fan(part, quantiles=[0.1, 0.9], samples=2)
    _, low, high = band(ax, "80% of paths")
    table = mz.reduce(part, mz.Quantile([0.1, 0.9])).log_quantile
    assert low == pytest.approx(table.sel(quantile=0.1).values)
    assert high == pytest.approx(table.sel(quantile=0.9).values)
    rows = part.values
    for found in ax.lines:
        assert (rows == found.get_ydata()).all(axis=1).any()


def test_levels_of_a_result_are_those_that_it_has(ds):
    found = mz.reduce(ds, mz.Quantile([0.1, 0.5, 0.9]))
    assert legend(mz.plot.fan(found)) == ["80% of paths", "median"]
    assert legend(mz.plot.fan(found, quantiles=[0.1, 0.9])) == ["80% of paths"]
    with pytest.raises(ValueError, match=r"quantiles: .*0\.1, 0\.5, 0\.9"):
        mz.plot.fan(found, quantiles=[0.2, 0.8])
    with pytest.raises(ValueError, match="data: expected one result <variable>_quantile"):
        mz.plot.fan(mz.reduce(ds, "mean"))


def test_texts_and_axes_that_are_given_are_used(ds):
    picture = mz.plot.figure()
    given = picture.add_subplot()
    ax = mz.plot.fan(ds, ax=given, title="Title", xlabel="X", ylabel="")
    assert ax is given
    assert (ax.get_title(loc="left"), ax.get_xlabel(), ax.get_ylabel()) == ("Title", "X", "")


def test_batch_samplers_and_initial_states_per_path_give_the_same_single_paths():
    class Walk:
        def sample_paths(self, n, T, x0, rng):
            return np.asarray(x0)[..., None] + rng.normal(size=(n, T + 1)).cumsum(axis=1)

    for made in (
        mz.simulate(Walk(), n_paths=3000, T=3, x0=np.arange(3000.0), seed=1),
        mz.simulate(lambda rng: rng.normal(size=4), n_paths=40, seed=1),
        run(2500, mz.Heston(mu=0.0, kappa=1.0, theta=0.04, xi=0.3, rho=-0.5), x0=[100.0, 0.04])[
            "s"
        ],
    ):
        array = made if isinstance(made, xr.DataArray) else made[next(iter(made.data_vars))]
        values = array.values
        for found in mz.plot.paths(array, n=7, mean=False, band=None).lines:
            index = int(found.get_label().split()[-1])
            assert (values[index] == found.get_ydata()).all()


# --- paths -----------------------------------------------------------------------------------


def test_paths_have_the_mean_and_the_band_of_all(ds):
    ax = mz.plot.paths(ds, n=9, band=0.8)
    found = mz.reduce(ds, [mz.Mean(), mz.Quantile([0.1, 0.9])])
    _, low, high = band(ax, "80% of paths")
    assert low == pytest.approx(found.x_quantile.values[:, 0])
    assert high == pytest.approx(found.x_quantile.values[:, 1])
    assert (line(ax, "mean").get_ydata() == found.x_mean.values).all()
    singles = [found for found in ax.lines if found.get_label().startswith("_path")]
    assert len(singles) == 9
    for single in singles:
        index = int(single.get_label().split()[1])
        assert (single.get_ydata() == mz.replay(ds, index).x.values).all()


def test_single_paths_alone_take_no_pass_over_the_rest():
    huge = run(10**12, T=10)
    ax = mz.plot.paths(huge, n=3, mean=False, band=None)
    assert len(ax.lines) == 3
    assert ax.get_legend() is None


def test_there_are_no_more_single_paths_than_paths():
    assert len(mz.plot.paths(run(4), n=20, mean=False, band=None).lines) == 4


def test_masked_paths_are_gaps_and_no_numbers():
    def sampler(rng):
        value = rng.integers(10)
        if value < 3:
            raise ValueError(value)
        return np.full(3, value)

    made = mz.simulate(sampler, n_paths=30, seed=3, on_error="mask")
    with mz.backend("synchronous"), pytest.warns(mz.MontezarrWarning):
        ax = mz.plot.paths(made, n=30, mean=True, band=None)
    rows = np.array([found.get_ydata() for found in ax.lines[:-1]])
    gone = np.isnan(rows).all(axis=1)
    assert 0 < gone.sum() < 30
    assert rows[~gone].min() >= 3
    assert ax.lines[-1].get_ydata()[0] == pytest.approx(rows[~gone, 0].mean())


# --- figures ---------------------------------------------------------------------------------


def test_without_pyplot_a_figure_is_nobodys_and_else_pyplot_can_show_it(ds, monkeypatch):
    plt = pytest.importorskip("matplotlib.pyplot")
    before = plt.get_fignums()
    shown = mz.plot.fan(ds).figure
    assert plt.get_fignums() == [*before, shown.number]
    plt.close(shown)
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot")
    alone = mz.plot.fan(ds).figure
    assert "matplotlib.pyplot" not in sys.modules
    assert plt.get_fignums() == before
    for picture in (shown, alone):
        assert picture.get_size_inches().tolist() == [8.0, 4.5]
        assert picture.get_layout_engine() is not None


def test_without_matplotlib_the_line_that_installs_it(ds, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    calls = [mz.plot.figure, mz.plot.require, lambda: mz.plot.fan(ds), lambda: mz.plot.paths(ds)]
    calls += [lambda: mz.plot.histogram(ds, time=1.0), lambda: mz.plot.save_fan(ds, "a.png")]
    calls += [lambda: ds.mz.plot.convergence()]
    for call in calls:
        with pytest.raises(mz.MissingDependencyError, match=r'pip install "montezarr\[plot\]"'):
            call()


def test_the_page_on_plots_shows_the_pictures_that_its_code_draws():
    images = Path(__file__).parents[1] / "docs/img"
    page = (images.parent / "how-to/plots.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"\]\(\.\./img/(plot-.*?\.png)\)", page))
    assert shown == {file.name for file in images.glob("plot-*.png")}
    for name in ("fan", "paths", "density", "histogram", "convergence", "compare"):
        assert f"plot-{name}.png" in shown


def test_a_fan_is_saved(ds, tmp_path):
    mz.plot.save_fan(ds.x, tmp_path / "fan.png", title="A fan")
    assert (tmp_path / "fan.png").read_bytes()[:4] == b"\x89PNG"
    held = io.BytesIO()
    mz.plot.save_fan(ds.x, held)
    assert held.getvalue()[:4] == b"\x89PNG"
    with pytest.raises(FileNotFoundError, match="nowhere"):  # before it is found out without end
        mz.plot.save_fan(run(None), tmp_path / "nowhere" / "fan.png")


def test_a_result_is_called_as_its_paths_are(ds):
    rate = ds.x.rename("my_rate").assign_attrs(long_name="short_rate", units="1/year")
    found = mz.reduce(rate, [mz.Quantile(LEVELS), mz.Mean()])
    assert found.my_rate_mean_se.attrs["long_name"] == "short_rate mean se"
    assert (
        mz.plot.fan(found).get_ylabel() == mz.plot.fan(rate).get_ylabel() == ("short_rate [1/year]")
    )
    plain = rate.drop_attrs()
    found = mz.reduce(plain, mz.Quantile(LEVELS))
    assert mz.plot.fan(found).get_ylabel() == mz.plot.fan(plain).get_ylabel() == "my_rate"


def test_the_accessor_says_which_pictures_there_are(ds):
    text = str(ds.mz.plot)
    for name in ("compare", "convergence", "density", "fan", "histogram", "paths"):
        assert f"  .{name}(…)" in text
        assert name in ds.x.mz.plot._repr_html_()


def test_the_accessor_forwards(ds):
    assert legend(ds.mz.plot.fan(samples=0)) == legend(mz.plot.fan(ds, samples=0))
    assert len(ds.x.mz.plot.paths(n=2, band=None, mean=False).lines) == 2
    payoff = (ds.x.isel(time=-1) - 105).clip(min=0).rename("payoff")
    assert len(payoff.mz.plot.histogram(bins=7).patches[0].get_data().values) == 7
    assert payoff.mz.plot.convergence(
        ["mean", "std"], "payoff_mean", until=mz.PathCount(2048)
    ).lines


# --- errors ----------------------------------------------------------------------------------

DS = run(50)
TWO = DS.assign(y=DS.x)
SNAPSHOT = list(mz.stream(run(2048), mz.Mean()))[-1]

ROWS = [
    (lambda: mz.plot.fan(1), TypeError, "data"),
    (lambda: mz.plot.fan(xr.Dataset()), ValueError, "data"),
    (lambda: mz.plot.fan(TWO), ValueError, r"data: .*ds\['x'\]"),
    (lambda: mz.plot.fan(DS.x.isel(time=0)), ValueError, "data: .*histogram"),
    (lambda: mz.plot.fan(DS.x.isel(path=slice(0))), ValueError, "data"),
    (lambda: mz.plot.fan(run(None)), ValueError, "data: .*n_paths=None"),
    (lambda: mz.plot.fan(SNAPSHOT), ValueError, "data: .*_quantile"),
    (lambda: mz.plot.fan(DS.x.astype(str)), TypeError, "data"),
    (lambda: mz.plot.fan(DS, quantiles=[0.9, 0.1]), ValueError, "quantiles"),
    (lambda: mz.plot.fan(DS, quantiles=[0.1, 0.5]), ValueError, "quantiles"),
    (lambda: mz.plot.fan(DS, quantiles=[0.0, 1.0]), ValueError, "quantiles"),
    (lambda: mz.plot.fan(DS, quantiles="median"), TypeError, "quantiles"),
    (lambda: mz.plot.fan(DS, samples=-1), ValueError, "samples"),
    (lambda: mz.plot.fan(DS, seed="a"), TypeError, "seed"),
    (lambda: mz.plot.fan(DS, ax=mz.plot.figure()), TypeError, "ax"),
    (lambda: mz.plot.paths(SNAPSHOT), TypeError, "data: .*no paths"),
    (lambda: mz.plot.paths(DS, n=0), ValueError, "n:"),
    (lambda: mz.plot.paths(DS, band=1.0), ValueError, "band"),
    (lambda: mz.plot.paths(DS, band=0), ValueError, "band"),
    (lambda: mz.plot.paths(DS, band=1e-18), ValueError, "band"),
    (lambda: mz.plot.paths(DS, title=["a"]), TypeError, "title"),
    (lambda: mz.plot.fan(DS, xlabel=object()), TypeError, "xlabel"),
    (lambda: mz.plot.convergence(SNAPSHOT, "x_mean", ylabel=1), TypeError, "ylabel"),
    (lambda: mz.plot.save_fan(run(None), 3), TypeError, "file"),
    (lambda: mz.plot.save_fan(run(None), "fan.xyz"), ValueError, r"file: .*\.png, \.pdf, \.svg"),
    (lambda: mz.plot.save_fan(run(None), b"fan"), TypeError, "file"),
    (lambda: mz.plot.save_fan(run(None), "fan.png", ax=None), TypeError, "ax"),
    (lambda: mz.plot.paths(DS, mean=1), TypeError, "mean"),
    (lambda: mz.plot.histogram(DS), ValueError, "data: .*time="),
    (lambda: mz.plot.histogram(DS, time=0.3), ValueError, r"time: .*nearest is 0\.25"),
    (lambda: mz.plot.histogram(DS, time="late"), ValueError, "time"),
    (lambda: mz.plot.histogram(DS, time=[0, 1, 2, 3, 4.0]), TypeError, "time"),
    (lambda: mz.plot.histogram(DS, time=np.datetime64("2026-01-01")), TypeError, "time"),
    (lambda: mz.plot.histogram(DS, time=1.0, range=(-1e308, 1e308)), ValueError, "range"),
    (lambda: mz.plot.histogram(DS.x.isel(time=0), time=1.0), ValueError, "data"),
    (lambda: mz.plot.histogram(DS, time=1.0, bins=0), ValueError, "bins"),
    (lambda: mz.plot.histogram(DS, time=1.0, range=(2, 1)), ValueError, "range"),
    (lambda: mz.plot.histogram(DS, time=1.0, range=3), ValueError, "range"),
    (lambda: mz.plot.histogram(DS, time=1.0, density=1), TypeError, "density"),
    (lambda: mz.plot.histogram(SNAPSHOT), ValueError, "data: .*_histogram"),
    (lambda: mz.plot.histogram(SNAPSHOT, time=1.0), ValueError, "time"),
    (lambda: mz.plot.histogram(DS.x.isel(time=1) * np.nan), ValueError, "data: .*finite"),
    (lambda: run(None).x.isel(time=1).mz.plot.convergence(), ValueError, "until"),
    (lambda: mz.plot.convergence(1), TypeError, "stream"),
    (lambda: mz.plot.convergence("mean"), TypeError, "stream"),
    (lambda: mz.plot.convergence([1]), TypeError, "stream"),
    (lambda: mz.plot.convergence([]), ValueError, "stream"),
    (lambda: mz.plot.convergence(mz.plot.Trace()), ValueError, "stream"),
    (lambda: mz.plot.convergence(SNAPSHOT), ValueError, r"stream: .*ds\.x\.isel\(time=-1\)"),
    (lambda: mz.plot.convergence(SNAPSHOT, "x_mean"), ValueError, "stream: .*one number"),
    (lambda: DS.mz.plot.convergence(), ValueError, r"stream: .*one number per path"),
    (lambda: DS.mz.plot.convergence("min"), ValueError, "stream: .*'none'"),
    (lambda: mz.plot.convergence(SNAPSHOT, "y_mean"), ValueError, "name"),
    (lambda: mz.plot.convergence(SNAPSHOT, 3), TypeError, "name"),
    (lambda: mz.plot.convergence(SNAPSHOT, "x_mean", target="1"), TypeError, "target"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), ROWS)
def test_what_cannot_be_drawn_is_told_at_the_call(call, kind, text):
    with pytest.raises(kind, match=text) as found:
        call()
    assert isinstance(found.value, mz.MontezarrError)
