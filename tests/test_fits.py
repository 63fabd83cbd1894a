"""Fits of short series: intervals that hold the truth, and times as they are."""

import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import montezarr as mz
from montezarr.processes import _quantiles

GBM = mz.GeometricBrownianMotion(mu=0.1, sigma=0.3)
OU = mz.OrnsteinUhlenbeck(theta=2.0, mu=1.0, sigma=0.5)


def series_of(process, n, dt, repeats, x0=1.0):
    return mz.simulate(process, repeats, n, x0, dt=dt, seed=0).x.values


def check_covers(fits, **truth):
    """Hold the share of intervals with the truth in it to the rule of all coverages here."""
    for name, value in truth.items():
        within = np.mean([low <= value <= high for low, high in (f.intervals[name] for f in fits)])
        assert within >= 0.93 - 3 * np.sqrt(0.95 * 0.05 / len(fits)), (name, within)


@pytest.mark.parametrize("n", [2, 3, 10, 100])
def test_intervals_of_gbm_hold_for_a_few_returns(n):
    fits = [mz.GeometricBrownianMotion.fit(p, dt=1 / 252) for p in series_of(GBM, n, 1 / 252, 400)]
    check_covers(fits, mu=0.1, sigma=0.3)


def ou_fit(values, **options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "values: n . theta . dt is small")
        return mz.OrnsteinUhlenbeck.fit(values, **options)


@pytest.mark.slow
@pytest.mark.parametrize("years", [1, 5, 20])
def test_intervals_of_ou_hold_for_a_few_years_of_days(years):
    fits = []
    for values in series_of(OU, 252 * years, 1 / 252, 200):
        try:
            fits.append(ou_fit(values, dt=1 / 252))
        except mz.ArgumentValueError:  # it does not revert at all: there is no fit
            continue
    assert len(fits) > 190
    check_covers(fits, theta=2.0, mu=1.0, sigma=0.5)


def test_one_year_says_little_of_a_reversion_and_the_fit_says_so():
    values = series_of(OU, 252, 1 / 252, 1)[0]
    with pytest.warns(mz.MontezarrWarning, match=r"n \* theta \* dt is small") as caught:
        fit = mz.OrnsteinUhlenbeck.fit(values, dt=1 / 252)
    assert caught[0].filename == __file__
    low, high = fit.intervals["theta"]
    assert low <= 2.0 <= high
    assert high - low > 4  # four over the year is the bias alone
    assert str(fit).count("within [") == 3
    assert ou_fit(values, dt=1 / 252) == fit  # what is simulated has one seed


def test_a_long_series_has_intervals_near_those_of_its_standard_errors():
    values = series_of(OU, 20_000, 0.1, 1)[0]
    fit = mz.OrnsteinUhlenbeck.fit(values, dt=0.1)
    for name, error in fit.standard_errors.items():
        low, high = fit.intervals[name]
        assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.05), name
        assert low < getattr(fit.process, name) < high


def test_a_transition_that_was_never_seen_may_be():
    fit = mz.MarkovChain.fit(["a", "b"] * 10)
    assert fit.process.transition == ((0.0, 1.0), (1.0, 0.0))
    for row, intervals in zip(
        fit.standard_errors["transition"], fit.intervals["transition"], strict=True
    ):
        assert all(error > 0.05 for error in row)
        assert sorted(low for low, _ in intervals)[0] == 0.0
        assert sorted(high for _, high in intervals)[0] == pytest.approx(0.3, abs=0.06)
    assert mz.MarkovChain.fit(["a"] * 9).intervals["transition"] == (((1.0, 1.0),),)


def test_intervals_of_small_transitions_hold():
    chain = mz.MarkovChain(transition=[[0.99, 0.01], [0.5, 0.5]])
    rows = mz.simulate(chain, 300, 120, seed=0).x.values
    inside = []
    for row in rows:
        if 1 in row[:-1]:
            low, high = mz.MarkovChain.fit(row, states=[0, 1]).intervals["transition"][0][1]
            inside.append(low <= 0.01 <= high)
    assert np.mean(inside) > 0.9  # of those in which it was seen


def test_quantiles_are_those_of_scipy():
    for p in (0.025, 0.3, 0.975):
        for df in (1, 2, 9, 252, 5030):
            assert _quantiles.t_quantile(p, df) == pytest.approx(stats.t.ppf(p, df), rel=1e-9)
            wanted = stats.chi2.ppf(p, df)
            assert _quantiles.chi_square_quantile(p, df) == pytest.approx(wanted, rel=1e-9)
        for a, b in ((0.5, 2), (3, 4), (1000, 5), (0.5, 5000)):
            assert _quantiles.beta_quantile(p, a, b) == pytest.approx(stats.beta.ppf(p, a, b))


