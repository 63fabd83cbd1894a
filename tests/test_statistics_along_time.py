"""Statistics along an axis: covariance, autocorrelation, first passage, drawdown, time average."""

import json
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import erfcx
from scipy.stats import norm
from scipy.stats import t as student

import montezarr as mz
from montezarr.core.errors import ArgumentTypeError, ArgumentValueError
from montezarr.random.seeding import BLOCK
from montezarr.statistics._base import Sample, Source
from montezarr.statistics._bridge import (
    add_passage_times,
    reference_add_passage_times,
    shares_by_integral,
)
from montezarr.statistics._student import widening
from montezarr.statistics.autocorrelation import Autocorrelation
from montezarr.statistics.covariance import Covariance
from montezarr.statistics.drawdown import Drawdown
from montezarr.statistics.first_passage import FirstPassage
from montezarr.statistics.time_average import TimeAverage
from montezarr.statistics.variance import Variance

KINDS = (Covariance, Autocorrelation, FirstPassage, Drawdown, TimeAverage)
EXAMPLES = [example for kind in KINDS for example in kind.examples()]
TIMES = np.array([0.0, 0.5, 1.0, 2.0, 2.25, 4.0])
SOURCE = Source(times=TIMES, names=("a", "b", "c", "d", "e", "f"))


def samples(values, source, cuts=()):
    """Cut values (m, cells, n) into samples of whole blocks, the last block by itself if short."""
    n = values.shape[-1]
    whole = n // BLOCK
    for first, stop in pairwise(sorted({0, whole, *cuts})):
        piece = values[..., first * BLOCK : stop * BLOCK]
        piece = piece.reshape(*values.shape[:-1], stop - first, BLOCK)
        yield Sample(np.ascontiguousarray(piece), first * BLOCK, source)
    if n % BLOCK or not n:
        piece = np.ascontiguousarray(values[..., None, whole * BLOCK :])
        yield Sample(piece, whole * BLOCK, source)


def block(state, i):
    return type(state)(*(array[..., i : i + 1] for array in state))


def tree(stat, leaves):
    """Merge along a binary tree over the indices of the blocks."""
    while len(leaves) > 1:
        pairs = zip(leaves[::2], leaves[1::2], strict=False)
        merged = [stat.merge(a, b) for a, b in pairs]
        leaves = merged + leaves[len(leaves) - len(leaves) % 2 :]
    return leaves[0]


def blocks_of(stat, values, source=SOURCE, cuts=()):
    states = [stat.chunk(sample) for sample in samples(values, source, cuts)]
    return [block(state, i) for state in states for i in range(state[0].shape[-1])]


def fold(stat, values, source=SOURCE, cuts=()):
    state = tree(stat, blocks_of(stat, values, source, cuts))
    return stat.finalize(type(state)(*(array[..., 0] for array in state)), source)


def values_of(stat, values, times):
    source = Source(times=np.asarray(times, float), names=tuple("abcdefgh"[: len(values)]))
    return {name: entry.values for name, entry in fold(stat, values, source).items()}


def assert_same_bits(a, b):
    assert type(a) is type(b)
    for x, y in zip(a, b, strict=True):
        assert x.shape == y.shape
        assert x.dtype == y.dtype
        assert x.tobytes() == y.tobytes()


def data(kind, n, seed=0, cells=2):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(len(TIMES), cells, n)).cumsum(axis=0)
    if kind == "lognormal":
        x = np.exp(x)
    elif kind == "integers":
        x = rng.integers(-3, 4, size=x.shape).astype(float)
    elif kind == "start":
        x -= x[0]
        x += 0.1
    elif kind == "holes":
        x[rng.random(x.shape) < 0.1] = np.nan
        x[:, 1, ::2] = np.nan
    elif kind == "offset":
        x += 1e4
    return x


def simulated(process, n, T, dt, seed):
    """Return times up to T and the values of paths, (times, 1, n)."""
    x = mz.simulate(process, n_paths=n, T=round(T / dt), dt=dt, seed=seed).x
    return x.time.values, np.ascontiguousarray(x.values.T[:, None, :])


# Laws that all of them obey.


@pytest.mark.parametrize("stat", EXAMPLES, ids=repr)
@pytest.mark.parametrize("kind", ["normal", "lognormal", "integers", "start", "holes", "offset"])
def test_blocks_merged_along_a_tree_give_the_reference(stat, kind):
    x = data(kind, 3 * BLOCK + 123)
    found = fold(stat, x, cuts=(1,))
    wanted = stat.reference(x, SOURCE)
    assert wanted.keys() <= found.keys()
    for name, array in wanted.items():
        values = found[name].values
        assert values.shape == array.shape, name
        # What is around 0 by cancellation is measured by the largest entry of its cell.
        scale = np.nanmax(np.abs(array), initial=0.0)
        loose = 1e-9 if kind in {"lognormal", "offset"} else 1e-12
        loose = max(loose, 1e-7) if kind == "start" and name == "correlation_se" else loose
        np.testing.assert_allclose(values, array, loose, loose * scale, err_msg=name)


