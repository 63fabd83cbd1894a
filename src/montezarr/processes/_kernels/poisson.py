"""The counts of a Poisson process, compiled: the same entries of the same tables, found faster.

A guide has, for each of many equal parts of [0, 1), the number of entries of a distribution
function up to the beginning of the part: a search starts there and mostly ends there (Chen and
Asai 1974, doi:10.1080/05695557408974949).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from montezarr.processes._kernels._uniforms import arguments_of, uniforms_at
from montezarr.random.draws import Draws
from montezarr.random.draws.kernel import TILE, compile_loops, f64, i64


@njit(error_model="numpy")
def _add_counts(uniform, cdf, guide, first, previous, target, n):
    parts, last = f64(len(guide)), len(cdf)
    for j in range(n):
        u = uniform[j]
        count = i64(guide[i64(u * parts)])
        while count < last and cdf[count] <= u:
            count += 1
        target[j] = previous[j] + (first + count)


def _paths(k0, k1, path, kept, step, which, cdf, cdf_ends, guide, guide_ends, first, out):
    buffer = np.empty(2 * TILE)
    steps, n = len(which), out.shape[1]
    for low in range(0, n, TILE):
        high = min(low + TILE, n)
        for k in range(steps):
            i, at = which[k], step + k
            uniform = uniforms_at(k0, k1, path, at, step, low, high - low, kept, buffer)
            _add_counts(
                uniform, cdf[cdf_ends[i] : cdf_ends[i + 1]],
                guide[guide_ends[i] : guide_ends[i + 1]], first[i],
                out[at, low:high], out[at + 1, low:high], high - low,
            )  # fmt: skip


@njit(error_model="numpy")
def _count(cdf, start, length, u):
    """Return how many of the entries from `start` on are at most `u`."""
    if length > 8 and u < cdf[start + 7]:  # of few expected events
        count = 0
        while cdf[start + count] <= u:
            count += 1
        return count
    place = start
    while length > 1:
        half = length >> 1
        place += half if cdf[place + half - 1] <= u else 0
        length -= half
    return place - start + (1 if cdf[place] <= u else 0)


def _each(k0, k1, path, kept, step, steps, cdf, start, length, first, out):
    buffer = np.empty(2 * TILE)
    n = out.shape[1]
    for low in range(0, n, TILE):
        high = min(low + TILE, n)
        for at in range(step, step + steps):
            uniform = uniforms_at(k0, k1, path, at, step, low, high - low, kept, buffer)
            for j in range(low, high):
                count = first[j] + _count(cdf, start[j], length[j], uniform[j - low])
                out[at + 1, j] = out[at, j] + count


_PATHS, _EACH = compile_loops(_paths), compile_loops(_each)


def guide_of(cdf: Any) -> Any:
    """Return the guide of a distribution function: a power of two of parts."""
    parts = min(1 << (16 * len(cdf)).bit_length(), 2**17)
    return np.searchsorted(cdf, np.arange(parts) / parts, side="right").astype(np.int32)


def fill_paths(source: Draws, step: int, which: Any, tables: Any, rows: Any) -> None:
    """Fill the rows (T+1, n) from `step` on, with one table for each step.

    Parameters
    ----------
    source : Draws
        Random numbers of the n paths.
    step : int
        First step.
    which : array of int
        The table of each step.
    tables : list of (int, array, array)
        First count, distribution function, guide.
    rows : array (T+1, n)
        Paths.
    """
    firsts, cdfs, guides = zip(*tables, strict=True)
    _PATHS(
        *arguments_of(source, len(rows) - 1), step, which, np.concatenate(cdfs), _ends(cdfs),
        np.concatenate(guides), _ends(guides), np.array(firsts, np.int64), rows,
    )  # fmt: skip


def fill_each(source: Draws, step: int, steps: int, tables: Any, rows: Any) -> None:
    """Fill the rows from `step` on, with a table for each path; see `poisson_process.Tables`."""
    _EACH(*arguments_of(source, len(rows) - 1), step, steps, *tables, rows)


def _ends(arrays: Any) -> Any:
    return np.cumsum([0, *map(len, arrays)])