def test_quantiles_of_many_degrees_of_freedom_are_those_of_scipy():
    for p in (0.025, 0.95, 0.975):
        for df in (99_999, 100_001, 10**6, 10**8, 10**10):
            found = _quantiles.chi_square_quantile(p, df)
            assert found == pytest.approx(stats.chi2.ppf(p, df), abs=1e-6 * np.sqrt(2 * df)), df
            assert _quantiles.t_quantile(p, df) == pytest.approx(stats.t.ppf(p, df), rel=1e-9)
        for a, b in ((5, 1e9), (1e5, 1e8), (2e5, 3e5), (5e8, 5e8), (1e8, 0.5)):
            wanted, error = stats.beta.ppf(p, a, b), stats.beta.std(a, b)
            assert _quantiles.beta_quantile(p, a, b) == pytest.approx(wanted, abs=1e-5 * error)


def test_a_series_that_does_not_converge_is_no_quantile(monkeypatch):
    monkeypatch.setattr(_quantiles, "FRACTION_STEPS", 5)
    with pytest.raises(ArithmeticError):
        _quantiles._gamma_cdf(2e4, 2e4 + 1)
    with pytest.raises(ArithmeticError):
        _quantiles._gamma_cdf(2e4, 2e4 - 1)
    with pytest.raises(ArithmeticError):
        _quantiles._beta_cdf(0.5, 2e4, 2e4)


# Estimates and their intervals.


def any_series(kind, n, rng):
    """Return a series of one kind, or of the Ornstein-Uhlenbeck process at a theta dt."""
    noise = rng.standard_normal(n + 1)
    if kind == "iid":
        return noise
    if kind == "trend":
        return 0.3 * np.arange(n + 1) + noise
    if kind == "growth":
        return np.exp(0.1 * np.arange(n + 1)) + 0.1 * noise
    if kind == "decay":
        return np.exp(-0.1 * np.arange(n + 1)) + 1e-3 * noise
    slope, out = np.exp(-kind), [noise[0]]
    for one in noise[1:]:
        out.append(slope * out[-1] + np.sqrt(1 - slope**2) * one)
    return np.array(out)


