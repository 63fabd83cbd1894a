"""Exact confidence sequences of quantiles, shares and sums of probabilities; intervals of few."""

import json
import math

import numpy as np
import pytest
import xarray as xr

import montezarr as mz
from montezarr.execute.run_monitor import estimates_of, intervals_of, table_of
from montezarr.statistics import Sample, Source
from montezarr.statistics._binomial import binomial_sequence, ranks_always
from montezarr.statistics._student import widening
from montezarr.statistics._wilson import wilson

RUNS = 200
"""Streams, each of which is a cell of one."""

MOST = 0.05 + 3 * math.sqrt(0.05 * 0.95 / RUNS)
"""Share of them that may miss at some snapshot, where 5 % are promised."""


def array(values, **options):
    dims = ("run", "path") if np.ndim(values) == 2 else "path"
    return xr.DataArray(np.asarray(values), dims=dims, name="x", **options)


def last_of(*args, **options):
    *_, last = mz.stream(*args, **options)
    return last


def ties(rng, shape):
    return rng.choice([1.0, 2.0, 3.0], p=[0.5, 0.3, 0.2], size=shape)


def missed_of(draw, statistic, name, true, n=16_384, seed=0):
    """Return the share of streams whose sequence misses at some snapshot, and the last ends."""
    x = array(draw(np.random.default_rng(seed), (RUNS, n)))
    missed = np.zeros(RUNS, bool)
    for snapshot in mz.stream(x, statistic):
        value = snapshot[f"x_{name}"].values
        low, high = (snapshot[f"x_{name}_cs_{end}"].values for end in ("low", "high"))
        assert ((low <= value) & (value <= high)).all()
        missed |= (true < low) | (true > high)
    return missed.mean(), low, high


LAWS = {
    "median of ties": (ties, mz.Quantile(0.5), "quantile", 1.0),
    "q.8 of ties": (ties, mz.Quantile(0.8), "quantile", 2.0),
    "q.95 of Poisson": (lambda r, s: r.poisson(2, s), mz.Quantile(0.95), "quantile", 5.0),
    "q.99 of exponential values": (
        lambda r, s: r.standard_exponential(s), mz.Quantile(0.99), "quantile", math.log(100),
    ),
    "value at risk of ties": (ties, mz.ExpectedShortfall(0.8), "value_at_risk", 2.0),
    "value at risk of gains": (
        lambda r, s: -r.standard_exponential(s), mz.ExpectedShortfall(0.99, tail="lower"),
        "value_at_risk", -math.log(100),
    ),
    "shortfall": (
        lambda r, s: r.standard_exponential(s), mz.ExpectedShortfall(0.99), "expected_shortfall",
        1 + math.log(100),
    ),
}  # fmt: skip


@pytest.mark.parametrize("law", LAWS)
def test_sequences_of_quantiles_and_shortfall_miss_at_most_as_promised(law):
    missed, low, high = missed_of(*LAWS[law])
    assert missed <= MOST
    assert np.isfinite([low, high]).all()


def test_nothing_is_claimed_of_a_shortfall_of_few_values():
    draw, *_ = LAWS["shortfall"]
    missed, low, high = missed_of(
        draw, mz.ExpectedShortfall(0.999), "expected_shortfall", 1 + math.log(1000)
    )
    assert missed == 0
    assert (low == -np.inf).all()
    assert (high == np.inf).all()


def test_ranks_always_are_where_the_martingale_stays_below_twenty():
    n = np.array([0, 1, 7, 1000, 10**6])
    levels = np.array([0.0, 1e-4, 0.3, 0.5, 0.999, 1.0])
    first, last = ranks_always(n, levels)
    for i, count in enumerate(n[1:4].tolist(), 1):
        low, high = binomial_sequence(np.arange(count + 1), count)
        for j, q in enumerate(levels[1:-1], 1):
            inside = np.flatnonzero((low <= q) & (q <= high))
            assert (first[i, j], last[i, j]) == (inside[0], inside[-1] + 1)
    np.testing.assert_array_equal(first[:, 0], 0)
    np.testing.assert_array_equal(last[:, -1], n + 1)
    mirrored = ranks_always(n, 1 - levels[::-1])
    middle = [1, 2, 3]  # of levels that are floats both ways, but for rounding
    np.testing.assert_array_equal(
        mirrored[0][:, middle], (n[:, None] + 1 - last[:, ::-1])[:, middle]
    )


def test_a_sequence_of_a_quantile_may_have_one_end():
    last = last_of(array(np.random.default_rng(1).random(3000)), mz.Quantile((1e-4, 0.5)))
    low, high = last["x_quantile_cs_low"].values, last["x_quantile_cs_high"].values
    assert low[0] == -np.inf < high[0] < 0.01
    assert 0.4 < low[1] < 0.5 < high[1] < 0.6
    assert "always in [-inf, " in str(last)


