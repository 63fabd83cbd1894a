"""Shared arithmetic of counting processes: probabilities that stay accurate for large counts.

Differences of log factorials of large numbers cancel: for 1e18 their error is 1e4. So each log
factorial is taken as its difference from Stirling's formula, and the remaining terms as a deviance;
both are small where a probability is not (Loader, "Fast and accurate computation of binomial
probabilities", 2000).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import real_numbers
from montezarr.random.draws import Draws

SMALL = np.array(
    [0.0]
    + [
        math.lgamma(n + 1) - (n + 0.5) * math.log(n) + n - 0.5 * math.log(2 * math.pi)
        for n in range(1, 16)
    ]
)
"""log n! minus Stirling's formula, for n below 16."""


def poisson(k: Any, mean: Any) -> NDArray[np.float64]:
    """Return P(X = k) of a Poisson law, for integers k >= 0 and means >= 0."""
    count, mean = np.broadcast_arrays(np.asarray(k, np.float64), np.asarray(mean, np.float64))
    some = np.where(count > 0, count, 1.0)
    with np.errstate(divide="ignore", over="ignore"):
        log = -_stirling_error(some) - _deviance(some, mean) - 0.5 * np.log(2 * np.pi * some)
    return np.exp(np.where(count > 0, log, -mean))


def binomial(k: Any, n: Any, p: float) -> NDArray[np.float64]:
    """Return P(X = k) of a binomial law, for integers 0 <= k <= n."""
    up, n = np.broadcast_arrays(np.asarray(k, np.float64), np.asarray(n, np.float64))
    down = n - up
    inside = (up > 0) & (down > 0)
    u, d, m = (np.where(inside, x, other) for x, other in ((up, 1.0), (down, 1.0), (n, 2.0)))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        log = _stirling_error(m) - _stirling_error(u) - _stirling_error(d)
        log = log - _deviance(u, m * p) - _deviance(d, m * (1 - p))
        log = log + 0.5 * np.log(m / (2 * np.pi * u * d))
        ends = np.where(up > 0, up * np.log(p), 0.0) + np.where(down > 0, down * np.log1p(-p), 0.0)
    return np.exp(np.where(inside, log, ends))


def _stirling_error(n: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log n! minus Stirling's formula, for n >= 1."""
    large = np.maximum(n, 16.0)
    square = large * large
    series = (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680) / square) / square) / square) / large
    return np.where(n < 16, SMALL[np.minimum(n, 15.0).astype(np.intp)], series)


def _deviance(x: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return x log(x / mean) + mean - x, for x > 0, without cancellation where both are close."""
    gap = x - mean
    with np.errstate(divide="ignore", invalid="ignore"):
        far = x * np.log(x / mean) - gap
    v = gap / (x + mean)
    near, term = gap * v, 2 * x * v
    for j in range(1, 10):  # |v| < 0.1: the omitted terms are below 1e-20 of the sum
        term = term * v * v
        near = near + term / (2 * j + 1)
    return np.where(np.abs(v) < 0.1, near, far)


def as_integers(k: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return numbers as floats, and which of them are integers."""
    values = real_numbers(k)
    return values, values == np.floor(values)


def elsewhere(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability of unreachable values: 0, and NaN for NaN."""
    return np.where(np.isnan(values), np.nan, 0.0)


def is_compiled(draws: Draws) -> bool:
    """Return whether the steps of a process of integers run as compiled code on these draws."""
    return draws.implementation == "kernel" and draws.dtype == "float64"
