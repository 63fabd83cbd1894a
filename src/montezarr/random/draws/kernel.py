"""Compiled draws: the numbers of `reference`, bit for bit, by the loops of `phases`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from montezarr.random.draws import reference as ref
from montezarr.random.draws.phases import (
    LN2,
    MASK,
    ROUND,
    SHIFT,
    TILE,
    TILE32,
    alone,
    compile_loops,
    e1,
    e2,
    e3,
    e4,
    e5,
    e6,
    exp64,
    exponential32,
    exponential64,
    f32,
    f64,
    i32,
    i64,
    interleaved,
    normal32,
    normal64,
    pair64,
    phase,
    philox,
    radius32,
    radius64,
    small_exp64,
    tile_size,
    u32,
    u64,
    uniform32,
    uniform64,
    widest_vectors,
    words32,
    words64,
)
from montezarr.random.draws.reference import FURTHEST

__all__ = ["TILE", "fill", "fill_words", "gaussian_recursion"]


def _make_fill(kind: int) -> tuple[Any, Any]:
    """Return the float64 and the float32 loop for one distribution."""

    def fill64(k0, k1, path, step, slot, out):
        widest_vectors()
        steps, n = out.shape
        u, v = np.empty(TILE, np.uint64), np.empty(TILE, np.uint64)
        radius = np.empty(TILE, np.float64)
        spare = np.empty(TILE, np.float64)  # for steps of the first and last group outside `out`
        low = 0
        while low < n:
            size = tile_size(path, low, n, TILE)
            for group in range(step // 2, (step + steps + 1) // 2):
                k = group * 2 - step
                row0 = out[k, low : low + size] if k >= 0 else spare[:size]
                row1 = out[k + 1, low : low + size] if k + 1 < steps else spare[:size]
                words64(k0, k1, path + u64(low), size, u64(group), slot, u, v)
                if kind == 0:
                    uniform64(u, row0, size)
                    uniform64(v, row1, size)
                elif kind == 1:
                    radius64(u, radius, size)
                    normal64(radius, v, row0, row1, size)
                else:
                    exponential64(u, row0, size)
                    exponential64(v, row1, size)
            low += size

    def fill32(k0, k1, path, step, slot, out):
        widest_vectors()
        steps, n = out.shape
        w = np.empty((4, TILE32), np.uint32)
        radius = np.empty(TILE32, np.float32)
        spare = np.empty(TILE32, np.float32)
        low = 0
        while low < n:
            size = tile_size(path, low, n, TILE32)
            for group in range(step // 4, (step + steps + 3) // 4):
                words32(k0, k1, path + u64(low), size, u64(group), slot, w)
                for pair in range(2):
                    k = group * 4 + 2 * pair - step
                    row0 = out[k, low : low + size] if 0 <= k < steps else spare[:size]
                    row1 = out[k + 1, low : low + size] if 0 <= k + 1 < steps else spare[:size]
                    if kind == 0:
                        uniform32(w[2 * pair], row0, size)
                        uniform32(w[2 * pair + 1], row1, size)
                    elif kind == 1:
                        radius32(w[2 * pair], radius, size)
                        normal32(radius, w[2 * pair + 1], row0, row1, size)
                    else:
                        exponential32(w[2 * pair], row0, size)
                        exponential32(w[2 * pair + 1], row1, size)
            low += size

    return compile_loops(fill64), compile_loops(fill32)


_FILL = {"uniform": _make_fill(0), "normal": _make_fill(1), "exponential": _make_fill(2)}


# --- recursions ------------------------------------------------------------------------------

SMALL_EXPONENT = 700.0
"""e**x for x up to this size is a normal number in float64; see `small_exp64`."""

SMALL32, SMALLEST_X0, LARGEST_X0 = 60.0, 2.0**-36, 2.0**36
"""e**x, and x0 * e**x with x0 between these bounds, are normal numbers in float32."""


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
        row = min(k, coefficients.shape[1] - 1)  # one row holds for all steps
        a = coefficients[0, row, low : low + n]
        b = coefficients[1, row, low : low + n]
        c = coefficients[2, row, low : low + n]
        return a, b, c

    return per_path


def _largest(coefficients: Any, low: int, n: int) -> Any:
    """Return the largest sizes of a, b and c, for each step or for all, over n paths from `low`."""


@overload(_largest)
def _largest_typed(coefficients, low, n):
    if coefficients.ndim == 2:
        return lambda coefficients, low, n: np.abs(coefficients)

    def of_paths(coefficients, low, n):
        out = np.full((3, 1), np.inf)
        if coefficients.shape[1] != 1:
            return out  # to find the largest of each step takes longer than it saves
        for i in range(3):
            largest = invalid = 0.0
            for j in range(low, low + n):
                largest = max(largest, abs(coefficients[i, 0, j]))
                invalid += coefficients[i, 0, j] * 0.0  # NaN for NaN, which `max` passes over
            out[i, 0] = largest + invalid
        return out

    return of_paths


@phase
def _advance(a, b, c, z, y, out, n):
    alone()
    for j in range(n):
        out[j] = (_at(a, j) * y[j] + _at(b, j)) + _at(c, j) * f64(z[j])


@phase
def _advance_two(a, b, c, d, e, f, radius, v, y, first, second, n):
    alone()
    for j in range(n):
        z0, z1 = pair64(radius[j], v[j])
        value = (a * y[j] + b) + c * z0
        first[j] = value
        second[j] = (d * value + e) + f * z1
    interleaved(4)


@phase
def _scale_exp64(y, start, target, n):
    alone()
    for j in range(n):
        target[j] = start[j] * exp64(y[j])
    interleaved(2)


@phase
def _scale_small_exp64(y, start, target, n):
    alone()
    for j in range(n):
        target[j] = start[j] * small_exp64(y[j])
    interleaved(4)


@phase
def _advance_in_place(a, b, c, z, y, n):
    alone()
    for j in range(n):
        y[j] = (_at(a, j) * y[j] + _at(b, j)) + _at(c, j) * f64(z[j])


@phase
def _round32(y, target, n):
    alone()
    for j in range(n):
        target[j] = f32(y[j])


# `reference.scaled_exp32` in two loops: the float64 operations in one, the float32 operations in
# the other, which then has twice as many numbers per vector.
@phase
def _reduce32(y, r, m, n):
    alone()
    for j in range(n):
        value = y[j]
        x = -176.0 if value < -176.0 else value  # in this form, NaN stays NaN
        x = 177.0 if x > 177.0 else x
        t = x * 1.44269504088896338700e00 + ROUND
        r[j] = f32(x - (t - ROUND) * LN2)
        m[j] = i32(f64(t).view(i64))


@phase
def _advance_reduce32(a, b, c, z, y, r, m, n):
    alone()
    for j in range(n):
        x = (a * y[j] + b) + c * f64(z[j])
        y[j] = x
        t = x * 1.44269504088896338700e00 + ROUND
        r[j] = f32(x - (t - ROUND) * LN2)
        m[j] = i32(f64(t).view(i64))
    interleaved(2)


@phase
def _scale_exp32(r, m, start, target, n):
    alone()
    for j in range(n):
        x = r[j]
        p = x + x * x * (e1 + x * (e2 + x * (e3 + x * (e4 + x * (e5 + x * e6)))))
        half = i32(m[j] >> i32(1))
        first = i32((half + i32(127)) << i32(23)).view(f32)
        second = i32((m[j] - half + i32(127)) << i32(23)).view(f32)
        target[j] = (start[j] + start[j] * p) * first * second
    interleaved(4)


@phase
def _scale_small_exp32(r, m, start, target, n):
    alone()
    for j in range(n):
        x = r[j]
        p = x + x * x * (e1 + x * (e2 + x * (e3 + x * (e4 + x * (e5 + x * e6)))))
        scaled = f32(start[j] + start[j] * p)
        target[j] = i32(scaled.view(i32) + i32(m[j] << i32(23))).view(f32)
    interleaved(4)


def _make_recursion64(exponential: bool) -> Any:
    """Return the float64 loop of `gaussian_recursion`.

    Numba compiles it for what it gets: coefficients of steps (3, T) or of paths (3, 1 or T, n), and
    normals (T, n), or an empty array of one dimension for those that the loop draws itself.
    """

    def recursion64(k0, k1, path, slot, coefficients, normals, x0, rows, out, column):
        widest_vectors()
        steps, n = len(rows) - 1, len(x0)
        u, v = np.empty(TILE, np.uint64), np.empty(TILE, np.uint64)
        radius, z, state = np.empty(TILE), np.empty((2, TILE)), np.empty((4, TILE))
        low = 0
        while low < n:
            size = tile_size(path, low, n, TILE)
            start = x0[low : low + size]
            at = column + low
            y = state[3]
            for j in range(size):
                y[j] = 0.0 if exponential else start[j]
                if rows[0] >= 0:
                    out[rows[0], at + j] = start[j]
            largest, reach = _largest(coefficients, low, size), 0.0
            for k in range(0, steps, 2):
                last = min(k + 1, steps - 1)  # after an odd number of steps, one is not kept
                first, second = state[2], state[k % 4 // 2]
                if not exponential:  # what is kept goes to its place at once
                    if rows[k + 1] >= 0:
                        first = out[rows[k + 1], at : at + size]
                    if k < last and rows[k + 2] >= 0:
                        second = out[rows[k + 2], at : at + size]
                a, b, c = _of_step(coefficients, k, low, size)
                d, e, f = _of_step(coefficients, last, low, size)
                if normals.ndim == 1:
                    words64(k0, k1, path + u64(low), size, u64(k // 2), slot, u, v)
                    radius64(u, radius, size)
                    if coefficients.ndim == 2:
                        _advance_two(a, b, c, d, e, f, radius, v, y, first, second, size)
                    else:
                        normal64(radius, v, z[0], z[1], size)
                        _advance(a, b, c, z[0], y, first, size)
                        _advance(d, e, f, z[1], first, second, size)
                else:
                    _advance(a, b, c, normals[k, low : low + size], y, first, size)
                    _advance(d, e, f, normals[last, low : low + size], first, second, size)
                y = second
                if exponential:
                    for i in range(k, last + 1):
                        row = i if largest.shape[1] > 1 else 0
                        reach = largest[0, row] * reach + largest[1, row]
                        reach = reach + largest[2, row] * FURTHEST
                        if rows[i + 1] < 0:
                            continue
                        target = out[rows[i + 1], at : at + size]
                        value = first if i == k else second
                        if reach < SMALL_EXPONENT:
                            _scale_small_exp64(value, start, target, size)
                        else:
                            _scale_exp64(value, start, target, size)
            low += size

    return compile_loops(recursion64)


def _make_recursion32(exponential: bool) -> Any:
    """Return the float32 loop of the same."""

    def recursion32(k0, k1, path, slot, coefficients, normals, x0, rows, out, column):
        widest_vectors()
        steps, n = len(rows) - 1, len(x0)
        w, z = np.empty((4, TILE32), np.uint32), np.empty((4, TILE32), np.float32)
        radius, y = np.empty(TILE32, np.float32), np.empty(TILE32, np.float64)
        r, m = np.empty(TILE32, np.float32), np.empty(TILE32, np.int32)
        low = 0
        while low < n:
            size = tile_size(path, low, n, TILE32)
            start = x0[low : low + size]
            at = column + low
            is_moderate = True
            for j in range(size):
                y[j] = 0.0 if exponential else f64(start[j])
                if rows[0] >= 0:
                    out[rows[0], at + j] = start[j]
                distance = abs(start[j])
                is_moderate &= (distance >= SMALLEST_X0) & (distance <= LARGEST_X0)
            largest, reach = _largest(coefficients, low, size), 0.0
            for k in range(steps):
                if normals.ndim == 1 and k % 4 == 0:
                    words32(k0, k1, path + u64(low), size, u64(k // 4), slot, w)
                    for pair in range(0, 4, 2):
                        radius32(w[pair], radius, size)
                        normal32(radius, w[pair + 1], z[pair], z[pair + 1], size)
                a, b, c = _of_step(coefficients, k, low, size)
                row = k if largest.shape[1] > 1 else 0
                reach = largest[0, row] * reach + largest[1, row]
                reach = reach + largest[2, row] * FURTHEST
                numbers = z[k % 4] if normals.ndim == 1 else normals[k, low : low + size]
                is_kept = rows[k + 1] >= 0
                is_small = exponential and is_moderate and reach < SMALL32
                if coefficients.ndim == 2 and is_small and is_kept:
                    _advance_reduce32(a, b, c, numbers, y, r, m, size)
                else:
                    _advance_in_place(a, b, c, numbers, y, size)
                    if exponential and is_kept:
                        _reduce32(y, r, m, size)
                if not is_kept:
                    continue
                target = out[rows[k + 1], at : at + size]
                if is_small:
                    _scale_small_exp32(r, m, start, target, size)
                elif exponential:
                    _scale_exp32(r, m, start, target, size)
                else:
                    _round32(y, target, size)
            low += size

    return compile_loops(recursion32)


_RECURSION = {e: (_make_recursion64(e), _make_recursion32(e)) for e in (True, False)}
# Names of the module: a compiled function in a closure would be another one in every process.
_exponential64, _exponential32 = _RECURSION[True]
_linear64, _linear32 = _RECURSION[False]


@compile_loops
def _several64(exponential, coefficients, normals, x0, rows, out, column):
    none = u64(0)  # where draws would be: the normals are given
    start = np.empty(normals.shape[1], np.float64)
    for i in range(len(x0)):
        start[:], steps = x0[i], coefficients[i]
        if exponential:
            _exponential64(none, none, none, none, steps, normals, start, rows, out[i], column)
        else:
            _linear64(none, none, none, none, steps, normals, start, rows, out[i], column)


@compile_loops
def _several32(exponential, coefficients, normals, x0, rows, out, column):
    none = u64(0)
    start = np.empty(normals.shape[1], np.float32)
    for i in range(len(x0)):
        start[:], steps = x0[i], coefficients[i]
        if exponential:
            _exponential32(none, none, none, none, steps, normals, start, rows, out[i], column)
        else:
            _linear32(none, none, none, none, steps, normals, start, rows, out[i], column)


def _words(k0, k1, path, group, slot, out):
    widest_vectors()
    for j in range(len(path)):
        w0, w1, w2, w3 = philox(group[j], path[j] & MASK, path[j] >> SHIFT, slot[j], k0, k1)
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
    rows: ref.Array | None = None,
) -> None:
    """Compute `reference.gaussian_recursion`, bit for bit.

    `rows` has the row of `out` of each of the T+1 times, negative for times that are not kept.
    """
    loop = _RECURSION[exponential][out.dtype == np.float32]
    given = np.empty(0, out.dtype) if normals is None else normals
    places = np.arange(len(out)) if rows is None else rows
    k0, k1, path = u64(key[0]), u64(key[1]), u64(start)
    loop(k0, k1, path, u64(slot), coefficients, given, x0, places, out, column)


def several_recursions(
    coefficients: ref.Array,
    normals: ref.Array,
    x0: ref.Array,
    out: ref.Array,
    column: int,
    exponential: bool,
    times: tuple[int, ...] | None = None,
) -> None:
    """Compute `reference.several_recursions`, bit for bit."""
    rows = np.arange(normals.shape[0] + 1)
    if times is not None:
        rows[:] = -1
        rows[list(times)] = np.arange(len(times))
    loop = _several32 if out.dtype == np.float32 else _several64
    loop(exponential, coefficients, normals, x0, rows, out, column)