def test_hits_may_be_sums_of_probabilities():
    """Of numbers in [0, 1] with one mean, at all counts up to 4096."""
    n, missed = np.arange(1, 4097), 0
    marks = n[(n < 64) | (n % 64 == 0)]
    for seed in range(RUNS):
        sums = np.cumsum(np.random.default_rng(seed).beta(0.02, 0.98, n.size))[marks - 1]
        low, high = binomial_sequence(sums, marks)
        assert ((low <= sums / marks) & (sums / marks <= high)).all()
        missed += bool(((low > 0.02) | (high < 0.02)).any())
    assert missed <= MOST * RUNS
    low, high = binomial_sequence([1e-300, 10 - 1e-12], [10, 10])
    assert low[0] == 0 < high[0] < 1
    assert 0 < low[1] < high[1] == 1


@pytest.mark.parametrize("bridge", [None, 0.1])
def test_a_first_passage_that_has_not_been_seen_has_the_sequence_of_no_hit(bridge):
    ds = mz.simulate(mz.BrownianMotion(), n_paths=4096, T=4, dt=0.01, seed=1)
    last = last_of(ds, mz.FirstPassage(3.0, bridge=bridge))
    low, high = binomial_sequence(0, 4096)
    name = "x_first_passage_probability"
    assert last[f"{name}_cs_low"] == low == 0
    np.testing.assert_allclose(last[f"{name}_cs_high"], high, rtol=1e-6)
    np.testing.assert_allclose(last["x_survival_cs_low"], 1 - high, rtol=1e-6)
    assert (last["x_survival_cs_high"] == 1).all()
    assert last["x_first_passage_time_cs_low"] in (-np.inf, np.nan) or np.isnan(
        last["x_first_passage_time"]
    )


def test_first_passages_have_the_sequence_of_their_hits():
    ds = mz.simulate(mz.BrownianMotion(), n_paths=4096, T=8, dt=0.25, seed=1)
    last = last_of(ds, mz.FirstPassage((1.0, 4.0)))
    hits = np.rint(last["x_first_passage_probability"].values * 4096)
    ends = [last[f"x_first_passage_probability_cs_{end}"].values for end in ("low", "high")]
    np.testing.assert_array_equal(ends, binomial_sequence(hits, 4096))
    known = np.isfinite(last["x_first_passage_time_cs_low"].values)
    np.testing.assert_array_equal(known, hits >= 100)


def test_densities_have_the_sequence_of_their_shares():
    x = array(np.random.default_rng(3).random(5000))
    last = last_of(x, mz.Histogram((0.0, 0.5, 1.0, 3.0)))
    ends = [last[f"x_density_cs_{end}"].values for end in ("low", "high")]
    shares = binomial_sequence(last["x_histogram"], 5000)
    np.testing.assert_allclose(ends, np.array(shares) / [0.5, 0.5, 2.0])
    assert ends[0][2] == 0 < ends[1][2] < 0.001


def test_a_rule_sees_passages_and_bins_that_have_no_hit():
    def stopped(obj, statistic, **tolerance):
        rule = mz.StandardError(**tolerance) | mz.PathCount(4096)
        return last_of(obj, statistic, rule).stopped != "4,096 paths"

    ds = mz.simulate(mz.BrownianMotion(), n_paths=8192, T=4, dt=0.01, seed=1)
    probability = "x_first_passage_probability"
    assert not stopped(ds, mz.FirstPassage(9.0), abs=0.05, of=probability)
    assert stopped(ds, mz.FirstPassage(0.1), abs=0.05, of=probability)
    x = array(np.random.default_rng(3).random(8192))
    assert stopped(x, mz.Histogram((0.0, 0.5, 1.0)), rel=0.5)
    assert not stopped(x, mz.Histogram((2.0, 3.0)), abs=0.5)
    empty = mz.Histogram((0.0, 1.0, 3.0, 4.0))  # all or nothing in each
    assert not stopped(x, empty, abs=0.5)
    assert stopped(x, mz.Histogram((0.0, 0.5, 3.0)), abs=0.5)
    assert not stopped(x, mz.Histogram((0.0, 0.5, 3.0, 4.0)), abs=1e-6)


# Intervals of shares.


@pytest.mark.parametrize("kind", [bool, float, int])
def test_each_group_has_the_interval_of_its_own_hits(kind):
    hit = np.zeros(10_000, bool)
    hit[[5, 200, 300, 400]] = True
    ds = xr.Dataset({"x": ("path", hit.astype(kind)), "g": ("path", (np.arange(10_000) >= 99) * 1)})
    ds["g"] = ds.g + (np.arange(10_000) >= 5000)  # the last group has no hit
    found = mz.reduce(ds.x, "mean", by=ds.g)
    low, high = wilson([1, 3, 0], [99, 4901, 5000])
    np.testing.assert_allclose(found.x_mean_low, low)
    np.testing.assert_allclose(found.x_mean_high, high)
    said = intervals_of(found, "x_mean")
    assert said.text((0,)).startswith("in [")
    assert said.text((0,)).endswith("] at 95 %")
    last = last_of(ds.x, "mean", by=ds.g)
    np.testing.assert_array_equal(last["x_mean_low"], found.x_mean_low)
    assert "±" not in str(last)


