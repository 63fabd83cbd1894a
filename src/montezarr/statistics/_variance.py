"""The variance, its standard error and interval, shared by several statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.statistics._base import INTERVAL
from montezarr.statistics._moments import CentralSums, without_rounding
from montezarr.statistics._student import student

Array = NDArray[np.float64]


def variance_with_error(state: CentralSums, ddof: int = 1) -> tuple[Array, Array]:
    """Return the variance and its standard error, from sums of the powers up to 4.

    For the formulas, see `montezarr.statistics.variance.Variance`.
    """
    n, state = state.n.astype(np.float64), without_rounding(state)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        second, fourth = state.sums[0] / n, state.sums[2] / n
        squared = (fourth - second**2 * ((n - 3.0) / (n - 1.0))) / n
        # Rounding may give a negative number for nearly constant values.
        error = np.sqrt(np.maximum(squared, 0.0)) * ((n - 1.0) / (n - ddof))
        variance = state.sums[0] / (n - ddof)
    enough = state.n > ddof
    return (
        np.where(enough, variance, np.nan),
        np.where(enough & (state.n > 1), error, np.nan),
    )


def variance_interval(state: CentralSums, ddof: int = 1) -> tuple[Array, Array]:
    r"""Return the ends of the 95 % interval of the variance, by the logarithm; NaN for one value.

    With the kurtosis :math:`\hat\gamma = m_4 / m_2^2` and :math:`c = n / (n - 1.96)` they are
    :math:`c s^2 \exp(\pm t\, c \sqrt{(\hat\gamma - (n-3)/n) / (n-1)})`. The law of an estimated
    variance is skew to the right: ± 1.96 standard errors miss large variances, and may end below
    0. In place of 1.96, t is the quantile of Student's law of
    :math:`\max(2n / (\hat\gamma (\hat\gamma - 1)), 2)` degrees of freedom: the kurtosis too is
    estimated, and too small for a skew law; for 100 exponential values coverage is 93 % instead of
    90 %, for 100 normal ones 95 % instead of 94 %. The rest is by Bonett,
    "Approximate confidence interval for standard deviation of nonnormal
    distributions", Computational Statistics & Data Analysis 50 (2006),
    doi:10.1016/j.csda.2004.10.003, with moments about the mean in place of the trimmed mean. No
    interval is valid for tails without a fourth moment: see `montezarr.HeavyTailWarning`.
    """
    state = without_rounding(state)
    return interval_of_sums(state.n, state.sums[0], state.sums[2], ddof)


def interval_of_sums(n: Any, second: Array, fourth: Array, ddof: int = 1) -> tuple[Array, Array]:
    """Return the same from the sums of the centred squares and fourth powers of n values."""
    n = np.asarray(n, np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        variance = second / (n - ddof)
        kurtosis = n * (fourth / second) / second
        factor = n / (n - INTERVAL)
        spread = np.maximum(kurtosis - (n - 3.0) / n, 0.0) / (n - 1.0)
        free = np.maximum(2 * n / np.maximum(kurtosis * (kurtosis - 1.0), 1e-300), 2.0)
        quantile = INTERVAL * student(free)
        half = np.where(variance > 0, quantile * factor * np.sqrt(spread), 0.0)
        low, high = factor * variance * np.exp(-half), factor * variance * np.exp(half)
    enough = n > max(ddof, 1)
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)


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
