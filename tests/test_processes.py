import csv
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

import montezarr as mz
from montezarr.processes import process_from_dict
from montezarr.processes._built_in import built_in_processes
from montezarr.processes.markov_chain import _alias_tables
from montezarr.processes.poisson_process import _distribution
from montezarr.testing import ProcessTests
from montezarr.testing.problems import HESTON_CASES
from montezarr.testing.processes import built_in_examples

# Seeds are fixed, so a test that passes once passes always. A right process would have failed one
# of the hundred or so comparisons with P, on the day they were written, with probability 1 %.
P = 1e-4
N = 20_000
UNEVEN = (0.0, 0.1, 0.5, 0.75, 2.0, 3.0)


class TestEveryBuiltInProcess(ProcessTests):
    pass


class TestWithShorterStepsAndAnUnevenGrid(ProcessTests):
    processes = (
        mz.BrownianMotion(mu=1.0, sigma=0.5),
        mz.GeometricBrownianMotion(mu=0.2, sigma=0.3),
        mz.OrnsteinUhlenbeck(theta=3.0, mu=-1.0, sigma=0.5),
        mz.PoissonProcess(rate=20.0),
        mz.Heston(mu=0.05, kappa=1.5, theta=0.09, xi=0.4, rho=0.3),
    )
    dt = 0.125


@dataclass(frozen=True, slots=True, kw_only=True)
class Telegraph(mz.Process):
    """Random telegraph signal of the user's own: +1 and -1, switching at a rate.

    Parameters
    ----------
    rate : float
        Switches per unit of time.

    References
    ----------
    Kac, "A stochastic model related to the telegrapher's equation", 1974,
    doi:10.1216/RMJ-1974-4-3-497.
    """

    dtypes: ClassVar[tuple[str, ...]] = ("int8", "int64")

    rate: float = 1.0

    def default_x0(self):
        return 1

    def sample(self, draws, grid, x0):
        rows = draws.empty_rows(grid.T + 1, x0.dtype)
        rows[0] = x0
        odd = -np.expm1(-2 * self.rate * grid.steps) / 2  # an odd number of switches
        for k, uniform in enumerate(draws.rows("uniform", grid.T)):
            rows[k + 1] = np.where(uniform < odd[k], -rows[k], rows[k])
        return rows

    def mean(self, t, x0=1):
        return x0 * np.exp(-2 * self.rate * t)

    def variance(self, t, x0=1):
        return x0**2 - self.mean(t, x0) ** 2


class TestAProcessFromOutside(ProcessTests):
    processes = (Telegraph(), Telegraph(rate=0.1))


class Crooked(Telegraph):
    """A process with one fault, as named, to see that the suite finds it."""

    __slots__ = ()
    fault: ClassVar[str] = ""

    def sample(self, draws, grid, x0):
        rows = Telegraph.sample(self, draws, grid, x0)
        if self.fault == "position" and draws.n:
            rows[1:, 0] *= -1
        if self.fault == "length":
            rows[1:] *= 1 - 2 * (grid.T % 2)
        if self.fault == "layout":
            return np.asfortranarray(rows)
        if self.fault == "start":
            rows[0] = -rows[0]
        return rows

    def mean(self, t, x0=1):
        return Telegraph.mean(self, t, x0) + (0.1 if self.fault == "mean" else 0.0)

    def variance(self, t, x0=1):
        return Telegraph.variance(self, t, x0) * (1.1 if self.fault == "variance" else 1.0)


@pytest.mark.parametrize(
    ("fault", "test", "arguments"),
    [
        ("position", "test_any_range_of_paths_is_that_slice_of_all_paths", {}),
        ("position", "test_a_path_far_away_can_be_had_alone", {"dtype": "int8"}),
        ("length", "test_a_short_run_is_the_beginning_of_a_long_one", {}),
        ("layout", "test_paths_have_the_layout_and_dtype_asked_for", {"dtype": "int8"}),
        ("start", "test_the_first_row_is_x0", {"dtype": "int64"}),
        ("mean", "test_paths_have_the_mean_it_states", {}),
        ("variance", "test_paths_have_the_variance_it_states", {}),
    ],
)
def test_the_suite_finds_a_fault(monkeypatch, fault, test, arguments):
    monkeypatch.setattr(Crooked, "fault", fault)
    with pytest.raises(AssertionError):
        getattr(ProcessTests(), test)(process=Crooked(rate=0.2), **arguments)


@pytest.mark.parametrize(
    ("fault", "off"),
    [("mean", r"0\.1 at t=0: 1, "), ("variance", r"[\d.]+ standard errors at t=\d: [\d.]+, ")],
)
def test_a_wrong_moment_is_told_by_time_and_standard_errors(monkeypatch, fault, off):
    monkeypatch.setattr(Crooked, "fault", fault)
    test = getattr(ProcessTests(), f"test_paths_have_the_{fault}_it_states")
    said = rf"^{fault} of x off by {off}where the process states [\d.]+; if the scheme is exact for"
    with pytest.raises(AssertionError, match=said):
        test(process=Crooked(rate=0.2))


def test_every_built_in_process_has_examples():
    assert {type(process).__name__ for process in built_in_examples()} == set(built_in_processes())


def test_a_process_without_examples_fails_loudly(monkeypatch):
    class Unfinished(mz.Process):
        def __init__(self, strength):
            self.strength = strength

        def sample(self, draws, grid, x0):
            return draws.empty_rows(grid.T + 1)

    monkeypatch.setitem(built_in_processes(), "Unfinished", Unfinished)
    with pytest.raises(mz.ArgumentTypeError, match=r"Unfinished: expected a class method examples"):
        built_in_examples()


@pytest.mark.parametrize("process", built_in_examples(), ids=lambda p: type(p).__name__)
def test_a_name_finds_the_built_in_class(process):
    if process.runs_user_code:
        with pytest.raises(mz.ArgumentValueError, match="never loaded"):
            process_from_dict(process.to_dict())
    else:
        assert process_from_dict(process.to_dict()) == process


@pytest.mark.parametrize("data", [{}, {"name": "os"}, {"name": None, "mu": 1.0}])
def test_a_name_that_is_not_built_in_is_refused(data):
    with pytest.raises(mz.ArgumentValueError, match="name: expected one of BrownianMotion"):
        process_from_dict(data)


def paths(process, grid, *, n=N, seed=1, x0=None, dtype=None):
    """Return rows (T+1, n), or (variables, T+1, n), on a grid or a sequence of times."""
    kind = dtype or process.dtypes[0]
    draws = mz.Draws.of(seed, n=n, dtype="float32" if kind == "float32" else "float64")
    where = grid if isinstance(grid, mz.TimeGrid) else mz.TimeGrid.of(times=grid)
    state = process.check_x0(process.default_x0() if x0 is None else x0, kind)
    return process.sample(draws, where, state)


def assert_distributed(sample, distribution):
    assert stats.kstest(sample, distribution.cdf).pvalue > P


