"""How right the statistics are: certified errors, coverage of intervals, closed forms, order."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import xarray as xr

import montezarr as mz
from montezarr.statistics import _bins, _selection
from montezarr.statistics._selection import Selection

TINY = np.finfo(float).tiny
"""Values below it, denormal numbers, are 0 to within an absolute error of this size."""


def paths(values, name="x"):
    """Return values (path, ...) as a DataArray; what is not the path is a cell."""
    dims = ("path", "run")[: np.ndim(values)]
    return xr.DataArray(np.asarray(values, float), dims=dims, name=name)


def order_statistic(values, q):
    """Return x_(ceil(q n)), of ascending values."""
    n = len(values)
    return values[np.maximum(np.ceil(n * np.asarray(q)), 1).astype(int) - 1]


# Quantiles in one pass: the certified relative error.

LEVELS = np.unique(
    np.concatenate([np.linspace(0, 1, 201), [1e-5, 1e-4, 1e-3, 0.025, 0.975, 0.999, 0.9999]])
)


def mixed(rng, n):
    """Return zeros of both signs, denormals and numbers of all sizes and both signs."""
    kinds = [
        np.zeros(n),
        -np.zeros(n),
        5e-324 * rng.integers(-(2**40), 2**40, n),
        rng.standard_normal(n),
        rng.choice([-1.0, 1.0], n) * 10.0 ** rng.uniform(-300, 300, n),
    ]
    return np.choose(rng.integers(0, len(kinds), n), kinds)


DATA = {
    "lognormal": lambda rng, n: rng.lognormal(sigma=2.0, size=n),
    "pareto": lambda rng, n: 1 + rng.pareto(1.5, n),
    "poisson(5)": lambda rng, n: rng.poisson(5, n),
    "poisson(1000)": lambda rng, n: rng.poisson(1000, n),
    "normal": lambda rng, n: rng.standard_normal(n),
    "mixed": mixed,
    "zeros": lambda rng, n: np.where(rng.random(n) < 0.7, 0.0, rng.standard_normal(n)),
    "zeros of both signs": lambda rng, n: np.where(rng.random(n) < 0.5, 0.0, -0.0),
    "denormal": lambda rng, n: 5e-324 * rng.integers(-1000, 1000, n),
    "negative": lambda rng, n: -rng.lognormal(sigma=2.0, size=n),
    "all the same": lambda rng, n: np.full(n, -1e-3),
}


@pytest.mark.parametrize("error", [0.1, 0.005, 0.0005])
@pytest.mark.parametrize("kind", DATA)
def test_a_quantile_in_one_pass_is_within_its_relative_error_of_the_order_statistic(kind, error):
    x = np.asarray(DATA[kind](np.random.default_rng(1), 20_000), float)
    found = mz.reduce(paths(x), mz.Quantile(LEVELS, relative_error=error)).x_quantile.values
    wanted = order_statistic(np.sort(x), LEVELS)
    # Less than half of it too, mostly; but nothing more is promised.
    assert (np.abs(found - wanted) <= error * np.abs(wanted) + TINY).all()
    assert (np.diff(found) >= 0).all()


def test_ddsketch_and_this_are_both_within_the_relative_error():
    ddsketch = pytest.importorskip("ddsketch")
    x = np.random.default_rng(2).lognormal(sigma=2.0, size=20_000)
    sketch = ddsketch.DDSketch(0.005)
    for value in x:
        sketch.add(value)
    theirs = np.array([sketch.get_quantile_value(q) for q in LEVELS])
    ours = mz.reduce(paths(x), mz.Quantile(LEVELS, relative_error=0.005)).x_quantile.values
    ordered = np.sort(x)
    # DDSketch takes the order statistic of rank 1 + floor(q (n - 1)).
    lower = ordered[np.floor(LEVELS * (len(x) - 1)).astype(int)]
    assert np.max(np.abs(theirs / lower - 1)) <= 0.005 * (1 + 1e-9)
    assert np.max(np.abs(ours / order_statistic(ordered, LEVELS) - 1)) <= 0.005


@pytest.mark.filterwarnings("ignore::montezarr.HeavyTailWarning")  # of lognormal values, rightly
def test_the_mean_of_a_tail_is_that_of_the_sorted_values():
    rng = np.random.default_rng(3)
    for x in (rng.standard_normal(20_000), rng.lognormal(sigma=2.0, size=20_000)):
        for tail in ("upper", "lower"):
            for level in (0.5, 0.95, 0.99, 0.9999):
                statistic = mz.ExpectedShortfall(level, tail)
                found = mz.reduce(paths(x), statistic)
                wanted = statistic.reference(x[None], None)["expected_shortfall"][0]
                ordered = np.sort(x if tail == "upper" else -x)
                risk = order_statistic(ordered, level) * (1 if tail == "upper" else -1)
                # Only the bin of the value at risk is not exact: its share of the tail counts.
                assert found.x_expected_shortfall.item() == pytest.approx(wanted, rel=0.001)
                assert found.x_value_at_risk.item() == pytest.approx(risk, rel=0.005)


# Coverage: of a thousand independent samples, 95 % of the intervals hold the truth.

RUNS = 1000
N = 5000
BAND = (0.93, 0.97)
"""Three standard deviations, of 0.7 % each, of a share of 95 % among 1,000."""

LAWS = {
    # Away from 0, where the bins of a thousand samples would take gigabytes.
    "normal": scipy.stats.norm(10, 1),
    "exponential": scipy.stats.expon(1),
    "lognormal": scipy.stats.lognorm(0.5),
}


@pytest.fixture(scope="module", params=LAWS)
def law(request):
    """Return a law with a thousand samples of it."""
    seed = 17 + list(LAWS).index(request.param)
    return LAWS[request.param], paths(LAWS[request.param].rvs((N, RUNS), random_state=seed))


def coverage_by_error(found, name, truth):
    estimate, error = found[f"x_{name}"].values, found[f"x_{name}_se"].values
    return float((np.abs(estimate - truth) <= 1.96 * error).mean())


def coverage_of_interval(found, name, truth):
    low, high = found[f"x_{name}_low"].values, found[f"x_{name}_high"].values
    return float(((low <= truth) & (truth <= high)).mean())


def check_coverage(what, coverage, band=BAND):
    print(f"{what}: {coverage:.3f}")  # shown with -s
    assert band[0] <= coverage <= band[1], what


def test_intervals_of_moments_cover(law):
    truth, x = law
    found = mz.reduce(x, ["mean", "variance", "std"])
    check_coverage("mean", coverage_by_error(found, "mean", truth.mean()))
    # The fourth moment of a skewed law is itself uncertain.
    band = (0.92, 0.97)
    check_coverage("variance", coverage_by_error(found, "variance", truth.var()), band)
    check_coverage("std", coverage_by_error(found, "std", truth.std()), band)


@pytest.mark.parametrize("q", [0.05, 0.5, 0.95])
def test_intervals_of_quantiles_cover(law, q):
    truth, x = law
    found = mz.reduce(x, mz.Quantile(q, relative_error=0.001))
    # The ends have whole ranks, and among a thousand cells a bin is a third of a standard error
    # wide: more than 95 %.
    band = (0.93, 0.98)
    check_coverage(f"{q}: se", coverage_by_error(found, "quantile", truth.ppf(q)), band)
    check_coverage(f"{q}: interval", coverage_of_interval(found, "quantile", truth.ppf(q)), band)


def test_intervals_of_value_at_risk_and_expected_shortfall_cover(law):
    truth, x = law
    risk = truth.ppf(0.95)
    shortfall = truth.expect(lambda v: v, lb=risk, conditional=True)
    found = mz.reduce(x, mz.ExpectedShortfall(0.95))
    # 250 values in the tail, skewed themselves; see the docstring.
    band = (0.92, 0.97)
    check_coverage("value at risk", coverage_by_error(found, "value_at_risk", risk), band)
    check_coverage("shortfall", coverage_by_error(found, "expected_shortfall", shortfall), band)


@pytest.mark.filterwarnings("ignore::montezarr.HeavyTailWarning")  # of some of the samples
def test_the_coverage_of_expected_shortfall_is_what_its_docstring_says():
    pareto = scipy.stats.pareto(4)
    x = paths(pareto.rvs((4000, RUNS), random_state=5))
    found = mz.reduce(x, mz.ExpectedShortfall((0.95, 0.99)))
    shortfall = [
        pareto.expect(lambda v: v, lb=pareto.ppf(level), conditional=True) for level in (0.95, 0.99)
    ]
    estimate, error = found.x_expected_shortfall, found.x_expected_shortfall_se
    covered = (np.abs(estimate - shortfall) <= 1.96 * error).mean("run").values
    check_coverage("Pareto, 200 in the tail", covered[0], (0.91, 0.96))
    check_coverage("Pareto, 40 in the tail", covered[1], (0.89, 0.95))


def test_intervals_of_shares_cover(law):
    truth, x = law
    for p in (0.5, 0.1, 0.01):
        found = mz.reduce(x, mz.Exceedance(truth.isf(p)))
        check_coverage(f"{p}: Wilson", coverage_of_interval(found, "exceedance", p))
        check_coverage(f"{p}: se", coverage_by_error(found, "exceedance", p), (0.92, 0.97))


def test_wilsons_interval_covers_rare_events_and_plus_or_minus_two_errors_does_not():
    p = 5 / N
    x = np.random.default_rng(4).random((N, RUNS)) < p
    found = mz.reduce(paths(x), mz.Proportion(states=(0, 1))).sel(state=1)
    check_coverage("Wilson", coverage_of_interval(found, "proportion", p), (0.93, 0.98))
    assert coverage_by_error(found, "proportion", p) < 0.91


def test_states_of_a_chain_have_intervals_that_cover():
    p = np.array([0.2, 0.5, 0.3])
    x = np.random.default_rng(6).choice(3, (N, RUNS), p=p)
    found = mz.reduce(paths(x), mz.Proportion(states=(0, 1, 2)))
    low, high = found.x_proportion_low, found.x_proportion_high
    for k, covered in enumerate(((low <= p) & (p <= high)).mean("run").values):
        check_coverage(f"state {k}", covered)
    error = (np.abs(found.x_proportion - p) <= 1.96 * found.x_proportion_se).mean("run").values
    for k, covered in enumerate(error):
        check_coverage(f"state {k}, se", covered)


def test_where_no_value_can_be_the_end_of_an_interval_there_is_none():
    x = paths(np.random.default_rng(7).standard_normal(2000))
    found = mz.reduce(x, mz.Quantile((0.0, 0.001, 0.5, 0.999, 1.0)))
    is_known = np.isfinite([found.x_quantile_low, found.x_quantile_high, found.x_quantile_se])
    assert is_known[0].tolist() == [False, False, True, True, False]
    assert is_known[1].tolist() == [False, True, True, False, False]
    assert is_known[2].tolist() == [False, True, True, True, False]
    assert found.x_quantile_low[1] == -np.inf
    assert found.x_quantile_high[3] == np.inf


def test_the_standard_error_of_a_quantile_is_that_of_its_density():
    law = scipy.stats.norm(10, 1)
    x = paths(law.rvs(200_000, random_state=8))
    for q in (0.01, 0.1, 0.5, 0.99):
        found = mz.reduce(x, mz.Quantile(q, relative_error=1e-4))
        wanted = np.sqrt(q * (1 - q) / x.size) / law.pdf(law.ppf(q))
        # Some hundred values within the interval tell the density to some percent.
        assert found.x_quantile_se.item() == pytest.approx(wanted, rel=0.15)


# First passage against the inverse Gaussian law, through the whole pipeline.

MU, SIGMA, LEVEL, HORIZON, STEPS = 0.4, 0.8, 1.0, 2.0, 16


def passes(t, level=LEVEL):
    """Return the probability that mu t + sigma W has reached a level by t."""
    sd = SIGMA * np.sqrt(t)
    normal = scipy.stats.norm.cdf
    reflected = np.exp(2 * MU * level / SIGMA**2) * normal((-level - MU * t) / sd)
    return normal((MU * t - level) / sd) + reflected


@pytest.fixture(scope="module")
def brownian():
    process = mz.BrownianMotion(mu=MU, sigma=SIGMA)
    return mz.simulate(process, n_paths=50_000, T=STEPS, dt=HORIZON / STEPS, seed=9)


def test_with_a_bridge_first_passage_follows_the_inverse_gaussian_law(brownian):
    found = mz.reduce(brownian, mz.FirstPassage(LEVEL, bridge=SIGMA))
    probability = found.x_first_passage_probability.item()
    assert abs(probability - passes(HORIZON)) < 4 * found.x_first_passage_probability_se.item()
    assert found.x_first_passage_probability_low.item() < passes(HORIZON)
    assert passes(HORIZON) < found.x_first_passage_probability_high.item()
    later = found.isel(time=slice(1, None))
    deviation = later.x_survival - (1 - passes(later.time.values))
    assert (np.abs(deviation) < 4.5 * later.x_survival_se + 1e-9).all()
    inverse = scipy.stats.invgauss(
        SIGMA**2 / (LEVEL * MU), scale=LEVEL**2 / SIGMA**2
    )  # mean LEVEL / MU, shape LEVEL**2 / SIGMA**2
    assert inverse.cdf(HORIZON) == pytest.approx(passes(HORIZON), rel=1e-9)
    mean = inverse.expect(lambda t: t, lb=0, ub=HORIZON) / inverse.cdf(HORIZON)
    error = 4 * found.x_first_passage_time_se.item()
    assert abs(found.x_first_passage_time.item() - mean) < error


def test_without_a_bridge_first_passage_is_late_as_broadie_glasserman_and_kou_say(brownian):
    found = mz.reduce(brownian, mz.FirstPassage(LEVEL))
    probability = found.x_first_passage_probability.item()
    error = found.x_first_passage_probability_se.item()
    assert probability < passes(HORIZON) - 10 * error
    shift = 0.5826 * SIGMA * np.sqrt(HORIZON / STEPS)
    # The correction is of leading order: what remains is a few tenths of a percent.
    assert abs(probability - passes(HORIZON, LEVEL + shift)) < 4 * error + 0.005


# Order statistics themselves.

EXACT = (0.001, 0.5, 0.999)


@pytest.fixture
def states(monkeypatch):
    """Record the sizes of the states of further passes: (counters, values).

    The first pass keeps little: its bins are as wide as they may be.
    """
    for name in ("VALUES", "DISTINCT", "BINS"):
        monkeypatch.setattr(_bins, f"MOST_{name}", 4)
        monkeypatch.setattr(_bins, f"LEAST_{name}", 4)
    monkeypatch.setattr(_bins, "SINGLE_BINS", 4)
    sizes = []
    for name in ("chunk", "merge"):
        original = getattr(Selection, name)

        def recorded(self, *args, original=original):
            state = original(self, *args)
            sizes.append((state.counts.size, state.values.size))
            return state

        monkeypatch.setattr(Selection, name, recorded)
    return sizes


def exactly(obj, q=EXACT, error=0.005, **options):
    with mz.backend("threads", 2):  # in this process, where sizes are recorded
        return mz.reduce(obj, mz.Quantile(q, error, exact=True), **options).x_quantile.values


def test_exact_quantiles_of_a_million_paths_are_those_of_sorting(tmp_path, states):
    ds = mz.simulate(mz.BrownianMotion(), n_paths=10**6, T=1, seed=10)
    drawn = ds.isel(time=-1)
    wanted = order_statistic(np.sort(drawn.x.values), EXACT)
    assert np.array_equal(exactly(drawn), wanted)
    mz.write(ds, tmp_path / "paths.zarr")
    stored = mz.open(tmp_path / "paths.zarr").isel(time=-1)
    assert np.array_equal(exactly(stored), wanted)
    counters, values = np.max(states, axis=0)
    assert counters <= _selection.SELECTION_COUNTERS_MAX
    assert values <= _selection.SELECTION_VALUES_MAX
    assert values < 50_000  # what three bins hold, of a million


@pytest.mark.parametrize("collected", [1, 100, 5000])
def test_exact_quantiles_need_no_more_memory_than_they_are_given(collected, states, monkeypatch):
    monkeypatch.setattr(_selection, "SELECTION_VALUES_MAX", collected)
    monkeypatch.setattr(_selection, "SELECTION_COUNTERS_MAX", 2**10)
    ds = mz.simulate(mz.BrownianMotion(), n_paths=50_000, T=2, x0=10.0, seed=11)
    ds = ds.isel(time=[1, 2])
    wanted = order_statistic(np.sort(ds.x.values, axis=0), EXACT).T
    assert np.array_equal(exactly(ds, error=0.1), wanted)  # thousands in a bin
    counters, values = np.max(states, axis=0)
    assert 0 < counters <= 2**10
    assert values <= collected


def test_exact_quantiles_of_ties(states, monkeypatch):
    ds = mz.simulate(mz.PoissonProcess(rate=3.0), n_paths=50_000, T=1, seed=12).isel(time=-1)
    wanted = order_statistic(np.sort(ds.x.values), LEVELS)
    assert np.array_equal(exactly(ds, LEVELS), wanted)
    monkeypatch.setattr(_selection, "SELECTION_VALUES_MAX", 1000)
    states.clear()
    assert np.array_equal(exactly(ds, LEVELS), wanted)
    assert np.max(states, axis=0)[1] == 0


def test_more_equal_values_than_are_ever_collected_are_not_collected(states):
    rng = np.random.default_rng(13)
    many = np.full(_selection.SELECTION_VALUES_MAX + 5000, np.pi)
    for same in (many, -many, 0 * many):
        x = np.concatenate([rng.normal(same[0], 1e-3, 3000), same, rng.normal(same[0], 1, 3000)])
        rng.shuffle(x)
        assert np.array_equal(exactly(paths(x)), order_statistic(np.sort(x), EXACT))
    counters, values = np.max(states, axis=0)
    assert counters <= _selection.SELECTION_COUNTERS_MAX
    assert values == 0


def test_groups_look_for_their_own_exact_quantiles_only(states, monkeypatch):
    monkeypatch.setattr(_selection, "SELECTION_VALUES_MAX", 300)
    rng = np.random.default_rng(14)
    x = paths(rng.normal(10, 0.001, 40_000))  # all of them in one bin or two
    group = xr.DataArray((rng.random(40_000) < 0.002).astype(int), dims="path", name="group")
    wanted = [order_statistic(np.sort(x[group == k].values), EXACT) for k in (0, 1)]
    assert np.array_equal(exactly(x, by=group), wanted)
    # The few of one group are collected, and none of the many that lie among them.
    assert 0 < np.max(states, axis=0)[1] <= 300


def test_exact_quantiles_of_all_signs_and_sizes(states):
    x = mixed(np.random.default_rng(15), 30_000)
    x[np.abs(x) < np.finfo(np.float64).tiny] = 0.0  # numbers below that one count as 0
    assert np.array_equal(exactly(paths(x), LEVELS), order_statistic(np.sort(x), LEVELS))
    x[::7] = np.nan
    with pytest.warns(mz.MontezarrWarning):
        found = exactly(paths(x), LEVELS)
    assert np.array_equal(found, order_statistic(np.sort(x[np.isfinite(x)]), LEVELS))
