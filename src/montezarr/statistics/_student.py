"""Student's quantile, which widens an interval of few values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.statistics._base import INTERVAL


def student(free: Any) -> NDArray[np.float64]:
    """Return the 0.975-quantile of Student's law over the normal one, for >= 2 degrees of freedom.

    The first terms of its expansion, Abramowitz and Stegun, Handbook of Mathematical Functions,
    1964, 26.7.5: 3 % too small for 2 degrees, 1 % for 3 degrees, and within 1e-4 from 9 on.
    """
    free, square = np.asarray(free, np.float64), INTERVAL**2
    first = (square + 1) / 4
    second = (5 * square**2 + 16 * square + 3) / 96
    third = (3 * square**3 + 19 * square**2 + 17 * square - 15) / 384
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(1 + first / free + second / free**2 + third / free**3)


def widening(count: Any, least: int = 2) -> NDArray[np.float64]:
    """Return the root of k / (k - 1), times Student's quantile over the normal one.

    It turns 1.96 standard errors, estimated by a variance with the divisor k, into the interval of
    Student's law with k - 1 degrees of freedom.

    Parameters
    ----------
    count : array
        Number of values k, not always a whole number.
    least : int
        Smallest number of values; the result is NaN for fewer.
    """
    known = np.where(np.greater(count, least - 0.5), count, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.sqrt(known / (known - 1)) * student(known - 1))
