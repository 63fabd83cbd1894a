"""Statistics of each cell: closed forms, the plain formulas, and the laws of merging."""

import json
import math
from statistics import NormalDist

import numpy as np
import pytest
import scipy.stats

from montezarr.core.errors import ArgumentTypeError, ArgumentValueError, MontezarrError
from montezarr.statistics._base import INTERVAL, Sample, Source
from montezarr.statistics._widths import exponent_of
from montezarr.statistics._wilson import wilson
from montezarr.statistics.count import Count
from montezarr.statistics.exceedance import Exceedance
from montezarr.statistics.extrema import Extrema
from montezarr.statistics.histogram import Histogram
from montezarr.statistics.mean import Mean
from montezarr.statistics.moments import Moments
from montezarr.statistics.proportion import Proportion
from montezarr.statistics.standard_deviation import StandardDeviation
from montezarr.statistics.variance import Variance

BLOCK = 1024
LABELS = ((0, "calm"), (1, "windy"), (4, "storm"))
LABELLED = Source("state", labels=LABELS)

STATISTICS = [
    Count(),
    *Variance.examples(),
    *StandardDeviation.examples(),
    Moments(),
    *Exceedance.examples(),
    *Proportion.examples(),
    *Histogram.examples(),
    Histogram(bins=1000),
    *Extrema.examples(),
    Extrema(k=70),  # more than are searched one by one
]
FLOATS = [s for s in STATISTICS if not s.order_free]
EXACT = [s for s in STATISTICS if s.order_free]
ids = str


def samples(values, source=None):
    """Cut values (cells, n) into samples of one block each."""
    source = Source() if source is None else source
    n = values.shape[1]
    return [
        Sample(np.ascontiguousarray(values[:, None, start : start + BLOCK]), start, source)
        for start in range(0, n, BLOCK)
    ]


