"""Quantiles of the beta, t and chi-square distributions, for the intervals of fits.

Continued fraction and series as in Press et al., Numerical Recipes, 3rd ed., 2007, sections 6.2 and
6.4; inverted by secants and bisection, to the last digits of float64. Both need a number of terms
that grows with the square root of the parameters; for large parameters the laws are close enough to
normal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

LEVEL = 0.95
"""Coverage of the intervals of a fit."""

TAIL = (1 - LEVEL) / 2
Z = 1.959963984540054
"""Quantile of the standard normal distribution at 1 - TAIL."""

FRACTION_MIN = 1e-300
FRACTION_STEPS = 10_000

MANY = 1e5
"""Degrees of freedom above which quantiles are those of a transformed normal distribution, with an
error below 1e-6 of a standard deviation at `LEVEL`."""


@lru_cache(maxsize=1024)
def beta_quantile(p: float, a: float, b: float) -> float:
    """Return the p-quantile of the beta distribution of shapes a, b > 0."""
    if min(a, b) > MANY:
        return _large_beta_quantile(p, a, b)
    return _inverted(lambda x: _beta_cdf(x, a, b), p, 0.0, 1.0)


@lru_cache(maxsize=1024)
def t_quantile(p: float, df: float) -> float:
    """Return the p-quantile of Student's t distribution, with df > 0 degrees of freedom."""
    if p < 0.5:
        return -t_quantile(1 - p, df)
    if df > MANY:  # Abramowitz and Stegun 1964, 26.7.5
        z = NormalDist().inv_cdf(p)
        return z + (z**3 + z) / (4 * df)
    share = beta_quantile(2 * p - 1, 0.5, df / 2)  # of t**2 / (df + t**2)
    return math.sqrt(df * share / (1 - share)) if share < 1 else math.inf


@lru_cache(maxsize=1024)
def chi_square_quantile(p: float, df: float) -> float:
    """Return the p-quantile of the chi-square distribution, with df > 0 degrees of freedom."""
    if df > MANY:  # Wilson and Hilferty 1931, doi:10.1073/pnas.17.12.684
        scale = 2 / (9 * df)
        return df * (1 - scale + NormalDist().inv_cdf(p) * math.sqrt(scale)) ** 3
    high = df + 10.0
    while _gamma_cdf(high / 2, df / 2) < p:
        high *= 2
    return _inverted(lambda x: _gamma_cdf(x / 2, df / 2), p, 0.0, high)


def share_interval(count: float, total: float) -> tuple[float, float]:
    """Return the exact 95 % interval of a probability (Clopper and Pearson 1934).

    doi:10.1093/biomet/26.4.404
    """
    low = beta_quantile(TAIL, count, total - count + 1) if count > 0 else 0.0
    high = beta_quantile(1 - TAIL, count + 1, total - count) if count < total else 1.0
    return low, high


def _inverted(cdf: Callable[[float], float], p: float, low: float, high: float) -> float:
    """Return the point where `cdf` is p, by secants of a bracket, with every third step halving."""
    below, above = -p, 1 - p
    for k in range(200):
        middle = low - below * (high - low) / (above - below)
        if k % 3 == 2 or not low < middle < high:
            middle = (low + high) / 2
        if middle in (low, high):
            break
        value = cdf(middle) - p
        if value < 0:
            low, below = middle, value
        else:
            high, above = middle, value
    return (low + high) / 2


def _large_beta_quantile(p: float, a: float, b: float) -> float:
    """Return the p-quantile of the beta distribution where both shapes are large.

    Carter 1947, doi:10.1093/biomet/34.3-4.352; Abramowitz and Stegun 1964, 26.5.22.
    """
    z = NormalDist().inv_cdf(p)
    shift = (z * z - 3) / 6
    h = 2 / (1 / (2 * a - 1) + 1 / (2 * b - 1))
    skew = 1 / (2 * b - 1) - 1 / (2 * a - 1)
    w = z * math.sqrt(h + shift) / h + skew * (shift + 5 / 6 - 2 / (3 * h))
    return a / (a + b * math.exp(-2 * w))


def _beta_cdf(x: float, a: float, b: float) -> float:
    if x <= 0 or x >= 1:
        return float(x >= 1)
    log = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(log + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """Return the continued fraction of the incomplete beta function, by Lentz's method."""
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > FRACTION_MIN else FRACTION_MIN)
    out = d
    for m in range(1, FRACTION_STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 + term * d
            d = 1 / (d if abs(d) > FRACTION_MIN else FRACTION_MIN)
            c = 1 + term / c
            c = c if abs(c) > FRACTION_MIN else FRACTION_MIN
            out *= d * c
        if abs(d * c - 1) < 1e-15:
            return out
    raise ArithmeticError(f"no quantile of the beta distribution of shapes {a}, {b}")


def _gamma_cdf(x: float, a: float) -> float:
    if x <= 0:
        return 0.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        for k in range(1, FRACTION_STEPS):
            term *= x / (a + k)
            total += term
            if term < total * 1e-16:
                return front * total
        raise ArithmeticError(f"no quantile of the gamma distribution of shape {a}")
    b = x + 1 - a
    c, d = 1 / FRACTION_MIN, 1 / b
    out = d
    for k in range(1, FRACTION_STEPS):
        term = -k * (k - a)
        b += 2
        d = term * d + b
        d = 1 / (d if abs(d) > FRACTION_MIN else FRACTION_MIN)
        c = b + term / c
        c = c if abs(c) > FRACTION_MIN else FRACTION_MIN
        out *= d * c
        if abs(d * c - 1) < 1e-15:
            return 1 - front * out
    raise ArithmeticError(f"no quantile of the gamma distribution of shape {a}")