@pytest.mark.parametrize("kind", ["iid", "trend", "growth", "decay", 0.0, 0.01, 0.5, 2.0, 4.0])
@pytest.mark.parametrize("irregular", [False, True])
def test_every_estimate_lies_in_its_interval(kind, irregular):
    rng = np.random.default_rng(0)
    fits = 0
    for n in (3, 4, 8, 20, 100, 300):
        repeats = 6 if irregular else 20
        for _ in range(repeats if n <= 20 else repeats // 3):  # those of short series are rough
            values = any_series(kind, n, rng) * 10.0 ** rng.integers(-8, 8)
            values = values + rng.choice([0.0, 1e3, -1e9])
            times = np.cumsum(np.exp(0.5 * rng.standard_normal(n + 1)))
            options = {"times": times} if irregular else {"dt": 0.5}
            for correct in (True, False):
                try:
                    fit = ou_fit(values, bias_correction=correct, **options)
                except mz.ArgumentValueError:
                    continue
                fits += 1
                for name, (low, high) in fit.intervals.items():
                    value = getattr(fit.process, name)
                    assert low <= value <= high, (name, n, value, low, high)
    assert fits > 0 or kind in ("trend", "growth", 0.0)


@pytest.mark.parametrize(("theta", "dt", "n"), [(3.0, 1.0, 250), (4.0, 0.5, 100), (0.5, 1.0, 20)])
def test_the_correction_of_theta_makes_no_fit_worse(theta, dt, n):
    process = mz.OrnsteinUhlenbeck(theta=theta, mu=1.0, sigma=0.5)
    corrected, plain = [], []
    for values in series_of(process, n, dt, 200):
        try:
            corrected.append(ou_fit(values, dt=dt).process.theta)
        except mz.ArgumentValueError:
            continue
        plain.append(ou_fit(values, dt=dt, bias_correction=False).process.theta)
    errors = [np.sqrt(np.mean((np.array(t) - theta) ** 2)) for t in (corrected, plain)]
    assert errors[0] <= errors[1]
    assert np.median(corrected) == pytest.approx(theta, rel=0.2)


def test_values_that_may_revert_within_a_step_have_no_upper_end_of_theta():
    unbounded = 0
    for seed in range(20):
        values = np.random.default_rng(seed).standard_normal(301)
        times = np.cumsum(np.random.default_rng(seed).uniform(0.5, 1.5, 301))
        for options in ({"dt": 1.0}, {"times": times}):
            try:
                fit = ou_fit(values, **options)
            except mz.ArgumentValueError:
                continue
            unbounded += fit.intervals["theta"][1] == fit.intervals["sigma"][1] == np.inf
    assert unbounded >= 10


@pytest.mark.parametrize("options", [{"dt": 1.0}, {"times": np.cumsum(np.geomspace(0.5, 1.5, 60))}])
def test_a_refusal_says_whether_values_revert_too_fast_or_not_at_all(options):
    fast = (-1.0) ** np.arange(60) + 0.01 * np.random.default_rng(0).standard_normal(60)
    with pytest.raises(mz.ArgumentValueError, match="shorter steps"):
        ou_fit(fast, **options)
    with pytest.raises(mz.ArgumentValueError, match="Fit a BrownianMotion"):
        ou_fit(np.arange(60.0) ** 2, **options)
    with pytest.raises(mz.ArgumentValueError, match="all the same"):
        ou_fit(np.full(60, 0.1), **options)


@pytest.mark.parametrize("scale", [1e-170, 1.0, 1e150])
def test_values_without_noise_at_irregular_times_are_known(scale):
    times = np.cumsum(np.random.default_rng(0).uniform(0.05, 0.3, 50))
    fit = mz.OrnsteinUhlenbeck.fit(scale * np.exp(-times), times=times)
    assert fit.process.theta == pytest.approx(1.0)
    assert fit.intervals["theta"] == (fit.process.theta, fit.process.theta)
    assert fit.process.mu == pytest.approx(0.0, abs=1e-12 * scale)


@pytest.mark.parametrize(("n", "dt"), [(252, 1 / 252), (5000, 0.1), (20, 0.3)])
def test_irregular_times_near_equal_ones_give_the_same_fit(n, dt):
    values = series_of(OU, n, dt, 1)[0]
    times = dt * np.arange(n + 1)
    times[1:-1] += 1e-6 * dt * np.random.default_rng(0).standard_normal(n - 1)
    equal, near = ou_fit(values, dt=dt), ou_fit(values, times=times)
    for name in equal.intervals:
        value = getattr(equal.process, name)
        assert getattr(near.process, name) == pytest.approx(value, rel=1e-3)
        assert near.standard_errors[name] == pytest.approx(equal.standard_errors[name], rel=0.02)
        assert near.intervals[name] == pytest.approx(equal.intervals[name], rel=0.05, abs=0.01)


# Times.

FITS = {"prices": mz.GeometricBrownianMotion.fit, "values": ou_fit}
DAYS = np.array([0.0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 14, 15, 16, 17, 18, 21, 22, 23, 24, 25]) / 10


@pytest.mark.parametrize("name", FITS)
def test_times_at_equal_steps_are_a_step(name):
    values = series_of(OU, 200, 0.25, 1)[0] + 10
    times = np.arange(201) * 0.25
    wanted = FITS[name](values, dt=0.25)
    assert FITS[name](values, times=times) == wanted
    assert FITS[name](xr.DataArray(values, {"time": times}, ["time"])) == wanted
    assert FITS[name](xr.DataArray(values, {"time": times}, ["time"]), dt=0.25) == wanted
    assert FITS[name](xr.DataArray(values, dims=["time"])) == FITS[name](values, dt=1.0)


def test_a_simulated_path_is_fitted_at_its_own_times():
    ds = mz.simulate(OU, 1, 2000, dt=0.05, seed=1)
    assert mz.OrnsteinUhlenbeck.fit(ds.x[0]) == mz.OrnsteinUhlenbeck.fit(ds.x[0].values, dt=0.05)


def test_irregular_times_are_taken_as_they_are():
    times = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.4, 3001))
    x = mz.simulate(GBM, 100, times=times, x0=1.0, seed=0).x.values
    fits = [mz.GeometricBrownianMotion.fit(p, times=times) for p in x]
    check_covers(fits, mu=0.1, sigma=0.3)
    x = mz.simulate(OU, 20, times=times, seed=0).x.values
    fits = [mz.OrnsteinUhlenbeck.fit(p, times=times) for p in x]
    check_covers(fits, theta=2.0, mu=1.0, sigma=0.5)
    for name, value in (("theta", 2.0), ("mu", 1.0), ("sigma", 0.5)):
        assert np.mean([getattr(f.process, name) for f in fits]) == pytest.approx(value, rel=0.05)


