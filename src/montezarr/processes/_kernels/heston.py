"""The step of Heston, compiled: the operations of `heston._step`, in the same order.

A path takes one branch of the scheme. The quadratic one is computed for all, in vectors; the other
one, which most models seldom take, for the paths that need it alone, drawn up together. So only
these need an exponential number, two further quotients and a logarithm.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from montezarr.processes._kernels._draws import exponentials, fill_normals, widest_vectors
from montezarr.processes._kernels._loops import addresses_of, call_loop
from montezarr.random.draws import Draws
from montezarr.random.draws.phases import TILE, compile_loops, f64, u64

# Rows of the work buffer, at constant distances, so that LLVM sees that they do not overlap.
V, LOG_S, NEXT, ARGUMENT, LOG, K0, PSI = (i * TILE for i in range(7))
BUFFER_ROWS = 7
# The same for the paths that take the other branch.
T_V, T_PSI, T_DRAWN, T_Q, T_LOG, T_ARGUMENT, T_EXISTS = (i * (TILE + 1) for i in range(7))
# Places of the coefficients, as `heston._Coefficients` has them.
DECAY, MEAN, VARIANCE, REST, A_STAR, K0_OTHER, K1, K2, K3, K4, DRIFT = range(11)
COUNT = 11


def _of(coefficients: Any, which: int, j: int) -> Any:
    """Return a coefficient of path j of a tile: of a tuple for all paths, or of rows."""


@overload(_of, inline="always")
def _of_typed(coefficients, which, j):
    if isinstance(coefficients, types.Array):
        return lambda coefficients, which, j: coefficients[which * TILE + j]
    return lambda coefficients, which, j: coefficients[which]


def _of_tile(coefficients: Any, row: int, low: int, n: int, buffer: Any) -> Any:
    """Return the coefficients of a step: a tuple, or those of the paths of a tile in `buffer`."""


@overload(_of_tile)
def _of_tile_typed(coefficients, row, low, n, buffer):
    if coefficients.ndim == 2:
        return lambda coefficients, row, low, n, buffer: (
            coefficients[0, row], coefficients[1, row], coefficients[2, row], coefficients[3, row],
            coefficients[4, row], coefficients[5, row], coefficients[6, row], coefficients[7, row],
            coefficients[8, row], coefficients[9, row], coefficients[10, row],
        )  # fmt: skip

    def per_path(coefficients, row, low, n, buffer):
        for i in range(COUNT):
            for j in range(n):
                buffer[i * TILE + j] = coefficients[i, row, low + j]
        return buffer

    return per_path


@njit(error_model="numpy")
def _quadratic(c, w, normal, n):
    """Compute the quadratic branch; return the number of paths that take the other one."""
    widest_vectors()
    others = 0
    for j in range(n):
        v = w[V + j]
        mean = _of(c, MEAN, j) + v * _of(c, DECAY, j)
        variance = v * _of(c, VARIANCE, j) + _of(c, REST, j)
        psi = variance / (mean * mean)
        inverse = 2.0 / psi
        b2 = inverse - 1.0 + np.sqrt(inverse) * np.sqrt(inverse - 1.0)
        a = mean / (1.0 + b2)
        root = np.sqrt(b2) + f64(normal[j])
        room = 1.0 - 2.0 * _of(c, A_STAR, j) * a
        w[NEXT + j] = a * (root * root)
        w[K0 + j] = -_of(c, A_STAR, j) * b2 * a / room
        w[ARGUMENT + j] = room
        w[PSI + j] = psi
        others += 0 if psi <= 1.5 else 1
    return others


@njit(error_model="numpy")
def _draw_up(w, places, t, n):
    """Write the paths that take the other branch, and what it needs of them, one by one."""
    count = 0
    for j in range(n):
        psi = w[PSI + j]
        places[count] = j
        t[T_V + count] = w[V + j]
        t[T_PSI + count] = psi
        count += 0 if psi <= 1.5 else 1


@njit(error_model="numpy")
def _shares(t, n):
    """Compute q = P(v > 0)."""
    widest_vectors()
    for i in range(n):
        t[T_Q + i] = 2.0 / (t[T_PSI + i] + 1.0)


@njit(error_model="numpy")
def _tail(c, places, t, n):
    """Compute the next v of the exponential branch, and the argument of log1p."""
    widest_vectors()
    for i in range(n):
        j = places[i]
        mean = _of(c, MEAN, j) + t[T_V + i] * _of(c, DECAY, j)
        a_star = _of(c, A_STAR, j)
        q = t[T_Q + i]
        beta = q / mean
        above = t[T_DRAWN + i] + t[T_LOG + i]
        t[T_V + i] = (0.0 if above <= 0.0 else above) / beta  # NaN stays NaN
        t[T_ARGUMENT + i] = q * a_star / (beta - a_star)
        t[T_EXISTS + i] = 1.0 if beta > a_star else -1.0


@njit(error_model="numpy")
def _put_back(w, places, t, n):
    for i in range(n):
        j = places[i]
        w[NEXT + j] = t[T_V + i]
        w[K0 + j] = -t[T_LOG + i]
        w[ARGUMENT + j] = t[T_EXISTS + i]
        w[LOG + j] = 0.0


@njit(error_model="numpy")
def _advance(c, w, normal, out, n):
    widest_vectors()
    for j in range(n):
        v, following = w[V + j], w[NEXT + j]
        k1, k3 = _of(c, K1, j), _of(c, K3, j)
        k0 = (w[K0 + j] + 0.5 * w[LOG + j]) - (k1 + 0.5 * k3) * v
        # Where the moment of the martingale correction does not exist, leave it out.
        k0 = k0 if w[ARGUMENT + j] > 0.0 else _of(c, K0_OTHER, j)
        noise = np.sqrt(k3 * v + _of(c, K4, j) * following) * f64(normal[j])
        change = _of(c, DRIFT, j) + k0 + k1 * v + _of(c, K2, j) * following + noise
        w[LOG_S + j] = w[LOG_S + j] + change
        w[V + j] = out[j] = following


@njit(error_model="numpy")
def _put_price(start, w, out, n):
    widest_vectors()
    for j in range(n):
        out[j] = f64(start[j]) * w[NEXT + j]


def _paths(
    k0, k1, path, step, loops, coefficients, which, normals, normals_s, v, log_s, start, out
):
    widest_vectors()
    steps, n = len(which), len(v)
    w, t = np.empty(BUFFER_ROWS * TILE, np.float64), np.empty(BUFFER_ROWS * (TILE + 1), np.float64)
    buffer = np.empty(COUNT * TILE, np.float64)
    group_size = 16 // out.itemsize
    z = np.empty((2, group_size * TILE), out.dtype)
    places = np.empty(TILE + 1, np.int64)
    for low in range(0, n, TILE):
        size = min(TILE, n - low)
        high, first = low + size, path + u64(low)
        for j in range(size):
            w[V + j], w[LOG_S + j] = v[low + j], log_s[low + j]
        row = which[0]
        c = _of_tile(coefficients, row, low, size, buffer)
        for k in range(steps):
            if which[k] != row:
                row = which[k]
                c = _of_tile(coefficients, row, low, size, buffer)
            at = k % group_size * size
            if len(normals) == 0 and at == 0:
                count = min(group_size, steps - k)
                for i in range(2):
                    group = z[i, : count * size].reshape(count, size)
                    fill_normals(k0, k1, first, step + k, u64(2 * i), group)
            if len(normals) == 0:
                normal, normal_s = z[0, at : at + size], z[1, at : at + size]
            else:
                normal, normal_s = normals[step + k, low:high], normals_s[step + k, low:high]
            others = _quadratic(c, w, normal, size)
            call_loop(loops[1, 0], loops[1, 1], w, ARGUMENT, LOG, size)
            if others > 0:
                _draw_up(w, places, t, size)
                exponentials(k0, k1, first, step + k, u64(1), places, z, t[T_DRAWN:T_Q], others)
                _shares(t, others)
                call_loop(loops[1, 0], loops[1, 1], t, T_Q, T_LOG, others)
                _tail(c, places, t, others)
                call_loop(loops[2, 0], loops[2, 1], t, T_ARGUMENT, T_LOG, others)
                _put_back(w, places, t, others)
            _advance(c, w, normal_s, out[1, step + k + 1, low:high], size)
            call_loop(loops[0, 0], loops[0, 1], w, LOG_S, NEXT, size)
            _put_price(start[low:high], w, out[0, step + k + 1, low:high], size)
        for j in range(size):
            v[low + j], log_s[low + j] = w[V + j], w[LOG_S + j]


_PATHS = compile_loops(_paths)
_FUNCTIONS = np.exp, np.log, np.log1p


def can_compile() -> bool:
    """Return whether the loops of NumPy that the step calls are known."""
    return addresses_of(*_FUNCTIONS) is not None


def fill_paths(
    source: Draws, step: int, coefficients: Any, which: Any, v: Any, log_s: Any, rows: Any
) -> None:
    """Fill the rows (2, T+1, n) of s and v after `step`; update v and the logarithm of s.

    Parameters
    ----------
    source : Draws
        Random numbers of the n paths.
    step : int
        First step, a multiple of `WINDOW`.
    coefficients : array (11, lengths) or (11, lengths, n)
        Those of `heston._Coefficients` for each length of a step.
    which : array of int
        The length of each step, as its place in `coefficients`.
    v, log_s : array (n,)
        States before the step in float64, which become those after the last step.
    rows : array (2, T+1, n)
        Paths; row 0 has the initial states.
    """
    if not len(which) or not len(v):
        return
    total, none = rows.shape[1] - 1, np.empty((0, 0), rows.dtype)
    kept = (source.kept_rows("normal", total, slot) for slot in (0, 2))
    normals, normals_s = (none if numbers is None else numbers for numbers in kept)
    _PATHS(
        u64(source.key[0]), u64(source.key[1]), u64(source.start), step, addresses_of(*_FUNCTIONS),
        coefficients, which, normals, normals_s, v, log_s, rows[0, 0], rows,
    )  # fmt: skip