@pytest.mark.parametrize("stat", EXAMPLES, ids=repr)
def test_bits_do_not_depend_on_how_blocks_are_batched(stat):
    x = data("holes", 5 * BLOCK + 7, seed=1)
    one = blocks_of(stat, x, cuts=range(6))
    for cuts in ((), (2,), (1, 4)):
        for a, b in zip(one, blocks_of(stat, x, cuts=cuts), strict=True):
            assert_same_bits(a, b)
    # Blocks that are merged at once get the bits of those merged one by one.
    a, b = (next(samples(data("normal", 4 * BLOCK, seed=s), SOURCE)) for s in (2, 3))
    a, b = stat.chunk(a), stat.chunk(b)
    merged = stat.merge(a, b)
    for i in range(4):
        assert_same_bits(block(merged, i), stat.merge(block(a, i), block(b, i)))


@pytest.mark.parametrize("stat", EXAMPLES, ids=repr)
@pytest.mark.parametrize("cells", [1, 3])
def test_cells_do_not_change_the_bits_of_one_another(stat, cells):
    x = data("holes", 300, cells=3)
    whole = stat.chunk(next(samples(x, SOURCE)))
    for i in range(3):
        some = x[:, i : i + 1] if cells == 1 else np.roll(x, 1 - i, axis=1)
        place = 0 if cells == 1 else 1
        state = stat.chunk(next(samples(some, SOURCE)))
        for a, b in zip(whole, state, strict=True):
            assert a[..., i, :].tobytes() == b[..., place, :].tobytes()


@pytest.mark.parametrize("stat", EXAMPLES, ids=repr)
@pytest.mark.parametrize("paths", [0, 5])
def test_a_sample_without_paths_is_neutral_to_the_bit(stat, paths):
    x = data("normal", BLOCK)
    x[:, 1] = -0.0  # adding 0 to the sums would show
    state = stat.chunk(next(samples(x, SOURCE)))
    empty = stat.chunk(next(samples(np.full((len(TIMES), 2, paths), np.nan), SOURCE)))
    assert_same_bits(stat.merge(state, empty), state)
    assert_same_bits(stat.merge(empty, state), state)
    assert_same_bits(stat.merge(empty, empty), empty)


@pytest.mark.parametrize("stat", EXAMPLES, ids=repr)
def test_none_gives_nan_and_one_path_no_standard_error(stat):
    for n in (0, 1):
        found = fold(stat, data("lognormal", n))
        for name, entry in found.items():
            if n == 0 and name != "first_passage_censored":
                assert np.isnan(entry.values).all(), name
            if name.endswith("_se") or "covariance" in name or "correlation" in name:
                known = not np.isnan(entry.values).all()
                assert known == (n == 1 and name == "autocorrelation"), name


@pytest.mark.parametrize("stat", EXAMPLES, ids=repr)
def test_a_path_with_a_hole_counts_in_the_cells_where_it_has_none(stat):
    x = data("normal", 500)
    holed = x.copy()
    holed[-1, 0, 7] = np.nan  # the last time, which has no weight in the step rule
    there = [name for name in fold(stat, x) if name != "first_passage_censored"]
    found, all_of_it = fold(stat, holed), fold(stat, x)
    without = stat.reference(np.delete(x, 7, axis=-1), SOURCE)
    for name in there:
        assert found[name].values[1].tobytes() == all_of_it[name].values[1].tobytes()
        if name in without:
            np.testing.assert_allclose(found[name].values[0], without[name][0], 1e-10, 1e-12)


@pytest.mark.parametrize("stat", EXAMPLES, ids=repr)
def test_parameters_survive_json(stat):
    again = type(stat).from_dict(json.loads(json.dumps(stat.to_dict())))
    assert again == stat
    assert hash(again) == hash(stat)


@pytest.mark.parametrize("stat", EXAMPLES, ids=repr)
def test_results_have_the_dimensions_that_they_name(stat):
    sizes = {"time": 6, "time_2": 6, "variable": 6, "variable_2": 6}
    for name, entry in fold(stat, data("normal", 50)).items():
        assert entry.values.shape[0] == 2
        lengths = [len(entry.coords[dim]) for dim in entry.dims]
        assert list(entry.values.shape[1:]) == lengths, name
        assert lengths == [sizes.get(dim, n) for dim, n in zip(entry.dims, lengths, strict=True)]
        scalars = set(entry.coords) - set(entry.dims)
        assert all(np.ndim(entry.coords[key]) == 0 for key in scalars)
    assert stat.axis == ("variable" if stat == Covariance("variable") else "time")


