"""Confidence sequences: they hold at every snapshot, of rare events and of none, and say so."""

import math

import numpy as np
import pytest
import xarray as xr

import montezarr as mz
from montezarr.execute.run_monitor import estimates_of, table_of
from montezarr.statistics._binomial import _log_gamma, binomial_sequence
from montezarr.statistics._wilson import wilson

RUNS = 300
"""Seeds 0 ... RUNS - 1."""

MOST = 0.05 + 3 * math.sqrt(0.05 * 0.95 / RUNS)
"""Share of the runs that may miss where 5 % are promised: what chance may add is in it."""

LAST = 2**17


def array(values, **options):
    return xr.DataArray(np.asarray(values), dims="path", name="x", **options)


def uniform(n, seed=1):
    return np.random.default_rng(seed).random(n)


def last_of(*args, **options):
    *_, last = mz.stream(*args, **options)
    return last


def sequence(snapshot, name):
    return snapshot[f"{name}_cs_low"].values, snapshot[f"{name}_cs_high"].values


# The sequence of a probability.


def test_the_logarithm_of_the_gamma_function():
    x = np.array([1e-12, 0.3, 1.0, 2.5, 7.99, 8.0, 30.0, 1e5, 1e10])
    np.testing.assert_allclose(_log_gamma(x), [math.lgamma(v) for v in x], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    "p", [1e-3, *(pytest.param(p, marks=pytest.mark.slow) for p in (1e-4, 0.01, 0.3, 0.999))]
)
def test_any_time_misses_of_a_probability(p):
    """At every count of trials up to 512, and from there on 16 times while they double."""
    marks = np.unique(np.r_[np.arange(1, 513), (2 ** (np.arange(16 * 9, 16 * 17 + 1) / 16))])
    marks = marks.astype(int)
    steps = np.diff(marks, prepend=0)
    missed = 0
    for seed in range(RUNS):
        hits = np.cumsum(np.random.default_rng(seed).binomial(steps, p))
        low, high = binomial_sequence(hits, marks)
        missed += bool(((p < low) | (p > high)).any())
    assert missed <= MOST * RUNS


def test_a_sequence_of_a_probability_lies_around_it_and_shrinks():
    n = np.array([1, 10, 1000, 10**6, 10**9])[:, None]
    hits = np.round(n * np.array([0.0, 1e-3, 0.3, 0.5, 1.0]))
    low, high = binomial_sequence(hits, n)
    assert ((low <= hits / n) & (hits / n <= high)).all()
    assert ((low >= 0) & (high <= 1) & (low < high)).all()
    assert (low[hits == 0] == 0).all()
    assert (high[hits == n] == 1).all()
    assert (np.diff(high - low, axis=0) < 0).all()
    # By symmetry, and about as narrow as the asymptotic one, which has 3.1 there.
    other_low, other_high = binomial_sequence(n - hits, n)
    np.testing.assert_allclose(low, 1 - other_high, atol=1e-12)
    np.testing.assert_allclose(high, 1 - other_low, atol=1e-12)
    one = np.array(binomial_sequence(0.3 * LAST, LAST))
    assert 3.0 < np.ptp(one) / 2 / math.sqrt(0.21 / LAST) < 3.5
    assert np.isnan(binomial_sequence([0, np.nan], [0, 5])).all()


# That of a stream.


@pytest.mark.parametrize("kind", ["exceedance", "proportion", "booleans", "zeros and ones"])
def test_a_stream_has_that_of_its_hits_at_every_snapshot(kind):
    p = 0.01
    x = array(uniform(2**14))
    obj, statistic, name = {
        "exceedance": (1 - x, mz.Exceedance(1 - p), "x_exceedance"),
        "proportion": ((x < p).astype(int), mz.Proportion([1]), "x_proportion"),
        "booleans": (x < p, "mean", "x_mean"),
        "zeros and ones": ((x < p).astype(float), "mean", "x_mean"),
    }[kind]
    hits = np.cumsum(x.values < p)
    for snapshot in mz.stream(obj, statistic):
        wanted = binomial_sequence(hits[snapshot.paths - 1], snapshot.paths)
        np.testing.assert_array_equal(np.ravel(sequence(snapshot, name)), wanted)
        assert wanted[0] < p < wanted[1]


def test_without_a_hit_the_sequence_ends_above_zero():
    x = array(uniform(5000))
    last = last_of(x, mz.Exceedance((0.5, 2.0)))
    low, high = sequence(last, "x_exceedance")
    np.testing.assert_array_equal([low, high], binomial_sequence(last["x_exceedance"] * 5000, 5000))
    assert low[1] == 0 < high[1] < 0.002
    last = last_of((x > -1).astype(int), mz.Proportion([0, 1]))
    low, high = sequence(last, "x_proportion")
    assert low[0] == 0 < high[0] < 0.002
    assert 0.998 < low[1] < high[1] == 1
    assert sequence(last_of(x > 2, "mean"), "x_mean")[1] == high[0]


def test_nothing_is_claimed_of_numbers_that_have_all_been_the_same():
    for value in (0.0, 1.0, 7.5):  # 0: a payoff of which none has been seen
        last = last_of(array(np.full(3000, value)), "mean")
        assert sequence(last, "x_mean") == (-np.inf, np.inf)
        assert "bounded by nothing yet" in str(last)


