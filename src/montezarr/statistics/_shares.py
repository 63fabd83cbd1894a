"""Fast counting, and the standard error of a share, for statistics of integer counts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from montezarr.core.tunables.memory import COUNTED_VALUES_AT_ONCE

Array = NDArray[np.float64]
Counts = NDArray[np.int64]


def count_true(mask: NDArray[np.bool_]) -> Counts:
    """Return the number of True in masks (cells, blocks, paths) of blocks of up to 1024 paths."""
    # A sum of bools as int64 converts each of them first and takes four times as long.
    blocks = mask.view(np.uint8).sum(axis=-1, dtype=np.uint16)
    return np.asarray(blocks.sum(axis=-1, dtype=np.int64))


def count_positions(values: Array, width: int, locate: Callable[[Array], Array]) -> Counts:
    """Return the number of values (cells, n) at each of `width` positions: (cells, width).

    Parameters
    ----------
    values : array (cells, n)
        The values to count.
    width : int
        Number of positions.
    locate : function
        Returns the positions of values, as floats in a new array: whole numbers from 0 to `width`,
        where `width` marks values that do not count.
    """
    cells, n = values.shape
    counts = np.zeros((cells, width), np.int64)
    rows = max(1, COUNTED_VALUES_AT_ONCE // max(n, 1))
    for first in range(0, cells, rows):
        for start in range(0, n, COUNTED_VALUES_AT_ONCE):
            position = locate(values[first : first + rows, start : start + COUNTED_VALUES_AT_ONCE])
            m = len(position)
            position += np.arange(m)[:, None] * (width + 1.0)
            flat = position.astype(np.intp).reshape(-1)
            found = np.bincount(flat, minlength=m * (width + 1)).reshape(m, width + 1)
            counts[first : first + m] += found[:, :width]
    return counts


def share(successes: Counts, n: Counts) -> tuple[Array, Array]:
    r"""Return p = successes / n and its standard error :math:`\sqrt{p (1 - p) / n}`.

    Both are NaN without values, and the standard error also for a single one.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        p = successes / n
        error = np.sqrt(p * (1.0 - p) / n)
    return p, np.where(n > 1, error, np.nan)
