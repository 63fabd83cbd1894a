"""Times that are dates, durations, labels or numbers of another unit: the run tells, or nobody."""

import datetime
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import montezarr as mz
from montezarr.core.errors import ArgumentValueError

T = 24
BRIDGE = mz.FirstPassage(0.3, bridge=0.2)
LIST = [datetime.date(2026, 1, 1) + datetime.timedelta(days=k) for k in range(T + 1)]


class OfAnotherCalendar:
    """A date as those of cftime: it can be compared and subtracted, and is none of Python's."""

    def __init__(self, day):
        self.day = day

    def __sub__(self, other):
        return self.day - other.day

    def __str__(self):
        return f"{self.day} in a calendar"


CALENDARS = {
    "days": np.array(LIST, "datetime64[ns]"),
    "seconds": np.array(LIST, "datetime64[s]"),
    "business days": pd.bdate_range("2026-01-01", periods=T + 1),
    "durations": pd.to_timedelta(np.arange(T + 1), "D"),
    "dates of Python": np.array(LIST, object),
    "another calendar": np.array([OfAnotherCalendar(day) for day in LIST], object),
    "text": [str(day) for day in LIST],
    "encoded": ("time", np.arange(T + 1.0), {"units": "days since 2026-01-01"}),
}
named = pytest.mark.parametrize("calendar", CALENDARS.values(), ids=CALENDARS)


@pytest.fixture(scope="module")
def ds():
    gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    return mz.simulate(gbm, n_paths=3000, T=T, dt=1 / T, x0=1.0, seed=1, chunks=1024)


@pytest.fixture(scope="module")
def log_price(ds):
    return np.log(ds)


@pytest.fixture(scope="module")
def wanted(log_price):
    found = mz.reduce(log_price, BRIDGE)
    assert 0.1 < found.x_first_passage_probability < 0.2
    return found


def assert_same_numbers(found, wanted):
    for name in wanted.data_vars:
        np.testing.assert_array_equal(found[name].values, wanted[name].values, err_msg=name)


@named
def test_a_bridge_is_per_unit_of_time_of_the_run(log_price, wanted, calendar, tmp_path):
    dated = log_price.assign_coords(time=calendar)
    for obj in (dated, dated.x, dated.compute(), dated.isel(path=slice(None)).chunk(path=1024)):
        found = mz.reduce(obj, BRIDGE)
        assert_same_numbers(found, wanted)
        assert found.x_first_passage_time.attrs["units"] == "unit of time of the run"
        assert found.x_first_passage_time.attrs["horizon"] == 1.0
        assert (found.time.values == dated.time.values).all()
    assert_same_numbers(mz.reduce(dated, BRIDGE, compute=False).compute(), wanted)
    *_, last = mz.stream(dated, BRIDGE)
    assert last["x_first_passage_probability"] == wanted.x_first_passage_probability


def test_what_a_function_makes_of_a_run_has_its_times(ds, wanted):
    calendar = CALENDARS["business days"]
    found = mz.reduce(ds, BRIDGE, transform=lambda d: np.log(d.x).assign_coords(time=calendar))
    assert_same_numbers(found, wanted)


@pytest.mark.parametrize("name", ["days", "durations", "encoded"])
def test_statistics_of_a_store_have_the_times_of_its_run(log_price, wanted, name, tmp_path):
    dated = log_price.assign_coords(time=CALENDARS[name])
    mz.write(dated, tmp_path / "a.zarr", statistics=BRIDGE)
    again = mz.open(tmp_path / "a.zarr")
    assert_same_numbers(mz.reduce(again, BRIDGE), wanted)
    beside = mz.open(tmp_path / "a.zarr", group="statistics")
    assert_same_numbers(beside, wanted)


@named
def test_where_nothing_tells_the_unit_a_bridge_is_refused(log_price, calendar):
    dated = log_price.assign_coords(time=calendar)
    cases = {
        "No run is known": dated.x.compute(),  # an array has no recipe
        "There are 10 times, without numbers, of the 25": dated.isel(time=slice(10)),
    }
    for reason, obj in cases.items():
        with pytest.raises(ArgumentValueError, match=f"bridge: expected None.*got 0.2. {reason}"):
            mz.reduce(obj, BRIDGE)
        with pytest.raises(ArgumentValueError, match=f"bridge: .*{reason}"):
            mz.stream(obj, BRIDGE)
        found = mz.reduce(obj, mz.FirstPassage(0.01, "up"))
        assert 0 < found.x_first_passage_probability < 1
        units = found.x_first_passage_time.attrs["units"]
        assert units in {"s", "steps", "days since 2026-01-01"}
        day = {"s": 86400.0, "steps": 1.0}.get(units, 1.0)
        steps = found.x_first_passage_time.item() / day
        assert 1 <= steps <= obj.sizes["time"] * 1.5