def assert_counts(values, pmf, support):
    """Chi-square test of integers, with cells of small expectation put together."""
    expected = len(values) * pmf(support)
    observed = np.array([(values == k).sum() for k in support], float)
    assert observed.sum() + len(values) * 1e-3 >= len(values)  # the support is nearly all
    enough = expected >= 10
    rest = np.array([len(values) - observed[enough].sum()])
    rest_expected = np.array([len(values) - expected[enough].sum()])
    cells = np.append(observed[enough], rest[rest_expected > 1])
    wanted = np.append(expected[enough], rest_expected[rest_expected > 1])
    if rest_expected[0] <= 1:
        assert rest[0] <= 10
    statistic = ((cells - wanted) ** 2 / wanted).sum()
    assert stats.chi2.sf(statistic, max(len(cells) - 1, 1)) > P


def assert_covariance(rows, expected):
    """Compare the covariance matrix over times with a formula, entry by entry."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    products = centred[:, None] * centred[None]
    error = products.std(axis=2) / np.sqrt(rows.shape[1])
    assert (np.abs(products.mean(axis=2) - expected) <= 4.5 * error + 1e-12).all()


def assert_independent(increments):
    """Test that rows are uncorrelated, in themselves and in their squares."""
    limit = 4.5 / np.sqrt(increments.shape[1])
    for values in (increments, increments**2, np.abs(increments)):
        correlation = np.corrcoef(values)
        assert np.abs(correlation - np.eye(len(correlation))).max() < limit


def minimum_and_maximum(times):
    s, t = np.meshgrid(times, times, indexing="ij")
    return np.minimum(s, t), np.maximum(s, t)


# --- Brownian motion ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_brownian_motion_is_normal_at_every_time(dtype):
    process = mz.BrownianMotion(mu=-0.7, sigma=1.8)
    rows = paths(process, UNEVEN, x0=3.0, dtype=dtype)
    for t, row in zip(UNEVEN[1:], rows[1:], strict=True):
        assert_distributed(row.astype(float), stats.norm(3 - 0.7 * t, 1.8 * np.sqrt(t)))


def test_brownian_motion_has_the_covariance_of_the_earlier_time():
    earlier, _ = minimum_and_maximum(UNEVEN)
    assert_covariance(paths(mz.BrownianMotion(sigma=1.8), UNEVEN), 1.8**2 * earlier)


def test_brownian_motion_has_independent_increments():
    assert_independent(np.diff(paths(mz.BrownianMotion(), UNEVEN), axis=0))


def test_the_end_of_brownian_motion_does_not_depend_on_how_it_is_cut():
    ends = [paths(mz.BrownianMotion(), np.linspace(0, 2, T + 1), seed=T)[-1] for T in (1, 2, 7, 64)]
    for end in ends:
        assert_distributed(end, stats.norm(0, np.sqrt(2)))


def test_brownian_motion_without_volatility_is_a_line():
    rows = paths(mz.BrownianMotion(mu=2.0, sigma=0.0), UNEVEN, x0=1.0, n=5)
    np.testing.assert_allclose(rows, 1 + 2 * np.array(UNEVEN)[:, None] * np.ones(5), rtol=1e-14)


# --- geometric Brownian motion ------------------------------------------------------------------

GBM = mz.GeometricBrownianMotion(mu=0.3, sigma=0.6)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_geometric_brownian_motion_is_lognormal_at_every_time(dtype):
    rows = paths(GBM, UNEVEN, x0=100.0, dtype=dtype)
    for t, row in zip(UNEVEN[1:], rows[1:], strict=True):
        law = stats.lognorm(0.6 * np.sqrt(t), scale=100 * np.exp((0.3 - 0.18) * t))
        assert_distributed(row.astype(float), law)


def test_geometric_brownian_motion_has_its_covariance():
    earlier, later = minimum_and_maximum(UNEVEN)
    expected = np.exp(0.3 * (earlier + later)) * np.expm1(0.36 * earlier)
    assert_covariance(paths(GBM, UNEVEN, n=100_000), expected)


def test_geometric_brownian_motion_has_independent_returns():
    assert_independent(np.diff(np.log(paths(GBM, UNEVEN)), axis=0))


def test_geometric_brownian_motion_is_the_exponential_of_brownian_motion_at_the_same_draws():
    log = paths(mz.BrownianMotion(mu=0.3 - 0.18, sigma=0.6), UNEVEN)
    np.testing.assert_allclose(paths(GBM, UNEVEN, x0=5.0), 5 * np.exp(log), rtol=1e-13)


def test_geometric_brownian_motion_without_volatility_grows_at_its_rate():
    rows = paths(mz.GeometricBrownianMotion(mu=0.3, sigma=0.0), UNEVEN, x0=2.0, n=5)
    exact = 2 * np.exp(0.3 * np.array(UNEVEN))
    np.testing.assert_allclose(rows, exact[:, None] * np.ones(5), rtol=1e-13)


def test_geometric_brownian_motion_keeps_the_sign_of_its_start_and_stays_at_zero():
    rows = paths(GBM, UNEVEN, x0=[-1.0, 0.0, 1.0], n=3)
    assert (np.sign(rows) == [-1, 0, 1]).all()


def test_float32_paths_stay_near_the_exact_ones_over_many_steps():
    # The recursion runs in the logarithm, so the rounding of 1000 steps adds, not multiplies.
    rows = paths(GBM, mz.TimeGrid.of(1000, 0.01), n=2_000, dtype="float32")
    draws = mz.Draws.of(1, n=2_000, dtype="float32").normal(range(1000)).astype(float)
    log = np.cumsum((0.3 - 0.18) * 0.01 + 0.06 * draws, axis=0)
    np.testing.assert_allclose(np.log(rows[1:].astype(float)), log, atol=3e-4)


# --- Ornstein-Uhlenbeck -------------------------------------------------------------------------

OU = mz.OrnsteinUhlenbeck(theta=1.5, mu=0.4, sigma=0.8)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_ornstein_uhlenbeck_is_normal_at_every_time(dtype):
    rows = paths(OU, UNEVEN, x0=-2.0, dtype=dtype)
    for t, row in zip(UNEVEN[1:], rows[1:], strict=True):
        mean = 0.4 - 2.4 * np.exp(-1.5 * t)
        deviation = np.sqrt(0.64 * (1 - np.exp(-3 * t)) / 3)
        assert OU.mean(t, -2.0) == pytest.approx(mean)
        assert OU.variance(t, -2.0) == pytest.approx(deviation**2)
        assert_distributed(row.astype(float), stats.norm(mean, deviation))


def test_ornstein_uhlenbeck_has_its_covariance():
    earlier, later = minimum_and_maximum(UNEVEN)
    expected = 0.64 / 3 * (np.exp(-1.5 * (later - earlier)) - np.exp(-1.5 * (later + earlier)))
    assert_covariance(paths(OU, UNEVEN, x0=-2.0), expected)


def test_ornstein_uhlenbeck_started_in_its_stationary_law_stays_in_it():
    law = stats.norm(0.4, np.sqrt(0.64 / 3))
    x0 = law.rvs(N, random_state=np.random.default_rng(4))
    rows = paths(OU, UNEVEN, x0=x0)
    for row in rows:
        assert_distributed(row, law)
    s, t = np.meshgrid(UNEVEN, UNEVEN)
    assert_covariance(rows, 0.64 / 3 * np.exp(-1.5 * np.abs(s - t)))


def test_ornstein_uhlenbeck_with_fast_reversion_is_white_noise():
    fast = mz.OrnsteinUhlenbeck(theta=1e6, mu=2.0, sigma=1e3)
    rows = paths(fast, UNEVEN, x0=50.0)
    for row in rows[1:]:
        assert_distributed(row, stats.norm(2.0, np.sqrt(0.5)))
    assert_independent(rows[1:])


def test_ornstein_uhlenbeck_with_slow_reversion_is_brownian_motion():
    slow = mz.OrnsteinUhlenbeck(theta=1e-12, mu=0.0, sigma=0.8)
    brownian = mz.BrownianMotion(sigma=0.8)
    np.testing.assert_allclose(paths(slow, UNEVEN), paths(brownian, UNEVEN), atol=1e-10)


def test_ornstein_uhlenbeck_without_volatility_decays_to_its_mean():
    rows = paths(mz.OrnsteinUhlenbeck(theta=1.5, mu=0.4, sigma=0.0), UNEVEN, x0=2.4, n=5)
    exact = 0.4 + 2 * np.exp(-1.5 * np.array(UNEVEN))
    np.testing.assert_allclose(rows, exact[:, None] * np.ones(5), rtol=1e-14)


# --- Poisson process ----------------------------------------------------------------------------


@pytest.mark.parametrize("mean", [0.001, 0.3, 1.0, 4.5, 60.0, 1_000.0])
def test_poisson_counts_have_their_law(mean):
    counts = paths(mz.PoissonProcess(rate=mean / 0.5), (0.0, 0.5))[1]
    law = stats.poisson(mean)
    assert_counts(counts, law.pmf, np.arange(law.ppf(1e-9), law.isf(1e-9) + 1))


@pytest.mark.parametrize("mean", [1e4, 1e6, 1e7])
def test_poisson_counts_of_many_events_are_nearly_normal(mean):
    counts = paths(mz.PoissonProcess(rate=mean), (0.0, 1.0, 2.0))
    for row in np.diff(counts, axis=0):
        # Continuity: spread each integer over its unit interval.
        spread = row + np.random.default_rng(3).uniform(-0.5, 0.5, N)
        z = (spread - mean) / np.sqrt(mean)
        assert abs(z.mean()) < 4.5 / np.sqrt(N)
        assert abs(z.var() - 1) < 4.5 * np.sqrt(2 / N)
        if mean >= 1e6:
            assert_distributed(z, stats.norm)


@pytest.mark.parametrize("mean", [1e-6, 0.1, 1.0, 3.7, 100.0, 12_345.6, 1e6, 1e7])
def test_the_poisson_table_is_the_distribution_function(mean):
    first, cdf = _distribution(mean)
    counts = first + np.arange(len(cdf))
    if mean < 1e7:
        np.testing.assert_allclose(cdf, stats.poisson.cdf(counts, mean), rtol=1e-9, atol=1e-13)
    else:  # SciPy's function is off by 1e-7 here, Edgeworth's expansion by less
        z = (counts + 0.5 - mean) / np.sqrt(mean)
        edgeworth = stats.norm.cdf(z) - stats.norm.pdf(z) * (z * z - 1) / (6 * np.sqrt(mean))
        np.testing.assert_allclose(cdf, edgeworth, atol=2e-8)
    assert (np.diff(cdf) >= 0).all()
    # The largest uniform number still falls before the end of the table.
    assert np.searchsorted(cdf, 1 - 2.0**-53, side="right") < len(cdf)


def test_poisson_increments_are_independent_and_never_negative():
    increments = np.diff(paths(mz.PoissonProcess(rate=7.0), UNEVEN), axis=0)
    assert increments.min() >= 0
    assert_independent(increments.astype(float))


def test_poisson_counts_start_from_x0_and_have_the_covariance_of_the_earlier_time():
    earlier, _ = minimum_and_maximum(UNEVEN)
    rows = paths(mz.PoissonProcess(rate=7.0), UNEVEN, x0=100)
    assert (rows[0] == 100).all()
    assert_covariance(rows.astype(float), 7.0 * earlier)


def test_a_poisson_step_of_too_many_events_is_refused():
    with pytest.raises(mz.ArgumentValueError, match=r"rate: expected rate \* dt <= 1e\+07"):
        paths(mz.PoissonProcess(rate=1e7), (0.0, 1.0, 3.0), n=1)


@pytest.mark.parametrize(
    ("process", "T"), [(mz.PoissonProcess(rate=1e6), 3_000), (mz.RandomWalk(), 2**31)]
)
def test_counts_that_would_wrap_around_are_refused(process, T):
    with pytest.raises(mz.ArgumentValueError, match="dtype: expected one that holds states"):
        paths(process, mz.TimeGrid.of(T, 1.0), n=1, dtype="int32")
    with pytest.raises(mz.ArgumentValueError, match="dtype: expected one that holds states"):
        paths(process, mz.TimeGrid.of(10, 1.0), n=1, x0=2**63 - 5)


# --- random walk --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int64", "int32"])
@pytest.mark.parametrize("p", [0.5, 0.2, 0.97])
def test_the_random_walk_counts_binomial_steps_up(p, dtype):
    rows = paths(mz.RandomWalk(p=p), mz.TimeGrid.of(25), x0=-4, dtype=dtype)
    for t in (1, 2, 9, 25):
        up = (rows[t] + 4 + t) / 2
        assert (up == np.round(up)).all()
        assert_counts(up, stats.binom(t, p).pmf, np.arange(t + 1))


def test_the_random_walk_moves_by_one_independently():
    steps = np.diff(paths(mz.RandomWalk(p=0.3), mz.TimeGrid.of(6)), axis=0)
    assert set(np.unique(steps)) == {-1, 1}
    limit = 4.5 / np.sqrt(N)
    assert np.abs(np.corrcoef(steps) - np.eye(6)).max() < limit


def test_the_random_walk_has_the_covariance_of_the_earlier_time():
    rows = paths(mz.RandomWalk(p=0.3), mz.TimeGrid.of(6)).astype(float)
    earlier, _ = minimum_and_maximum(np.arange(7))
    assert_covariance(rows, 4 * 0.3 * 0.7 * earlier)


@pytest.mark.parametrize(("p", "sign"), [(0.0, -1), (1.0, 1)])
def test_a_certain_random_walk_is_a_line(p, sign):
    rows = paths(mz.RandomWalk(p=p), mz.TimeGrid.of(30), n=100)
    assert np.array_equal(rows, sign * np.arange(31)[:, None] * np.ones(100, int))


# --- Markov chain -------------------------------------------------------------------------------

WEATHER = mz.MarkovChain(
    transition=[[0.7, 0.2, 0.1, 0.0], [0.3, 0.4, 0.3, 0.0], [0.0, 0.5, 0.25, 0.25],
                [0.1, 0.1, 0.1, 0.7]],
    states=("sun", "cloud", "rain", "storm"),
)  # fmt: skip


@st.composite
def transition_matrices(draw):
    size = draw(st.integers(1, 9))
    weights = st.one_of(st.just(0.0), st.floats(1e-9, 1.0))
    rows = []
    for i in range(size):
        row = draw(st.lists(weights, min_size=size, max_size=size))
        row[i] += 1e-6 if sum(row) == 0 else 0.0
        rows.append([value / sum(row) for value in row])
    return rows


@given(matrix=transition_matrices())
@settings(derandomize=True, database=None, deadline=None, max_examples=200)
def test_a_markov_chain_comes_back_from_its_description_with_the_same_bits(matrix):
    chain = mz.MarkovChain(transition=matrix)
    assert mz.MarkovChain.from_dict(chain.to_dict()) == chain
    np.testing.assert_allclose(np.sum(chain.transition, axis=1), 1.0, rtol=1e-14)


@given(matrix=transition_matrices())
@settings(derandomize=True, database=None, deadline=None, max_examples=200)
def test_alias_tables_hold_exactly_the_probabilities(matrix):
    transition = mz.MarkovChain(transition=matrix).transition
    matrix = np.array(transition)
    accept, alias = _alias_tables(transition)
    n = len(matrix)
    again = np.zeros_like(matrix)
    for i in range(n):
        for column in range(n):
            again[i, column] += accept[i, column] / n
            again[i, alias[i, column]] += (1 - accept[i, column]) / n
    np.testing.assert_allclose(again, matrix, atol=1e-14)
    assert (again[matrix == 0] == 0).all()  # what cannot happen does not, not even by rounding


def test_a_markov_chain_has_its_distribution_at_every_time():
    rows = paths(WEATHER, mz.TimeGrid.of(12), x0="rain")
    for t in (0, 1, 2, 5, 12):
        expected = np.linalg.matrix_power(np.array(WEATHER.transition), t)[2]
        np.testing.assert_allclose(WEATHER.distribution(t, "rain"), expected, atol=1e-14)
        assert_counts(rows[t], lambda k, law=expected: law[k], np.arange(4))


def test_a_markov_chain_makes_each_transition_with_its_probability():
    rows = paths(WEATHER, mz.TimeGrid.of(40), x0=["sun", "cloud", "rain", "storm"] * 500, n=2_000)
    before, after = rows[:-1].ravel(), rows[1:].ravel()
    for state, probabilities in enumerate(np.array(WEATHER.transition)):
        reached = after[before == state]
        assert len(reached) > 5_000
        assert_counts(reached, lambda k, law=probabilities: law[k], np.arange(4))


def test_a_markov_chain_forgets_its_start_and_settles_in_its_stationary_law():
    matrix = np.array(WEATHER.transition)
    values, vectors = np.linalg.eig(matrix.T)
    stationary = np.real(vectors[:, np.argmax(np.real(values))])
    stationary /= stationary.sum()
    np.testing.assert_allclose(WEATHER.distribution(500, "sun"), stationary, atol=1e-12)
    end = paths(WEATHER, mz.TimeGrid.of(60), x0="storm")[-1]
    assert_counts(end, lambda k: stationary[k], np.arange(4))


def test_transitions_of_a_markov_chain_are_independent_of_the_past_beyond_the_state():
    rows = paths(WEATHER, mz.TimeGrid.of(2), x0=["sun", "rain"] * (N // 2))
    now = rows[1] == 1  # cloud today
    table = [
        [((rows[0] == past) & now & (rows[2] == future)).sum() for future in range(3)]
        for past in (0, 2)
    ]
    assert stats.chi2_contingency(table).pvalue > P


def test_an_absorbing_state_is_never_left():
    ruin = mz.MarkovChain(transition=[[1, 0, 0], [0.5, 0, 0.5], [0, 0, 1]])
    rows = paths(ruin, mz.TimeGrid.of(30), x0=1)
    for end in (0, 2):
        absorbed = rows == end
        assert (absorbed[1:] >= absorbed[:-1]).all()
    assert_counts((rows[1] == 2).astype(int), lambda k: np.full(len(k), 0.5), np.arange(2))


def test_a_state_of_probability_zero_is_never_visited():
    # Thirds are not exact in binary, so that the tables have rounding to hide a state in.
    third = 1 / 3
    row = [0, third, 0, third, 0, 0, third, 0]
    chain = mz.MarkovChain(transition=[row] * 8)
    rows = paths(chain, mz.TimeGrid.of(50), x0=1)
    assert set(np.unique(rows)) == {1, 3, 6}


def test_a_certain_markov_chain_is_a_cycle():
    cycle = mz.MarkovChain(transition=[[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    rows = paths(cycle, mz.TimeGrid.of(9), n=50)
    assert np.array_equal(rows, (np.arange(10) % 3)[:, None] * np.ones(50, int))


def test_a_markov_chain_of_one_state_stays_there():
    assert not paths(mz.MarkovChain(transition=[[1.0]]), mz.TimeGrid.of(5), n=7).any()


def test_a_markov_chain_with_more_states_than_the_dtype_holds_is_refused():
    chain = mz.MarkovChain(transition=np.eye(129))
    assert paths(chain, mz.TimeGrid.of(1), x0=128, n=1, dtype="int16")[1] == 128
    with pytest.raises(mz.ArgumentValueError, match="dtype: expected one that holds 129 codes"):
        chain.check_x0(0, "int8")


def test_the_dataset_of_a_markov_chain_says_what_its_codes_mean():
    ds = mz.simulate(WEATHER, n_paths=5, T=3, x0="rain", seed=1)
    assert ds.x.attrs["flag_meanings"] == "sun cloud rain storm"
    assert ds.x.attrs["flag_values"].tolist() == [0, 1, 2, 3]
    assert (ds.x.isel(time=0) == 2).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"transition": [[0.5, 0.5]]}, ValueError, "a square matrix"),
        ({"transition": [[0.5, 0.4], [0, 1]]}, ValueError, "sum to 1"),
        ({"transition": [[1.5, -0.5], [0, 1]]}, ValueError, "sum to 1"),
        ({"transition": [[0.5, 0.5], [1]]}, ValueError, "transition: expected finite numbers"),
        ({"transition": "ab"}, TypeError, "transition: expected finite numbers"),
        ({"transition": [[1.0]], "states": ("a", "b")}, ValueError, "1 distinct labels"),
        ({"transition": np.eye(2), "states": ("a", "a")}, ValueError, "2 distinct labels"),
        ({"transition": np.eye(2), "states": "ab"}, TypeError, "a sequence of labels"),
        ({"transition": np.eye(2), "states": (1.5, 2)}, TypeError, "labels that are str or int"),
    ],
)
def test_what_is_no_markov_chain_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        mz.MarkovChain(**arguments)


# --- uniform numbers at the edges ---------------------------------------------------------------


class Fixed:
    """Draws that are these uniform numbers, one for each path, at every step."""

    implementation, dtype = "reference", "float64"

    def __init__(self, *uniforms):
        self.uniforms = np.array(uniforms)
        self.n = len(uniforms)

    def rows(self, kind, count, slot=0):
        assert kind == "uniform"
        for _ in range(count):
            yield self.uniforms

    def empty_rows(self, count, dtype):
        return np.full((count, self.n), -99, dtype)


LAST = 1 - 2.0**-53


@pytest.mark.parametrize(
    ("p", "steps"), [(0.0, [-1, -1, -1]), (0.5, [1, -1, -1]), (1.0, [1, 1, 1])]
)
def test_the_random_walk_goes_up_below_p_alone(p, steps):
    rows = mz.RandomWalk(p=p).sample(Fixed(0.0, 0.5, LAST), mz.TimeGrid.of(1), np.array(0))
    assert rows[1].tolist() == steps


def test_poisson_counts_invert_the_distribution_function_at_its_steps():
    first, cdf = _distribution(2.5)
    below, above = np.nextafter(cdf[3], 0), np.nextafter(cdf[3], 1)
    draws = Fixed(0.0, below, cdf[3], above, LAST)
    rows = mz.PoissonProcess(rate=2.5).sample(draws, mz.TimeGrid.of(1), np.array(10))
    assert first == 0
    assert rows[1, :4].tolist() == [10, 13, 14, 14]
    # P(N > n) is 2**-53 between these.
    assert 30 <= rows[1, 4] <= 40


@pytest.mark.parametrize("size", [2, 3, 7, 8])
def test_a_markov_chain_avoids_states_of_probability_zero_at_the_edges_of_its_columns(size):
    row = np.zeros(size)
    row[1::2] = 1 / len(row[1::2])
    edges = np.arange(size) / size
    uniforms = np.unique([0.0, LAST, *edges, *np.nextafter(edges[1:], 0), *np.nextafter(edges, 1)])
    chain = mz.MarkovChain(transition=[row] * size)
    rows = chain.sample(Fixed(*uniforms), mz.TimeGrid.of(3), np.array(1))
    assert (rows % 2 == 1).all()


# --- parameters out of range --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "arguments", "error"),
    [
        (mz.BrownianMotion, {"sigma": -0.1}, ValueError),
        (mz.BrownianMotion, {"mu": float("nan")}, ValueError),
        (mz.BrownianMotion, {"mu": "1"}, TypeError),
        (mz.GeometricBrownianMotion, {"mu": 0.1, "sigma": -1}, ValueError),
        (mz.GeometricBrownianMotion, {"mu": float("inf"), "sigma": 1}, ValueError),
        (mz.GeometricBrownianMotion, {"mu": True, "sigma": 1}, TypeError),
        (mz.OrnsteinUhlenbeck, {"theta": 0, "mu": 0, "sigma": 1}, ValueError),
        (mz.OrnsteinUhlenbeck, {"theta": 1, "mu": 0, "sigma": -1}, ValueError),
        (mz.PoissonProcess, {"rate": 0}, ValueError),
        (mz.PoissonProcess, {"rate": [1.0]}, TypeError),
        (mz.RandomWalk, {"p": 1.1}, ValueError),
        (mz.RandomWalk, {"p": -0.1}, ValueError),
        (mz.Heston, {"mu": 0, "kappa": 0, "theta": 1, "xi": 1, "rho": 0}, ValueError),
        (mz.Heston, {"mu": 0, "kappa": 1, "theta": 0, "xi": 1, "rho": 0}, ValueError),
        (mz.Heston, {"mu": 0, "kappa": 1, "theta": 1, "xi": 1e-9, "rho": 0}, ValueError),
        (mz.Heston, {"mu": 0, "kappa": 1, "theta": 1, "xi": 1, "rho": 1.01}, ValueError),
    ],
)
def test_a_parameter_out_of_its_range_is_refused(kind, arguments, error):
    with pytest.raises(error, match="expected"):
        kind(**arguments)


# --- Heston -------------------------------------------------------------------------------------


ANDERSEN_3 = {"mu": 0.0, "kappa": 1.0, "theta": 0.09, "xi": 1.0, "rho": -0.3}


def by_name(case):
    return case.name


@pytest.mark.parametrize("case", HESTON_CASES, ids=by_name)
def test_the_closed_form_gives_the_published_price(case):
    assert case.call(100.0) == pytest.approx(case.price, abs=6e-4)


@pytest.mark.parametrize("case", HESTON_CASES, ids=by_name)
@pytest.mark.parametrize("strike", [60.0, 100.0, 160.0])
def test_the_closed_form_is_the_integral_of_heston(case, strike):
    """Heston's own formula, in two probabilities and by another quadrature."""
    process, T = case.process, case.years
    kappa, theta, xi, rho = process.kappa, process.theta, process.xi, process.rho
    log_forward = np.log(100.0) + process.mu * T

    def characteristic(u):
        b = kappa - rho * xi * 1j * u
        d = np.sqrt(b * b + xi * xi * (1j * u + u * u))
        g, decay = (b - d) / (b + d), np.exp(-d * T)
        level = kappa * theta / xi**2 * ((b - d) * T - 2 * np.log((1 - g * decay) / (1 - g)))
        slope = (b - d) / xi**2 * (1 - decay) / (1 - g * decay)
        return np.exp(level + slope * case.v0 + 1j * u * log_forward)

    def probability(shift):
        def integrand(u):
            ratio = characteristic(u - 1j * shift) / characteristic(-1j * shift + 1e-14)
            return (np.exp(-1j * u * np.log(strike)) * ratio / (1j * u)).real

        return 0.5 + integrate.quad(integrand, 1e-9, 300, limit=2_000)[0] / np.pi

    price = 100.0 * probability(1) - strike * np.exp(-process.mu * T) * probability(0)
    assert case.call(strike) == pytest.approx(price, abs=1e-5)


