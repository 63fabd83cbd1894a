"""Bins that refine themselves: what they resolve, what they claim, and that order shows nowhere."""

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import montezarr as mz
from montezarr.core.errors import ArgumentValueError
from montezarr.statistics import Source, _bins
from montezarr.statistics._bins import Budget
from montezarr.statistics._keys import keys_of
from montezarr.statistics._ranks import ranks_of
from montezarr.testing import StatisticTests
from montezarr.testing._accumulation import assert_same_state

LEVELS = np.array([0.0, 0.001, 0.05, 0.25, 0.5, 0.75, 0.95, 0.999, 1.0])
SMALL = {"VALUES": 40, "DISTINCT": 8, "BINS": 6}
"""So little may be kept that a few hundred values go through all levels."""


def paths(values, name="x"):
    dims = ("path", "run")[: np.ndim(values)]
    return xr.DataArray(np.asarray(values), dims=dims, name=name)


def order_statistics(values, q):
    ordered = np.sort(values)
    return ordered[np.maximum(np.ceil(ordered.size * np.asarray(q)), 1).astype(int) - 1]


def shortfall_of(values, level, tail="upper"):
    """Return the expected shortfall of a sample, by sorting."""
    sign = 1 if tail == "upper" else -1
    x, n = np.sort(sign * values), len(values)
    rank, mass = int(np.ceil(n * level)), n * (1 - level)
    return sign * (x[rank:].sum() + (mass - (n - rank)) * x[rank - 1]) / mass


def keep_little(patch):
    for name, size in SMALL.items():
        patch.setattr(_bins, f"MOST_{name}", size)
        patch.setattr(_bins, f"LEAST_{name}", size)
    patch.setattr(_bins, "SINGLE_BINS", 6)
    patch.setattr(_bins, "SORTED_FIRST", 16)
    patch.setattr(_bins, "LEAST_SORTED_FIRST", 16)


@pytest.fixture
def little():
    with pytest.MonkeyPatch.context() as patch:
        keep_little(patch)
        yield


# What is resolved.


@pytest.mark.parametrize("n", [1000, 100_000, 400_000])
def test_quantiles_far_from_zero_are_those_of_the_sample(n):
    x = 1e6 + np.random.default_rng(0).standard_normal(n)
    found = mz.reduce(paths(x), [mz.Quantile(0.95), mz.ExpectedShortfall(0.99)])
    resolution = found.x_quantile.attrs["resolution"]
    assert resolution <= 0.1 * found.x_quantile_se.item()
    wanted = order_statistics(x, 0.95)
    assert wanted == np.quantile(x, 0.95, method="inverted_cdf")
    assert abs(found.x_quantile.item() - wanted) <= resolution
    assert found.x_quantile_low.item() <= wanted <= found.x_quantile_high.item()
    assert found.x_quantile_high.item() - found.x_quantile_low.item() < 20 / np.sqrt(n)
    assert found.x_expected_shortfall.item() == pytest.approx(shortfall_of(x, 0.99), abs=2e-5)
    assert abs(found.x_value_at_risk.item() - order_statistics(x, 0.99)) <= 2e-5


LAWS = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "price": lambda rng, n: 4000 * np.exp(0.0126 * rng.standard_normal(n)),
    "lognormal": lambda rng, n: rng.lognormal(sigma=1.5, size=n),
    "exponential": lambda rng, n: rng.standard_exponential(n),
    "far": lambda rng, n: -1e9 + rng.standard_normal(n),
}


@pytest.mark.parametrize("name", LAWS)
def test_a_bin_of_a_cell_is_a_tenth_of_the_sampling_error_of_a_million_values(name):
    x = LAWS[name](np.random.default_rng(1), 10**6)
    for q in (0.01, 0.25, 0.5, 0.75, 0.99):
        found = mz.reduce(paths(x), mz.Quantile(q))
        assert found.x_quantile.attrs["resolution"] <= 0.1 * found.x_quantile_se.item()
        assert (
            abs(found.x_quantile.item() - order_statistics(x, q))
            <= (found.x_quantile.attrs["resolution"])
        )