def test_the_coordinate_may_be_absent(log_price, wanted):
    bare = log_price.drop_vars("time")
    assert_same_numbers(mz.reduce(bare, BRIDGE), wanted)
    with pytest.raises(ArgumentValueError, match="without numbers, of the 25"):
        mz.reduce(bare.isel(time=slice(3, None)), BRIDGE)
    # Without a run a step is the unit of what has no coordinate.
    steps = xr.DataArray(log_price.x.values, dims=("path", "time"), name="x")
    found = mz.reduce(steps, mz.FirstPassage(0.3, bridge=0.2 / np.sqrt(T)))
    np.testing.assert_allclose(
        found.x_first_passage_probability, wanted.x_first_passage_probability, rtol=1e-12
    )
    np.testing.assert_allclose(
        found.x_first_passage_time, wanted.x_first_passage_time * T, rtol=1e-12
    )


def test_numbers_of_another_unit_than_the_run_are_refused(log_price, wanted):
    in_days = log_price.assign_coords(time=log_price.time * 252)
    for obj in (in_days, in_days.x, in_days.compute(), in_days.isel(time=slice(1, None, 2))):
        with pytest.raises(ArgumentValueError, match="bridge: expected None"):
            mz.reduce(obj, BRIDGE)
    with pytest.raises(ArgumentValueError, match="none is so short in the run"):
        mz.reduce(log_price.assign_coords(time=log_price.time / 60).isel(time=slice(9)), BRIDGE)
    # Its own numbers count where nobody knows better; a constant, or rounding, changes no step.
    by_days = mz.FirstPassage(0.3, bridge=0.2 / np.sqrt(252))
    found = mz.reduce(in_days.x.compute(), by_days)
    np.testing.assert_allclose(
        found.x_first_passage_time, 252 * wanted.x_first_passage_time, rtol=1e-9
    )
    for times in (log_price.time + 2026, log_price.time.astype("float32")):
        found = mz.reduce(log_price.assign_coords(time=times), BRIDGE)
        np.testing.assert_allclose(
            found.x_first_passage_probability, wanted.x_first_passage_probability, rtol=1e-5
        )
    part = log_price.isel(time=slice(None, None, 3))
    assert mz.reduce(part, BRIDGE).x_first_passage_probability > 0.1


def test_units_of_the_coordinate_are_those_of_passage_times(log_price):
    given = log_price.assign_coords(time=log_price.time.assign_attrs(units="years"))
    found = mz.reduce(given, [BRIDGE, mz.TimeAverage()])
    assert found.x_first_passage_time.attrs["units"] == "years"
    assert found.x_first_passage_time_se.attrs["units"] == "years"
    assert "units" not in found.x_time_average.attrs
    plain = mz.reduce(log_price, BRIDGE).x_first_passage_time
    assert "units" not in plain.attrs
    assert plain.attrs["comment"].startswith("in the units of the coordinate time")


@named
def test_averages_over_dates_weigh_by_the_times_of_the_run(log_price, calendar):
    uneven = mz.simulate(
        mz.BrownianMotion(), n_paths=500, times=np.linspace(0, 1, T + 1) ** 2, seed=2
    )
    dated = uneven.assign_coords(time=calendar)
    for statistic in (mz.TimeAverage(), mz.TimeAverage("step"), mz.Drawdown()):
        assert_same_numbers(mz.reduce(dated, statistic), mz.reduce(uneven, statistic))


def test_dates_without_a_run_are_as_far_apart_as_they_are():
    days = np.array([0, 1, 4], "timedelta64[D]")
    x = xr.DataArray([[0.0, 1.0, 1.0]] * 2, dims=("path", "time"), name="x")
    for times in (np.datetime64("2026-01-01", "ns") + days, days):
        found = mz.reduce(x.assign_coords(time=times), mz.TimeAverage())
        assert found.x_time_average == pytest.approx((0.5 + 3) / 4)
    python = np.array([datetime.date(2026, 1, 1) + datetime.timedelta(d) for d in (0, 1, 4)])
    found = mz.reduce(x.assign_coords(time=("time", python)), mz.TimeAverage())
    assert found.x_time_average == pytest.approx((0.5 + 3) / 4)