@pytest.mark.parametrize("case", HESTON_CASES, ids=by_name)
def test_heston_prices_calls_at_four_steps_a_year(case):
    grid = mz.TimeGrid.of(4 * case.years, 0.25)
    s = paths(case.process, grid, n=100_000, x0=(100.0, case.v0))[0, -1]
    discount = np.exp(-case.process.mu * case.years)
    for strike in (70.0, 100.0, 140.0):
        payoff, control = discount * np.maximum(s - strike, 0), discount * s - 100.0
        estimate = payoff - np.cov(payoff, control)[0, 1] / control.var() * control
        error = estimate.std() / np.sqrt(len(s))
        # The bias at this step: under 0.03 at the money, measured with a million paths.
        exact = case.price if strike == 100.0 else case.call(strike)
        assert abs(estimate.mean() - exact) < 3 * error + 0.03


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("case", HESTON_CASES, ids=by_name)
def test_the_bias_of_heston_is_what_the_documentation_says(case, steps):
    """Of calls in, at and out of the money, and of the share of variances that are 0."""
    text = (Path(__file__).parents[1] / "docs/reference/processes.md").read_text("utf-8")
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    first = next(i for i, row in enumerate(table) if row and row[0].startswith(f"{case.name}:"))
    atom = next(row for row in table if row and row[0] == case.name)
    column = {1: 3, 4: 5}[steps]
    n = 60_000
    grid = mz.TimeGrid.of(steps * case.years, 1 / steps)
    s, v = paths(case.process, grid, n=n, x0=(100.0, case.v0))[:, -1]
    discount = np.exp(-case.process.mu * case.years)
    for row in table[first : first + 3]:
        strike, price = float(row[1]), float(row[2])
        assert price == pytest.approx(case.call(strike), abs=6e-4)
        payoff, control = discount * np.maximum(s - strike, 0), discount * s - 100.0
        estimate = payoff - np.cov(payoff, control)[0, 1] / control.var() * control
        error, said = (float(part) for part in row[column].split("±"))
        deviation = np.hypot(estimate.std() / np.sqrt(n), said + 0.0005)
        assert abs(estimate.mean() - case.call(strike) - error) < 4 * deviation, strike
    share = float(atom[{1: 1, 4: 3}[steps]])
    assert abs((v == 0).mean() - share) < 4 * np.sqrt(share * (1 - share) / n) + 0.0005
    kappa, theta, xi = case.process.kappa, case.process.theta, case.process.xi
    decay = np.exp(-kappa * case.years)
    scale = xi**2 * (1 - decay) / (4 * kappa)
    law = stats.ncx2(4 * kappa * theta / xi**2, case.v0 * decay / scale, scale=scale)
    assert float(atom[6]) == pytest.approx(law.cdf(1e-4), abs=6e-4)


