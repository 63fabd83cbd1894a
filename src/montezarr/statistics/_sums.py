"""Sums whose bits do not depend on memory layout: a binary tree over the paths of a block.

Level by level, the upper half of the paths is added to the lower one; a block is padded with zeros
to 1024 paths. The order of NumPy's own sums depends on the layout. The functions here are the
definition; the compiled ones of `montezarr.statistics._kernel` give the same bits.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.random.draws import has_kernel
from montezarr.random.seeding import BLOCK

Array = NDArray[np.float64]

ROWS = 1024
"""Rows that are summed at once in NumPy: some MiB, however many there are."""


def tree_sum(values: Array) -> Array:
    """Return the sum over the last axis, the same for every layout in memory and number of rows.

    The last bits of NumPy's own sum depend on both. Use this one in `chunk` of your own statistics.

    Parameters
    ----------
    values : array of float64 (..., paths)
        Finite values; 0 in place of values that do not count.

    Returns
    -------
    array of float64 (...)
        The sums along a fixed binary tree over the last axis.

    Examples
    --------
    >>> import montezarr as mz
    >>> import numpy as np
    >>> mz.tree_sum(np.full((2, 1024), 0.5))
    array([512., 512.])
    """
    kernel = compiled()
    if kernel is not None and values.flags.c_contiguous and 0 < values.shape[-1] <= BLOCK:
        out = np.empty(values.shape[:-1])
        kernel.tree_sum(values.reshape(-1, values.shape[-1]), out.reshape(-1))
        return out
    return reference_tree_sum(values)


def central_sums(values: NDArray[Any], order: int) -> tuple[NDArray[np.int64], Array, Array]:
    """Return counts, means and sums of centred powers over the last axis, ignoring NaN.

    Values of float32 are widened as they are read, without a copy of all of them.

    Returns
    -------
    count, mean : array (...)
        Number of values, and their mean; 0 without values.
    sums : array (order - 1, ...)
        Sums of ``(x - mean)**p`` for p = 2 ... `order`.
    """
    kernel = compiled()
    if kernel is not None and values.flags.c_contiguous and 0 < values.shape[-1] <= BLOCK:
        lead = values.shape[:-1]
        count, mean = np.empty(lead, np.int64), np.empty(lead)
        sums = np.empty((order - 1, *lead))
        kernel.central_sums(
            values.reshape(-1, values.shape[-1]), count.reshape(-1), mean.reshape(-1),
            sums.reshape(order - 1, -1),
        )  # fmt: skip
        return count, mean, sums
    return reference_central_sums(values.astype(np.float64, copy=False), order)


def all_finite(values: NDArray[Any]) -> bool:
    """Return whether all numbers of a contiguous array, float32 or float64, are finite."""
    kernel = compiled()
    if kernel is None:
        return bool(np.isfinite(values).all())
    # The exponents of infinities and NaN have all bits.
    integer, mask = (np.int32, 0x7F800000) if values.itemsize == 4 else (np.int64, 0x7FF << 52)
    return not kernel.any_has(values.reshape(-1).view(integer), integer(mask))


def reference_tree_sum(values: Array) -> Array:
    """Define `tree_sum` in NumPy."""
    out = np.zeros(values.shape[:-1])
    if values.shape[-1]:  # without paths, the sums stay 0
        rows, sums = values.reshape(-1, values.shape[-1]), out.reshape(-1)
        for low in range(0, len(rows), ROWS):
            sums[low : low + ROWS] = _tree(rows[low : low + ROWS])
    return out


def _tree(rows: Array) -> Array:
    """Return the sums of a few rows, padded with zeros."""
    n = rows.shape[-1]
    size = 1 << (max(n, BLOCK) - 1).bit_length()
    out = rows
    if size > n:
        out = np.concatenate([rows, np.zeros((len(rows), size - n))], axis=-1)
    with np.errstate(over="ignore", invalid="ignore"):
        while size > 1:
            size //= 2
            out = out[:, :size] + out[:, size:]
    return out[:, 0]


def reference_central_sums(values: Array, order: int) -> tuple[NDArray[np.int64], Array, Array]:
    """Define `central_sums` in NumPy."""
    counts = values == values
    count = counts.sum(axis=-1, dtype=np.int64)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = reference_tree_sum(np.where(counts, values, 0.0)) / np.maximum(count, 1)
        centred = np.where(counts, values - mean[..., None], 0.0)
        power, sums = centred, []
        for _ in range(order - 1):
            power = power * centred
            sums.append(reference_tree_sum(power))
    return count, mean, np.stack(sums) if sums else np.empty((0, *mean.shape))


@cache
def compiled() -> Any:
    """Return the module of compiled loops, or None without Numba."""
    if not has_kernel():
        return None
    from montezarr.statistics import _kernel as kernel  # Numba takes half a second to import

    return kernel
