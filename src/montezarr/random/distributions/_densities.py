"""Logarithms of the gamma and beta densities, without cancellation, and the tables made of them.

For a gamma variable of shape a, Y = log(X / a) has the density exp(-a (e**y - 1 - y)) up to a
factor; for a beta variable, Y = log(X / (1 - X)) - log(a / b) has exp(-(a + b) psi(y)) with
psi(y) = log(1 + m (e**y - 1)) - m y, m = a / (a + b). Both are 0 at their maximum, y = 0, near
which they are summed as series: a shape of 1e6 costs no digits (Loader, "Fast and accurate
computation of binomial probabilities", 2000, for the same reason).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from montezarr.random.distributions._table import Array, Table, build, end_of
from montezarr.random.draws import reference as ref
from montezarr.random.draws.reference import _neg_log64, _polynomial

MIN_SHAPE, MAX_SHAPE = 1e-3, 1e9
"""Shapes for which the relative error of quantiles is below 1e-12."""

LOWEST = -746.0
"""Logarithm below which a number is 0 in float64."""

HIGHEST_ODDS = 40.0
"""Logarithm of x / (1 - x) above which x is 1 in float64."""

SERIES_BELOW = 0.5
_TERMS = 14


def _log(x: float) -> float:
    return -float(_neg_log64(np.array([x], np.float64))[0])


def _exp_excess(y: Array) -> Array:
    """Return e**y - 1 - y; its series in Horner's form near 0."""
    near = np.where(np.abs(y) < SERIES_BELOW, y, 0.0)
    series = np.ones_like(y)
    for k in range(_TERMS + 2, 2, -1):
        series = 1.0 + near / k * series
    far = (ref.exp(y) - 1.0) - y
    return np.where(np.abs(y) < SERIES_BELOW, 0.5 * y * y * series, far)


def _log_deficit(w: Array) -> Array:
    """Return w - log(1 + w) for w in [-0.29, 0.41], as in fdlibm's e_log.c."""
    s = w / (2.0 + w)
    z = s * s
    half = 0.5 * w * w
    rest = z * _polynomial(z, ref.LOG64)
    out: Array = half - s * (half + rest)
    return out


def _log1p(w: Array) -> Array:
    """Return log(1 + w), corrected for the rounding of 1 + w."""
    u = 1.0 + w
    out: Array = (w - (u - 1.0)) / u - _neg_log64(u)
    return out


def _log_odds_excess(y: Array, m: float) -> Array:
    """Return psi(y) for m in (0, 1/2]."""
    is_near = np.abs(y) < SERIES_BELOW
    near = np.where(is_near, y, 0.0)
    excess = _exp_excess(near)
    series = m * excess - _log_deficit(m * (near + excess))
    limit = 700.0  # beyond it the 1 in log(1 + m (e**y - 1)) is nothing beside m e**y
    far = _log1p(m * (ref.exp(np.minimum(y, limit)) - 1.0)) + np.maximum(y - limit, 0.0)
    return np.where(is_near, series, far - m * y)


@lru_cache(maxsize=64)
def gamma_table(shape: float) -> Table:
    """Return the inverse of Y = log(X / shape) for a gamma variable X of scale 1."""

    def log_density(y: Array) -> Array:
        return -shape * _exp_excess(y)

    width = min(1.0, 1.0 / math.sqrt(shape))
    low = max(end_of(log_density, width, -1.0), LOWEST - _log(shape))
    high = end_of(log_density, width, 1.0)
    return build(log_density, low, high, (shape, math.inf))


@lru_cache(maxsize=64)
def beta_table(a: float, b: float) -> Table:
    """Return the inverse of Y = log(X / (1 - X)) for a beta variable X."""
    total, is_flipped = a + b, a > b
    share = min(a, b) / total
    centre = _log(a) - _log(b)

    def log_density(v: Array) -> Array:
        return -total * _log_odds_excess(-v if is_flipped else v, share)

    width = min(1.0, math.sqrt(total / a / b))
    low = max(end_of(log_density, width, -1.0), LOWEST - centre)
    high = min(end_of(log_density, width, 1.0), HIGHEST_ODDS - centre)
    table = build(log_density, low, high, (a, b))
    return table.shifted(centre)