@pytest.mark.parametrize("case", HESTON_CASES, ids=by_name)
def test_the_discounted_heston_price_is_a_martingale(case):
    grid = mz.TimeGrid.of(2 * case.years, 0.5)
    s, v = paths(case.process, grid, n=50_000, x0=(100.0, case.v0))
    discounted = s * np.exp(-case.process.mu * grid.times[:, None])
    error = discounted.std(axis=1) / np.sqrt(50_000)
    assert (np.abs(discounted.mean(axis=1) - 100.0) <= 4 * error + 1e-9).all()
    assert v.min() >= 0
    assert s.min() > 0


def variance_of_variance(process, v0, t):
    """Return Var[V_t] of the square-root process (Cox, Ingersoll and Ross 1985)."""
    decay, scale = np.exp(-process.kappa * t), process.xi**2 / process.kappa
    return v0 * scale * decay * (1 - decay) + process.theta * scale / 2 * (1 - decay) ** 2


@pytest.mark.parametrize("steps", [1, 3, 12])
@pytest.mark.parametrize("case", HESTON_CASES, ids=by_name)
def test_the_heston_variance_has_its_first_two_moments_whatever_the_step(case, steps):
    grid, n = mz.TimeGrid.of(steps, 1.5 / steps), 100_000
    v = paths(case.process, grid, n=n, x0=(1.0, case.v0))[1, 1:]
    t = grid.times[1:]
    mean = case.process.mean(t, (1.0, case.v0))["v"]
    squares = (v - mean[:, None]) ** 2
    variance = variance_of_variance(case.process, case.v0, t)
    assert (np.abs(v.mean(axis=1) - mean) < 4.5 * v.std(axis=1) / np.sqrt(n)).all()
    assert (np.abs(squares.mean(axis=1) - variance) < 4.5 * squares.std(axis=1) / np.sqrt(n)).all()


