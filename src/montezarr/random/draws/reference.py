"""Reference draws: the NumPy code that specifies every random number.

Words come from Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as
1, 2, 3", SC'11, doi:10.1145/2063384.2063405), with

    key     = two 32-bit words of ``SeedSequence(seed).generate_state``
    counter = (step group, path index low, path index high, slot)

A step group is 2 consecutive steps in float64 and 4 in float32: one call of Philox gives 128 bits,
that is one number per step of the group. All further operations are + - * / sqrt and exact
conversions, in the order written here, without branches on values. IEEE 754 defines each of these
operations exactly, so the draws have the same bits on every machine, and `kernel` (the same
operations, compiled) must agree with this file in every bit.

Logarithm, exponential, sine and cosine follow Sun's fdlibm (e_log.c, e_exp.c, k_sin.c, k_cos.c)
in float64, and the polynomials of FreeBSD msun (k_logf.h) and Cephes (sinf.c, expf.c) in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_MASK = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)

# Coefficients, lowest order first.
LOG64 = (6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01,
         2.222219843214978396e-01, 1.818357216161805012e-01, 1.531383769920937332e-01,
         1.479819860511658591e-01)  # fmt: skip
SIN64 = (
    -1.66666666666666324348e-01,
    8.33333333332248946124e-03,
    -1.98412698298579493134e-04,
    2.75573137070700676789e-06,
    -2.50507602534068634195e-08,
    1.58969099521155010221e-10,
)
COS64 = (
    4.16666666666666019037e-02,
    -1.38888888888741095749e-03,
    2.48015872894767294178e-05,
    -2.75573143513906633035e-07,
    2.08757232129817482790e-09,
    -1.13596475577881948265e-11,
)
EXP64 = (1.66666666666666019037e-01, -2.77777777770155933842e-03, 6.61375632143793436117e-05,
         -1.65339022054652515390e-06, 4.13813679705723846039e-08)  # fmt: skip
LN2 = 0.6931471805599453
LN2_64 = (6.93147180369123816490e-01, 1.90821492927058770002e-10)
ROUND64 = 6755399441055744.0  # 1.5 * 2**52: adding and subtracting it rounds to an integer

LOG32 = (0.66666662693, 0.40000972152, 0.28498786688, 0.24279078841)
SIN32 = (-1.6666654611e-1, 8.3321608736e-3, -1.9515295891e-4)
COS32 = (4.166664568298827e-2, -1.388731625493765e-3, 2.443315711809948e-5)
EXP32 = (5.0000001201e-1, 1.6666665459e-1, 4.1665795894e-2, 8.3334519073e-3,
         1.3981999507e-3, 1.9875691500e-4)  # fmt: skip
LN2_32 = (6.9313812256e-01, 9.0580006145e-06)
ROUND32 = 12582912.0  # 1.5 * 2**23


def philox4x32(counter: Array, key: Array, rounds: int = 10) -> Array:
    """Return Philox4x32 of `counter` (4, ...) under `key` (2, ...), both uint32, as (4, ...)."""
    c0, c1, c2, c3 = (np.asarray(word, np.uint64) for word in counter)
    k0, k1 = (np.asarray(word, np.uint64) for word in key)
    for number in range(rounds):
        p0, p1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        r0 = (k0 + np.uint64(number * _WEYL[0])) & _MASK
        r1 = (k1 + np.uint64(number * _WEYL[1])) & _MASK
        c0, c1, c2, c3 = (p1 >> _SHIFT) ^ c1 ^ r0, p1 & _MASK, (p0 >> _SHIFT) ^ c3 ^ r1, p0 & _MASK
    return np.stack(np.broadcast_arrays(c0, c1, c2, c3)).astype(np.uint32)


def words(key: tuple[int, int], start: int, n: int, group: int, slot: int) -> Array:
    """Return the words (4, n) of one step group for paths start ... start+n-1."""
    path = np.arange(n, dtype=np.uint64) + np.uint64(start)
    parts: tuple[Any, ...] = (np.uint64(group), path & _MASK, path >> _SHIFT, np.uint64(slot))
    counter = np.stack(np.broadcast_arrays(*parts))
    return philox4x32(counter, np.array(key, np.uint64))


def fill_words(key: tuple[int, int], path: Array, group: Array, slot: Array, out: Array) -> None:
    """Fill the rows of `out` (n, 4) with the words at the addresses (path, group, slot), uint64."""
    counter = np.stack([group, path & _MASK, path >> _SHIFT, slot])
    out[:] = philox4x32(counter, np.array(key, np.uint64)).T


def _polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    one = x.dtype.type
    out = np.full_like(x, one(coefficients[-1]))
    for coefficient in coefficients[-2::-1]:
        out = one(coefficient) + x * out
    return out


def _unit64(low: Array, high: Array) -> Array:
    """Return (high * 2**21 + low >> 11) * 2**-53, a multiple of 2**-53 in [0, 1)."""
    fine = (low >> np.uint32(11)).astype(np.float64) * 2.0**-53
    return high.astype(np.float64) * 2.0**-32 + fine


def _neg_log64(u: Array) -> Array:
    """Return -log(u) for u in [2**-53, 1]; error below 1 unit in the last place."""
    bits = u.view(np.int64) + np.int64(0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
    k = ((bits >> np.int64(52)) - np.int64(0x3FF)).astype(np.float64)
    mantissa = (bits & np.int64(0x000FFFFFFFFFFFFF)) + np.int64(0x3FE6A09E667F3BCD)
    f = mantissa.view(np.float64) - 1.0  # in [sqrt(1/2) - 1, sqrt(2) - 1)
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    odd = w * _polynomial(w, LOG64[1::2])
    even = z * _polynomial(w, LOG64[0::2])
    half = 0.5 * f * f
    out: Array = ((half - (s * (half + (odd + even)) + k * LN2_64[1])) - f) - k * LN2_64[0]
    return out


def _cos_sin64(turn: Array) -> tuple[Array, Array]:
    """Return cosine and sine of 2*pi*turn for turn in [-1/2, 1/2)."""
    quarter = 4.0 * turn
    q = (quarter + ROUND64) - ROUND64
    r = (quarter - q) * 1.5707963267948966
    z = r * r
    sine = r + r * z * _polynomial(z, SIN64)
    cosine = 1.0 - 0.5 * z + z * z * _polynomial(z, COS64)
    return _quadrant(q.astype(np.int32), cosine, sine)


def _quadrant(n: Array, cosine: Array, sine: Array) -> tuple[Array, Array]:
    odd = (n & 1) != 0
    c, s = np.where(odd, sine, cosine), np.where(odd, cosine, sine)
    return np.where(((n + 1) & 2) != 0, -c, c), np.where((n & 2) != 0, -s, s)


def _unit32(word: Array) -> Array:
    """Return (word + 1/2) * 2**-32 rounded to float32, in [2**-33, 1]."""
    return word.astype(np.float32) * np.float32(2.0**-32) + np.float32(2.0**-33)


def _neg_log32(u: Array) -> Array:
    """Return -log(u) for u in [2**-33, 1] in float32 arithmetic."""
    bits = u.view(np.int32) + np.int32(0x3F800000 - 0x3F3504F3)
    k = ((bits >> np.int32(23)) - np.int32(0x7F)).astype(np.float32)
    mantissa = (bits & np.int32(0x007FFFFF)) + np.int32(0x3F3504F3)
    f = mantissa.view(np.float32) - np.float32(1)
    s = f / (np.float32(2) + f)
    z = s * s
    w = z * z
    odd = w * _polynomial(w, LOG32[1::2])
    even = z * _polynomial(w, LOG32[0::2])
    half = np.float32(0.5) * f * f
    ln2 = (np.float32(LN2_32[0]), np.float32(LN2_32[1]))
    out: Array = ((half - (s * (half + (odd + even)) + k * ln2[1])) - f) - k * ln2[0]
    return out


def _cos_sin32(turn: Array) -> tuple[Array, Array]:
    quarter = np.float32(4) * turn
    q = (quarter + np.float32(ROUND32)) - np.float32(ROUND32)
    r = (quarter - q) * np.float32(1.5707963267948966)
    z = r * r
    sine = r + r * z * _polynomial(z, SIN32)
    cosine = np.float32(1) - np.float32(0.5) * z + z * z * _polynomial(z, COS32)
    return _quadrant(q.astype(np.int32), cosine, sine)


def _turn32(word: Array) -> Array:
    return word.view(np.int32).astype(np.float32) * np.float32(2.0**-32)


def exp(x: Array) -> Array:
    """Return e**x in the precision of `x`; 0 and inf where e**x leaves the range of numbers."""
    if x.dtype == np.float32:
        return _exp32(x)
    x = np.minimum(np.maximum(x, -746.0), 710.0)
    k = (x * 1.44269504088896338700e00 + ROUND64) - ROUND64
    high = x - k * LN2_64[0]
    low = k * LN2_64[1]
    r = high - low
    t = r * r
    c = r - t * _polynomial(t, EXP64)
    y = 1.0 - ((low - (r * c) / (2.0 - c)) - high)
    n = np.fmax(k, -1076.0).astype(np.int32).astype(np.int64)  # NaN has no integer; y carries it
    half = n >> np.int64(1)  # two factors, since 2**n alone may be out of range
    first = ((half + np.int64(1023)) << np.int64(52)).view(np.float64)
    second = ((n - half + np.int64(1023)) << np.int64(52)).view(np.float64)
    out: Array = y * first * second
    return out


def _exp32(x: Array) -> Array:
    x = np.minimum(np.maximum(x, np.float32(-104)), np.float32(89))
    k = (x * np.float32(1.44269504088896341) + np.float32(ROUND32)) - np.float32(ROUND32)
    r = (x - k * np.float32(LN2_32[0])) - k * np.float32(LN2_32[1])
    y = np.float32(1) + (r + r * r * _polynomial(r, EXP32))
    n = np.fmax(k, np.float32(-150)).astype(np.int32)
    half = n >> np.int32(1)
    first = ((half + np.int32(127)) << np.int32(23)).view(np.float32)
    second = ((n - half + np.int32(127)) << np.int32(23)).view(np.float32)
    out: Array = y * first * second
    return out


def scaled_exp32(x: Array, x0: Array) -> Array:
    """Return x0 * e**x in float32, for float64 `x` and float32 `x0`; error below 1.5 units.

    x is reduced in float64, to e**x = 2**m (1 + p) with a small p in float32 arithmetic.
    e**x below 2**-252 becomes 0, above 2**254 infinite.
    """
    x = np.minimum(np.maximum(x, -176.0), 177.0)
    t = x * 1.44269504088896338700e00 + ROUND64
    m = t.view(np.int64).astype(np.int32)  # the low bits of t are the nearest integer
    r = (x - (t - ROUND64) * LN2).astype(np.float32)
    p = r + r * r * _polynomial(r, EXP32)
    half = m >> np.int32(1)  # two factors, since 2**m alone may be out of range
    first = ((half + np.int32(127)) << np.int32(23)).view(np.float32)
    second = ((m - half + np.int32(127)) << np.int32(23)).view(np.float32)
    out: Array = (x0 + x0 * p) * first * second
    return out


FURTHEST = 9.0
"""No normal number is further from 0: the radius is at most ``sqrt(2 * 53 * log(2))``, 8.6."""


def group_of(kind: str, w: Array, dtype: np.dtype[Any]) -> Array:
    """Return the numbers of one step group, (2 or 4, n), computed from its words (4, n).

    `kind` is "uniform" on [0, 1), "normal" (Box and Muller, doi:10.1214/aoms/1177706645) or
    "exponential" with mean 1.
    """
    if dtype == np.float64:
        u = [_unit64(w[0], w[1]), _unit64(w[2], w[3])]
        if kind == "uniform":
            return np.stack(u)
        if kind == "exponential":
            return np.stack([_neg_log64(x + 2.0**-53) for x in u])
        radius = np.sqrt(2.0 * _neg_log64(u[0] + 2.0**-53))
        fine = (w[2] >> np.uint32(11)).astype(np.float64) * 2.0**-53
        turn = w[3].view(np.int32).astype(np.float64) * 2.0**-32 + fine
        cosine, sine = _cos_sin64(turn)
        return np.stack([radius * cosine, radius * sine])
    if kind == "uniform":
        return (w >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    if kind == "exponential":
        return _neg_log32(_unit32(w))
    out = []
    for a, b in ((w[0], w[1]), (w[2], w[3])):
        radius = np.sqrt(np.float32(2) * _neg_log32(_unit32(a)))
        cosine, sine = _cos_sin32(_turn32(b))
        out += [radius * cosine, radius * sine]
    return np.stack(out)


def fill(kind: str, key: tuple[int, int], start: int, step: int, slot: int, out: Array) -> None:
    """Fill the rows of `out` (steps, paths) with draws from step `step` and path `start` on."""
    steps, n = out.shape
    size = 2 if out.dtype == np.float64 else 4
    for group in range(step // size, -(-(step + steps) // size)):
        block = group_of(kind, words(key, start, n, group, slot), out.dtype)
        first, last = max(group * size, step), min((group + 1) * size, step + steps)
        out[first - step : last - step] = block[first - group * size : last - group * size]


def gaussian_recursion(
    key: tuple[int, int],
    start: int,
    slot: int,
    coefficients: Array,
    x0: Array,
    out: Array,
    exponential: bool,
    *,
    column: int = 0,
    normals: Array | None = None,
) -> None:
    """Fill columns of `out` (T+1, ...) with y[k+1] = a[k] y[k] + b[k] + c[k] z[k].

    The columns are those of the n paths of `x0` (n,), from `column` on, which is path `start`. The
    z are standard normal: the draws of these paths, or `normals` (T, n).

    `coefficients`, the rows a, b, c, are float64, and so is y: (3, T), (3, T, n) with numbers of
    each path, or (3, 1, n) with numbers that hold for all steps. If `out` and `x0` are float32, z
    is drawn in float32 and each row is rounded when it is written, but the recursion goes on from
    the unrounded y. With `exponential`, y starts at 0 and row k is ``x0 * exp(y[k])``; without, y
    starts at `x0` and row k is y[k].
    """
    steps, n = len(out) - 1, len(x0)
    y = np.zeros(n) if exponential else np.array(x0, np.float64)
    part = out[:, column : column + n]
    with np.errstate(over="ignore", invalid="ignore"):
        part[0] = x0
        if not steps:
            return
        if normals is None:
            z = part[1:]
            fill("normal", key, start, 0, slot, z)
        else:
            z = normals
        single = out.dtype == np.float32
        for k in range(steps):
            a, b, c = coefficients[:, k if coefficients.shape[1] > 1 else 0]
            y = (a * y + b) + c * z[k].astype(np.float64)
            if exponential:
                part[k + 1] = scaled_exp32(y, x0) if single else x0 * exp(y)
            else:
                part[k + 1] = y


def several_recursions(
    coefficients: Array, normals: Array, x0: Array, out: Array, column: int, exponential: bool,
    times: tuple[int, ...] | None = None,
) -> None:  # fmt: skip
    """Fill columns of `out` (scenarios, times, ...) by `gaussian_recursion` on the same normals.

    The coefficients are (scenarios, 3, T), and `x0` (scenarios,) is the same for all paths. The
    rows are those of `times`, increasing, or of all T+1.
    """
    steps, n = normals.shape
    kept = slice(None) if times is None else list(times)
    for one, first, rows in zip(coefficients, x0, out, strict=True):
        whole = np.empty((steps + 1, n), out.dtype)
        start = np.full(n, first)
        gaussian_recursion((0, 0), 0, 0, one, start, whole, exponential, normals=normals)
        rows[:, column : column + n] = whole[kept]