@pytest.mark.parametrize(
    "build",
    [
        lambda: Covariance("path"),
        lambda: Autocorrelation(-1),
        lambda: Autocorrelation([]),
        lambda: Autocorrelation([1, 0.5]),
        lambda: Autocorrelation("1"),
        lambda: Autocorrelation(True),
        lambda: FirstPassage("high"),
        lambda: FirstPassage([]),
        lambda: FirstPassage(np.nan),
        lambda: FirstPassage(1.0, "left"),
        lambda: FirstPassage(1.0, bridge=0.0),
        lambda: FirstPassage(1.0, bridge=True),
        lambda: Drawdown(1),
        lambda: TimeAverage("simpson"),
    ],
)
def test_wrong_parameters_are_refused(build):
    with pytest.raises((ArgumentTypeError, ArgumentValueError), match=r": expected .* got"):
        build()


@pytest.mark.parametrize("stat", EXAMPLES, ids=repr)
def test_what_a_statistic_needs_is_checked_first(stat):
    stat.check(SOURCE)
    with pytest.raises(ArgumentValueError):
        stat.check(Source())


def test_lags_must_be_less_than_the_times():
    Autocorrelation([0, 5]).check(SOURCE)
    with pytest.raises(ArgumentValueError, match="6 times of x"):
        Autocorrelation([0, 6]).check(SOURCE)
    with pytest.raises(ArgumentValueError, match="at least 2"):
        TimeAverage().check(Source(times=np.array([1.0])))


def test_sequences_of_any_kind_are_taken():
    assert Autocorrelation(range(3)) == Autocorrelation(np.arange(3)) == Autocorrelation([0, 1, 2])
    assert Autocorrelation(np.int64(3)).lags == 3
    assert FirstPassage(np.array([1, 2])) == FirstPassage([1.0, 2.0])
    assert FirstPassage(np.float64(3)).level == 3.0


# Covariance.


def test_covariance_of_brownian_motion_is_the_earlier_time():
    times, x = simulated(mz.BrownianMotion(sigma=2.0), 50_000, 5, 1, 1)
    found = values_of(Covariance(), x, times)
    wanted = 4 * np.minimum.outer(times, times)
    assert (np.abs(found["covariance"][0] - wanted) <= 4 * found["covariance_se"][0] + 1e-12).all()
    positive = times[1:]
    correlation = np.sqrt(
        np.minimum.outer(positive, positive) / np.maximum.outer(positive, positive)
    )
    error = found["correlation_se"][0, 1:, 1:]
    assert (np.abs(found["correlation"][0, 1:, 1:] - correlation) <= 4 * error).all()
    # Of normal values the standard error of a correlation is (1 - r**2) / sqrt(n).
    np.testing.assert_allclose(error, (1 - correlation**2) / np.sqrt(50_000), rtol=0.05)
    assert np.isnan(found["correlation"][0, 0]).all()  # all paths start at 0
    assert (np.diagonal(found["correlation"][0])[1:] == 1).all()
    assert (np.diagonal(found["correlation_se"][0])[1:] == 0).all()


def test_covariance_matrices_are_symmetric_to_the_bit_and_positive():
    found = fold(Covariance("variable"), data("holes", 3000))
    for name, entry in found.items():
        assert entry.values.tobytes() == entry.values.swapaxes(1, 2).copy().tobytes(), name
        assert entry.dims == ("variable", "variable_2")
        assert list(entry.coords["variable"]) == list(SOURCE.names)
        assert entry.power == (2 if "covariance" in name else 0)
    assert (np.linalg.eigvalsh(found["covariance"].values) > 0).all()


def test_the_diagonal_of_a_covariance_is_the_variance():
    x = data("lognormal", 2500)
    found = values_of(Covariance(), x, TIMES)
    for i in range(len(TIMES)):
        alone = Variance().reference(x[i], SOURCE)
        for name in ("", "_se"):
            diagonal = found[f"covariance{name}"][:, i, i]
            np.testing.assert_allclose(diagonal, alone[f"variance{name}"], rtol=1e-9)


def test_a_shared_start_has_no_correlation_even_if_its_mean_is_rounded():
    x = data("start", 1000)
    assert np.isnan(values_of(Covariance(), x, TIMES)["correlation"][:, 0]).all()


def test_covariance_stays_exact_far_from_zero():
    x = np.random.default_rng(1).integers(-8, 9, size=(3, 1, 4000)).astype(float)
    near, far = (values_of(Covariance(), x + a, np.arange(3)) for a in (0.0, 2.0**24))
    for name in near:
        np.testing.assert_allclose(far[name], near[name], rtol=1e-7, atol=1e-9)


def test_intervals_of_covariances_cover_for_skewed_values():
    # 2000 replications (the cells) of 2000 paths: y = x + noise with exponential parts.
    rng = np.random.default_rng(3)
    x = rng.standard_exponential((2, 2000, 2000))
    x[1] += x[0]
    found = {"covariance": [], "correlation": []}
    stat = Covariance("variable")
    for cells in np.split(x, 4, axis=1):
        result = fold(stat, cells, Source(names=("x", "y")))
        for name, truth in (("covariance", 1.0), ("correlation", np.sqrt(0.5))):
            error = result[f"{name}_se"].values[:, 0, 1]
            found[name].append(np.abs(result[name].values[:, 0, 1] - truth) < 1.96 * error)
    for name, inside in found.items():
        assert 0.93 < np.mean(inside) < 0.965, name  # 95 % less the skewness of the estimate