@pytest.mark.slow
def test_a_bin_is_a_tenth_of_the_sampling_error_of_a_hundred_million_prices():
    gbm = mz.GeometricBrownianMotion(mu=0.0, sigma=0.2)
    ds = mz.simulate(gbm, n_paths=10**8, T=1, dt=1 / 252, x0=4000.0, seed=0)
    for q in (0.01, 0.5, 0.99):
        found = mz.reduce(ds.x.isel(time=-1), mz.Quantile(q))
        error, wanted = found.x_quantile_se.item(), after_a_day(q)
        assert found.x_quantile.attrs["resolution"] <= 0.1 * error
        assert abs(found.x_quantile.item() - wanted) <= 4 * error


def after_a_day(q):
    """The quantile of the prices of a day later."""
    return 4000 * np.exp(-0.02 / 252 + 0.2 * scipy.stats.norm.ppf(q) / np.sqrt(252))


def test_among_many_cells_a_bin_is_less_than_a_pixel():
    steps = 0.0126 * np.random.default_rng(2).standard_normal((4096, 253))
    for start in (1.0, 4000.0):
        x = start * np.exp(np.cumsum(steps, axis=1))
        found = mz.reduce(paths(x), mz.Quantile([0.05, 0.25, 0.5, 0.75, 0.95]))
        height = x.max() - x.min()
        assert found.x_quantile.attrs["resolution"] < height / 1000
        wanted = np.array([order_statistics(row, found["quantile"].values) for row in x.T])
        assert np.abs(found.x_quantile.values - wanted).max() < height / 1000


WHOLE = {
    "poisson(100)": lambda rng, n: rng.poisson(100, n),
    "both signs": lambda rng, n: rng.integers(-3000, 3000, n),
    "many": lambda rng, n: rng.integers(-10_000, 10_000, n),
    "cents": lambda rng, n: np.round(rng.normal(20, 3, n), 2),
    "ties": lambda rng, n: rng.choice([0.1, 0.2, 0.3, -1e6 / 3], n),
    "constant": lambda rng, n: np.full(n, np.pi),
}


@pytest.mark.parametrize("name", WHOLE)
def test_few_different_numbers_and_integers_are_counted_exactly(name):
    x = WHOLE[name](np.random.default_rng(3), 300_000)
    found = mz.reduce(paths(x), mz.Quantile(LEVELS))
    assert found.x_quantile.attrs["resolution"] == 0
    assert found.x_quantile.values.tolist() == order_statistics(x, LEVELS).tolist()
    ranks = ranks_of(np.array([x.size]), LEVELS)
    ordered = np.sort(x)
    for end, rank, has in (("low", ranks.low, ranks.has_low), ("high", ranks.high, ranks.has_high)):
        wanted = np.where(has, ordered[rank - 1], np.nan)[0]
        np.testing.assert_array_equal(found[f"x_quantile_{end}"].values, wanted)


@pytest.mark.parametrize(
    ("cells", "n"), [pytest.param(1, 1_060_000, marks=pytest.mark.slow), (24, 4096)]
)
@pytest.mark.parametrize("law", ["half of them 0", "tiny of both signs"])
def test_values_around_zero_are_counted_as_the_definition_says(cells, n, law, monkeypatch):
    """Their extremes are half of all float64 apart, or more than an int64 tells."""
    z = np.random.default_rng(5).standard_normal((cells, n))
    x = z * 1e-308 if law.startswith("tiny") else np.maximum(z, 0.0)
    budget = Budget.of(cells, 8, False)
    found = _bins.count_into_bins(x, budget)
    monkeypatch.setattr(_bins, "compiled", lambda: None)
    assert_same_state(found, _bins.count_into_bins(x, budget))