def test_the_heston_variance_has_nearly_its_noncentral_chi_square_law():
    heston = mz.Heston(mu=0.0, kappa=2.0, theta=0.09, xi=0.3, rho=-0.5)
    v = paths(heston, mz.TimeGrid.of(16, 1 / 16), x0=(1.0, 0.05))[1, -1]
    scale = 0.3**2 * -np.expm1(-2.0) / (4 * 2.0)
    law = stats.ncx2(4 * 2.0 * 0.09 / 0.3**2, 0.05 * np.exp(-2.0) / scale, scale=scale)
    # Not exact: the scheme matches two moments of each step, so allow the distance a bias.
    assert stats.kstest(v, law.cdf).statistic < 0.015


def test_a_heston_variance_at_zero_leaves_it():
    rows = paths(mz.Heston(**ANDERSEN_3), mz.TimeGrid.of(4, 0.25), x0=(100.0, 0.0))
    assert np.isfinite(rows).all()
    assert rows[1].min() == 0.0
    heston = mz.Heston(**ANDERSEN_3)
    for k in range(1, 5):
        s, v = rows[:, k]
        expected = heston.mean(0.25 * k, (100.0, 0.0))
        assert abs(v.mean() - expected["v"]) < 4.5 * v.std() / np.sqrt(N)
        assert abs(s.mean() - 100.0) < 4.5 * s.std() / np.sqrt(N)