# Autocorrelation.


def test_autocorrelation_of_ornstein_uhlenbeck_decays_exponentially():
    process = mz.OrnsteinUhlenbeck(theta=1.0, mu=5.0, sigma=1.0)
    times, x = simulated(process, 4000, 20, 0.25, 2)
    # After 10 units of time the start is forgotten: the covariances differ by exp(-20).
    times, x = times[40:], np.ascontiguousarray(x[40:])
    lags = (0, 1, 2, 4, 8, 20)
    found = values_of(Autocorrelation(lags), x, times)
    rho, error = found["autocorrelation"][0], found["autocorrelation_se"][0]
    assert rho[0] == 1
    assert error[0] == 0
    z = (rho[1:] - np.exp(-0.25 * np.array(lags[1:]))) / error[1:]
    assert (np.abs(z) < 4).all()
    assert (error[1:] < 0.01).all()
    alone = values_of(Autocorrelation(4), x, times)
    assert alone["autocorrelation"] == rho[3:4]


def test_standard_errors_of_autocorrelations_are_those_of_the_jackknife():
    rng = np.random.default_rng(4)
    shift = rng.standard_exponential(400)  # common to a path: correlation that never ends
    x = (rng.normal(size=(12, 400)).cumsum(axis=0) + shift)[:, None, :]  # not even stationary
    stat = Autocorrelation((1, 3, 8))
    found = values_of(stat, x, np.arange(12))
    source = Source(times=np.arange(12.0))
    left_out = [
        stat.reference(np.delete(x, k, axis=-1), source)["autocorrelation"][0] for k in range(400)
    ]
    error = np.sqrt(399 / 400 * ((left_out - np.mean(left_out, axis=0)) ** 2).sum(axis=0))
    np.testing.assert_allclose(found["autocorrelation_se"][0], error, rtol=0.02)


def test_intervals_of_autocorrelations_cover():
    # 1000 replications (the cells) of 200 stationary autoregressions of 10 values.
    rng = np.random.default_rng(5)
    x = rng.normal(size=(10, 1000, 200))
    for t in range(1, 10):
        x[t] = 0.8 * x[t - 1] + 0.6 * x[t]
    found = values_of(Autocorrelation((1, 3)), x, np.arange(10))
    inside = np.abs(found["autocorrelation"] - [0.8, 0.512]) < 1.96 * found["autocorrelation_se"]
    assert ((inside.mean(axis=0) > 0.93) & (inside.mean(axis=0) < 0.965)).all()


def test_autocorrelation_does_not_depend_on_the_level():
    x = np.random.default_rng(6).integers(-8, 9, size=(6, 1, 3000)).astype(float)
    near, far = (values_of(Autocorrelation((1, 2)), x + a, TIMES) for a in (0.0, 2.0**24))
    for name in near:
        np.testing.assert_allclose(far[name], near[name], rtol=1e-6, atol=1e-9)


def test_constant_paths_have_no_autocorrelation():
    found = values_of(Autocorrelation(1), np.full((6, 1, 1024), 3.0), TIMES)
    assert np.isnan(found["autocorrelation"]).all()


# First passage.

MU, SIGMA, LEVEL = 0.5, 1.5, 1.2


def mills(z):
    """Return (1 - Phi(z)) / phi(z)."""
    return np.sqrt(np.pi / 2) * erfcx(z / np.sqrt(2))


def first_passage_law(t, mu, sigma, level):
    """Return the inverse Gaussian probability that mu t + sigma W reaches a level > 0 by t."""
    root = sigma * np.sqrt(t)
    mirrored = np.exp(2 * mu * level / sigma**2) * norm.cdf((-mu * t - level) / root)
    return norm.cdf((mu * t - level) / root) + mirrored


@pytest.fixture(scope="module")
def brownian():
    return simulated(mz.BrownianMotion(mu=MU, sigma=SIGMA), 20_000, 2, 0.04, 3)


def test_with_a_bridge_passages_follow_the_inverse_gaussian_law(brownian):
    times, x = brownian
    found = values_of(FirstPassage(LEVEL, bridge=SIGMA), x, times)
    for k in (1, 5, 12, 25, 50):
        truth = 1 - first_passage_law(times[k], MU, SIGMA, LEVEL)
        assert abs(found["survival"][0, k] - truth) < 4 * found["survival_se"][0, k], k
    assert found["survival"][0, 0] == 1
    p = found["first_passage_probability"][0]
    assert (
        found["first_passage_probability_low"][0] < p < found["first_passage_probability_high"][0]
    )
    assert found["first_passage_censored"][0] == pytest.approx(20_000 * (1 - p), rel=1e-12)
    # The mean of the times up to 2, by the integral of the survival.
    t = np.linspace(0, 2, 20_001)[1:]
    law = first_passage_law(t, MU, SIGMA, LEVEL)
    mean = 2 - np.trapezoid(np.append(0, law), np.append(0, t)) / law[-1]
    assert abs(found["first_passage_time"][0] - mean) < 4 * found["first_passage_time_se"][0]
    # The bridge knows more of each path than the grid: its variance is smaller.
    plain = values_of(FirstPassage(LEVEL), x, times)
    name = "first_passage_probability_se"
    assert found[name][0] < 0.97 * plain[name][0]