@pytest.mark.parametrize("cells", [1, 3])
def test_numbers_are_counted_where_they_are_fewer_than_pages_may_be_many(cells):
    """Of 1500 numbers, too many for pages of any fine level; of level 0 they are few enough."""
    rng = np.random.default_rng(0)
    x = rng.integers(30_000, 30_000 + 1500 // cells, (cells, 1_100_000))
    x = x.astype(float)
    budget = Budget.of(cells, 8, False)
    state = _bins.count_into_bins(x, budget)
    assert state.levels.tolist() == [0] * cells
    wanted = [np.unique(row, return_counts=True)[1] for row in x]
    assert state.counts.tolist() == np.concatenate(wanted).tolist()


def test_medians_of_small_integers():
    assert mz.reduce(paths([1, 1, 2, 2, 2, 3]), "median").x_quantile.item() == 2
    x = np.random.default_rng(4).poisson(100, (20_000, 253))
    found = mz.reduce(paths(x), "median").x_quantile
    assert (found == 100).all()


def test_integers_are_exact_in_bins_that_hold_one(little):
    x = np.repeat(np.arange(-20, 21), np.arange(1, 42))
    found = mz.reduce(paths(x), mz.Quantile(LEVELS, relative_error=0.01))
    assert found.x_quantile.values.tolist() == order_statistics(x, LEVELS).tolist()


# Order statistics, also at the ends of the interval.


@pytest.mark.parametrize("name", ["normal", "price", "poisson"])
def test_exact_quantiles_have_exact_intervals(name):
    rng = np.random.default_rng(5)
    x = rng.poisson(40, 300_000) if name == "poisson" else LAWS[name](rng, 300_000)
    found = mz.reduce(paths(x), mz.Quantile((0.001, 0.5, 0.99), exact=True))
    ordered, ranks = np.sort(x), ranks_of(np.array([x.size]), np.array([0.001, 0.5, 0.99]))
    for result, rank in (("", ranks.middle), ("_low", ranks.low), ("_high", ranks.high)):
        wanted = ordered[rank[0] - 1].astype(float)
        np.testing.assert_array_equal(found[f"x_quantile{result}"].values, wanted)
    width = (found.x_quantile_high - found.x_quantile_low).values
    np.testing.assert_allclose(found.x_quantile_se.values, width / (2 * 1.959964), rtol=1e-6)


def test_the_ranks_of_an_interval_are_quantiles_of_a_binomial_law():
    rng = np.random.default_rng(6)
    for _ in range(500):
        n = int(10 ** rng.uniform(0, 7))
        q = rng.choice([rng.random(), 10.0 ** rng.uniform(-4, 0), 1 - 10.0 ** rng.uniform(-4, 0)])
        ranks = ranks_of(np.array([n]), np.array([q]))
        low, high = np.add(scipy.stats.binom.ppf([0.025, 0.975], n, q), [0, 1])
        few = min(n * q, n * (1 - q)) < 900
        for rank, wanted, has in (
            (ranks.low, low, ranks.has_low), (ranks.high, high, ranks.has_high)
        ):  # fmt: skip
            assert has[0, 0] == (n > 2 and 1 <= wanted <= n)
            assert abs(rank[0, 0] - np.clip(wanted, 1, n)) <= (0 if few else 1)


# An estimate lies in its interval.

VALUES = st.one_of(
    st.floats(-1e3, 1e3),
    st.integers(-5, 5).map(float),
    st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1e-300, np.pi, np.nan]),
)


