"""The step of a Markov chain by Walker's tables, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from montezarr.processes._kernels._draws import widest_vectors
from montezarr.processes._kernels._uniforms import arguments_of, uniforms_at
from montezarr.random.draws import Draws
from montezarr.random.draws.phases import TILE, compile_loops, f64, i32, i64, u64


@njit(error_model="numpy")
def _step(uniform, accept, nexts, states, previous, target, n):
    widest_vectors()
    for j in range(n):
        scaled = uniform[j] * f64(states)
        column = i32(scaled)
        cell = u64(i64(previous[j]) * states + i64(column))
        # Not a choice of two values: LLVM makes a branch of it, which processors guess wrong.
        leaves = u64(not scaled - f64(column) < accept[cell])
        target[j] = nexts[u64(2) * cell + leaves]


def _paths(k0, k1, path, kept, accept, nexts, states, out):
    widest_vectors()
    buffer = np.empty(2 * TILE)
    steps, n = len(out) - 1, out.shape[1]
    for low in range(0, n, TILE):
        high = min(low + TILE, n)
        for k in range(steps):
            uniform = uniforms_at(k0, k1, path, k, 0, low, high - low, kept, buffer)
            _step(
                uniform, accept, nexts, states, out[k, low:high], out[k + 1, low:high], high - low
            )


_PATHS = compile_loops(_paths)


def fill_paths(source: Draws, accept: Any, nexts: Any, states: int, rows: Any) -> None:
    """Fill the rows (T+1, n) after the first one.

    Parameters
    ----------
    source : Draws
        Random numbers of the n paths.
    accept : array (states * states,)
        Walker's probabilities that a column is kept.
    nexts : array (2 * states * states,)
        The column of each cell, which comes next if it is kept, and its alias.
    states : int
        Number of states.
    rows : array (T+1, n)
        Paths.
    """
    _PATHS(*arguments_of(source, len(rows) - 1), accept, nexts, states, rows)