def test_without_a_bridge_passages_are_missed_as_if_the_level_lay_further_away(brownian):
    times, x = brownian
    found = values_of(FirstPassage(LEVEL, "up"), x, times)
    further = LEVEL + 0.5826 * SIGMA * np.sqrt(times[1])
    for k in (12, 25, 50):
        p, error = 1 - found["survival"][0, k], found["survival_se"][0, k]
        assert p < first_passage_law(times[k], MU, SIGMA, LEVEL) - 4 * error
        assert abs(p - first_passage_law(times[k], MU, SIGMA, further)) < 4 * error
    assert found["first_passage_censored"].dtype == np.int64
    assert found["first_passage_censored"][0] == (x.max(axis=0) < LEVEL).sum()


def test_down_is_up_in_the_mirror_and_none_chooses_for_each_path(brownian):
    times, x = brownian
    x = x[..., :3000] + 0.5 * np.random.default_rng(7).normal(size=3000)
    up = values_of(FirstPassage((0.3, 1.0), "up", bridge=SIGMA), x, times)
    down = values_of(FirstPassage((-0.3, -1.0), "down", bridge=SIGMA), -x, times)
    for name, array in up.items():
        np.testing.assert_allclose(down[name], array, rtol=1e-12, err_msg=name)
    low = x[0, 0] < 0.3
    each = values_of(FirstPassage(0.3, bridge=SIGMA), x, times)["first_passage_censored"][0]
    sides = (("up", x[..., low]), ("down", x[..., ~low]))
    parts = [
        values_of(FirstPassage(0.3, side, SIGMA), np.ascontiguousarray(part), times)
        for side, part in sides
    ]
    assert each == pytest.approx(sum(part["first_passage_censored"][0] for part in parts), 1e-12)


def test_first_passages_of_a_few_paths_by_hand():
    nan = np.nan
    paths = [[0, 1, 3], [0, 2, 0], [2, 0, 0], [3, 3, 1], [0, 0, 0], [0, 3, nan], [2.5, 2.5, 2.5]]
    x = np.array(paths, float).T[:, None, :].copy()
    times = np.array([10.0, 11.0, 13.0])
    found = values_of(FirstPassage(2.0), x, times)
    np.testing.assert_allclose(found["survival"][0], [5 / 6, 4 / 6, 2 / 6])
    assert found["first_passage_censored"] == 2
    assert found["first_passage_time"] == pytest.approx([(13 + 11 + 10 + 13) / 4])
    up = values_of(FirstPassage([2.0, 3.5], "up"), x, times)
    np.testing.assert_allclose(up["survival"][0], [[3 / 6, 2 / 6, 1 / 6], [1, 1, 1]])
    assert np.isnan(up["first_passage_time"][0, 1])
    assert np.isnan(up["first_passage_time_se"][0, 1])
    down = values_of(FirstPassage(2.0, "down"), x, times)
    np.testing.assert_allclose(down["survival"][0], [2 / 6, 2 / 6, 1 / 6])
    # One path alone that passes has no spread of its time.
    alone = values_of(FirstPassage(3.0, "up"), x[..., [0, 1, 2, 4]].copy(), times)
    assert alone["first_passage_time"] == 13
    assert np.isnan(alone["first_passage_time_se"])


def test_small_probabilities_of_passage_keep_their_digits():
    x = np.zeros((2, 1, 100))
    found = values_of(FirstPassage(5.0, bridge=1.0), x, [0.0, 1.0])
    np.testing.assert_allclose(found["first_passage_probability"], np.exp(-50), rtol=1e-12)
    # That no path was seen near the level is no proof that so few pass.
    assert found["first_passage_probability_high"] == pytest.approx(0.037, abs=0.001)
    # Five deviations away on either side, that is little before the middle.
    assert found["first_passage_time"] == pytest.approx(5 * mills(10.0), rel=1e-12)


def test_paths_that_are_all_the_same_have_a_narrow_interval():
    found = values_of(FirstPassage(1.0, bridge=2.0), np.zeros((2, 1, 100)), [0.0, 1.0])
    p = np.exp(-0.5)
    assert found["first_passage_probability_low"] == pytest.approx(p, abs=1e-4)
    assert found["first_passage_probability_high"] == pytest.approx(p, abs=1e-4)


