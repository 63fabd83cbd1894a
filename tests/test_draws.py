"""Draws: known answers, kernel against reference, random access, distributions, accuracy."""

import inspect
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import PATIENCE
from scipy import special

import montezarr as mz
from montezarr import Draws
from montezarr.core.errors import ArgumentTypeError, ArgumentValueError
from montezarr.processes._base import NORMAL_BOUND
from montezarr.random.draws import MAX_SLOT, MAX_STEPS, has_kernel, kernel, phases, reference
from montezarr.random.seeding import as_root_seed

KINDS = Draws.kinds
DTYPES = ("float64", "float32")
TILE = kernel.TILE


def same_bits(one, other):
    """Return whether two arrays agree on every bit, NaN apart, whose sign and payload are free."""
    assert one.dtype == other.dtype
    assert one.shape == other.shape
    unsigned = np.uint64 if one.dtype == np.float64 else np.uint32
    equal = one.view(unsigned) == other.view(unsigned)
    return bool((equal | (np.isnan(one) & np.isnan(other))).all())


# Philox


KNOWN = {  # Random123, kat_vectors: counter, key, answer
    "zeros": ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    "ones": (
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    "pi": (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
}


@pytest.fixture(params=KNOWN.values(), ids=KNOWN.keys())
def known(request):
    return request.param


def test_reference_gives_the_known_answers(known):
    counter, key, answer = known
    words = reference.philox4x32(np.array(counter, np.uint32), np.array(key, np.uint32))
    assert words.dtype == np.uint32
    assert tuple(words.tolist()) == answer


def test_words_by_address_give_the_known_answers(known):
    (group, low, high, slot), key, answer = known
    words = reference.words(key, high << 32 | low, 1, group, slot)
    assert tuple(words[:, 0].tolist()) == answer


@pytest.mark.parametrize("module", [reference, kernel], ids=["reference", "kernel"])
def test_fill_words_gives_the_known_answers(known, module):
    (group, low, high, slot), key, answer = known
    address = [np.full(3, word, np.uint64) for word in (high << 32 | low, group, slot)]
    out = np.empty((3, 4), np.uint32)
    module.fill_words(key, *address, out)
    assert [tuple(row) for row in out.tolist()] == [answer] * 3


@pytest.mark.parametrize("module", [reference, kernel], ids=["reference", "kernel"])
def test_uniform_numbers_are_made_of_the_known_answers(known, module):
    (group, low, high, slot), key, answer = known
    double, single = np.empty((2, 1)), np.empty((4, 1), np.float32)
    module.fill("uniform", key, high << 32 | low, 2 * group, slot, double)
    module.fill("uniform", key, high << 32 | low, 4 * group, slot, single)
    # 53 bits of two words, and 24 bits of each word: nothing is rounded.
    assert (double[:, 0] * 2**53).tolist() == [
        float(answer[1] << 21 | answer[0] >> 11),
        float(answer[3] << 21 | answer[2] >> 11),
    ]
    assert (single[:, 0] * np.float32(2**24)).tolist() == [float(word >> 8) for word in answer]


def test_fewer_rounds_give_other_words():
    counter, key = np.arange(4, dtype=np.uint32), np.arange(2, dtype=np.uint32)
    found = {tuple(reference.philox4x32(counter, key, rounds).tolist()) for rounds in range(11)}
    assert len(found) == 11


def test_draws_words_are_those_of_the_counter():
    draws = Draws.of([1, 2], start=2**40 + 5, n=3)
    words = draws.words(9, slot=4)
    assert words.shape == (4, 3)
    for j in range(3):
        path = 2**40 + 5 + j
        counter = np.array([9, path % 2**32, path >> 32, 4], np.uint32)
        expected = reference.philox4x32(counter, np.array(draws.key, np.uint32))
        np.testing.assert_array_equal(words[:, j], expected)


def test_the_key_is_that_of_the_root_seed():
    assert Draws.of(42).key == as_root_seed(42).philox_key()
    assert Draws.of(42).key == tuple(np.random.SeedSequence(42).generate_state(2).tolist())


# The kernel is the reference


KEYS = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
COUNTS = st.one_of(
    st.integers(0, 70), st.integers(TILE - 2, TILE + 2), st.integers(2 * TILE - 1, 2 * TILE + 9)
)
STARTS = st.one_of(
    st.integers(0, 3000),
    st.integers(2**32 - 1200, 2**32 + 5),
    st.integers(0, 2**62),
    st.integers(2**63 - 2500, 2**63 - 1 - 2 * TILE - 9),
)
STEPS = st.one_of(st.integers(0, 40), st.integers(2**32 - 60, 2**32 - 20), st.integers(0, 2**31))
SLOTS = st.one_of(st.integers(0, 4), st.sampled_from([2**31, MAX_SLOT]))


@given(KEYS, STARTS, COUNTS, STEPS, st.integers(0, 19), SLOTS,
       st.sampled_from(DTYPES), st.sampled_from(KINDS))  # fmt: skip
@settings(deadline=None, max_examples=120)
def test_kernel_and_reference_agree_on_every_bit(key, start, n, step, count, slot, dtype, kind):
    one, other = np.full((2, count, n), np.nan, dtype)
    kernel.fill(kind, key, start, step, slot, one)
    reference.fill(kind, key, start, step, slot, other)
    assert same_bits(one, other)
    assert np.isfinite(one).all()


@given(KEYS, st.lists(st.tuples(STARTS, STEPS, SLOTS), max_size=40))
@settings(deadline=None)
def test_kernel_and_reference_agree_on_words(key, addresses):
    path, step, slot = np.array(addresses, np.uint64).reshape(-1, 3).T.copy()
    one, other = np.zeros((2, len(addresses), 4), np.uint32)
    kernel.fill_words(key, path, step, slot, one)
    reference.fill_words(key, path, step, slot, other)
    np.testing.assert_array_equal(one, other)
    for j, (start, group, place) in enumerate(addresses):
        np.testing.assert_array_equal(one[j], reference.words(key, start, 1, group, place)[:, 0])


NUMBERS = st.one_of(
    st.floats(-2, 2), st.sampled_from([0.0, 1.0, -1.0, 30.0, 1e4, 1e30, -1e30, np.inf, np.nan])
)


@given(KEYS, STARTS, COUNTS, st.integers(0, 11), SLOTS, st.sampled_from(DTYPES), st.booleans(),
       st.data())  # fmt: skip
@settings(deadline=None, max_examples=80)
def test_recursions_agree_on_every_bit(key, start, n, T, slot, dtype, exponential, data):
    row = st.lists(NUMBERS, min_size=T, max_size=T)
    coefficients = np.array([data.draw(row) for _ in range(3)], float).reshape(3, T)
    x0 = np.resize(np.array(data.draw(st.lists(NUMBERS, min_size=1, max_size=9)), dtype), n)
    one, other = np.full((2, T + 1, n), -7, dtype)
    kernel.gaussian_recursion(key, start, slot, coefficients, x0, one, exponential)
    with np.errstate(over="ignore", invalid="ignore"):
        reference.gaussian_recursion(key, start, slot, coefficients, x0, other, exponential)
    assert same_bits(one, other)


@pytest.mark.parametrize("x0", [100.0, -(2.0**36), 2.0**-36, 2.0**37, 1e-30, 0.0, np.nan])
@pytest.mark.parametrize("dtype", DTYPES)
def test_recursions_agree_where_the_quick_exponential_ends(dtype, x0):
    # The bound of abs(y) grows by 5.5, beyond both limits: of float32 after 11 steps, then of both.
    steps, n = 160, 37
    coefficients = np.tile([[1.0], [1.0], [0.5]], steps)
    coefficients[1, ::2] = -1.0
    coefficients[1, 100:] = np.sign(x0 if x0 == x0 else 1.0) * 12.0
    start = np.full(n, x0, dtype)
    for form in (coefficients, np.repeat(coefficients[:, :1, np.newaxis], n, axis=2)):
        one, other = np.empty((2, steps + 1, n), dtype)
        for module, out in ((kernel, one), (reference, other)):
            with np.errstate(over="ignore", invalid="ignore"):
                module.gaussian_recursion((1, 2), 5, 0, form, start, out, True)
        assert same_bits(one, other)


def test_recursion_is_what_it_says():
    draws = Draws.of(5, start=10, n=1000)
    a, b, c = coefficients = np.array([[1.0, 0.5, -0.9, 1.0], [0, 1, 0.1, 2], [1, 0.3, 2, 0.0]])
    x0 = np.linspace(-1, 1, 1000)
    z = draws.normal(range(4), slot=3)
    plain = draws.gaussian_recursion(coefficients, x0, slot=3)
    scaled = draws.gaussian_recursion(coefficients, x0, exponential=True, slot=3)
    y, log = x0, np.zeros(1000)
    np.testing.assert_array_equal(plain[0], x0)
    np.testing.assert_array_equal(scaled[0], x0)
    for k in range(4):
        y, log = (a[k] * y + b[k]) + c[k] * z[k], (a[k] * log + b[k]) + c[k] * z[k]
        assert same_bits(plain[k + 1], y)
        assert same_bits(scaled[k + 1], x0 * reference.exp(log))
        np.testing.assert_allclose(scaled[k + 1], x0 * np.exp(log), rtol=1e-15)


@pytest.mark.parametrize("implementation", ["kernel", "reference"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_recursion_keeps_nan_and_infinities(dtype, implementation):
    draws = Draws.of(1, n=600, dtype=dtype, implementation=implementation)
    constant = np.array([[0.0, 0.0, 0.0], [np.nan, 1e5, -1e5], [0.0, 0.0, 0.0]])
    with np.errstate(over="ignore"):
        rows = draws.gaussian_recursion(constant[:, 1:], 2.0, exponential=True)
    assert np.isposinf(rows[1]).all()
    assert (rows[2] == 0).all()
    for exponential in (False, True):
        rows = draws.gaussian_recursion(constant[:, :1], 2.0, exponential=exponential)
        assert np.isnan(rows[1]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_recursion_broadcasts_its_start_and_returns_it_at_t_0(dtype):
    draws = Draws.of(1, n=7, dtype=dtype)
    for exponential in (False, True):
        rows = draws.gaussian_recursion(np.empty((3, 0)), 2.5, exponential=exponential)
        assert rows.tolist() == [[2.5] * 7]
        assert rows.dtype == dtype


EXTREMES = np.array([0, 1, 255, 256, 2047, 2048, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 2049,
                     2**32 - 2048, 2**32 - 257, 2**32 - 256, 2**32 - 1], np.uint32)  # fmt: skip
CORNERS = np.stack(np.meshgrid(*[EXTREMES[::2]] * 2, *[EXTREMES] * 2)).reshape(4, -1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_rarest_words_give_numbers_within_bounds(kind, dtype):
    # Random words hardly ever are the smallest or the largest: here they are.
    bits = 53 if dtype == "float64" else 33
    largest = {
        "uniform": 1 - 2.0 ** -(53 if dtype == "float64" else 24),
        "normal": math.sqrt(2 * bits * math.log(2)) * (1 + np.finfo(dtype).eps),
        "exponential": bits * math.log(2) * (1 + np.finfo(dtype).eps),
    }[kind]
    least = -largest if kind == "normal" else 0
    for words in (CORNERS, CORNERS[[1, 0, 3, 2]]):
        values = reference.group_of(kind, words, np.dtype(dtype))
        assert values.dtype == dtype
        assert values.min() >= least
        assert values.max() <= largest
        assert values.max() >= largest * (1 - 1e-6)  # the bound is reached


def test_normal_bound_holds_for_the_least_uniform_number():
    for dtype in DTYPES:
        values = reference.group_of("normal", CORNERS, np.dtype(dtype))
        assert np.abs(values).max() <= NORMAL_BOUND


EIGHTHS = np.arange(8, dtype=np.uint32) << np.uint32(29)
"""Words of angles halfway between quarters of the circle, and of the quarters."""


def numbers_of(words, kind, dtype):
    """Return the numbers of one step group, by the compiled loops, from its words (4, n)."""
    n, out = words.shape[1], np.empty((2 if dtype == "float64" else 4, words.shape[1]), dtype)
    if dtype == "float64":
        w0, w1, w2, w3 = words.astype(np.uint64)
        kept = np.uint64(0xFFFFF800)
        pairs = [(w1 << np.uint64(32) | w0 & kept, w3 << np.uint64(32) | w2 & kept)]
        each, radius, normal = phases.uniform64, phases.radius64, phases.normal64
        if kind == "exponential":
            each = phases.exponential64
    else:
        pairs = [(words[0], words[1]), (words[2], words[3])]
        each, radius, normal = phases.uniform32, phases.radius32, phases.normal32
        if kind == "exponential":
            each = phases.exponential32
    for i, pair in enumerate(pairs):
        if kind == "normal":
            distance = np.empty(n, dtype)
            radius(pair[0], distance, n)
            normal(distance, pair[1], out[2 * i], out[2 * i + 1], n)
        else:
            each(pair[0], out[2 * i], n)
            each(pair[1], out[2 * i + 1], n)
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_kernel_and_reference_agree_on_the_rarest_words(dtype, kind):
    rng = np.random.default_rng(1)
    rare = np.concatenate([EXTREMES, EIGHTHS, EIGHTHS - np.uint32(1), EIGHTHS + np.uint32(1)])
    rare = np.concatenate([rare, rng.integers(0, 2**32, 20, np.uint32)])
    low, high = np.repeat(rare, len(rare)), np.tile(rare, len(rare))
    other = rng.permutation(len(low))
    words = np.ascontiguousarray([low, high, low[other], high[other]])
    assert same_bits(
        numbers_of(words, kind, dtype), reference.group_of(kind, words, np.dtype(dtype))
    )


EXPONENTS = [0.0, -0.0, 1.0, -1.0, 0.34657, -0.34658, 1e-300, 5e-324, 88.72, 88.73, -87.4, -103.97,
             -103.98, 709.78, 709.79, 710.0, 711.0, 1e300, np.inf, -708.4, -745.13, -745.14, -746.0,
             -747.0, -1e300, -np.inf, np.nan]  # fmt: skip


def test_kernel_and_reference_agree_on_exp():
    x = np.concatenate([EXPONENTS, np.random.default_rng(2).uniform(-760, 720, 400)])
    with np.errstate(over="ignore"):
        assert same_bits(np.array([phases.exp64(v) for v in x]), reference.exp(x))
    small = x[np.abs(x) <= kernel.SMALL_EXPONENT]
    assert same_bits(np.array([phases.small_exp64(v) for v in small]), reference.exp(small))


@pytest.mark.parametrize("scale", [1.0, -123.456789012, 1e-30, 1e30, 0.0, 3e38])
def test_kernel_and_reference_agree_on_the_scaled_exp_of_float32(scale):
    x = np.concatenate([EXPONENTS, np.random.default_rng(2).uniform(-190, 190, 900)])
    out, start = np.empty((2, 7), np.float32), np.full(7, scale, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = reference.scaled_exp32(x, np.full(len(x), scale, np.float32))
    for value, result in zip(x, expected, strict=True):
        kernel.gaussian_recursion((1, 2), 0, 0, np.array([[0.0], [value], [0.0]]), start, out, True)
        assert same_bits(out[1], np.full(7, result))


# Any number can be had alone


@given(st.integers(0, 2**64), STARTS, COUNTS, st.integers(0, 2**31), st.integers(0, 13), SLOTS,
       st.sampled_from(DTYPES), st.sampled_from(KINDS), st.data())  # fmt: skip
@settings(deadline=None)
def test_any_range_is_a_slice_of_a_larger_one(seed, start, n, step, count, slot, dtype, kind, data):
    whole = getattr(Draws.of(seed, start=start, n=n, dtype=dtype), kind)(
        range(step, step + count), slot
    )
    assert whole.shape == (count, n)
    low, first = data.draw(st.integers(0, n)), data.draw(st.integers(0, count))
    high, last = data.draw(st.integers(low, n)), data.draw(st.integers(first, count))
    part = getattr(Draws.of(seed, start=start + low, n=high - low, dtype=dtype), kind)(
        range(step + first, step + last), slot
    )
    assert same_bits(part, whole[first:last, low:high].copy())


@given(st.integers(0, 2**64), STARTS, st.integers(1, 90), st.integers(0, 9), SLOTS,
       st.sampled_from(DTYPES), st.booleans(), st.data())  # fmt: skip
@settings(deadline=None)
def test_a_recursion_of_fewer_paths_or_steps_is_a_slice(
    seed, start, n, T, slot, dtype, exponential, data
):
    coefficients = np.array([np.linspace(0.9, 1.1, T), np.full(T, 0.1), np.full(T, 0.2)])
    x0 = np.linspace(1, 2, n)
    whole = Draws.of(seed, start=start, n=n, dtype=dtype).gaussian_recursion(
        coefficients, x0, exponential=exponential, slot=slot
    )
    low, steps = data.draw(st.integers(0, n)), data.draw(st.integers(0, T))
    high = data.draw(st.integers(low, n))
    part = Draws.of(seed, start=start + low, n=high - low, dtype=dtype).gaussian_recursion(
        coefficients[:, :steps], x0[low:high], exponential=exponential, slot=slot
    )
    assert same_bits(part, whole[: steps + 1, low:high].copy())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_one_step_is_a_row(kind, dtype):
    draws = Draws.of(3, start=100, n=50, dtype=dtype)
    rows = getattr(draws, kind)(range(11))
    for step in range(11):
        row = getattr(draws, kind)(step)
        assert row.shape == (50,)
        assert same_bits(row, rows[step].copy())


@given(st.integers(0, 40), COUNTS, SLOTS, st.sampled_from(DTYPES), st.sampled_from(KINDS))
@settings(deadline=None)
def test_rows_one_by_one_are_the_rows_at_once(count, n, slot, dtype, kind):
    draws = Draws.of(8, start=77, n=n, dtype=dtype)
    rows = [row.copy() for row in draws.rows(kind, count, slot)]
    whole = getattr(draws, kind)(range(count), slot)
    assert len(rows) == count
    assert all(same_bits(row, whole[k].copy()) for k, row in enumerate(rows))


def test_draws_differ_by_seed_path_step_slot_and_precision():
    def numbers(seed=1, start=0, step=0, slot=0, dtype="float64"):
        return Draws.of(seed, start=start, n=64, dtype=dtype).normal(step, slot).tolist()

    tables = [numbers(), numbers(seed=2), numbers(seed=[1, 0, 0, 0, 0]), numbers(start=64),
              numbers(start=2**32), numbers(start=2**62), numbers(step=1), numbers(step=2),
              numbers(step=2**31), numbers(slot=1), numbers(slot=MAX_SLOT),
              numbers(dtype="float32")]  # fmt: skip
    flat = [value for table in tables for value in table]
    assert len(set(flat)) == len(flat)


def test_last_path_and_last_step():
    draws = Draws.of(1, start=2**63 - 2, n=1)
    assert draws.normal(range(MAX_STEPS - 3, MAX_STEPS)).shape == (3, 1)
    assert draws.uniform(MAX_STEPS - 1)[0] == draws.uniform(range(MAX_STEPS - 1, MAX_STEPS))[0, 0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_empty_ranges(kind, dtype):
    assert getattr(Draws.of(1, n=0, dtype=dtype), kind)(range(5)).shape == (5, 0)
    for first in range(5):
        assert getattr(Draws.of(1, n=3, dtype=dtype), kind)(range(first, first)).shape == (0, 3)


# Distributions, each over 2e6 numbers of a fixed seed


N = 2_000_000
MOMENTS = {
    "uniform": [1 / (k + 1) for k in range(9)],
    "normal": [1, 0, 1, 0, 3, 0, 15, 0, 105],
    "exponential": [math.factorial(k) for k in range(9)],
}
DISTRIBUTIONS = {
    "uniform": lambda x: x,
    "normal": special.ndtr,
    "exponential": lambda x: -np.expm1(-x),
}


@pytest.fixture(scope="module", params=[(k, d) for k in KINDS for d in DTYPES], ids="-".join)
def table(request):
    kind, dtype = request.param
    draws = Draws.of(2024, start=5000, n=N // 100, dtype=dtype)
    return kind, dtype, getattr(draws, kind)(range(100))


def test_values_are_in_their_range(table):
    kind, dtype, x = table
    bits = 53 if dtype == "float64" else 33
    assert x.dtype == dtype
    assert np.isfinite(x).all()
    if kind == "uniform":
        grid = x * 2.0 ** (53 if dtype == "float64" else 24)
        assert x.min() >= 0
        assert x.max() < 1
        assert (grid == np.floor(grid)).all()
    elif kind == "normal":
        assert np.abs(x).max() < math.sqrt(2 * bits * math.log(2))
    else:
        assert x.min() >= 0
        assert x.max() < bits * math.log(2)


def test_kolmogorov_smirnov(table):
    kind, _, x = table
    u = DISTRIBUTIONS[kind](np.sort(x, axis=None).astype(np.float64))
    index = np.arange(N)
    distance = max((u - index / N).max(), ((index + 1) / N - u).max())
    assert special.kolmogorov(distance * math.sqrt(N)) > 1e-3


def test_first_four_moments(table):
    kind, _, x = table
    m, power = MOMENTS[kind], np.ones(x.shape)
    for k in range(1, 5):
        power *= x
        error = math.sqrt((m[2 * k] - m[k] ** 2) / N)
        assert abs(power.mean() - m[k]) < 4 * error


def test_neighbours_are_uncorrelated(table):
    kind, dtype, x = table
    mean, deviation = MOMENTS[kind][1], math.sqrt(MOMENTS[kind][2] - MOMENTS[kind][1] ** 2)
    draws = Draws.of(2024, start=5000, n=N // 100, dtype=dtype)
    other_seed = Draws.of(2025, start=5000, n=N // 100, dtype=dtype)
    pairs = {
        "path": (x[:, :-1], x[:, 1:]),
        "step": (x[:-1], x[1:]),
        "slot": (x, getattr(draws, kind)(range(100), 1)),
        "seed": (x, getattr(other_seed, kind)(range(100))),
    }
    for name, (one, other) in pairs.items():
        one, other = ((v.astype(np.float64) - mean) / deviation for v in (one, other))
        assert abs((one * other).sum()) < 4.5 * math.sqrt(one.size), name
        one, other = one**2 - 1, other**2 - 1
        assert abs((one * other).sum()) < 4.5 * math.sqrt((one**2).sum() * (other**2).mean()), name


# Accuracy, in units of the last place of the true value


EXTENDED = np.longdouble
# Where long double is no longer than double, the yardstick itself is off by up to a unit.
SLACK = 0 if np.finfo(EXTENDED).eps < 1e-18 else 1
PI = EXTENDED("3.14159265358979323846264338327950288")


def units(found, true):
    spacing = np.spacing(np.abs(true).astype(found.dtype)).astype(EXTENDED)
    return float((np.abs(found.astype(EXTENDED) - true) / spacing).max())


def cos_sin(turn):
    """Return cosine and sine of 2*pi*turn, with the quadrant taken off exactly."""
    quarter = np.rint(4 * turn.astype(EXTENDED))
    angle = 2 * PI * (turn.astype(EXTENDED) - quarter / 4)
    c, s = np.cos(angle), np.sin(angle)
    turns = [quarter.astype(int) % 4 == k for k in range(4)]
    return np.select(turns, [c, -s, -c, s]), np.select(turns, [s, c, -s, -c])


def test_accuracy_of_the_logarithm():
    rng = np.random.default_rng(3)
    near = np.arange(1, 50_000) * 2.0**-53
    u = np.concatenate([rng.random(200_000), 2.0 ** -rng.uniform(0, 53, 200_000), near, 1 - near,
                        0.5**0.5 - near, 0.5**0.5 + near, [1.0]])  # fmt: skip
    u = u[u > 0]
    assert units(reference._neg_log64(u), -np.log(u.astype(EXTENDED))) < 0.9 + SLACK
    words = rng.integers(0, 2**32, 400_000, np.uint32)
    words[:50_000] = np.arange(50_000)
    words[50_000:100_000] = 2**32 - 1 - np.arange(50_000)
    u = reference._unit32(words)
    assert units(reference._neg_log32(u), -np.log(u.astype(EXTENDED))) < 0.9
    assert reference._neg_log64(np.ones(1))[0] == reference._neg_log32(np.ones(1, "f4"))[0] == 0


def test_accuracy_of_cosine_and_sine():
    rng = np.random.default_rng(4)
    near = np.arange(-3000, 3000) * 2.0**-53
    turn = np.concatenate([rng.uniform(-0.5, 0.5, 300_000), *(k / 16 + near for k in range(-8, 8)),
                           -(2.0 ** -rng.uniform(1, 53, 50_000))])  # fmt: skip
    turn = turn[(turn >= -0.5) & (turn < 0.5)]
    for found, true in zip(reference._cos_sin64(turn), cos_sin(turn), strict=True):
        assert units(found, true) < 2 + SLACK
        assert np.abs(found).max() <= 1
    words = rng.integers(0, 2**32, 400_000, np.uint32)
    words[:50_000] = np.arange(50_000)
    turn = reference._turn32(words)
    for found, true in zip(reference._cos_sin32(turn), cos_sin(turn), strict=True):
        assert units(found, true) < 2
        assert np.abs(found).max() <= 1


@pytest.mark.parametrize("k", range(-4, 4))
def test_cosine_and_sine_are_exact_at_the_axes(k):
    for function, dtype in ((reference._cos_sin64, "f8"), (reference._cos_sin32, "f4")):
        c, s = function(np.array([k / 8], dtype))
        if k % 2 == 0:
            expected = {-4: (-1, 0), -2: (0, -1), 0: (1, 0), 2: (0, 1)}[k]
            assert (c[0], s[0]) == expected
        else:
            assert abs(c[0]) == pytest.approx(0.5**0.5, rel=1e-6)
            assert abs(s[0]) == pytest.approx(0.5**0.5, rel=1e-6)


def test_accuracy_of_exp():
    rng = np.random.default_rng(5)
    small = rng.choice([-1, 1], 50_000) * 2.0 ** -rng.uniform(0, 60, 50_000)
    x = np.concatenate([rng.uniform(-745, 709.78, 300_000), rng.standard_normal(100_000), small])
    assert units(reference.exp(x), np.exp(x.astype(EXTENDED))) < 1 + SLACK
    x = np.concatenate([rng.uniform(-103.9, 88.72, 300_000), small]).astype(np.float32)
    assert units(reference.exp(x), np.exp(x.astype(EXTENDED))) < 1


@pytest.mark.parametrize("scale", [1.0, 1e4 + 1 / 3, 1e-30, 1e30])
def test_accuracy_of_the_scaled_exp_of_float32(scale):
    # The logarithm is float64: it is not rounded before the result is.
    scale = np.float32(scale)
    rng = np.random.default_rng(6)
    low, high = (np.log(limit / float(scale)) for limit in (1.2e-38, 3.4e38))
    x = np.concatenate([rng.uniform(low, high, 300_000), 1e-3 * rng.standard_normal(100_000)])
    x = x[(x > low) & (x < high)]
    found = reference.scaled_exp32(x, np.full(len(x), scale))
    assert found.dtype == np.float32
    assert units(found, EXTENDED(scale) * np.exp(x.astype(EXTENDED))) < 1.5


def test_the_scaled_exp_of_float32_overflows_and_underflows():
    for scale in (1e-30, 1.0, 100.0, -100.0):
        with np.errstate(over="ignore"):
            rows = reference.scaled_exp32(
                np.array([300.0, 1e30, np.inf, -300.0, -1e30, -np.inf, np.nan]),
                np.full(7, scale, np.float32),
            )
        assert (rows[:3] == np.copysign(np.inf, scale)).all()
        assert (rows[3:6] == 0).all()
        assert np.isnan(rows[6])


@pytest.mark.parametrize(
    ("dtype", "last", "least"), [("f8", 709.782712, -745.1332), ("f4", 88.7228, -103.9720)]
)
def test_exp_overflows_to_infinity_and_underflows_to_zero(dtype, last, least):
    inside = reference.exp(np.array([last, 0.0, -0.0, least], dtype))
    assert np.isfinite(inside).all()
    assert inside[0] > 0.99 * np.finfo(dtype).max
    assert inside[1] == inside[2] == 1
    assert inside[3] == np.finfo(dtype).smallest_subnormal
    with np.errstate(over="ignore"):
        beyond = reference.exp(np.array([last + 0.001, 1000, 1e30, np.inf], dtype))
    assert np.isposinf(beyond).all()
    below = reference.exp(np.array([least - 0.001, -1000, -1e30, -np.inf], dtype))
    assert (below == 0).all()
    assert not np.signbit(below).any()
    assert np.isnan(reference.exp(np.array([np.nan], dtype))).all()


# Arguments


@pytest.mark.parametrize("dtype", ["float16", "int64", ">i4", "complex128", "bool", "U3", object])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(ArgumentValueError, match="dtype: expected one of 'float64', 'float32'"):
        Draws.of(1, dtype=dtype)


@pytest.mark.parametrize("dtype", ["nonsense", 3.5, [1]])
def test_what_is_no_dtype_is_refused(dtype):
    with pytest.raises(ArgumentTypeError, match="dtype: expected 'float64' or 'float32'"):
        Draws.of(1, dtype=dtype)


@pytest.mark.parametrize("dtype", [np.float32, "f4", np.dtype("float32"), ">f4"])
def test_every_spelling_of_a_dtype_is_one(dtype):
    assert Draws.of(1, dtype=dtype) == Draws.of(1, dtype="float32")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("start", {"start": -1}),
        ("start", {"start": 2**63}),
        ("n", {"n": -1}),
        ("n", {"start": 2**63 - 5, "n": 5}),
        ("implementation", {"implementation": "gpu"}),
        ("seed", {"seed": -1}),
    ],
)
def test_values_of_arguments_are_checked(name, arguments):
    with pytest.raises(ArgumentValueError, match=rf"^{name}: expected"):
        Draws.of(**{"seed": 1, **arguments})


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("start", {"start": 0.0}),
        ("start", {"start": True}),
        ("n", {"n": "3"}),
        ("n", {"n": None}),
        ("implementation", {"implementation": 5}),
        ("seed", {"seed": np.random.default_rng(1)}),
    ],
)
def test_types_of_arguments_are_checked(name, arguments):
    with pytest.raises(ArgumentTypeError, match=rf"^{name}: expected"):
        Draws.of(**{"seed": 1, **arguments})


@pytest.mark.parametrize("implementation", ["kernel", "reference"])
@pytest.mark.parametrize("kind", KINDS)
def test_steps_and_slots_are_checked(kind, implementation):
    draws = Draws.of(1, n=2, implementation=implementation)
    method = getattr(draws, kind)
    for steps in (-1, MAX_STEPS, range(-1, 3), range(MAX_STEPS, MAX_STEPS + 1), range(0, 4, 2),
                  range(3, 0, -1)):  # fmt: skip
        with pytest.raises(ArgumentValueError, match=r"^steps: expected"):
            method(steps)
    for steps in (1.0, "1", None, True, [1, 2]):
        with pytest.raises(ArgumentTypeError, match=r"^steps: expected"):
            method(steps)
    out = np.empty((1, 2))
    coefficients = np.ones((3, 1))
    for call in (
        lambda slot: method(0, slot),
        lambda slot: draws.fill(kind, 0, out, slot),
        lambda slot: next(draws.rows(kind, 1, slot)),
        lambda slot: draws.words(0, slot),
        lambda slot: draws.gaussian_recursion(coefficients, 0.0, slot=slot),
    ):
        call(MAX_SLOT)
        for slot in (-1, MAX_SLOT + 1):
            with pytest.raises(ArgumentValueError, match=r"^slot: expected"):
                call(slot)
        with pytest.raises(ArgumentTypeError, match=r"^slot: expected"):
            call(0.0)


@pytest.mark.parametrize("implementation", ["kernel", "reference"])
def test_fill_checks_kind_and_step(implementation):
    draws = Draws.of(1, n=2, implementation=implementation)
    out = np.empty((3, 2))
    draws.fill("normal", MAX_STEPS - 3, out)
    for step in (-1, MAX_STEPS - 2):
        with pytest.raises(ArgumentValueError, match=r"^step: expected"):
            draws.fill("normal", step, out)
    with pytest.raises(ArgumentValueError, match=r"^kind: expected one of 'uniform'"):
        draws.fill("cauchy", 0, out)
    with pytest.raises(ArgumentValueError, match=r"^group: expected"):
        draws.words(2**32)


# The stream for ever


def digest(implementation=None, dtypes=("float64", "float32"), format=1):
    """Return the SHA-256 of a table of draws; complete in itself, so that a subprocess runs it."""
    import hashlib
    from dataclasses import replace

    import numpy as np

    from montezarr import Draws

    sha = hashlib.sha256()

    def add(array):
        sha.update(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())

    for dtype in dtypes:
        for start in (0, 2**32 - 500, 2**63 - 1001):
            draws = Draws.of([42, 7], start=start, n=1000, dtype=dtype,
                             implementation=implementation)  # fmt: skip
            draws = replace(draws, format=format)
            for slot in (0, 2**32 - 1):
                add(draws.words(3, slot))
                for first in (0, 3, 2**32 - 12):
                    for kind in ("uniform", "normal", "exponential"):
                        add(getattr(draws, kind)(range(first, first + 9), slot))
                coefficients = np.array([np.linspace(0.9, 1.1, 13)] * 3) - [[0], [1], [0.8]]
                for exponential in (False, True):
                    x0 = np.arange(1000) / 8
                    add(draws.gaussian_recursion(coefficients, x0, exponential=exponential,
                                                 slot=slot))  # fmt: skip
    return sha.hexdigest()


DIGEST = "bdaa2471f29dc2853cfdd677574c01eb10d51fee040c47e7fd1103264060958d"


DIGEST_2 = "10a2416755a0d4306e6571521f51cb1e97273ce8912392b99e114f5cec42e449"


@pytest.mark.parametrize("implementation", ["kernel", "reference"])
def test_the_stream_never_changes(implementation):
    # A change here breaks every recipe and every store that was ever written.
    assert digest(implementation) == DIGEST
    assert digest(implementation, ("float32",), 2) == DIGEST_2
    assert digest(implementation, ("float64",), 1) == digest(implementation, ("float64",), 2)


FIRST = {  # paths 0 and 1 at step 0 of seed 42
    ("float64", "uniform"): ("0x1.155d746284d50p-4", "0x1.37a24997ea424p-1"),
    ("float64", "normal"): ("-0x1.e6e4ae7b077abp-1", "0x1.a0476823f297fp-1"),
    ("float64", "exponential"): ("0x1.58a19987e2a94p+1", "0x1.fc694af065f62p-2"),
    ("float32", "uniform"): ("0x1.426ab80000000p-3", "0x1.ea42460000000p-1"),
    ("float32", "normal"): ("0x1.c05fd20000000p+0", "-0x1.d415980000000p-3"),
    ("float32", "exponential"): ("0x1.d9493a0000000p+0", "0x1.63759e0000000p-5"),
}


@pytest.mark.parametrize(("dtype", "kind"), FIRST)
def test_first_numbers_of_seed_42(dtype, kind):
    row = getattr(Draws.of(42, n=2, dtype=dtype), kind)(0)
    assert tuple(float(value).hex() for value in row) == FIRST[dtype, kind]


def test_first_words_of_seed_42():
    assert Draws.of(42).words(0)[:, 0].tolist() == [676157222, 290838342, 245940216, 2932597223]


WITHOUT_NUMBA = {
    "not installed": "import sys; sys.modules['numba'] = None",
    "not to compile": "import os; os.environ['NUMBA_DISABLE_JIT'] = '1'",
}


@pytest.mark.parametrize("first", WITHOUT_NUMBA.values(), ids=WITHOUT_NUMBA)
def test_draws_and_statistics_are_the_same_without_numba(first):
    assert has_kernel()
    script = "\n".join(
        [
            first,
            inspect.getsource(digest),
            "from montezarr import Draws",
            "from montezarr.random.draws import has_kernel",
            "print(has_kernel(), Draws.of(1).implementation)",
            "print(digest(), digest(None, ['float32'], 2))",
            "import montezarr as mz",
            "ds = mz.simulate(mz.BrownianMotion(), n_paths=2048, T=3, seed=1)",
            "print(float(mz.reduce(ds.x, 'variance').x_variance[-1]).hex())",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    ds = mz.simulate(mz.BrownianMotion(), n_paths=2048, T=3, seed=1)
    variance = float(mz.reduce(ds.x, "variance").x_variance[-1]).hex()
    assert done.stdout.split() == ["False", "reference", DIGEST, DIGEST_2, variance], done.stderr


def test_the_kind_of_a_draw_is_checked_once(monkeypatch):
    from montezarr.random import draws

    checked = []
    check = draws.check_choice

    def counted(name, value, choices):
        checked.append(name)
        return check(name, value, choices)

    made = mz.Draws.of(1, n=4)
    monkeypatch.setattr(draws, "check_choice", counted)
    made.fill("normal", 0, np.empty((2, 4)))
    assert checked.count("kind") == 1