@settings(
    max_examples=60, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(
    values=st.lists(VALUES, min_size=1, max_size=200),
    times=st.sampled_from([1, 7]),
    offset=st.sampled_from([0.0, 1.0, -1e6, 1e12]),
    tail=st.sampled_from(["upper", "lower"]),
)
def test_estimates_lie_in_their_intervals_and_hold_those_of_the_sample(
    little, values, times, offset, tail
):
    x = np.repeat(np.array(values) + offset, times)
    x[np.abs(x) < np.finfo(float).tiny] = 0.0
    shortfall = mz.ExpectedShortfall((0.5, 0.9), tail)
    sample = mz.Sample(x[None, None])
    there = x[~np.isnan(x)]
    for statistic in (mz.Quantile(LEVELS), shortfall):
        found = statistic.finalize(statistic.chunk(sample), Source())
        if not there.size:
            assert all(np.isnan(entry.values).all() for entry in found.values())
            continue
        if statistic is shortfall:
            for name, wanted in (
                ("expected_shortfall", [shortfall_of(there, q, tail) for q in (0.5, 0.9)]),
                ("value_at_risk", [-v for v in order_statistics(-there, (0.5, 0.9))]
                 if tail == "lower" else order_statistics(there, (0.5, 0.9))),
            ):  # fmt: skip
                value, error = found[name].values[0], found[f"{name}_se"].values[0]
                known = ~np.isnan(error)
                far = np.abs(value - wanted) > 1.96 * error + 1e-12 * np.abs(value)
                assert not (far & known).any(), name
            continue
        value, low, high = (found[f"quantile{e}"].values[0] for e in ("", "_low", "_high"))
        ranks, ordered = ranks_of(np.array([there.size]), LEVELS), np.sort(there)
        assert not (low > value).any()
        assert not (high < value).any()
        assert not (low > ordered[ranks.low[0] - 1]).any()
        assert not (high < ordered[ranks.high[0] - 1]).any()
        assert (value >= there.min()).all()
        assert (value <= there.max()).all()


# Coverage. Seeds are those of the runs: 0 ... R - 1.


def least(runs):
    return 0.93 - 3 * np.sqrt(0.95 * 0.05 / runs)


def one_day(n, seed):
    gbm = mz.GeometricBrownianMotion(mu=0.0, sigma=0.2)
    ds = mz.simulate(gbm, n_paths=n, T=1, dt=1 / 252, x0=4000.0, seed=seed)
    return ds.x.isel(time=-1)


@pytest.mark.parametrize(
    ("n", "runs"),
    [
        (10**4, 200),
        pytest.param(10**5, 300, marks=pytest.mark.slow),
        pytest.param(10**6, 300, marks=pytest.mark.slow),
    ],
)
def test_intervals_of_quantiles_of_prices_cover(n, runs):
    law = scipy.stats.norm(-0.02 / 252, 0.2 / np.sqrt(252))
    truth = 4000 * np.exp(law.ppf(0.99))
    inside, near = 0, 0
    for seed in range(runs):
        found = mz.reduce(one_day(n, seed), [mz.Quantile(0.99), mz.ExpectedShortfall(0.99)])
        inside += found.x_quantile_low.item() <= truth <= found.x_quantile_high.item()
        error = 1.96 * found.x_value_at_risk_se.item()
        near += abs(found.x_value_at_risk.item() - truth) <= error
    print(f"{n}: interval {inside / runs:.3f}, value at risk {near / runs:.3f}")
    assert inside / runs >= least(runs)
    assert near / runs >= least(runs)


@pytest.mark.parametrize(("q", "n"), [(0.01, 4096), (0.01, 1000), (0.99, 4096), (0.5, 100)])
def test_standard_errors_of_skewed_quantiles_are_those_of_their_intervals(q, n):
    runs = 1000
    x = np.stack([np.random.default_rng(seed).standard_exponential(n) for seed in range(runs)], 1)
    found = mz.reduce(paths(x), mz.Quantile(q))
    truth = scipy.stats.expon.ppf(q)
    low, high = found.x_quantile_low, found.x_quantile_high
    inside = ((low <= truth) & (truth <= high)).mean().item()
    near = (np.abs(found.x_quantile - truth) <= 1.96 * found.x_quantile_se).mean().item()
    print(f"{q} of {n}: interval {inside:.3f}, se {near:.3f}")
    assert inside >= least(runs)
    assert near >= least(runs)


# Neither chunks nor order show.


class TestLittleIsKept(StatisticTests):
    statistics = (
        mz.Quantile(),
        mz.Quantile((0.0, 0.01, 1.0), exact=True),
        mz.Quantile(0.5, relative_error=0.05),
        mz.ExpectedShortfall(),
        mz.ExpectedShortfall((0.9, 0.95), tail="lower"),
    )


@pytest.fixture(autouse=True, scope="class")
def _little_in_the_suite(request):
    """Keep little in the suite: one fixture for all examples of a test that Hypothesis makes."""
    if request.cls is None or request.cls is not TestLittleIsKept:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        keep_little(patch)
        yield


KINDS = {
    **LAWS,
    "few": lambda rng, n: rng.integers(0, 12, n) / 3,
    "sizes": lambda rng, n: rng.choice([-1.0, 1.0], n) * 10.0 ** rng.uniform(-300, 300, n),
    "mixture": lambda rng, n: np.where(rng.random(n) < 0.5, 0.0, rng.normal(1e6, 1, n)),
    "payoff": lambda rng, n: np.maximum(100 * np.exp(0.2 * rng.standard_normal(n)) - 110, 0),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("with_places", [False, True])
def test_a_state_depends_on_its_values_alone(kind, with_places, little):
    rng = np.random.default_rng(7)
    budget = Budget.of(3, 8, with_places)
    for n in (30, 60, 400, 5000):
        x = np.stack([KINDS[kind](rng, n) for _ in range(3)])
        x[rng.random(x.shape) < 0.1] = np.nan
        whole = _bins.count_into_bins(x, budget)
        for _ in range(3):
            cuts = np.sort(rng.integers(0, n + 1, 4))
            order = rng.permutation(n)
            parts = [_bins.count_into_bins(p, budget) for p in np.split(x[:, order], cuts, axis=1)]
            state = parts[0]
            for part in parts[1:]:
                merged = _bins.merge_bins(state, part, budget)
                assert_same_state(merged, _bins.merge_bins(state, part, budget, in_place=True))
                state = merged
            if whole.pages.size:
                assert_same_state(state, whole)
            else:
                assert np.array_equal(np.sort(state.values), np.sort(whole.values))


def test_a_level_never_falls_and_pages_are_no_more_than_there_may_be(little):
    budget = Budget.of(1, 8, False)
    rng = np.random.default_rng(8)
    for kind in KINDS.values():
        state, before = None, 0
        for _ in range(20):
            state = _bins.count_into_bins(kind(rng, 100)[None], budget, into=state)
            (level,) = state.levels
            assert level >= before
            assert level == budget.last or budget.holds(int(level), state.pages)
            before = level
        assert state.counts.sum() == state.n[0] == 2000


def test_counts_of_more_than_two_thousand_million_values_are_wide(little):
    budget = Budget.of(1, 8, False)
    x = np.random.default_rng(9).standard_normal((1, 1000))
    state = _bins.count_into_bins(x, budget)
    assert state.counts.dtype == np.int32
    times = 2**31 // 1000  # one more state has 2**31 values
    many = state._replace(n=state.n * times, counts=state.counts * np.int32(times))
    both = _bins.merge_bins(many, state, budget)
    assert_same_state(_bins.count_into_bins(x, budget, into=_bins.merge_bins(many, state, budget)),
                      _bins.merge_bins(both, state, budget))  # fmt: skip
    assert both.n[0] == 2**31 // 1000 * 1000 + 1000
    assert both.counts.dtype == np.int64
    assert both.counts.sum() == both.n[0]


def test_states_stay_within_the_bytes_that_are_planned():
    rng = np.random.default_rng(10)
    for cells, n in ((1, 300_000), (20, 20_000), (253, 4000)):
        for kind in ("normal", "price", "lognormal"):
            x = np.stack([LAWS[kind](rng, n) for _ in range(cells)])
            for statistic in (mz.Quantile(), mz.ExpectedShortfall()):
                state = statistic.chunk(mz.Sample(x[:, None]))
                held = sum(array.nbytes for array in state)
                assert held <= statistic.bytes_for(cells) + 200 * cells, (cells, kind)


def test_a_state_that_was_kept_aside_stays_as_it_was_where_others_take_its_room():
    budget, rng = Budget.of(1, 8, False), np.random.default_rng(12)
    parts = [_bins.count_into_bins(rng.standard_normal((1, 1000)), budget) for _ in range(4)]
    both = _bins.merge_bins(parts[0], parts[1], budget, in_place=True)
    before = both.values.copy()
    one = _bins.merge_bins(both, parts[2], budget, in_place=True)
    first = one.values.copy()
    two = _bins.merge_bins(both, parts[3], budget, in_place=True)  # the room was taken by `one`
    assert np.array_equal(both.values, before)
    assert np.array_equal(one.values, first)
    assert np.array_equal(two.values[2000:], parts[3].values)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["normal", "price", "lognormal", "sizes", "few", "payoff"])
def test_values_are_counted_alike_at_once_and_from_a_few_on(kind, monkeypatch):
    rng = np.random.default_rng(13)
    for cells, n in ((1, 200_000), (20, 5000)):
        monkeypatch.setattr(_bins, "MOST_VALUES", 1000)
        x = np.stack([KINDS[kind](rng, n) for _ in range(cells)])
        budget = Budget.of(cells, 8, cells > 1)
        once = _bins.count_into_bins(x, budget)
        with monkeypatch.context() as patch:
            patch.setattr(_bins, "_with_pages", lambda *_: None)
            assert_same_state(_bins.count_into_bins(x, budget), once)
        with monkeypatch.context() as patch:
            patch.setattr(_bins, "compiled", lambda: None)
            assert_same_state(_bins.count_into_bins(x, budget), once)


@pytest.mark.parametrize("cells", [1, 20])
def test_the_first_values_are_ties_and_all_others_differ(cells, monkeypatch):
    rng = np.random.default_rng(17)
    monkeypatch.setattr(_bins, "MOST_VALUES", 1000)
    x = KINDS["sizes"](rng, 20_000 + cells * 3000).reshape(cells, -1)
    x[:, : _bins.SORTED_FIRST // cells] = 0.0
    budget = Budget.of(cells, 8, cells > 1)
    once = _bins.count_into_bins(x, budget)
    with monkeypatch.context() as patch:
        patch.setattr(_bins, "compiled", lambda: None)
        assert_same_state(_bins.count_into_bins(x, budget), once)


def test_quantiles_of_payoffs_most_of_which_are_nothing():
    rng = np.random.default_rng(19)
    x = np.maximum(100 * np.exp(0.2 * rng.standard_normal(2_200_000)) - 118, 0)
    parts = [_bins.count_into_bins(part[None], Budget.of(1, 8, False)) for part in np.split(x, 4)]
    state = parts[0]
    for part in parts[1:]:
        state = _bins.merge_bins(state, part, Budget.of(1, 8, False), in_place=True)
    assert state.counts.sum() == x.size
    found = mz.reduce(paths(x), [mz.Quantile((0.5, 0.95, 0.999))])
    assert np.allclose(found.x_quantile, order_statistics(x, [0.5, 0.95, 0.999]), atol=5e-4)


# What earlier versions kept.


def old_state(x, bits=8, with_offsets=False):
    """Return the arrays of a state as they were before bins refined themselves."""
    shift = 52 - bits
    keys = keys_of(x, shift)
    is_zero = np.abs(x) < np.finfo(float).tiny
    negative, positive = x < 0, (x > 0) & ~is_zero
    spans = [
        ((keys[m] >> bits).min() << bits, ((keys[m] >> bits).max() + 1) << bits) if m.any() else
        (0, 0)
        for m in (negative & ~is_zero, positive)
    ]  # fmt: skip
    (first, stop), (start, end) = spans
    place = np.where(negative, keys - first, keys - start + stop - first + 1)
    place = np.where(is_zero, stop - first, place)
    counts = np.zeros((len(x), stop - first + 1 + end - start), np.int64)
    offsets = np.zeros_like(counts)
    cell = np.broadcast_to(np.arange(len(x))[:, None], x.shape)
    np.add.at(counts, (cell, place), 1)
    inside = (keys_of(x) & ((1 << shift) - 1)) >> (shift - 20)
    np.add.at(offsets, (cell, place), np.where(is_zero, 0, inside))
    return {
        "low": x.min(axis=1), "high": x.max(axis=1), "near": np.zeros(2),
        "ranges": np.array([first, stop, start, end]), "counts": counts,
        "offsets": offsets if with_offsets else offsets[:, :0],
    }  # fmt: skip


@pytest.mark.parametrize("cells", [2, 40])
def test_states_of_earlier_versions_go_on_as_fine_as_they_were(cells):
    rng = np.random.default_rng(11)
    x = np.maximum(rng.normal(size=(cells, 3000)), -0.5)
    x[0] = np.maximum(x[0], 0)
    more = rng.normal(size=(cells, 1024))
    for statistic in (mz.Quantile((0.1, 0.5, 0.9)), mz.ExpectedShortfall(0.9)):
        state = statistic.restore(old_state(x, with_offsets=statistic.name != "quantile"))
        both = statistic.update(state, mz.Sample(more[:, None].copy()))
        assert (both.n == 4024).all()
        found = statistic.finalize(both, Source())
        wanted = statistic.reference(np.concatenate([x, more], axis=1), Source())
        for name, values in wanted.items():
            np.testing.assert_allclose(found[name].values, values, rtol=0.005)
        with pytest.raises(ArgumentValueError, match="Take the statistics anew"):
            statistic.restore({"low": np.zeros(1), "sketch": np.zeros(3)})


@pytest.mark.parametrize("name", ["counts", "places", "pages", "first"])
def test_a_state_of_which_parts_do_not_hold_together_is_refused(name):
    x = 1000 + np.random.default_rng(7).standard_normal((64, 5000))
    statistic = mz.ExpectedShortfall(0.99)
    state = statistic.chunk(mz.Sample(x[:, None].copy()))
    whole = statistic.restore(state._asdict())
    assert_same_state(whole, state)
    shorter = {**state._asdict(), name: getattr(state, name)[:-1]}
    nothing = {**state._asdict(), name: getattr(state, name)[:0]}
    for wrong in (shorter, nothing):
        with pytest.raises(ArgumentValueError, match="hold together"):
            statistic.restore(wrong)
