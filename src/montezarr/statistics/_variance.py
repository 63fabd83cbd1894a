"""The variance and its standard error, which several statistics share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from montezarr.statistics._moments import CentralSums

Array = NDArray[np.float64]


def variance_with_error(state: CentralSums, ddof: int = 1) -> tuple[Array, Array]:
    """Return the variance and its standard error, from sums of the powers up to 4.

    The formulas stand in `montezarr.statistics.variance.Variance`.
    """
    n = state.n.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        second, fourth = state.sums[0] / n, state.sums[2] / n
        squared = (fourth - second**2 * ((n - 3.0) / (n - 1.0))) / n
        # Rounding, of values that are all but constant, may give less than nothing.
        error = np.sqrt(np.maximum(squared, 0.0)) * ((n - 1.0) / (n - ddof))
        variance = state.sums[0] / (n - ddof)
    enough = state.n > ddof
    return (
        np.where(enough, variance, np.nan),
        np.where(enough & (state.n > 1), error, np.nan),
    )


def reference_variance(values: Array, ddof: int) -> tuple[Array, Array]:
    """Return the same from all values (cells, paths), cell by cell."""
    out = np.full((2, len(values)), np.nan)
    for cell, row in enumerate(values):
        x = row[np.isfinite(row)]
        n = len(x)
        if n > ddof:
            out[0, cell] = x.var(ddof=ddof)
        if n > max(ddof, 1):
            m2, m4 = ((x - x.mean()) ** 2).mean(), ((x - x.mean()) ** 4).mean()
            squared = max((m4 - m2**2 * (n - 3) / (n - 1)) / n, 0.0)
            out[1, cell] = np.sqrt(squared) * (n - 1) / (n - ddof)
    return out[0], out[1]