def test_none_or_all_passing_has_an_honest_interval():
    x = np.zeros((2, 2, 1500))
    x[1, 1] = 2.0
    found = values_of(FirstPassage(1.0), x, [0.0, 1.0])
    np.testing.assert_array_equal(found["first_passage_probability"], [0, 1])
    square = 1.959963984540054**2
    end = square / (1500 + square)
    # p ± 1.96 se holds the interval.
    np.testing.assert_allclose(found["first_passage_probability_se"] * square**0.5, [end, end])
    np.testing.assert_allclose(found["survival_low"], [[1 - end, 1 - end], [1 - end, 0]])
    np.testing.assert_allclose(found["survival_high"], [[1, 1], [1, end]])
    np.testing.assert_allclose(found["first_passage_probability_low"], [0, 1 - end])
    np.testing.assert_allclose(found["first_passage_probability_high"], [end, 1])


@pytest.mark.parametrize("bridge", [None, 1.0])
@pytest.mark.parametrize("level", [0.3, 2.0, 3.2])
def test_intervals_of_passages_cover_common_and_rare_ones(bridge, level):
    # 2000 replications (the cells) of 250 Brownian paths of 4 steps, with p = 0.7 ... 0.001.
    rng = np.random.default_rng(8)
    x = np.zeros((5, 2000, 250))
    x[1:] = rng.normal(size=(4, 2000, 250)).cumsum(axis=0) / 2
    truth = first_passage_law(1.0, 0.0, 1.0, level)
    if bridge is None:
        much = rng.normal(size=(4, 2_000_000)).cumsum(axis=0) / 2
        truth = (much.max(axis=0) >= level).mean()
    found = values_of(FirstPassage(level, "up", bridge), x, np.linspace(0, 1, 5))
    low, high = (found[f"first_passage_probability_{end}"] for end in ("low", "high"))
    assert ((low <= truth) & (truth <= high)).mean() > 0.93
    if level == 0.3:
        assert ((low <= truth) & (truth <= high)).mean() < 0.97


@pytest.mark.parametrize("bridge", [None, 1.0])
def test_errors_of_few_passages_cover_and_hold_the_interval(bridge):
    # 1000 replications (the cells) of 2048 Brownian paths of 4 steps, of which few have passed
    # by each time: 0.0001 to 6 of them.
    rng = np.random.default_rng(10)
    x = np.zeros((5, 1000, 2048))
    x[1:] = rng.normal(size=(4, 1000, 2048)).cumsum(axis=0) / 2
    times, level = np.linspace(0, 1, 5), 3.0
    truth = first_passage_law(np.append(1e-9, times[1:]), 0.0, 1.0, level)
    if bridge is None:  # of a walk of normal steps, by the density of what has not passed
        truth = np.append(0.0, [1 - stays for stays in walk_below(level, 4)])
    found = values_of(FirstPassage(level, "up", bridge), x, times)
    names = ["survival"] * 5 + ["first_passage_probability"]
    for k, name in enumerate(names):
        at = slice(None) if k == 5 else (slice(None), k)
        wanted = truth[-1] if k == 5 else 1 - truth[k]
        value, error, low, high = (found[name + end][at] for end in ("", "_se", "_low", "_high"))
        assert (value - 1.96 * error <= low + 1e-12).all()
        assert (value + 1.96 * error >= high - 1e-12).all()
        assert ((low <= wanted) & (wanted <= high)).mean() > 0.93 - 3 * (0.95 * 0.05 / 1000) ** 0.5
        assert (np.abs(value - wanted) <= 1.96 * error).mean() > 0.93


@pytest.mark.parametrize("bridge", [None, 1.0])
@pytest.mark.parametrize("level", [1.5, 2.0, 2.5])
def test_errors_of_the_times_of_few_passages_cover(bridge, level):
    # 1000 replications of 512 Brownian paths of 8 steps, of which 4 to 70 pass.
    rng = np.random.default_rng(14)
    times, stat = np.linspace(0, 1, 9), FirstPassage(level, "up", bridge)
    x = np.zeros((9, 1000, 512))
    x[1:] = rng.normal(size=(8, 1000, 512)).cumsum(axis=0) * np.sqrt(1 / 8)
    truth = values_of(stat, x.reshape(9, 1, -1), times)["first_passage_time"][0]
    found = values_of(stat, x, times)
    value, error = found["first_passage_time"], found["first_passage_time_se"]
    hits = found["first_passage_probability"] * 512
    known = ~np.isnan(error)
    if bridge is None:  # with one, more weights may add up to as many
        np.testing.assert_array_equal(known, hits > 9.5)
    if known.sum() > 200:
        inside = np.abs(value - truth)[known] <= 1.96 * error[known]
        assert inside.mean() > 0.93 - 3 * (0.95 * 0.05 / known.sum()) ** 0.5