def test_a_kept_part_of_the_grid_has_its_own_times(wanted):
    gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    kept = mz.simulate(gbm, n_paths=3000, T=T, dt=1 / T, x0=1.0, seed=1, keep=range(0, T + 1, 6))
    days = np.datetime64("2026-01-01", "ns") + np.arange(5) * np.timedelta64(6, "D")
    plain = np.log(kept)
    for dated in (plain.assign_coords(time=days), plain.assign_coords(time=days).compute()):
        assert_same_numbers(mz.reduce(dated, BRIDGE), mz.reduce(plain, BRIDGE))


@pytest.mark.parametrize(
    "recipe",
    [
        "",
        "{}",
        "[]",
        '{"grid": {"T": 9}}',
        '{"grid": {"T": 1e18, "dt": 1}}',
        '{"grid": {"times": 3}}',
        '{"grid": {"T": 4, "dt": 1}, "keep": [7]}',
        '{"grid": {"times": [["a"]]}}',
    ],
)
def test_a_recipe_that_says_nothing_of_times_is_none(recipe):
    x = xr.DataArray(np.zeros((3, 4)), dims=("path", "time"), name="x")
    days = np.datetime64("2026-01-01", "ns") + np.arange(4) * np.timedelta64(1, "D")
    made = x.assign_coords(time=days).to_dataset().assign_attrs(montezarr=recipe)
    with pytest.raises(ArgumentValueError, match="No run is known"):
        mz.reduce(made, BRIDGE)


def test_states_of_earlier_passage_times_are_not_taken_up(log_price):
    """They hold times in the middle of the step; those on the grid mean what they did."""
    from montezarr.reduction.passes import prepare_reduction

    for statistic, code in ((BRIDGE, "revision 1"), (mz.FirstPassage(0.3), "")):
        (_, layout) = prepare_reduction(log_price, statistic, "path", None, None)
        assert layout.identity()["statistics"][0][-1][0]["code"] == code


# Pictures.


@pytest.fixture(autouse=True)
def _no_pyplot(monkeypatch):
    """Let figures go with their tests: those of pyplot would stay."""
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)


@named
def test_a_closed_form_is_that_of_the_time_of_the_run(ds, calendar):
    dated = ds.assign_coords(time=calendar)
    plain = mz.plot.histogram(ds, time=0.5).lines[0].get_ydata()
    shown = [mz.plot.histogram(dated.x.isel(time=T // 2))]
    if dated.time.dtype.kind in "mM":
        shown.append(mz.plot.histogram(dated, time=dated.time.values[T // 2]))
    for ax in shown:
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), plain)
    in_days = ds.assign_coords(time=ds.time * 2)  # 1.0 is there in both units
    np.testing.assert_array_equal(mz.plot.histogram(in_days, time=1.0).lines[0].get_ydata(), plain)
    # Of what is no time of the run, there is none.
    assert not mz.plot.histogram(2 * dated.x.isel(time=3)).lines


@pytest.mark.parametrize("draw", [mz.plot.fan, mz.plot.paths, mz.plot.density])
@named
def test_the_axis_of_times_says_its_unit(ds, calendar, draw):
    dated = ds.assign_coords(time=calendar)
    kind = dated.time.dtype.kind
    if kind == "U" and draw is mz.plot.density:
        with pytest.raises(TypeError, match="data: expected times that are numbers or dates"):
            draw(dated)
        return
    ax = draw(dated)
    ax.figure.canvas.draw()
    text = "time"
    if kind == "m":
        text = "time [days]"
    if dated.time.attrs:
        text = "time [days since 2026-01-01]"
    if isinstance(dated.time.values[0], OfAnotherCalendar):
        text = "time [days since 2026-01-01 in a calendar]"
    assert ax.get_xlabel() == text
    if "[" in text and draw is not mz.plot.density:
        assert ax.get_xlim() == (0, T)
    results = mz.reduce(dated, mz.Quantile([0.1, 0.5, 0.9]))
    assert mz.plot.fan(results).get_xlabel() == text


def test_the_axis_of_durations_begins_where_they_do(ds):
    for unit, text in (("h", "hours"), ("m", "minutes"), ("s", "s"), ("ms", "ms"), ("us", "us")):
        times = (3 + np.arange(T + 1)).astype(f"timedelta64[{unit}]").astype("timedelta64[ns]")
        ax = mz.plot.fan(ds.assign_coords(time=times))
        assert ax.get_xlabel() == f"time [{text}]"
        assert ax.get_xlim() == pytest.approx((3, T + 3))
    assert mz.plot.fan(ds.drop_vars("time")).get_xlabel() == "time [steps]"
    compared = mz.plot.compare(ds.assign_coords(time=times), ds.assign_coords(time=times))
    assert compared.get_xlabel() == "time [us]"