def test_a_variable_is_one_of_zeros_and_ones_as_a_whole():
    """A cell that is 0 so far is one of an indicator if the other cells are, and of a count not."""
    hits = uniform(4000) < np.array([[0.2], [1e-9]])
    for values, low in (
        (hits * 1.0, 0.0), (hits * 1, 0.0), (hits * [[2.0], [1.0]], -np.inf),
        (hits * 1.0 - 0.5, -np.inf),
    ):  # fmt: skip
        x = xr.DataArray(values, dims=("cell", "path"), name="x")
        assert sequence(last_of(x, "mean"), "x_mean")[0][1] == low


def test_missing_values_are_no_trials():
    values = np.where(uniform(4096, 2) < 0.5, np.nan, uniform(4096) < 0.01)
    with pytest.warns(mz.MontezarrWarning, match="not finite"):
        last = last_of(array(values), "mean")
    hits, n = np.nansum(values), np.isfinite(values).sum()
    np.testing.assert_array_equal(sequence(last, "x_mean"), binomial_sequence(hits, n))
    assert "in [" in str(last)


# Rules.


def stops(obj, statistics, **options):
    rule = mz.StandardError(**options) | mz.PathCount(8192)
    return last_of(obj, statistics, rule).stopped != "8,192 paths"


@pytest.mark.parametrize("tolerance", [{"abs": 0.05}, {"rel": 0.5}])
def test_a_rule_waits_for_a_hit_whatever_stands_beside(tolerance):
    x = array(1 + uniform(10_000))
    seen, unseen, always = mz.Exceedance(1.5), mz.Exceedance((1.5, 3.0)), mz.Exceedance((1.5, 0.0))
    assert stops(x, ["mean", seen], **tolerance)
    for statistics in (["mean", unseen], always, ["mean", mz.Exceedance(3.0)]):
        assert not stops(x, statistics, **tolerance)
    both = xr.Dataset({"a": x, "b": x > 3.0})
    assert not stops(both, "mean", **tolerance)
    assert not stops(both.astype(float), "mean", **tolerance)
    assert not stops((x > 3).astype(int), mz.Proportion([0, 1]), **tolerance)
    assert stops((x > 1.5).astype(int), mz.Proportion([0, 1]), **tolerance)


def test_a_rule_believes_a_start_that_all_paths_share():
    ds = mz.simulate(mz.BrownianMotion(), n_paths=8192, T=3, seed=1)
    assert stops(ds, "mean", abs=0.5)
    # Of shares it takes the interval along time, which a tolerance relative to 0 never allows.
    assert stops(ds, mz.Exceedance(1.0), abs=0.05)
    assert not stops(ds, mz.Exceedance(1.0), abs=1e-5)
    assert not stops(ds, mz.Exceedance(1.0), rel=0.5)
    assert not stops(ds, mz.Exceedance((1.0, 99.0)), abs=0.05)


# What is printed.


def test_a_share_is_printed_with_its_interval_and_not_with_an_error():
    x = array(uniform(5000))
    indicator = x < 0.002
    hits = int(indicator.sum())
    low, high = wilson(hits, 5000)
    text = f"= {hits / 5000:g} in [{low:.6g}, {high:.6g}], always in ["
    cases = [(x, mz.Exceedance(0.998)), (indicator, "mean"), (indicator.astype(float), "mean"),
             (indicator.astype(int), mz.Proportion([1]))]  # fmt: skip
    cases[0] = (1 - x, mz.Exceedance(0.998))
    for obj, statistic in cases:
        last = last_of(obj, statistic)
        assert text in str(last)
        assert "±" not in str(last)
        assert f"in [{low:.6g}, {high:.6g}]" in last._repr_html_()
        found = mz.reduce(obj, statistic)
        (entry,) = estimates_of(found)
        assert (entry["low"], entry["high"]) == pytest.approx((float(low), float(high)))
        assert f"[{low:,.6g}, {high:,.6g}]" in table_of([entry])[1]
    assert "± " in str(last_of(x, "mean"))
    # Also where there is no hit.
    text = f"= 0 in [0, {wilson(0, 5000)[1]:.6g}], always in [0, "
    assert text in str(last_of(x > 2, "mean"))
    assert text in str(last_of(x, mz.Exceedance(2.0)))


def test_a_live_view_and_a_trace_have_the_interval_of_a_share():
    pytest.importorskip("matplotlib")
    from montezarr.monitor.display._progress import StreamProgress

    stream = mz.stream(array(uniform(3000) < 0.003), "mean")
    progress = StreamProgress(stream._run, None)
    for snapshot in stream:
        progress.add(snapshot)
    hits = snapshot["x_mean"].item() * 3000
    low, high = wilson(hits, 3000)
    assert f"in [{low:.6g}, {high:.6g}] at 95 %, within [" in progress.estimate()
    assert "±" not in progress.estimate()
    assert progress.trace.low("x_mean")[-1] == pytest.approx(low)
    assert progress.trace.high("x_mean")[-1] == pytest.approx(high)


def test_a_rule_believes_an_error_of_zero_of_a_quantile_where_values_differ():
    x = array(np.random.default_rng(0).poisson(100.0, 10_000))
    assert stops(x, mz.Quantile(0.5), abs=0.5)  # its interval is [100, 100]
    assert not stops(array(np.full(10_000, 7)), mz.Quantile(0.5), abs=0.5)
