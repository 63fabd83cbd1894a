"""The compiled loop of a Poisson process with a rate per path; it gives the bits of NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np

from montezarr.random.draws.kernel import compile_loops

TABLES_AT_ONCE = 256
"""Paths that are taken through some steps together: their tables stay in the cache."""


@compile_loops
def add_counts(
    cdf: Any, start: Any, length: Any, first: Any, likely: Any, uniforms: Any, rows: Any
) -> None:
    """Compute `Tables.add_counts`."""
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
    for low in range(0, n, TABLES_AT_ONCE):
        for k in range(steps):
            for j in range(low, min(low + TABLES_AT_ONCE, n)):
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