def test_the_heston_variance_is_zero_with_the_probability_of_the_exponential_branch():
    heston, dt = mz.Heston(**ANDERSEN_3), 0.25
    v = paths(heston, mz.TimeGrid.of(1, dt), n=50_000, x0=(1.0, 0.0))[1, 1]
    mean = 0.09 * -np.expm1(-dt)
    psi = variance_of_variance(heston, 0.0, dt) / mean**2
    p = (psi - 1) / (psi + 1)
    assert abs((v == 0).mean() - p) < 4.5 * np.sqrt(p * (1 - p) / 50_000)
    assert_distributed(v[v > 0], stats.expon(scale=mean / (1 - p)))


@pytest.mark.parametrize("xi", [5.0, 50.0, 1e4])
def test_heston_stands_a_wild_variance(xi):
    heston = mz.Heston(mu=0.1, kappa=1.0, theta=0.04, xi=xi, rho=-0.8)
    s, v = paths(heston, mz.TimeGrid.of(8, 0.25), x0=(100.0, 0.04))
    assert np.isfinite(s).all()
    assert v.min() >= 0
    assert s.min() >= 0
    assert (v == 0).mean() > 0.5


def test_heston_with_a_variance_that_hardly_moves_is_geometric_brownian_motion():
    calm = mz.Heston(mu=0.1, kappa=1.0, theta=0.04, xi=1e-8, rho=-0.5)
    s, v = paths(calm, mz.TimeGrid.of(8, 0.25), x0=(100.0, 0.04))
    np.testing.assert_allclose(v, 0.04, rtol=1e-6)
    assert_distributed(s[-1], stats.lognorm(0.2 * np.sqrt(2), scale=100 * np.exp(0.16)))


@pytest.mark.parametrize("theta", [1e-12, 1e-30])
def test_heston_with_nearly_no_long_run_variance_is_absorbed_at_zero(theta):
    dying = mz.Heston(mu=0.0, kappa=1.0, theta=theta, xi=0.5, rho=-0.5)
    s, v = paths(dying, mz.TimeGrid.of(60, 0.5), x0=(100.0, 0.04), n=2_000)
    assert np.isfinite(s).all()
    assert (v[-1] == 0).all()


@pytest.mark.parametrize("rho", [-1.0, 0.0, 1.0])
def test_heston_takes_any_correlation(rho):
    heston = mz.Heston(mu=0.05, kappa=3.0, theta=0.09, xi=0.3, rho=rho)
    s, v = paths(heston, mz.TimeGrid.of(64, 1 / 64), n=20_000, x0=(1.0, 0.09))
    assert abs(s[-1].mean() - np.exp(0.05)) < 4.5 * s[-1].std() / np.sqrt(20_000)
    d_log, d_v = np.diff(np.log(s), axis=0), np.diff(v, axis=0)
    sample = [np.corrcoef(a, b)[0, 1] for a, b in zip(d_log, d_v, strict=True)]
    assert np.mean(sample) == pytest.approx(rho, abs=0.02)


