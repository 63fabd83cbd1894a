"""The step of the random walk, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from montezarr.processes._kernels._draws import widest_vectors
from montezarr.processes._kernels._uniforms import arguments_of, uniforms_at
from montezarr.random.draws import Draws
from montezarr.random.draws.kernel import _at
from montezarr.random.draws.phases import TILE, compile_loops


def _part(value: Any, low: int, high: int) -> Any:
    """Return the numbers of some paths, or the one number of all."""


@overload(_part, inline="always")
def _part_typed(value, low, high):
    if isinstance(value, types.Array):
        return lambda value, low, high: value[low:high]
    return lambda value, low, high: value


@njit(error_model="numpy")
def _step(uniform, p, previous, target, n):
    widest_vectors()
    for j in range(n):
        target[j] = previous[j] + (1 if uniform[j] < _at(p, j) else -1)


def _paths(k0, k1, path, kept, p, out):
    widest_vectors()
    buffer = np.empty(2 * TILE)
    steps, n = len(out) - 1, out.shape[1]
    for low in range(0, n, TILE):
        high = min(low + TILE, n)
        for k in range(steps):
            uniform = uniforms_at(k0, k1, path, k, 0, low, high - low, kept, buffer)
            _step(uniform, _part(p, low, high), out[k, low:high], out[k + 1, low:high], high - low)


_PATHS = compile_loops(_paths)


def fill_paths(source: Draws, p: Any, rows: Any) -> None:
    """Fill the rows (T+1, n) after the first one; `p` is a number, or an array (n,)."""
    _PATHS(*arguments_of(source, len(rows) - 1), p, rows)
