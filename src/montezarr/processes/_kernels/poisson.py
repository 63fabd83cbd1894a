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
from montezarr.random.draws.phases import TILE, compile_loops, f64, i64


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


_PATHS = compile_loops(_paths)


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


def _ends(arrays: Any) -> Any:
    return np.cumsum([0, *map(len, arrays)])


TILE_EACH = 256
"""Paths that are taken through some steps together: their tables stay in the cache."""


@compile_loops
def add_counts(
    cdf: Any, start: Any, length: Any, first: Any, likely: Any, uniforms: Any, rows: Any
) -> None:
    """Compute `Tables.add_counts` of `poisson_process`."""
    steps, n = uniforms.shape
    near, room = np.empty(n, np.int64), np.empty(n, np.int64)
    for j in range(n):
        # Most counts are within two standard deviations of the most likely one.
        deviations = 4.0 * np.sqrt(likely[j] + first[j]) + 2.0
        size = 8
        while size < deviations:
            size *= 2
        low = max(likely[j] - size // 2, 0)
        near[j] = start[j] + low
        room[j] = size if low + size < length[j] else 0
    for low in range(0, n, TILE_EACH):
        for k in range(steps):
            for j in range(low, min(low + TILE_EACH, n)):
                u = uniforms[k, j]
                if cdf[start[j]] > u:  # no event, as in most of the shortest steps
                    rows[k + 1, j] = rows[k, j] + first[j]
                    continue
                place, left = near[j], room[j]
                if (
                    left == 0
                    or cdf[place + left - 1] <= u
                    or (place > start[j] and cdf[place - 1] > u)
                ):
                    place, left = start[j], length[j]
                while left > 8:
                    half = left // 2
                    place += half if cdf[place + half - 1] <= u else 0
                    left -= half
                count = place - start[j] + first[j]
                for i in range(left):  # to count is faster than to guess which half it is
                    count += cdf[place + i] <= u
                rows[k + 1, j] = rows[k, j] + count