@pytest.mark.parametrize("xi", [0.05, 0.5, 5.0])
def test_heston_goes_on_where_the_martingale_correction_does_not_exist(xi):
    # With a correlation near 1 and steps of ten years, E[exp(A V)] of the correction is infinite.
    heston = mz.Heston(mu=0.0, kappa=1.0, theta=0.5, xi=xi, rho=0.95)
    s, v = paths(heston, mz.TimeGrid.of(3, 10.0), x0=(1.0, 0.5))
    assert np.isfinite(s).all()
    assert v.min() >= 0


def test_heston_prices_scale_with_their_start():
    grid = mz.TimeGrid.of(8, 0.25)
    heston = mz.Heston(**ANDERSEN_3)
    one, hundred = (paths(heston, grid, n=500, x0=(s0, 0.09)) for s0 in (1.0, 100.0))
    np.testing.assert_allclose(hundred[0], 100 * one[0], rtol=1e-14)
    assert np.array_equal(hundred[1], one[1])


@pytest.mark.parametrize("x0", [(0.0, 0.1), (-1.0, 0.1), (1.0, -0.1), {"s": 1.0, "v": -1e-9}])
def test_heston_refuses_prices_not_positive_and_negative_variances(x0):
    with pytest.raises(mz.ArgumentValueError, match="x0"):
        mz.simulate(mz.Heston(**ANDERSEN_3), n_paths=3, T=1, x0=x0, seed=1)


def test_each_heston_path_may_start_elsewhere():
    x0 = {"s": np.linspace(50, 150, 300), "v": 0.04}
    ds = mz.simulate(mz.Heston(**ANDERSEN_3), n_paths=300, T=2, dt=0.25, x0=x0, seed=1)
    np.testing.assert_array_equal(ds.s.isel(time=0).values, x0["s"])
    assert (ds.v.isel(time=0).values == 0.04).all()


# --- fits ---------------------------------------------------------------------------------------

SP500 = Path(__file__).parents[1] / "examples" / "data" / "sp500_daily_close.csv"


def errors_by_likelihood(log_likelihood, estimates):
    """Return standard errors from the observed information, by central differences."""
    estimates = np.asarray(estimates, float)
    steps = 1e-4 * np.maximum(np.abs(estimates), 1e-2)
    size = len(estimates)
    hessian = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                point = estimates.copy()
                point[i] += a * steps[i]
                point[j] += b * steps[j]
                hessian[i, j] += a * b * log_likelihood(*point) / (4 * steps[i] * steps[j])
    return np.sqrt(np.diag(np.linalg.inv(-hessian)))


def assert_covers(estimates, errors, truth):
    """Test that the 95 % interval holds the truth in about 95 of 100 series."""
    inside = (np.abs(np.array(estimates) - truth) <= 1.96 * np.array(errors)).mean()
    assert abs(inside - 0.95) < 3.5 * np.sqrt(0.95 * 0.05 / len(estimates))
    assert np.mean(errors) == pytest.approx(np.std(estimates), rel=0.1)


def test_the_gbm_fit_is_its_closed_form():
    fit = mz.GeometricBrownianMotion.fit([1.0, np.e, np.e**1.5], dt=0.5)
    # Log-returns 1 and 1/2: mean 3/4, variance 1/16.
    assert fit.process.sigma == pytest.approx(np.sqrt(1 / 8))
    assert fit.process.mu == pytest.approx(1.5 + 1 / 16)
    assert fit.n == 2
    assert fit.standard_errors["sigma"] == pytest.approx(np.sqrt(1 / 8) / 2)
    assert fit.standard_errors["mu"] == pytest.approx(np.sqrt((1 / 8) / 1.0 + (1 / 64) / 4))


def test_gbm_standard_errors_are_those_of_the_likelihood():
    truth = mz.GeometricBrownianMotion(mu=0.3, sigma=0.4)
    prices = paths(truth, mz.TimeGrid.of(500, 0.1), n=1)[:, 0]
    fit = mz.GeometricBrownianMotion.fit(prices, dt=0.1)
    returns = np.diff(np.log(prices))

    def log_likelihood(mu, sigma):
        return stats.norm.logpdf(returns, (mu - sigma**2 / 2) * 0.1, sigma * np.sqrt(0.1)).sum()

    expected = errors_by_likelihood(log_likelihood, (fit.process.mu, fit.process.sigma))
    np.testing.assert_allclose(list(fit.standard_errors.values()), expected, rtol=1e-4)


def test_gbm_fits_cover_the_truth():
    truth = mz.GeometricBrownianMotion(mu=0.1, sigma=0.3)
    series = paths(truth, mz.TimeGrid.of(250, 1 / 50), n=800, seed=2)
    fits = [mz.GeometricBrownianMotion.fit(column, dt=1 / 50) for column in series.T]
    for name, value in (("mu", 0.1), ("sigma", 0.3)):
        estimates = [getattr(fit.process, name) for fit in fits]
        assert_covers(estimates, [fit.standard_errors[name] for fit in fits], value)


def test_the_gbm_fit_to_the_index_is_sensible():
    with SP500.open() as lines:
        close = [float(row["close"]) for row in csv.DictReader(lines)]
    fit = mz.GeometricBrownianMotion.fit(close, dt=1 / 252)
    returns = np.diff(np.log(close))
    assert fit.n == len(close) - 1 > 5_000
    assert fit.process.sigma == pytest.approx(returns.std() * np.sqrt(252))
    assert 0.15 < fit.process.sigma < 0.25
    assert 0.0 < fit.process.mu < 0.15
    # Twenty years say the volatility to a hundredth of itself, and the mean hardly at all.
    assert fit.standard_errors["sigma"] == pytest.approx(fit.process.sigma / 100, rel=0.1)
    years = fit.n / 252
    assert fit.standard_errors["mu"] == pytest.approx(fit.process.sigma / np.sqrt(years), rel=0.01)
    assert "GeometricBrownianMotion" in str(fit)
    assert "±" in str(fit)


@pytest.mark.filterwarnings("ignore:values. n . theta")
def test_the_ou_fit_is_its_closed_form():
    values = [0.0, 1.0, 1.4, 1.7, 1.6]
    slope, intercept = np.polyfit(values[:-1], values[1:], 1)
    residuals = np.array(values[1:]) - intercept - slope * np.array(values[:-1])
    process = mz.OrnsteinUhlenbeck.fit(values, dt=0.25, bias_correction=False).process
    theta = -np.log(slope) / 0.25
    assert process.theta == pytest.approx(theta)
    assert process.mu == pytest.approx(intercept / (1 - slope))
    variance = 2 * theta * (residuals**2).mean() / (1 - slope**2)
    assert process.sigma == pytest.approx(np.sqrt(variance))


def test_the_ou_fit_finds_a_path_without_noise():
    values = 3 + 2 * np.exp(-0.7 * np.arange(30) * 0.5)
    process = mz.OrnsteinUhlenbeck.fit(values, dt=0.5).process
    assert process.theta == pytest.approx(0.7)
    assert process.mu == pytest.approx(3.0)
    assert process.sigma == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("theta", [0.5, 4.0, 20.0])