def test_errors_of_times_widen_as_students_law():
    for passages in (10, 11, 15, 30, 1000):
        found = widening(passages, 10)
        wanted = student.ppf(0.975, passages - 1) / norm.ppf(0.975)
        assert found == pytest.approx(wanted * np.sqrt(passages / (passages - 1)), rel=3e-3)
    assert np.isnan(widening(np.array([0.0, 1.0, 9.0]), 10)).all()


def walk_below(level, steps):
    """Return the probabilities that a walk of normal steps of variance 1/4 stays below a level."""
    grid = np.linspace(-4.0, level, 1401)
    weight = np.full(grid.size, grid[1] - grid[0])
    weight[[0, -1]] /= 2
    stays = norm.pdf(grid, scale=0.5)
    out = [weight @ stays]
    for _ in range(steps - 1):
        stays = norm.pdf(grid[:, None] - grid, scale=0.5) @ (weight * stays)
        out.append(weight @ stays)
    return out


@pytest.mark.parametrize("far", [0.05, 0.7, 3.0, 20.0])
@pytest.mark.parametrize("end", [-2.5, -0.3, 0.0, 0.01, 1.0, 8.0])
def test_the_time_within_a_step_is_that_of_the_law_of_the_bridge(far, end):
    # From `far` below the level to `end` above it, in a step of 0.3; by the density.
    sigma, step = 0.8, 0.3
    root = sigma * np.sqrt(step)

    def log_density(u):  # of u = s / (h - s), as a function of log u
        return -0.5 * (np.log(u) + (far / root) ** 2 / u + (end / root) ** 2 * u)

    a, b = (far / root) ** 2, (end / root) ** 2
    mode = 2 * a / (1 + np.sqrt(1 + 4 * a * b))
    top = log_density(mode)

    def weight(y):
        return np.exp(log_density(mode * np.exp(y)) - top)

    ends = (-8.0, 80.0)
    points = [-1.0, -0.1, 0.0, 0.1, 1.0, 5.0]
    total = quad(weight, *ends, points=points, limit=500, epsabs=0, epsrel=1e-11)[0]
    mean = quad(
        lambda y: weight(y) / (1 + np.exp(-y) / mode), *ends, points=points, limit=500, epsabs=0,
        epsrel=1e-11,
    )[0] / total  # fmt: skip
    x = np.array([0.0, far + end]).reshape(2, 1, 1)
    found = values_of(FirstPassage(far, bridge=sigma), np.repeat(x, 3, axis=2), [5.0, 5.0 + step])
    assert found["first_passage_time"][0] == pytest.approx(5 + step * mean, rel=1e-10)
    both = (far + abs(end)) / root
    assert mean == pytest.approx(far / root * mills(both), rel=1e-9)


def test_bridges_on_a_fine_grid_pass_when_the_law_says():
    # Bridges from 0 to 0.6 and to 1.6 in one unit of time, seen at 4000 times; the level is 1.
    rng = np.random.default_rng(11)
    fine, n = 4000, 2000
    walk = rng.normal(size=(fine, n)).cumsum(axis=0) / np.sqrt(fine)
    t = np.arange(1, fine + 1) / fine
    for end in (0.6, 1.6):
        bridge = walk + t[:, None] * (end - walk[-1])
        late = 1 + 0.5826 / np.sqrt(fine)  # as far as such a grid sees it
        passes = bridge >= 2 - late
        first = passes[:, passes.any(axis=0)].argmax(axis=0) / fine
        mean = mills(1 + abs(1 - end))
        assert abs(first.mean() - mean) < 4 * first.std() / np.sqrt(first.size)


