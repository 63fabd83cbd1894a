"""The shared arithmetic of processes that are a linear recursion in normal draws."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from montezarr.processes._base import NORMAL_BOUND


def recursion_bound(coefficients: NDArray[np.float64], x0: float) -> float:
    """Return a bound of |y| in y[k+1] = a y[k] + b + c z, given |y[0]| <= x0 and bounded z."""
    a, b, c = np.abs(coefficients)
    reach = largest = x0
    with np.errstate(over="ignore"):
        # Twice, for the rounding of each step, which can add at most a few parts in 10**16.
        for step in zip(a, 2 * (b + NORMAL_BOUND * c), strict=True):
            reach = reach * max(float(step[0]), 1.0) + float(step[1])
            largest = max(largest, reach)
    return largest