def test_ou_standard_errors_are_those_of_the_likelihood(theta):
    truth = mz.OrnsteinUhlenbeck(theta=theta, mu=1.0, sigma=0.5)
    values = paths(truth, mz.TimeGrid.of(1_000, 0.1), n=1, seed=5)[:, 0]
    fit = mz.OrnsteinUhlenbeck.fit(values, dt=0.1, bias_correction=False)

    def log_likelihood(theta, mu, sigma):
        process = mz.OrnsteinUhlenbeck(theta=theta, mu=mu, sigma=sigma)
        mean = process.mean(0.1, values[:-1])
        return stats.norm.logpdf(values[1:], mean, np.sqrt(process.variance(0.1))).sum()

    found = fit.process
    expected = errors_by_likelihood(log_likelihood, (found.theta, found.mu, found.sigma))
    np.testing.assert_allclose(list(fit.standard_errors.values()), expected, rtol=2e-3)
    best = log_likelihood(found.theta, found.mu, found.sigma)
    for nudge in (0.99, 1.01):
        assert log_likelihood(found.theta * nudge, found.mu, found.sigma) < best
        assert log_likelihood(found.theta, found.mu * nudge, found.sigma) < best
        assert log_likelihood(found.theta, found.mu, found.sigma * nudge) < best


def test_ou_fits_cover_the_truth():
    truth = mz.OrnsteinUhlenbeck(theta=4.0, mu=1.0, sigma=0.5)
    series = paths(truth, mz.TimeGrid.of(4_000, 0.1), n=800, seed=2)
    fits = [mz.OrnsteinUhlenbeck.fit(column, dt=0.1) for column in series.T]
    for name, value in (("theta", 4.0), ("mu", 1.0), ("sigma", 0.5)):
        estimates = [getattr(fit.process, name) for fit in fits]
        assert_covers(estimates, [fit.standard_errors[name] for fit in fits], value)


def test_the_ou_fit_takes_off_the_bias_of_theta_of_four_over_the_time_observed():
    truth = mz.OrnsteinUhlenbeck(theta=1.0, mu=0.0, sigma=1.0)
    series = paths(truth, mz.TimeGrid.of(800, 0.05), n=500, seed=2)
    for correct, bias in ((False, 4 / 40), (True, 0.0)):
        theta = np.array([
            mz.OrnsteinUhlenbeck.fit(column, dt=0.05, bias_correction=correct).process.theta
            for column in series.T
        ])  # fmt: skip
        error = theta.std() / np.sqrt(len(theta))
        assert theta.mean() - 1.0 == pytest.approx(bias, abs=4.5 * error + 0.01)


def test_the_markov_fit_is_the_share_of_each_transition():
    fit = mz.MarkovChain.fit(["a", "a", "b", "a", "b", "b", "a"])
    assert fit.process.states == ("a", "b")
    np.testing.assert_allclose(fit.process.transition, [[1 / 3, 2 / 3], [2 / 3, 1 / 3]])
    np.testing.assert_allclose(fit.standard_errors["transition"], np.full((2, 2), np.sqrt(2 / 27)))
    assert str(fit).splitlines() == [
        "MarkovChain, 6 transitions",
        "  transition",
        "    0.3333 ± 0.27       0.6667 ± 0.27",
        "    0.6667 ± 0.27       0.3333 ± 0.27",
    ]
    assert fit.n == 6
    again = mz.MarkovChain.fit([0, 0, 1, 0, 1, 1, 0], states=[1, 0]).process
    assert again.states == (1, 0)
    np.testing.assert_allclose(again.transition, [[1 / 3, 2 / 3], [2 / 3, 1 / 3]])


@pytest.mark.slow
def test_markov_fits_cover_the_truth():
    rows = paths(WEATHER, mz.TimeGrid.of(1_500), n=800, seed=2)
    labels = range(4)
    chain = mz.MarkovChain(transition=WEATHER.transition)
    fits = [mz.MarkovChain.fit(column, states=labels) for column in rows.T]
    for i, j in ((0, 0), (1, 2), (2, 3), (3, 3)):
        estimates = [fit.process.transition[i][j] for fit in fits]
        errors = [fit.standard_errors["transition"][i][j] for fit in fits]
        assert_covers(estimates, errors, chain.transition[i][j])
    assert all(fit.process.transition[0][3] == 0 for fit in fits)


@pytest.mark.parametrize(
    ("fit", "arguments", "error", "message"),
    [
        (mz.GeometricBrownianMotion.fit, ([1.0, 2.0],), ValueError, "at least 3 values"),
        (mz.GeometricBrownianMotion.fit, ([1.0, 0.0, 2.0],), ValueError, "positive numbers only"),
        (mz.GeometricBrownianMotion.fit, ([1.0, np.nan, 2.0],), ValueError, "finite numbers"),
        (mz.GeometricBrownianMotion.fit, ("abc",), TypeError, "prices: expected"),
        (mz.GeometricBrownianMotion.fit, ([[1.0, 2.0, 3.0]],), ValueError, r"1 dimension"),
        (mz.OrnsteinUhlenbeck.fit, ([1.0, 2.0, 1.0],), ValueError, "at least 4 values"),
        (mz.OrnsteinUhlenbeck.fit, (np.arange(9.0),), ValueError, "reverts to a mean"),
        (mz.OrnsteinUhlenbeck.fit, (np.ones(9),), ValueError, "reverts to a mean"),
        (mz.OrnsteinUhlenbeck.fit, ([0, 1, 0, 1, 0, 1],), ValueError, "reverts to a mean"),
        (mz.OrnsteinUhlenbeck.fit, ([np.inf] * 9,), ValueError, "finite numbers"),
        (mz.MarkovChain.fit, ("abab",), TypeError, "a sequence of labels"),
        (mz.MarkovChain.fit, (["a"],), ValueError, "at least 2 states"),
        (mz.MarkovChain.fit, (["a", "a", "b"],), ValueError, "'b' never is"),
        (mz.MarkovChain.fit, (["a", 1, "a"],), TypeError, "labels of one type"),
        (mz.MarkovChain.fit, ([0.5, 1.5, 0.5],), TypeError, "labels that are str or int"),
    ],
)
def test_a_series_that_cannot_be_fitted_is_refused(fit, arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        fit(*arguments)
    assert isinstance(caught.value, mz.MontezarrError)


@pytest.mark.parametrize("fit", [mz.GeometricBrownianMotion.fit, mz.OrnsteinUhlenbeck.fit])
def test_a_step_that_is_not_positive_is_refused_by_fits(fit):
    with pytest.raises(mz.ArgumentValueError, match="dt: expected"):
        fit([1.0, 2.0, 1.5, 1.7, 1.6], dt=0.0)


def test_a_label_outside_the_states_is_refused_by_the_markov_fit():
    with pytest.raises(mz.ArgumentValueError, match="labels out of"):
        mz.MarkovChain.fit(["a", "b", "c"], states=["a", "b"])
