"""Compiled draws: the operations of `reference`, in the same order, as loops that vectorise.

Every function works on tiles of paths that stay in the first-level cache. ``error_model="numpy"``
drops Numba's test for division by zero, a branch that would keep LLVM from vectorising. Numba does
not use fused multiply-add without ``fastmath``, so each operation rounds as in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic, overload

from montezarr.core.compat.llvmlite import add_attribute
from montezarr.random.draws import reference as ref


def _inline(function: Callable[..., Any]) -> Any:
    return njit(inline="always", error_model="numpy")(function)


def compile_loops(function: Callable[..., Any]) -> Any:
    """Compile without the GIL, and cache the machine code on disk if a directory is writable."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no writable cache directory, such as in a read-only container
        return njit(**options)(function)


def _widest(context: Any) -> Any:
    """Ask LLVM for 512-bit vectors if the processor has them; its default, 256, is 25 % slower."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # A hint to the vectoriser, which ignores unsupported widths.
        add_attribute(builder.function, '"prefer-vector-width"="512"')
        return target.get_dummy_value()

    return types.void(), generate


_widest_vectors: Any = intrinsic(_widest)

u32, u64, i32, i64, f32, f64 = np.uint32, np.uint64, np.int32, np.int64, np.float32, np.float64

# Paths per tile. Not a power of two: rows 4096 bytes apart would share cache sets and store
# buffers ("4K aliasing"), which costs a fifth of the speed.
TILE = 480
MASK, SHIFT = u64(0xFFFFFFFF), u64(32)
M0, M1, W0, W1 = u64(0xD2511F53), u64(0xCD9E8D57), u64(0x9E3779B9), u64(0xBB67AE85)
L1, L2, L3, L4, L5, L6, L7 = ref.LOG64
S1, S2, S3, S4, S5, S6 = ref.SIN64
C1, C2, C3, C4, C5, C6 = ref.COS64
E1, E2, E3, E4, E5 = ref.EXP64
LN2, (LN2H, LN2L) = ref.LN2, ref.LN2_64
ROUND = ref.ROUND64
l1, l2, l3, l4 = (f32(x) for x in ref.LOG32)
s1, s2, s3 = (f32(x) for x in ref.SIN32)
c1, c2, c3 = (f32(x) for x in ref.COS32)
e1, e2, e3, e4, e5, e6 = (f32(x) for x in ref.EXP32)
ln2h, ln2l = (f32(x) for x in ref.LN2_32)
round32 = f32(ref.ROUND32)
half32, one32, two32, four32 = f32(0.5), f32(1), f32(2), f32(4)
scale32, centre32, scale24 = f32(2.0**-32), f32(2.0**-33), f32(2.0**-24)
pi_half32 = f32(1.5707963267948966)


@_inline
def _philox(x0, x1, x2, x3, k0, k1):
    # Words are in 64-bit lanes with arbitrary bits above bit 32, which are masked before each
    # multiplication: the vector multiplier ignores them anyway, so the masks cost nothing.
    for number in range(10):
        p0 = M0 * (x0 & MASK)
        p1 = M1 * (x2 & MASK)
        r0 = (k0 + u64(number) * W0) & MASK
        r1 = (k1 + u64(number) * W1) & MASK
        x0, x1, x2, x3 = (p1 >> SHIFT) ^ x1 ^ r0, p1, (p0 >> SHIFT) ^ x3 ^ r1, p0
    return x0 & MASK, x1 & MASK, x2 & MASK, x3 & MASK


@_inline
def _unit64(low, high):
    return f64(i64(high)) * 2.0**-32 + f64(i64(low >> u64(11))) * 2.0**-53


@_inline
def _neg_log64(u):
    bits = i64(f64(u).view(i64) + i64(0x3FF0000000000000 - 0x3FE6A09E667F3BCD))
    k = f64(i32(bits >> i64(52)) - i32(0x3FF))
    mantissa = i64((bits & i64(0x000FFFFFFFFFFFFF)) + i64(0x3FE6A09E667F3BCD))
    f = mantissa.view(f64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    odd = w * (L2 + w * (L4 + w * L6))
    even = z * (L1 + w * (L3 + w * (L5 + w * L7)))
    half = 0.5 * f * f
    return ((half - (s * (half + (odd + even)) + k * LN2L)) - f) - k * LN2H


@_inline
def _cos_sin64(turn):
    quarter = 4.0 * turn
    q = (quarter + ROUND) - ROUND
    r = (quarter - q) * 1.5707963267948966
    z = r * r
    sine = r + r * z * (S1 + z * (S2 + z * (S3 + z * (S4 + z * (S5 + z * S6)))))
    poly = C1 + z * (C2 + z * (C3 + z * (C4 + z * (C5 + z * C6))))
    cosine = 1.0 - 0.5 * z + z * z * poly
    n = i32(q)
    c = sine if (n & i32(1)) != 0 else cosine
    s = cosine if (n & i32(1)) != 0 else sine
    c = -c if ((n + i32(1)) & i32(2)) != 0 else c
    s = -s if (n & i32(2)) != 0 else s
    return c, s


@_inline
def _exp64(x):
    x = -746.0 if x < -746.0 else x  # in this form, NaN stays NaN
    x = 710.0 if x > 710.0 else x
    k = (x * 1.44269504088896338700e00 + ROUND) - ROUND
    high = x - k * LN2H
    low = k * LN2L
    r = high - low
    t = r * r
    c = r - t * (E1 + t * (E2 + t * (E3 + t * (E4 + t * E5))))
    y = 1.0 - ((low - (r * c) / (2.0 - c)) - high)
    n = i64(i32(k))
    half = i64(n >> i64(1))
    first = i64((half + i64(1023)) << i64(52)).view(f64)
    return y * first * i64((n - half + i64(1023)) << i64(52)).view(f64)


@_inline
def _unit32(word):
    return f32(u32(word)) * scale32 + centre32


@_inline
def _neg_log32(u):
    bits = i32(f32(u).view(i32) + i32(0x3F800000 - 0x3F3504F3))
    k = f32(i32(i32(bits >> i32(23)) - i32(0x7F)))
    mantissa = i32(i32(bits & i32(0x007FFFFF)) + i32(0x3F3504F3))
    f = f32(mantissa.view(f32) - one32)
    s = f / (two32 + f)
    z = s * s
    w = z * z
    odd = w * (l2 + w * l4)
    even = z * (l1 + w * l3)
    half = half32 * f * f
    return ((half - (s * (half + (odd + even)) + k * ln2l)) - f) - k * ln2h


@_inline
def _cos_sin32(word):
    quarter = four32 * (f32(i32(u32(word))) * scale32)
    q = (quarter + round32) - round32
    r = (quarter - q) * pi_half32
    z = r * r
    sine = r + r * z * (s1 + z * (s2 + z * s3))
    cosine = one32 - half32 * z + z * z * (c1 + z * (c2 + z * c3))
    n = i32(q)
    c = sine if (n & i32(1)) != 0 else cosine
    s = cosine if (n & i32(1)) != 0 else sine
    c = -c if ((n + i32(1)) & i32(2)) != 0 else c
    s = -s if (n & i32(2)) != 0 else s
    return c, s


@_inline
def _tile64(kind, k0, k1, path, n, group, slot, row0, row1):
    for j in range(n):
        p = path + u64(j)
        w0, w1, w2, w3 = _philox(group, p, p >> SHIFT, slot, k0, k1)
        u = _unit64(w0, w1)
        if kind == 0:
            row0[j] = u
            row1[j] = _unit64(w2, w3)
        elif kind == 1:
            radius = np.sqrt(2.0 * _neg_log64(u + 2.0**-53))
            turn = f64(i32(u32(w3))) * 2.0**-32 + f64(i64(w2 >> u64(11))) * 2.0**-53
            cosine, sine = _cos_sin64(turn)
            row0[j] = radius * cosine
            row1[j] = radius * sine
        else:
            row0[j] = _neg_log64(u + 2.0**-53)
            row1[j] = _neg_log64(_unit64(w2, w3) + 2.0**-53)


@_inline
def _tile32(kind, k0, k1, path, n, group, slot, row0, row1, row2, row3):
    for j in range(n):
        p = path + u64(j)
        w0, w1, w2, w3 = _philox(group, p, p >> SHIFT, slot, k0, k1)
        if kind == 0:
            row0[j] = f32(i32(w0 >> u64(8))) * scale24
            row1[j] = f32(i32(w1 >> u64(8))) * scale24
            row2[j] = f32(i32(w2 >> u64(8))) * scale24
            row3[j] = f32(i32(w3 >> u64(8))) * scale24
        elif kind == 1:
            radius = np.sqrt(two32 * _neg_log32(_unit32(w0)))
            cosine, sine = _cos_sin32(w1)
            row0[j] = radius * cosine
            row1[j] = radius * sine
            radius = np.sqrt(two32 * _neg_log32(_unit32(w2)))
            cosine, sine = _cos_sin32(w3)
            row2[j] = radius * cosine
            row3[j] = radius * sine
        else:
            row0[j] = _neg_log32(_unit32(w0))
            row1[j] = _neg_log32(_unit32(w1))
            row2[j] = _neg_log32(_unit32(w2))
            row3[j] = _neg_log32(_unit32(w3))


def _make_fill(kind: int) -> tuple[Any, Any]:
    """Return the float64 and the float32 loop for one distribution."""

    def fill64(k0, k1, path, step, slot, out):
        _widest_vectors()
        steps, n = out.shape
        spare = np.empty(TILE, np.float64)  # for steps of the first and last group outside `out`
        for low in range(0, n, TILE):
            size = min(TILE, n - low)
            for group in range(step // 2, (step + steps + 1) // 2):
                k = group * 2 - step
                row0 = out[k, low : low + size] if k >= 0 else spare[:size]
                row1 = out[k + 1, low : low + size] if k + 1 < steps else spare[:size]
                _tile64(kind, k0, k1, path + u64(low), size, u64(group), slot, row0, row1)

    def fill32(k0, k1, path, step, slot, out):
        _widest_vectors()
        steps, n = out.shape
        spare = np.empty(TILE, np.float32)
        for low in range(0, n, TILE):
            size = min(TILE, n - low)
            for group in range(step // 4, (step + steps + 3) // 4):
                k = group * 4 - step
                row0 = out[k, low : low + size] if 0 <= k < steps else spare[:size]
                row1 = out[k + 1, low : low + size] if 0 <= k + 1 < steps else spare[:size]
                row2 = out[k + 2, low : low + size] if 0 <= k + 2 < steps else spare[:size]
                row3 = out[k + 3, low : low + size] if 0 <= k + 3 < steps else spare[:size]
                _tile32(kind, k0, k1, path + u64(low), size, u64(group), slot,
                        row0, row1, row2, row3)  # fmt: skip

    return compile_loops(fill64), compile_loops(fill32)


_FILL = {"uniform": _make_fill(0), "normal": _make_fill(1), "exponential": _make_fill(2)}


def _at(value: Any, j: int) -> Any:
    """Return a coefficient of path j: the same number for all paths, or one of an array."""


@overload(_at, inline="always")
def _at_typed(value, j):
    if isinstance(value, types.Array):
        return lambda value, j: value[j]
    return lambda value, j: value


def _of_step(coefficients: Any, k: int, low: int, n: int) -> Any:
    """Return a, b and c of step k: three numbers, or their values for n paths from `low` on."""


@overload(_of_step, inline="always")
def _of_step_typed(coefficients, k, low, n):
    if coefficients.ndim == 2:
        return lambda coefficients, k, low, n: (
            coefficients[0, k], coefficients[1, k], coefficients[2, k]
        )  # fmt: skip

    def per_path(coefficients, k, low, n):
        row = k if coefficients.shape[1] > 1 else 0  # one row holds for all steps
        a = coefficients[0, row, low : low + n]
        b = coefficients[1, row, low : low + n]
        c = coefficients[2, row, low : low + n]
        return a, b, c

    return per_path


# Not inlined: inlined, these loops would share registers with the draws, and spill them. Each
# writes to few arrays: LLVM vectorises a loop only if a few comparisons show that none overlap.
@njit(error_model="numpy")
def _advance(a, b, c, z, y, n):
    _widest_vectors()
    for j in range(n):
        y[j] = (_at(a, j) * y[j] + _at(b, j)) + _at(c, j) * f64(z[j])


@njit(error_model="numpy")
def _scale_exp64(y, start, target, n):
    _widest_vectors()
    for j in range(n):
        target[j] = start[j] * _exp64(y[j])


# Not inlined either: with the surrounding loops the draws would spill registers too.
@njit(error_model="numpy")
def _normals32(k0, k1, path, n, group, slot, z):
    _widest_vectors()
    _tile32(1, k0, k1, path, n, group, slot, z[0], z[1], z[2], z[3])


@njit(error_model="numpy")
def _round32(y, target, n):
    _widest_vectors()
    for j in range(n):
        target[j] = f32(y[j])


# `reference.scaled_exp32` in two loops: the float64 operations in one, the float32 operations in
# the other, which then has twice as many numbers per vector.
@njit(error_model="numpy")
def _reduce32(y, r, m, n):
    _widest_vectors()
    for j in range(n):
        value = y[j]
        x = -176.0 if value < -176.0 else value  # in this form, NaN stays NaN
        x = 177.0 if x > 177.0 else x
        t = x * 1.44269504088896338700e00 + ROUND
        r[j] = f32(x - (t - ROUND) * LN2)
        m[j] = i32(f64(t).view(i64))


@njit(error_model="numpy")
def _scale_exp32(r, m, start, target, n):
    _widest_vectors()
    for j in range(n):
        x = r[j]
        p = x + x * x * (e1 + x * (e2 + x * (e3 + x * (e4 + x * (e5 + x * e6)))))
        half = i32(m[j] >> i32(1))
        first = i32((half + i32(127)) << i32(23)).view(f32)
        second = i32((m[j] - half + i32(127)) << i32(23)).view(f32)
        target[j] = (start[j] + start[j] * p) * first * second


def _make_recursion(exponential: bool) -> tuple[Any, Any]:
    """Return the float64 and the float32 loop of `gaussian_recursion`.

    Numba compiles each for what it gets: coefficients of steps (3, T) or of paths (3, 1 or T, n),
    and normals (T, n), or an empty array of one dimension for those that the loop draws itself.
    """

    def recursion64(k0, k1, path, slot, coefficients, normals, x0, out, column):
        _widest_vectors()
        steps, n = len(out) - 1, len(x0)
        z = np.empty((2, TILE), np.float64)
        y = np.empty(TILE, np.float64)
        for low in range(0, n, TILE):
            size = min(TILE, n - low)
            start = x0[low : low + size]
            at = column + low
            for j in range(size):
                y[j] = 0.0 if exponential else start[j]
                out[0, at + j] = start[j]
            for group in range((steps + 1) // 2):
                if normals.ndim == 1:
                    _tile64(1, k0, k1, path + u64(low), size, u64(group), slot, z[0], z[1])
                for k in range(group * 2, min(group * 2 + 2, steps)):
                    target = out[k + 1, at : at + size]
                    a, b, c = _of_step(coefficients, k, low, size)
                    if normals.ndim == 1:
                        _advance(a, b, c, z[k - group * 2], y, size)
                    else:
                        _advance(a, b, c, normals[k, low : low + size], y, size)
                    if exponential:
                        _scale_exp64(y, start, target, size)
                    else:
                        target[:] = y[:size]

    def recursion32(k0, k1, path, slot, coefficients, normals, x0, out, column):
        _widest_vectors()
        steps, n = len(out) - 1, len(x0)
        z, y = np.empty((4, TILE), np.float32), np.empty(TILE, np.float64)
        r, m = np.empty(TILE, np.float32), np.empty(TILE, np.int32)
        for low in range(0, n, TILE):
            size = min(TILE, n - low)
            start = x0[low : low + size]
            at = column + low
            for j in range(size):
                y[j] = 0.0 if exponential else f64(start[j])
                out[0, at + j] = start[j]
            for group in range((steps + 3) // 4):
                if normals.ndim == 1:
                    _normals32(k0, k1, path + u64(low), size, u64(group), slot, z)
                for k in range(group * 4, min(group * 4 + 4, steps)):
                    target = out[k + 1, at : at + size]
                    a, b, c = _of_step(coefficients, k, low, size)
                    if normals.ndim == 1:
                        _advance(a, b, c, z[k - group * 4], y, size)
                    else:
                        _advance(a, b, c, normals[k, low : low + size], y, size)
                    if exponential:
                        _reduce32(y, r, m, size)
                        _scale_exp32(r, m, start, target, size)
                    else:
                        _round32(y, target, size)

    return compile_loops(recursion64), compile_loops(recursion32)


_RECURSION = {True: _make_recursion(True), False: _make_recursion(False)}
# Names of the module: a compiled function in a closure would be another one in every process.
_exponential64, _exponential32 = _RECURSION[True]
_linear64, _linear32 = _RECURSION[False]


@compile_loops
def _several64(exponential, coefficients, normals, x0, out, column):
    none = u64(0)  # where draws would be: the normals are given
    start = np.empty(normals.shape[1], np.float64)
    for i in range(len(x0)):
        start[:] = x0[i]
        if exponential:
            _exponential64(none, none, none, none, coefficients[i], normals, start, out[i], column)
        else:
            _linear64(none, none, none, none, coefficients[i], normals, start, out[i], column)


@compile_loops
def _several32(exponential, coefficients, normals, x0, out, column):
    none = u64(0)
    start = np.empty(normals.shape[1], np.float32)
    for i in range(len(x0)):
        start[:] = x0[i]
        if exponential:
            _exponential32(none, none, none, none, coefficients[i], normals, start, out[i], column)
        else:
            _linear32(none, none, none, none, coefficients[i], normals, start, out[i], column)


def _words(k0, k1, path, group, slot, out):
    _widest_vectors()
    for j in range(len(path)):
        w0, w1, w2, w3 = _philox(group[j], path[j], path[j] >> SHIFT, slot[j], k0, k1)
        out[j, 0] = u32(w0)
        out[j, 1] = u32(w1)
        out[j, 2] = u32(w2)
        out[j, 3] = u32(w3)


_WORDS = compile_loops(_words)


def fill_words(
    key: tuple[int, int], path: ref.Array, group: ref.Array, slot: ref.Array, out: ref.Array
) -> None:
    """Compute `reference.fill_words`, bit for bit."""
    _WORDS(u64(key[0]), u64(key[1]), path, group, slot, out)


def fill(kind: str, key: tuple[int, int], start: int, step: int, slot: int, out: ref.Array) -> None:
    """Compute `reference.fill`, bit for bit."""
    loop = _FILL[kind][out.dtype == np.float32]
    loop(u64(key[0]), u64(key[1]), u64(start), step, u64(slot), out)


def gaussian_recursion(
    key: tuple[int, int],
    start: int,
    slot: int,
    coefficients: ref.Array,
    x0: ref.Array,
    out: ref.Array,
    exponential: bool,
    *,
    column: int = 0,
    normals: ref.Array | None = None,
) -> None:
    """Compute `reference.gaussian_recursion`, bit for bit."""
    loop = _RECURSION[exponential][out.dtype == np.float32]
    given = np.empty(0, out.dtype) if normals is None else normals
    loop(u64(key[0]), u64(key[1]), u64(start), u64(slot), coefficients, given, x0, out, column)


def several_recursions(
    coefficients: ref.Array,
    normals: ref.Array,
    x0: ref.Array,
    out: ref.Array,
    column: int,
    exponential: bool,
) -> None:
    """Compute `reference.several_recursions`, bit for bit."""
    loop = _several32 if out.dtype == np.float32 else _several64
    loop(exponential, coefficients, normals, x0, out, column)