@pytest.mark.parametrize("mu", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_with_a_bridge_the_mean_time_is_exact_on_coarse_grids(mu, steps):
    times, x = simulated(mz.BrownianMotion(mu=mu), 200_000, 2, 2 / steps, 12)
    found = values_of(FirstPassage(1.0, bridge=1.0), x, times)
    law = first_passage_law(2.0, mu, 1.0, 1.0)
    mean = 2 - quad(lambda t: first_passage_law(t, mu, 1.0, 1.0), 0, 2)[0] / law
    assert abs(found["first_passage_time"][0] - mean) < 4 * found["first_passage_time_se"][0]


def test_times_of_passage_have_the_bits_of_their_definition():
    rng = np.random.default_rng(13)
    before, after = 10 ** rng.uniform(-8, 40, size=(2, 3, 4, 1024))
    before[0, 0, :3], after[0, 0, 1:3] = 0.0, 0.0
    passing = rng.random(before.shape)
    found, wanted = rng.random(before.shape), np.empty(before.shape)
    wanted[...] = found
    for per in (1e-30, 1.0, 1e20):
        add_passage_times(found, passing, before, after, 2.0, 0.5, per)
        reference_add_passage_times(wanted, passing, before, after, 2.0, 0.5, per)
        assert found.tobytes() == wanted.tobytes()
        assert np.isfinite(found).all()
    near = 10 ** rng.uniform(-8, 3, size=(2, 4000))
    share = np.zeros(4000)
    add_passage_times(share, np.ones(4000), *near, 0.0, 1.0, 1.0)
    np.testing.assert_allclose(share, near[0] * mills(near.sum(axis=0)), rtol=5e-14)
    np.testing.assert_allclose(shares_by_integral(*near), share, rtol=5e-14)


def test_a_bridge_that_no_number_can_hold_is_refused():
    source = Source(times=np.array([0.0, 1e-9, 1.0]))
    FirstPassage(1.0, bridge=1e-140).check(source)
    for bridge in (1e-160, 1e200):
        with pytest.raises(ArgumentValueError, match=r"bridge: expected a finite bridge\*\*2"):
            FirstPassage(1.0, bridge=bridge).check(source)


def test_intervals_of_passage_times_cover():
    # 1000 replications (the cells) of 250 Brownian paths of 10 steps, of which 60 % pass.
    rng = np.random.default_rng(9)
    times = np.linspace(0, 1, 11)
    x = np.zeros((11, 1001, 250))
    x[1:] = rng.normal(size=(10, 1001, 250)).cumsum(axis=0) * np.sqrt(0.1)
    much = np.zeros((11, 1, 500_000))
    much[1:] = rng.normal(size=(10, 1, 500_000)).cumsum(axis=0) * np.sqrt(0.1)
    for bridge in (None, 1.0):
        stat = FirstPassage(0.5, "up", bridge)
        truth = values_of(stat, much, times)["first_passage_time"][0]
        found = values_of(stat, x, times)
        error = found["first_passage_time_se"]
        inside = np.abs(found["first_passage_time"] - truth) < 1.96 * error
        assert 0.93 < inside.mean() < 0.965


# Drawdown and time average.


def test_drawdown_of_brownian_motion():
    times, x = simulated(mz.BrownianMotion(sigma=2.0), 4000, 1, 1 / 2000, 5)
    found = values_of(Drawdown(), x, times)
    truth = np.sqrt(np.pi / 2) * 2.0
    # Below continuous time by twice the shift of a level, once at the peak and once at the trough.
    bias = 2 * 0.5826 * 2.0 * np.sqrt(1 / 2000)
    z = (found["drawdown"][0] - (truth - bias)) / found["drawdown_se"][0]
    assert abs(z) < 4
    assert found["drawdown"][0] < truth


def test_drawdown_by_hand():
    x = np.array([[1, 4, 2, 3], [1, 2, 3, 4], [8, 2, 10, 4], [-1, 5, 4, 5], [0, 4, 1, 2]], float)
    x = x.T[:, None, :].copy()
    found = values_of(Drawdown(), x, np.arange(4))
    assert found["drawdown"] == np.mean([2, 0, 6, 1, 3])
    relative = values_of(Drawdown(relative=True), x, np.arange(4))
    assert relative["drawdown"] == pytest.approx(np.mean([0.5, 0, 0.75]))
    entry = fold(Drawdown(True), x, Source(times=np.arange(4.0)))["drawdown"]
    assert (entry.power, fold(Drawdown(), x, Source(times=np.arange(4.0)))["drawdown"].power) == (
        0,
        1,
    )


def test_time_average_of_brownian_motion_has_a_third_of_its_variance():
    n = 20_000
    times, x = simulated(mz.BrownianMotion(sigma=2.0), n, 3, 0.05, 6)
    found = values_of(TimeAverage(), x, times)
    assert abs(found["time_average"][0]) < 4 * found["time_average_se"][0]
    variance = n * found["time_average_se"][0] ** 2
    assert variance == pytest.approx(4 * 3 / 3, rel=4 * np.sqrt(2 / n))


@pytest.mark.parametrize("rule", ["trapezoid", "step"])
def test_time_average_of_ornstein_uhlenbeck(rule):
    n, T, theta = 20_000, 4, 1.0
    process = mz.OrnsteinUhlenbeck(theta=theta, mu=3.0, sigma=1.0)
    times, x = simulated(process, n, T, 0.02, 7)
    found = values_of(TimeAverage(rule), x, times)
    assert abs(found["time_average"][0] - 3.0) < 4 * found["time_average_se"][0]
    # The integral from x0 = mu is that of (1 - exp(-theta (T - s))) / theta dW.
    decay = np.exp(-theta * T)
    integral = T - 2 * (1 - decay) / theta + (1 - decay**2) / (2 * theta)
    variance = n * found["time_average_se"][0] ** 2
    assert variance == pytest.approx(integral / (theta * T) ** 2, rel=4 * np.sqrt(2 / n) + 0.01)


def test_time_average_by_hand_with_unequal_steps():
    x = np.array([[1.0, 3.0, 2.0], [5.0, 5.0, 5.0]]).T[:, None, :].copy()
    times = [0.0, 1.0, 4.0]
    assert values_of(TimeAverage(), x, times)["time_average"] == pytest.approx((9.5 / 4 + 5) / 2)
    assert values_of(TimeAverage("step"), x, times)["time_average"] == pytest.approx(
        (10 / 4 + 5) / 2
    )
