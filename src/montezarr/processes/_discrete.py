"""The shared arithmetic of processes that count: logarithms of factorials and of powers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr._checks import real_numbers

_log_gamma = np.frompyfunc(math.lgamma, 1, 1)


def log_factorial(n: Any) -> NDArray[np.float64]:
    """Return log n! of integers n >= 0, by the logarithm of the gamma function."""
    return np.asarray(_log_gamma(np.asarray(n, np.float64) + 1.0), np.float64)


def power_log(k: Any, p: Any) -> NDArray[np.float64]:
    """Return k log p, and 0 for no factor at all: 0**0 is 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.asarray(k) == 0, 0.0, k * np.log(np.asarray(p, np.float64)))


def whole(k: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return numbers as floats, and which of them are integers."""
    values = real_numbers(k)
    return values, values == np.floor(values)


def elsewhere(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability of what cannot be reached: 0, and NaN of NaN."""
    return np.where(np.isnan(values), np.nan, 0.0)