@pytest.mark.parametrize("name", FITS)
def test_times_that_do_not_fit_are_refused(name):
    values = np.exp(0.1 * np.random.default_rng(0).standard_normal(20))
    dates = np.datetime64("2026-01-05", "ns") + (DAYS * 10).astype("timedelta64[D]")
    dated = xr.DataArray(values, {"time": dates}, ["time"])
    timed = xr.DataArray(values, {"time": DAYS}, ["time"])
    fit = FITS[name]
    for arguments, options, message in (
        ((values,), {"dt": 0.1, "times": DAYS}, "dt or times, not both"),
        ((values,), {"times": DAYS[::-1]}, "times that increase"),
        ((values,), {"times": DAYS[:-1]}, "20 times, one for each value"),
        ((timed,), {"dt": 0.1}, "the step of the times"),
        ((timed,), {"times": DAYS + 1}, "those that"),
        ((timed[::-1],), {}, "times that increase"),
        ((dated,), {}, "in which unit of time"),
        ((dated[::-1],), {"dt": 1 / 252}, "dates that increase"),
    ):
        with pytest.raises(mz.ArgumentValueError, match=message):
            fit(*arguments, **options)
    assert fit(dated, times=DAYS) == fit(values, times=DAYS) == fit(timed)


@pytest.mark.parametrize("index", ["naive", "zoned", "periods", "durations"])
def test_dates_of_a_series_are_used_or_refused(index):
    values = np.exp(0.1 * np.random.default_rng(0).standard_normal(20))
    labels = {
        "naive": pd.date_range("2026-03-20", periods=20),
        "zoned": pd.date_range("2026-03-20", periods=20, tz="Europe/Berlin"),
        "periods": pd.period_range("2026-01", periods=20, freq="M"),
        "durations": pd.timedelta_range("1 day", periods=20),
    }[index]
    dated = pd.Series(values, labels)
    for fit in FITS.values():
        for series in (dated, dated.to_frame()):
            assert fit(series, dt=1 / 252) == fit(values, dt=1 / 252)
            assert fit(series, times=DAYS) == fit(values, times=DAYS)
            with pytest.raises(mz.ArgumentValueError, match="in which unit of time"):
                fit(series)
            for wrong in (series[::-1], series.iloc[[0, 2, 1, *range(3, 20)]]):
                with pytest.raises(mz.ArgumentValueError, match="dates that increase"):
                    fit(wrong, dt=1 / 252)
    words = dated.round().astype(int).clip(1, 2)
    assert mz.MarkovChain.fit(words) == mz.MarkovChain.fit(list(words))
    with pytest.raises(mz.ArgumentValueError, match="dates that increase"):
        mz.MarkovChain.fit(words[::-1])


@pytest.mark.parametrize("name", FITS)
def test_a_count_of_the_values_is_no_time(name):
    values = np.exp(0.1 * np.random.default_rng(0).standard_normal(20))
    fit, wanted = FITS[name], FITS[name](values, dt=1 / 252)
    for labels in (np.arange(20), np.arange(1.0, 21.0), np.arange(2000, 2020), list("abcde" * 4)):
        day = xr.DataArray(values, {"day": labels}, ["day"])
        assert fit(day, dt=1 / 252) == fit(pd.Series(values, labels), dt=1 / 252) == wanted
        assert fit(day) == fit(pd.Series(values, labels)) == fit(values)
    timed = xr.DataArray(values, {"day": np.arange(20), "time": ("day", DAYS)}, ["day"])
    whole = pd.Series(values, pd.Index(np.arange(0, 40, 2), name="time"))
    assert fit(timed) == fit(values, times=DAYS)
    assert fit(whole) == fit(values, dt=2.0)
    with pytest.raises(mz.ArgumentValueError, match="the step of the times"):
        fit(whole, dt=1 / 252)


@pytest.mark.parametrize("name", FITS)
def test_the_index_of_a_series_is_read_as_a_coordinate(name):
    values = np.exp(0.1 * np.random.default_rng(0).standard_normal(20))
    fit = FITS[name]
    dates = pd.date_range("2026-01-05", periods=20)
    wanted = fit(values, dt=1 / 252)
    for index in (
        dates,
        dates.tz_localize("Europe/Zurich"),
        dates.to_period("D"),
        dates.date,
        dates.strftime("%Y-%m-%d"),
        dates - dates[0],
    ):
        series = pd.Series(values, index)
        for given in (series, series.to_frame("close")):
            assert fit(given, dt=1 / 252) == wanted
            assert fit(given, times=DAYS) == fit(values, times=DAYS)
            with pytest.raises(mz.ArgumentValueError, match="in which unit of time"):
                fit(given)
            with pytest.raises(mz.ArgumentValueError, match="dates that increase"):
                fit(given[::-1], dt=1 / 252)
    assert fit(pd.Series(values, DAYS)) == fit(values, times=DAYS)
    with pytest.raises(mz.ArgumentValueError, match="times that increase"):
        fit(pd.Series(values, DAYS)[::-1])


def test_labels_newest_first_are_refused():
    labels = pd.Series(list("aabab" * 4), pd.date_range("2026-01-05", periods=20))
    assert mz.MarkovChain.fit(labels) == mz.MarkovChain.fit(list(labels))
    with pytest.raises(mz.ArgumentValueError, match="dates that increase"):
        mz.MarkovChain.fit(labels[::-1])