def tree(stat, states):
    """Merge along a binary tree over block indices."""
    while len(states) > 1:
        pairs = zip(states[::2], states[1::2], strict=False)
        odd = states[len(states) // 2 * 2 :]
        states = [stat.merge(a, b) for a, b in pairs] + odd
    return states[0]


def estimates(stat, state, source=None):
    if not stat.order_free:
        state = type(state)._make(array[..., 0] for array in state)
    return stat.finalize(state, Source() if source is None else source)


def fold(stat, values, source=None):
    """Return the estimates of values (cells, n), and their arrays by name."""
    state = tree(stat, [stat.chunk(sample) for sample in samples(values, source)])
    return estimates(stat, state, source)


def arrays(stat, values, source=None):
    return {name: e.values for name, e in fold(stat, values, source).items()}


def assert_same(a, b):
    """Assert that two states have the same bits."""
    assert type(a) is type(b)
    for name, left, right in zip(a._fields, a, b, strict=True):
        assert left.dtype == right.dtype, name
        assert left.shape == right.shape, name
        assert left.tobytes() == right.tobytes(), name


def data(kind, n=5 * BLOCK + 100, cells=3, seed=1):
    rng = np.random.default_rng(seed)
    if kind == "normal":
        return rng.normal(size=(cells, n))
    if kind == "lognormal":
        return 100 * rng.lognormal(sigma=0.5, size=(cells, n))
    if kind == "integers":
        return rng.integers(-3, 4, size=(cells, n)).astype(float)
    values = rng.normal(-7, 3, size=(cells, n))
    values[rng.random((cells, n)) < 0.3] = np.nan
    values[0, :BLOCK] = np.nan  # a whole block
    values[1] = np.nan  # a whole cell
    return values


KINDS = ("normal", "lognormal", "integers", "absent")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stat", STATISTICS, ids=ids)
def test_folding_gives_the_plain_formulas(stat, kind):
    values = data(kind)
    found, expected = arrays(stat, values), stat.reference(values, Source())
    assert set(expected) <= set(found)
    rtol = 1e-9 if isinstance(stat, Moments) else 1e-12
    for name, wanted in expected.items():
        np.testing.assert_allclose(found[name], wanted, rtol=rtol, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("stat", STATISTICS, ids=ids)
@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_values_give_what_there_is_and_no_warning(stat, n):
    values = data("normal", n=n) + 5
    sample = Sample(np.ascontiguousarray(values[:, None, :]))
    found = estimates(stat, stat.chunk(sample))
    for name, wanted in stat.reference(values, Source()).items():
        np.testing.assert_allclose(found[name].values, wanted, rtol=1e-9, atol=1e-9, err_msg=name)
    for name, estimate in found.items():
        assert len(estimate.values) == 3
        if name.endswith("_se"):
            assert np.isnan(estimate.values).all() == (n < 2 or estimate.values.size == 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stat", FLOATS, ids=ids)
def test_any_split_at_blocks_gives_the_plain_formulas(stat, kind):
    values = data(kind, n=20 * BLOCK)
    states = [stat.chunk(sample) for sample in samples(values)]
    rng = np.random.default_rng(3)
    for _ in range(3):
        cuts = np.sort(rng.choice(np.arange(1, 20), size=4, replace=False))
        parts = [states[a:b] for a, b in zip([0, *cuts], [*cuts, 20], strict=True)]
        found = estimates(stat, tree(stat, [tree(stat, part) for part in parts]))
        rtol = 1e-9 if isinstance(stat, Moments) else 1e-12
        for name, wanted in stat.reference(values, Source()).items():
            np.testing.assert_allclose(found[name].values, wanted, rtol=rtol, atol=1e-13)


@pytest.mark.parametrize("stat", FLOATS, ids=ids)
def test_a_batch_of_blocks_is_the_blocks_bit_for_bit(stat):
    values = data("absent", n=4 * BLOCK)
    batch = stat.chunk(Sample(values.reshape(3, 4, BLOCK)))
    alone = [stat.chunk(sample) for sample in samples(values)]
    for i, state in enumerate(alone):
        assert_same(
            type(batch)._make(np.ascontiguousarray(a[..., i : i + 1]) for a in batch), state
        )
    pair = stat.merge(*(type(batch)._make(a[..., i::2] for a in batch) for i in (0, 1)))
    first = stat.merge(alone[0], alone[1])
    assert_same(type(pair)._make(np.ascontiguousarray(a[..., :1]) for a in pair), first)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stat", [*EXACT, Proportion()], ids=ids)
def test_exact_states_do_not_depend_on_the_order(stat, kind):
    values = data(kind)
    if stat == Proportion():
        values = np.round(values)
    parts = samples(values)
    batch = stat.chunk(Sample(np.ascontiguousarray(values[:, : 4 * BLOCK]).reshape(3, 4, BLOCK)))
    whole = tree(stat, [batch, *(stat.chunk(sample) for sample in parts[4:])])
    rng = np.random.default_rng(2)
    for _ in range(5):
        order = rng.permutation(len(parts))
        merged = [stat.chunk(parts[i]) for i in order]
        assert_same(tree(stat, merged), whole)
        updated = merged[0]
        for i in order[1:]:
            updated = stat.update(updated, parts[i])
        assert_same(updated, whole)
        cut = int(rng.integers(1, len(parts)))
        assert_same(stat.merge(tree(stat, merged[:cut]), tree(stat, merged[cut:])), whole)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stat", [*STATISTICS, Proportion()], ids=ids)
def test_an_empty_sample_changes_no_bit(stat, kind):
    values = np.round(data(kind, n=700))[:, None, :]
    state = stat.chunk(Sample(values))
    for none in (np.empty((3, 1, 0)), np.full((3, 1, 8), np.nan)):
        empty = stat.chunk(Sample(none, 5000))
        assert_same(stat.merge(state, empty), state)
        assert_same(stat.merge(empty, state), state)
        assert_same(stat.update(state, Sample(none, 5000)), state)
        assert_same(stat.merge(empty, empty), empty)


@pytest.mark.parametrize("stat", STATISTICS, ids=ids)
def test_updating_leaves_what_it_was_given_alone(stat):
    first, second = samples(data("lognormal", n=2 * BLOCK))
    state, values = stat.chunk(first), second.values.copy()
    before = type(state)._make(array.copy() for array in state)
    stat.update(state, second)
    assert_same(state, before)
    np.testing.assert_array_equal(second.values, values)


@pytest.mark.parametrize("stat", [*STATISTICS, Proportion()], ids=ids)
def test_parameters_survive_json(stat):
    back = type(stat).from_dict(json.loads(json.dumps(stat.to_dict())))
    assert back == stat
    assert hash(back) == hash(stat)


@pytest.mark.parametrize("stat", STATISTICS, ids=ids)
def test_shapes_fit_dimensions_and_coordinates(stat):
    for name, estimate in fold(stat, data("integers")).items():
        shape = np.shape(estimate.values)
        assert len(shape) == 1 + len(estimate.dims)
        assert shape[0] == 3
        for dim, length in zip(estimate.dims, shape[1:], strict=True):
            assert len(estimate.coords[dim]) == length
        assert estimate.power in (-1, 0, 1, 2), name


@pytest.mark.parametrize(
    ("make", "error", "argument"),
    [
        (lambda: Variance(ddof=-1), ArgumentValueError, "ddof"),
        (lambda: Variance(ddof=0.5), ArgumentTypeError, "ddof"),
        (lambda: StandardDeviation(ddof=True), ArgumentTypeError, "ddof"),
        (lambda: Exceedance("a"), ArgumentTypeError, "level"),
        (lambda: Exceedance(True), ArgumentTypeError, "level"),
        (lambda: Exceedance(None), ArgumentTypeError, "level"),
        (lambda: Exceedance([]), ArgumentTypeError | ArgumentValueError, "level"),
        (lambda: Exceedance([1.0, math.nan]), ArgumentValueError, "level"),
        (lambda: Exceedance([[1.0]]), ArgumentValueError, "level"),
        (lambda: Exceedance(1.0, strict=1), ArgumentTypeError, "strict"),
        (lambda: Proportion(states=[0, 0]), ArgumentValueError, "states"),
        (lambda: Proportion(states="ab"), ArgumentTypeError, "states"),
        (lambda: Proportion(states=3), ArgumentValueError, "states"),
        (lambda: Proportion(states=[3]).check(LABELLED), ArgumentValueError, "states"),
        (lambda: Histogram(edges=[1.0]), ArgumentValueError, "edges"),
        (lambda: Histogram(edges=[1.0, 1.0]), ArgumentValueError, "edges"),
        (lambda: Histogram(edges=[0.0, math.inf]), ArgumentValueError, "edges"),
        (lambda: Histogram(bins=1), ArgumentValueError, "bins"),
        (lambda: Histogram(bins=2.0), ArgumentTypeError, "bins"),
        (lambda: Extrema(k=0), ArgumentValueError, "k"),
        (lambda: Extrema(k=1.5), ArgumentTypeError, "k"),
    ],
)
def test_parameters_are_checked(make, error, argument):
    with pytest.raises(MontezarrError, match=rf"^{argument}: expected ") as caught:
        make()
    assert isinstance(caught.value, error)


def test_what_adapts_to_the_data():
    assert Histogram().adapts_to_data(Source())
    assert not Histogram(edges=(0, 1)).adapts_to_data(Source())
    assert Proportion().adapts_to_data(Source())
    assert not Proportion().adapts_to_data(LABELLED)
    assert not Proportion(states=(0, 1)).adapts_to_data(Source())


# Moments


@pytest.mark.parametrize("sigma", [1e-3, 1.0, 50.0])
def test_moments_are_those_of_scipy(sigma):
    values = 1000 + sigma * np.random.default_rng(5).gamma(2.0, size=(2, 5000))
    found = arrays(Moments(), values)
    rtol = 1e-7 if sigma < 1 else 1e-10  # the digits that remain of 1000 + sigma
    np.testing.assert_allclose(found["skewness"], scipy.stats.skew(values, axis=1), rtol=rtol)
    np.testing.assert_allclose(found["kurtosis"], scipy.stats.kurtosis(values, axis=1), rtol=rtol)


def test_standard_errors_of_a_large_normal_sample_are_those_of_theory():
    n = 400 * BLOCK
    values = 3 + 2 * np.random.default_rng(6).normal(size=(1, n))
    found = {k: v for s in (Mean(), Variance(), Moments()) for k, v in arrays(s, values).items()}
    theory = {
        "mean": (2.0, 0.01),
        "variance": (4 * math.sqrt(2), 0.02),
        "skewness": (math.sqrt(6), 0.03),
        "kurtosis": (math.sqrt(24), 0.06),  # three times what the eighth moment varies by
    }
    for name, (spread, rel) in theory.items():
        assert found[f"{name}_se"][0] * math.sqrt(n) == pytest.approx(spread, rel=rel), name
    std = arrays(StandardDeviation(), values)
    assert std["std_se"][0] * math.sqrt(n) == pytest.approx(math.sqrt(2), rel=0.01)


def test_influence_functions_are_the_derivatives_by_a_weight():
    """Contaminate an exponential sample by a little of one value, as influence is defined."""
    x = np.random.default_rng(7).exponential(size=1000)
    z = (x - x.mean()) / x.std()
    g, kappa = (z**3).mean(), (z**4).mean()

    def moments(at, eps):
        weights = np.full(len(x) + 1, (1 - eps) / len(x))
        weights[-1] = eps
        y = np.append(x, at)
        u = y - weights @ y
        m2 = weights @ u**2
        return weights @ u**3 / m2**1.5, weights @ u**4 / m2**2

    for i in (0, 10, int(np.argmax(x))):
        eps = 1e-7
        slope = (np.array(moments(x[i], eps)) - moments(x[i], -eps)) / (2 * eps)
        t = z[i]
        expected = (
            t**3 - 3 * t - 1.5 * g * (t**2 - 1) - g,
            t**4 - 2 * kappa * t**2 - 4 * g * t + kappa,
        )
        np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-5)


def test_values_that_are_all_the_same_have_no_skewness():
    values = np.full((2, 3000), 0.1)
    values[1] = 0.0
    found = arrays(Moments(), values)
    np.testing.assert_allclose(arrays(Variance(), values)["variance"], 0.0, atol=1e-30)
    for name in ("skewness", "skewness_se", "kurtosis", "kurtosis_se"):
        assert np.isnan(found[name]).all()
    std = arrays(StandardDeviation(), values)
    np.testing.assert_allclose([std["std"], std["std_se"]], 0.0, atol=1e-15)


def covered(found, name, truth):
    return np.mean(np.abs(found[name] - truth) <= INTERVAL * found[f"{name}_se"])


@pytest.mark.parametrize(
    ("shape", "skewness", "kurtosis"), [(1.0, 0.90, 0.84), (16.0, 0.944, 0.905)]
)
def test_intervals_of_moments_cover_as_documented(shape, skewness, kurtosis):
    """1000 replications, as cells, of 4096 gamma values; shape 1 is exponential.

    What is expected of skewness and kurtosis was measured with 5000 replications of another seed.
    """
    values = np.random.default_rng(8).gamma(shape, size=(1000, 4 * BLOCK))
    found = {k: v for s in (Mean(), Variance(), Moments()) for k, v in arrays(s, values).items()}
    std = arrays(StandardDeviation(), values)
    assert 0.935 <= covered(found, "mean", shape) <= 0.965
    assert 0.93 <= covered(found, "variance", shape) <= 0.97
    assert 0.93 <= covered(std, "std", math.sqrt(shape)) <= 0.97
    assert covered(found, "skewness", 2 / math.sqrt(shape)) == pytest.approx(skewness, abs=0.03)
    assert covered(found, "kurtosis", 6 / shape) == pytest.approx(kurtosis, abs=0.036)


def test_intervals_of_kurtosis_get_better_with_the_sample():
    """200 replications of 65,536 exponential values each."""
    rng = np.random.default_rng(18)
    lots = [arrays(Moments(), rng.exponential(size=(50, 64 * BLOCK))) for _ in range(4)]
    assert 0.87 <= np.mean([covered(found, "kurtosis", 6.0) for found in lots]) <= 0.97
    assert 0.89 <= np.mean([covered(found, "skewness", 2.0) for found in lots]) <= 0.98


def test_the_variance_of_a_small_sample_is_unbiased_and_so_is_its_error_nearly():
    """20,000 replications of 40 exponential values each."""
    values = np.random.default_rng(9).exponential(size=(20_000, 40))
    found = arrays(Variance(), values)
    spread = math.sqrt((9 - 37 / 39) / 40)
    assert found["variance"].mean() == pytest.approx(1.0, abs=4 * spread / math.sqrt(20_000))
    assert found["variance"].std() == pytest.approx(spread, rel=0.03)


# Shares


def test_wilson_is_where_the_score_test_just_fails():
    k, n = np.arange(0, 41), 40
    low, high = wilson(k, n)
    z = (k / n - low)[1:] / np.sqrt(low[1:] * (1 - low[1:]) / n)
    np.testing.assert_allclose(z, INTERVAL, rtol=1e-10)
    z = (high - k / n)[:-1] / np.sqrt(high[:-1] * (1 - high[:-1]) / n)
    np.testing.assert_allclose(z, INTERVAL, rtol=1e-10)
    assert low[0] == 0.0
    assert high[-1] == 1.0
    assert np.all((low <= k / n) & (k / n <= high))
    assert np.isnan(wilson(0, 0)).all()


def test_wilson_is_that_of_scipy():
    for k, n in ((0, 10), (3, 10), (999, 1000), (1, 10**9)):
        interval = scipy.stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
        np.testing.assert_allclose(wilson(k, n), interval, rtol=1e-9, atol=1e-15)


def test_wilson_covers_rare_events_where_two_standard_errors_do_not():
    """10,000 replications of 1024 trials with p = 0.003."""
    p = 0.003
    values = np.random.default_rng(10).random((10_000, BLOCK))
    found = arrays(Exceedance(level=1 - p), values)
    inside = (found["exceedance_low"] <= p) & (p <= found["exceedance_high"])
    assert 0.93 <= inside.mean() <= 0.985
    assert covered(found, "exceedance", p) < 0.93


def test_exceedance_of_a_normal_sample():
    n = 100 * BLOCK
    values = np.random.default_rng(11).normal(size=(1, n))
    found = fold(Exceedance(level=[2.0, -1.0]), values)
    np.testing.assert_array_equal(found["exceedance"].coords["level"], [2.0, -1.0])
    for i, level in enumerate((2.0, -1.0)):
        truth = 1 - NormalDist().cdf(level)
        se = math.sqrt(truth * (1 - truth) / n)
        assert found["exceedance"].values[0, i] == pytest.approx(truth, abs=4 * se)
        assert found["exceedance_se"].values[0, i] == pytest.approx(se, rel=0.05)
    one = fold(Exceedance(level=2.0), values)["exceedance"]
    assert one.dims == ()
    assert one.coords == {"level": 2.0}
    assert one.values[0] == found["exceedance"].values[0, 0]


def test_exceeding_strictly_or_not():
    values = np.array([[0.0, 1.0, 1.0, 2.0, np.nan]])
    assert arrays(Exceedance(1), values)["exceedance"] == 0.25
    assert arrays(Exceedance(1, strict=False), values)["exceedance"] == 0.75


def test_labels_are_the_states():
    values = np.array([[0, 4, 4, 1, 4, 7, np.nan, 4], [np.nan] * 8])
    found = fold(Proportion(), values, LABELLED)
    estimate = found["proportion"]
    assert estimate.coords["state"].tolist() == ["calm", "windy", "storm"]
    np.testing.assert_array_equal(estimate.values[0] * 7, [1, 1, 4])  # 7 is no state, but counts
    assert np.isnan(estimate.values[1]).all()
    low, high = wilson(4, 7)
    assert found["proportion_low"].values[0, 2] == low
    assert found["proportion_high"].values[0, 2] == high
    stat = Proportion(states=[4, 0])
    stat.check(LABELLED)
    estimate = fold(stat, values, LABELLED)["proportion"]
    assert estimate.coords["state"].tolist() == ["storm", "calm"]
    np.testing.assert_array_equal(estimate.values[0] * 7, [4, 1])


@pytest.mark.parametrize("span", [3, 40, 3000])
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("scale", [1.0, 0.5, 2.0**40])
def test_shares_of_few_and_of_many_states(span, given, scale):
    rng = np.random.default_rng(12)
    states = rng.permutation(span)[: min(span, 500)] - span // 2
    values = rng.choice(states, size=(2, 3 * BLOCK)) * scale
    values[:, ::7] = np.nan
    values[:, 1::7] += 0.125 if given else 0.0  # in no state, if they are given
    stat = Proportion(states=states * scale if given else None)
    found = fold(stat, values)["proportion"]
    expected = states * scale if given else np.unique(values[values == values])
    np.testing.assert_array_equal(found.coords["state"], expected)
    assert found.coords["state"].dtype.kind == ("f" if scale == 0.5 else "i")
    np.testing.assert_allclose(
        found.values, stat.reference(values, Source())["proportion"], rtol=1e-14
    )


def test_a_value_next_to_a_whole_number_is_not_that_number():
    values = np.arange(-20.0, 20.0)[None]
    values = np.concatenate([values, [[1e-20, -1e-20, 5 + 1e-15]]], axis=1)
    found = fold(Proportion(), values)["proportion"]
    np.testing.assert_array_equal(found.coords["state"], np.unique(values))
    np.testing.assert_allclose(found.values, 1 / 43)
    total = fold(Proportion(states=range(-20, 20)), values)["proportion"].values.sum()
    assert total == pytest.approx(40 / 43)


def test_the_sign_of_zero_makes_no_state():
    parts = [Sample(np.array([[[x, 1.0]]])) for x in (0.0, -0.0)]
    stat = Proportion()
    a, b = (stat.chunk(sample) for sample in parts)
    assert_same(a, b)
    assert_same(
        stat.chunk(Sample(np.array([[[-0.0, 0.5]]]))), stat.chunk(Sample(np.array([[[0.0, 0.5]]])))
    )


def test_too_many_states_are_an_error_with_a_remedy():
    stat = Proportion()
    whole = np.arange(3000.0).reshape(1, 3, 1000)
    for values in (whole, whole / 3):
        with pytest.raises(ArgumentValueError, match=r"^statistics: .* 1024 distinct.*Histogram"):
            stat.chunk(Sample(values))
        a, b = (stat.chunk(Sample(values[:, i : i + 1].copy())) for i in (0, 1))
        with pytest.raises(ArgumentValueError, match=r"^statistics: .* 1024 distinct.*Histogram"):
            stat.merge(a, b)


# Histograms


@pytest.mark.parametrize(
    "edges",
    [
        [-1.0, -0.1, 0.0, 0.3, 1.0],
        np.linspace(-1.0, 1.0, 61),
        [-1.0, -0.45, 0.05, 0.5, 1.0],
        [-1.0, 0.0, 1.0],
        [-1.0, 1.0],
        [-1.0, -1.0 + 2**-52, 1.0],
    ],
    ids=["uneven", "even", "nearly even", "two bins", "one bin", "next to each other"],
)
def test_given_edges_are_those_of_numpy(edges):
    rng = np.random.default_rng(13)
    edges = np.array(edges)
    beside = np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf)
    special = [0.1, 2.0, -5.0, np.nan, -0.0, 1e308, -1e308]
    values = rng.choice([*edges, *np.concatenate(beside), *special], size=(4, 3 * BLOCK))
    found = arrays(Histogram(edges=edges), values)
    for cell, row in enumerate(values):
        np.testing.assert_array_equal(found["histogram"][cell], np.histogram(row, edges)[0])
    np.testing.assert_array_equal(found["histogram_below"], (values < -1).sum(axis=1))
    np.testing.assert_array_equal(found["histogram_above"], (values > 1).sum(axis=1))
    everything = (
        found["histogram"].sum(axis=1) + found["histogram_below"] + found["histogram_above"]
    )
    np.testing.assert_array_equal(everything, (values == values).sum(axis=1))
    inside = (found["density"] * np.diff(edges)).sum(axis=1)
    np.testing.assert_allclose(inside, found["histogram"].sum(axis=1) / everything)


@pytest.mark.parametrize(
    "edges",
    [
        [0.0, 5e-324, 1e-323],
        np.linspace(-2e-309, 2e-309, 41),
        [-1.7e308, 0.0, 1.7e308],
        [1.0, 1.0 + 2**-52, 1.0 + 2**-51],
    ],
    ids=["smallest", "subnormal", "largest", "adjacent"],
)
def test_edges_at_the_limits_of_numbers(edges):
    edges = np.array(edges)
    rng = np.random.default_rng(15)
    values = rng.choice([*edges, *edges / 2, 0.0, 1e-309, -1e-309, 1e308, -1e308], size=(2, BLOCK))
    with np.errstate(over="ignore"):
        found = arrays(Histogram(edges=edges), values)
    for cell, row in enumerate(values):
        inside = row[(row >= edges[0]) & (row <= edges[-1])]
        place = np.minimum(np.searchsorted(edges, inside, side="right") - 1, len(edges) - 2)
        counts = np.bincount(place, minlength=len(edges) - 1)
        np.testing.assert_array_equal(found["histogram"][cell], counts)


def test_the_density_of_a_normal_sample():
    n = 200 * BLOCK
    values = np.random.default_rng(14).normal(size=(1, n))
    found = fold(Histogram(bins=64), values)
    estimate, error = found["density"], found["density_se"].values[0]
    left, right = estimate.coords["bin_left"][1], estimate.coords["bin_right"][1]
    np.testing.assert_array_equal(estimate.coords["bin"], (left + right) / 2)
    np.testing.assert_array_equal(left[1:], right[:-1])
    assert 32 <= len(left) <= 64
    truth = (scipy.stats.norm.cdf(right) - scipy.stats.norm.cdf(left)) / (right - left)
    common = found["histogram"].values[0] > 50
    assert np.all(np.abs(estimate.values[0] - truth)[common] < 4 * error[common])
    assert np.sum(estimate.values * (right - left)) == pytest.approx(1.0)


@pytest.mark.parametrize("bins", [2, 3, 64])
@pytest.mark.parametrize(
    "values",
    [
        [0.0],
        [-0.0, 0.0],
        [0.1] * 5,
        [5e-324, -5e-324, 0.0],
        [1e-300, 1.0],
        [-1e-30, 1e300],
        [-1e-320, 1e10, -2.0],
        [1.7976931348623157e308, -1.7976931348623157e308],
        [1.7976931348623157e308, 1.7e308],
        [1.0, np.nextafter(1.0, 2.0)],
        [-1.0, -np.nextafter(0.0, 1.0)],
        [2.0**52 + 1, 3.0],
        [-3.0, -64.0, 64.0, 128.0],
    ],
    ids=ids,
)
def test_automatic_bins_of_extreme_values_are_exact(values, bins):
    stat = Histogram(bins=bins)
    parts = [Sample(np.array([[[x]]])) for x in values]
    whole = stat.chunk(Sample(np.array([[values]])))
    rng = np.random.default_rng(15)
    for _ in range(4):
        order = rng.permutation(len(parts))
        assert_same(tree(stat, [stat.chunk(parts[i]) for i in order]), whole)
        state = stat.chunk(parts[order[0]])
        for i in order[1:]:
            state = stat.update(state, parts[i])
        assert_same(state, whole)
    assert whole.counts.sum() == len(values)
    assert whole.counts.shape[1] <= bins
    estimate = stat.finalize(whole, Source())["histogram"]
    left, right = estimate.coords["bin_left"][1], estimate.coords["bin_right"][1]
    for x in values:
        assert whole.counts[0][(left <= x) & (x < right)].sum() >= 1


def test_the_exponent_is_the_smallest_that_will_do_and_grows_with_the_range():
    rng = np.random.default_rng(16)
    for _ in range(300):
        low, high = np.sort(rng.normal(size=2) * 10.0 ** rng.integers(-5, 6))
        bins = int(rng.integers(2, 100))
        e = exponent_of(low, high, bins)
        assert np.floor(high / 2.0**e) - np.floor(low / 2.0**e) < bins
        finer = 2.0 ** (e - 1)
        assert np.floor(high / finer) - np.floor(low / finer) >= bins
        assert exponent_of(low - rng.exponential(), high + rng.exponential(), bins) >= e


def test_a_histogram_of_nothing_has_no_bins():
    found = arrays(Histogram(), np.full((2, 5), np.nan))
    assert {a.shape for a in found.values()} == {(2, 0)}


# Extremes


def test_extremes_and_their_paths():
    values = np.array([[3.0, np.nan, -1.0, 3.0, -1.0], [np.nan] * 5])
    found = arrays(Extrema(), values)
    np.testing.assert_array_equal(found["min"], [-1, np.nan])
    np.testing.assert_array_equal(found["max"], [3, np.nan])
    np.testing.assert_array_equal(found["min_path"], [2, -1])
    np.testing.assert_array_equal(found["max_path"], [0, -1])
    assert found["min_path"].dtype == np.int64
    found = fold(Extrema(k=4), values)
    np.testing.assert_array_equal(found["smallest"].values[0], [-1, -1, 3, 3])
    np.testing.assert_array_equal(found["smallest_path"].values[0], [2, 4, 0, 3])
    np.testing.assert_array_equal(found["largest_path"].values[0], [0, 3, 2, 4])
    np.testing.assert_array_equal(found["largest"].coords["rank"], [1, 2, 3, 4])


@pytest.mark.parametrize("k", [1, 2, 7, 100])
def test_ties_go_to_the_lowest_path_in_any_order(k):
    rng = np.random.default_rng(17)
    values = rng.integers(0, 3, size=(5, 6 * BLOCK)).astype(float)
    values[rng.random(values.shape) < 0.2] = np.nan
    stat = Extrema(k=k)
    expected = stat.reference(values, Source())
    parts = samples(values)
    for _ in range(3):
        order = rng.permutation(len(parts))
        state = stat.chunk(parts[order[0]])
        for i in order[1:]:
            state = stat.update(state, parts[i])
        for name, estimate in stat.finalize(state, Source()).items():
            np.testing.assert_array_equal(estimate.values, expected[name])


@pytest.mark.parametrize("k", [1, 3, 20, 40])
def test_extremes_of_few_values_between_absent_ones(k):
    """50 random samples for each k, of fewer values than ranks in many cells and blocks."""
    rng = np.random.default_rng(20)
    stat = Extrema(k=k)
    for _ in range(50):
        blocks, n = rng.integers(1, 9), rng.integers(1, 40)
        values = np.round(rng.normal(size=(3, blocks, n)))  # with zeros of both signs
        values[rng.random(values.shape) < rng.random((3, 1, 1))] = np.nan
        whole = stat.chunk(Sample(values))
        parts = [Sample(values[:, i : i + 1].copy(), int(i * n)) for i in rng.permutation(blocks)]
        state = stat.chunk(parts[0])
        for part in parts[1:]:
            state = stat.update(state, part)
        assert_same(state, whole)
        assert_same(tree(stat, [stat.chunk(part) for part in parts]), whole)
        found = stat.finalize(whole, Source())
        for name, expected in stat.reference(values.reshape(3, -1), Source()).items():
            np.testing.assert_array_equal(found[name].values, expected)


def test_a_sample_that_cannot_improve_the_extremes_returns_the_state():
    stat = Extrema(k=2)
    state = stat.chunk(Sample(np.array([[[1.0, 5.0, 0.0, 9.0]]])))
    for value, start in ((3.0, 100), (1.0, 100), (5.0, 100)):
        assert stat.update(state, Sample(np.array([[[value]]]), start)) is state
    state = stat.chunk(Sample(np.array([[[1.0, 5.0, 0.0, 9.0]]]), 50))
    assert stat.update(state, Sample(np.array([[[1.0]]]), 7)).low_path.tolist() == [[52, 7]]


def test_the_number_of_values():
    found = fold(Count(), data("absent"))["count"]
    values = data("absent")
    np.testing.assert_array_equal(found.values, np.isfinite(values).sum(axis=1))
    assert found.values.dtype == np.int64
