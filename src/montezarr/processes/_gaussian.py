"""Shared arithmetic of processes whose transitions are normal or lognormal."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import real_numbers
from montezarr.processes._base import NORMAL_BOUND


def recursion_bound(coefficients: NDArray[np.float64], x0: float) -> float:
    """Return a bound of |y| in y[k+1] = a y[k] + b + c z, given |y[0]| <= x0 and bounded z."""
    a, b, c = np.abs(coefficients)
    with np.errstate(over="ignore"):
        # With every a below 1 taken as 1, the bound of the last step bounds all steps: each
        # increment grows at most by the product of all a. The factor 2 allows for rounding, which
        # adds a few parts in 10**16 per step.
        growth = float(np.prod(np.maximum(a, 1.0)))
        return growth * (x0 + 2 * float((b + NORMAL_BOUND * c).sum()))


def normal_density(x: Any, mean: Any, variance: Any) -> Any:
    """Return the density of a normal distribution; NaN where its variance is 0."""
    x, mean, variance = (real_numbers(value) for value in (x, mean, variance))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        out = np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
    return np.where(variance > 0, out, np.nan)[()]
