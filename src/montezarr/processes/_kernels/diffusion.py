"""Paths of a Diffusion in one compiled loop: draws, coefficients and the step of the scheme.

The coefficients are compiled for the state of one path, and called in a loop that LLVM turns into
vectors. They round as in NumPy if they are made of + - * / and square roots; NumPy's `exp` and so
on have other last bits than those of the compiler, so a function that calls such a one is refused,
unless Numba compiled it before, for arrays: then it called the same one there.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numba import config, njit, types
from numba.core.errors import NumbaError
from numba.extending import overload

from montezarr.processes._kernels._draws import fill_normals, widest_vectors
from montezarr.random.draws import Draws
from montezarr.random.draws.kernel import _at
from montezarr.random.draws.phases import TILE, f64, u64
from montezarr.schemes._arguments import is_compiled

EXACT = re.compile(r"llvm\.((sqrt|fabs|floor|ceil|trunc|rint|copysign)\.f64|lifetime\..*|assume)$")
"""Functions of LLVM with one possible result."""


def compiled(functions: Any, counts: Any) -> Any:
    """Return coefficients f(t, x, ...) compiled for numbers; None if that is not possible.

    Parameters
    ----------
    functions : sequence of function
        Coefficients, as the user gave them.
    counts : sequence of int
        The number of arguments of each after (t, x).
    """
    found = []
    for function, count in zip(functions, counts, strict=True):
        signature = (types.float64,) * (2 + count)
        try:
            if is_compiled(function):
                probe = njit(error_model="numpy")(lambda *values: function(*values))  # noqa: B023
                one = function
            else:
                probe = one = njit(error_model="numpy")(function)
            probe.compile(
                signature if probe is one else (types.UniTuple(types.float64, 2 + count),)
            )
        except (NumbaError, TypeError, ValueError, NotImplementedError, AttributeError):
            return None
        (given,) = probe.signatures
        overload_of_given: Any = probe.overloads[given]
        returned = types.unliteral(overload_of_given.signature.return_type)
        if returned not in (types.float64, types.int64):
            return None
        # Intel's vectors of exp and so on round otherwise than its single numbers.
        must_be_exact = getattr(config, "USING_SVML", True) or not is_compiled(function)
        if must_be_exact and not _is_exact(probe.inspect_llvm(given)):
            return None
        found.append(one)
    return found


def _is_exact(code: str) -> bool:
    """Return whether code calls no function whose result depends on who wrote it."""
    own, called = set(), set()
    for block in re.split(r"(?m)^(?=define )", code)[1:]:
        name = re.match(r'define [^@]*@"?([^"(]+)', block)
        own.add(name.group(1) if name else "")
        if name and not name.group(1).startswith(("cpython.", "cfunc.")):
            called |= set(re.findall(r'call [^@\n]*@"?([^"(\s]+)', block))
            if " frem " in block:
                return False
    strange = {name for name in called - own if not name.startswith("Py")}
    return all(map(EXACT.match, strange))


def _values_at(values: Any, j: int) -> Any:
    """Return the numbers of path j out of numbers of all paths and arrays."""


@overload(_values_at)
def _values_at_typed(values, j):
    if len(values) == 0:
        return lambda values, j: ()
    if len(values) == 1:
        return lambda values, j: (_at(values[0], j),)
    return lambda values, j: (_at(values[0], j), *_values_at(values[1:], j))


def _euler(drift: Any, diffusion: Any) -> Any:
    @njit(error_model="numpy")
    def step(t, dt, root, values, at, y, z, n):
        widest_vectors()
        for j in range(n):
            x, dw = y[j], f64(z[j]) * root
            a = drift(t, x, *_values_at(values[0], at + j))
            b = diffusion(t, x, *_values_at(values[1], at + j))
            y[j] = x + a * dt + b * dw

    return step


def _milstein(drift: Any, diffusion: Any) -> Any:
    @njit(error_model="numpy")
    def step(t, dt, root, values, at, y, z, n):
        widest_vectors()
        for j in range(n):
            x, dw = y[j], f64(z[j]) * root
            a = drift(t, x, *_values_at(values[0], at + j))
            own = _values_at(values[1], at + j)
            b = diffusion(t, x, *own)
            support = diffusion(t, x + a * dt + b * root, *own)
            correction = (support - b) * (dw * dw - dt) * (0.5 / root)
            y[j] = x + a * dt + b * dw + correction

    return step


def _milstein_with_derivative(drift: Any, diffusion: Any, derivative: Any) -> Any:
    @njit(error_model="numpy")
    def step(t, dt, root, values, at, y, z, n):
        widest_vectors()
        for j in range(n):
            x, dw = y[j], f64(z[j]) * root
            a = drift(t, x, *_values_at(values[0], at + j))
            b = diffusion(t, x, *_values_at(values[1], at + j))
            slope = derivative(t, x, *_values_at(values[2], at + j))
            correction = 0.5 * b * slope * (dw * dw - dt)
            y[j] = x + a * dt + b * dw + correction

    return step


def loop_of(functions: Any, is_milstein: bool) -> Any:
    """Return the compiled loop of a scheme with compiled coefficients."""
    if len(functions) == 3:
        step = _milstein_with_derivative(*functions)
    else:
        step = (_milstein if is_milstein else _euler)(*functions)

    @njit(nogil=True, error_model="numpy")
    def paths(k0, k1, path, times, steps, roots, kept, values, x0, out):
        y, group = np.empty(TILE), 16 // out.itemsize
        z = np.empty(group * TILE, out.dtype)
        n = out.shape[1]
        for low in range(0, n, TILE):
            high = min(low + TILE, n)
            size = high - low
            y[:size] = x0[low:high]
            for k in range(len(steps)):
                at = k % group * size
                if len(kept):
                    normal = kept[k, low:high]
                else:
                    if at == 0:
                        count = min(group, len(steps) - k)
                        rows = z[: count * size].reshape(count, size)
                        fill_normals(k0, k1, path + u64(low), k, u64(0), rows)
                    normal = z[at : at + size]
                step(times[k], steps[k], roots[k], values, low, y, normal, size)
                for j in range(size):
                    out[k + 1, low + j] = y[j]

    return paths


def evaluator_of(functions: Any) -> Any:
    """Return a function that fills the rows of an array with the values of each coefficient."""
    first, second, *others = functions
    third = others[0] if others else second

    @njit(error_model="numpy")
    def evaluate(t, x, values, out):
        for j in range(len(x)):
            out[0, j] = first(t, x[j], *_values_at(values[0], j))
            out[1, j] = second(t, x[j], *_values_at(values[1], j))
            if len(out) > 2:
                out[2, j] = third(t, x[j], *_values_at(values[-1], j))

    return evaluate


def fill_paths(loop: Any, source: Draws, grid: Any, values: Any, x0: Any, rows: Any) -> None:
    """Fill the rows (T+1, n) after the first one.

    Parameters
    ----------
    loop : function
        That of `loop_of`.
    source : Draws
        Random numbers of the n paths.
    grid : TimeGrid
        T+1 times.
    values : tuple of tuple
        Arguments after (t, x) of each coefficient, each a number or an array (n,).
    x0 : array (n,)
        Initial states in float64.
    rows : array (T+1, n)
        Paths.
    """
    kept = source.kept_rows("normal", grid.T)
    none = np.empty((0, 0), rows.dtype)
    loop(
        u64(source.key[0]), u64(source.key[1]), u64(source.start), np.array(grid.times),
        np.array(grid.steps), np.sqrt(grid.steps), none if kept is None else kept, values, x0, rows,
    )  # fmt: skip