def test_booleans_without_a_hit_have_an_interval_everywhere():
    x = array(np.zeros(3000, bool))
    found = mz.reduce(x, "mean")
    low, high = wilson(0, 3000)
    for ds in (found, last_of(x, "mean").dataset):
        assert (ds.x_mean_low, ds.x_mean_high) == (low, high)
        (entry,) = estimates_of(ds)
        assert (entry["low"], entry["high"]) == (0.0, float(high))
    lazy = mz.reduce(x, "mean", compute=False)
    assert lazy.x_mean_high.compute() == high


def test_what_is_no_share_keeps_its_error():
    for values in (np.zeros(3000), np.ones(3000), np.arange(3000) % 3, np.arange(3000) / 3000):
        found = mz.reduce(array(values), "mean")
        assert "x_mean_low" not in found
    both = xr.Dataset({"x": ("path", np.r_[np.zeros(50), 1.0, 0.0, 2.0]),
                       "g": ("path", np.r_[np.zeros(50), 1, 1, 2].astype(int))})  # fmt: skip
    assert "x_mean_low" not in mz.reduce(both.x, "mean", by=both.g)


# Intervals of quantiles with one end.


def test_an_interval_of_a_quantile_has_no_end_where_no_value_bounds_it():
    x = np.random.default_rng(0).standard_normal(100)
    found = mz.reduce(array(x), mz.Quantile((0.0, 0.01, 0.5, 0.99, 1.0)))
    low, high = found.x_quantile_low.values, found.x_quantile_high.values
    assert low[1] == -np.inf < high[1] < 0 < low[3] < high[3] == np.inf
    assert np.isfinite([low[2], high[2]]).all()
    assert np.isnan([low[0], high[0], low[4], high[4]]).all()
    one = mz.reduce(array(x), mz.Quantile(0.01))
    (entry,) = estimates_of(one)
    assert entry["low"] is None
    json.dumps(entry, allow_nan=False)
    assert table_of([entry])[1][3] == f"[-inf, {float(one.x_quantile_high):,.6g}]"
    assert intervals_of(one, "x_quantile").text(()).startswith("in [-inf, ")
    exact = mz.reduce(array(x), mz.Quantile(0.01, exact=True))
    assert exact.x_quantile_low == -np.inf
    for n, known in ((1, False), (2, False), (3, True)):
        few = mz.reduce(array(x[:n]), mz.Quantile(0.5))
        assert np.isnan(few.x_quantile_low) != known
        assert few.x_quantile_high == np.inf or not known


def test_one_sided_intervals_of_quantiles_cover():
    x = array(np.random.default_rng(4).standard_normal((2000, 100)))
    found = mz.reduce(x, mz.Quantile(0.01))
    covered = (found.x_quantile_low <= -2.3263) & (found.x_quantile_high >= -2.3263)
    assert covered.mean() >= 0.93


# Value at risk and expected shortfall.


@pytest.mark.parametrize("tail", ["upper", "lower"])
def test_a_value_at_risk_has_the_interval_of_the_quantile(tail):
    x = np.random.default_rng(5).standard_normal(1000)
    found = mz.reduce(array(x), [mz.ExpectedShortfall(0.95, tail=tail)])
    sign = 1 if tail == "upper" else -1
    other = mz.reduce(array(sign * x), mz.Quantile(0.95))
    ends = sorted([sign * other.x_quantile_low.item(), sign * other.x_quantile_high.item()])
    assert [found.x_value_at_risk_low, found.x_value_at_risk_high] == ends
    assert intervals_of(found, "x_value_at_risk").text(()).startswith("in [")
    few = mz.reduce(array(x[:20]), [mz.ExpectedShortfall(0.95, tail=tail)])
    assert sign * few["x_value_at_risk_high" if sign > 0 else "x_value_at_risk_low"] == np.inf


def test_a_shortfall_of_five_values_is_wider_by_students_law():
    """Five of 100 values in the tail: 84 % without it."""
    rng, covered = np.random.default_rng(6), {}
    true = math.exp(-(1.6448536**2) / 2) / math.sqrt(2 * math.pi) / 0.05
    x = array(rng.standard_normal((4000, 100)))
    found = mz.reduce(x, mz.ExpectedShortfall(0.95))
    half = 1.96 * found.x_expected_shortfall_se
    covered = (abs(found.x_expected_shortfall - true) <= half).mean()
    assert covered >= 0.91


def test_students_widening():
    scipy_stats = pytest.importorskip("scipy.stats")
    for k, near in ((4, 0.02), (5, 0.01), (10, 2e-4), (100, 1e-6)):
        wanted = math.sqrt(k / (k - 1)) * scipy_stats.t.ppf(0.975, k - 1) / 1.959964
        np.testing.assert_allclose(widening(k), wanted, rtol=near)
    assert np.isnan(widening([0, 1, 9.4], 10)).all()


def test_the_bare_statistics_say_what_they_know():
    state = mz.Mean().chunk(Sample(np.zeros((1, 1, 4))))
    assert mz.Mean().is_share(state, Source()) is None
    assert mz.Mean().is_share(state, Source(is_boolean=True)) is True
    assert mz.Mean().is_share(mz.Mean().chunk(Sample(np.full((1, 1, 4), 7.0))), Source()) is False
