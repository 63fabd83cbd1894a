"""Ranks of the order statistics that enclose a quantile: exact if few values are on a side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from montezarr.statistics._base import INTERVAL

OUTSIDE_INTERVAL = 0.025
"""Probability on either side of a 95 % interval."""

SUMMED_BINOMIAL_MAX = 1000
"""Expected values on a side up to which binomial probabilities are added up one by one."""

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


class Ranks(NamedTuple):
    """Ranks (cells, levels) from 1 to n of each cell; all are 1 for a cell without values.

    Attributes
    ----------
    middle : array
        Rank of the quantile, the smallest one that is at least nq.
    low, high : array
        Ranks of the ends of the interval, or of the extreme values if it has none.
    has_low, has_high : array of bool
        Whether a value is the end of the interval on this side.
    scale : array
        The width of the interval in ranks over that between `low` and `high`; NaN without.
    has_interval : array of bool
        Whether there is an interval: for more than two values, and a level within (0, 1).
    """

    middle: Integers
    low: Integers
    high: Integers
    has_low: NDArray[np.bool_]
    has_high: NDArray[np.bool_]
    scale: Array
    has_interval: NDArray[np.bool_]


def ranks_of(n: Integers, levels: Array) -> Ranks:
    r"""Return the ranks of quantiles of n values (cells,) at some levels.

    The number of values at most as large as the q-quantile of a continuous law is binomial, so it
    lies between the order statistics of ranks l and u with probability
    :math:`P(l \\le B \\le u - 1)`: l is the 0.025-quantile of that law, u one above its
    0.975-quantile (David and Nagaraja, Order Statistics, 2003, section 7.1,
    doi:10.1002/0471722162). For other laws the probability is no less.
    """
    shape = n.size, levels.size
    low, high = np.empty(shape, np.int64), np.empty(shape, np.int64)
    for count in np.unique(n).tolist():
        for i, q in enumerate(levels.tolist()):
            below = _binomial_quantile(count, q, OUTSIDE_INTERVAL)
            # By symmetry: the interval of 1 - q is the mirrored one of q.
            above = count + 1 - _binomial_quantile(count, 1 - q, OUTSIDE_INTERVAL)
            low[n == count, i], high[n == count, i] = below, above
    total = n[:, None]
    last = np.maximum(total, 1)
    middle = np.clip(np.ceil(total * levels), 1, last).astype(np.int64)
    low, high = np.minimum(low, middle), np.maximum(high, middle)
    inside = (levels > 0) & (levels < 1) & (total > 0)
    first, stop = np.clip(low, 1, last), np.clip(high, 1, last)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = (high - low) / (stop - first)
    scale = np.where(inside & (stop > first), scale, np.nan)
    has_interval = inside & (total > 2)
    has_low, has_high = has_interval & (low >= 1), has_interval & (high <= total)
    return Ranks(middle, first, stop, has_low, has_high, scale, has_interval)


def interval_of(ranks: Ranks, low: Array, high: Array) -> tuple[Array, Array, Array]:
    """Return the standard error and the ends of the interval, NaN if there is none.

    `low` and `high` are bounds of the values at these ranks, from below and above. The standard
    error is the width of the interval over twice 1.96: that of a normal law with this interval. If
    no value is an end on one side, the interval reaches to -inf or inf, and the standard error is
    scaled from the rest in proportion to the ranks.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        error = (high - low) * ranks.scale / (2 * INTERVAL)
    no_low, no_high = (np.where(ranks.has_interval, end, np.nan) for end in (-np.inf, np.inf))
    return error, np.where(ranks.has_low, low, no_low), np.where(ranks.has_high, high, no_high)


def _binomial_quantile(n: int, q: float, p: float) -> int:
    """Return the smallest k with P(B <= k) >= p for a binomial B of n trials."""
    if n == 0 or q <= 0.0:
        return 0
    if q >= 1.0:
        return n
    if n * (1 - q) <= SUMMED_BINOMIAL_MAX and n * (1 - q) < n * q:
        # P(B <= k) >= p is P(n - B >= n - k) >= p: n - k is the largest m with P(B' < m) <= 1 - p.
        return n - _first_above(n, 1 - q, 1 - p, is_strict=True)
    if n * q <= SUMMED_BINOMIAL_MAX:
        return _first_above(n, q, p, is_strict=False)
    # Cornish and Fisher's expansion; a half, since the law is on the integers.
    z, deviation = _normal(p), np.sqrt(n * q * (1 - q))
    return int(np.clip(np.ceil(n * q + z * deviation + (1 - 2 * q) * (z * z - 1) / 6 - 0.5), 0, n))


def _first_above(n: int, q: float, p: float, *, is_strict: bool) -> int:
    """Return the smallest k with P(B <= k) >= p, or > p, adding up probabilities from 0."""
    most = min(n, int(n * q + 10 * np.sqrt(n * q + 1) + 20))
    k = np.arange(most)
    steps = np.log((n - k) / (k + 1)) + np.log(q) - np.log1p(-q)
    logs = np.concatenate([[n * np.log1p(-q)], n * np.log1p(-q) + np.cumsum(steps)])
    running = np.cumsum(np.exp(logs))
    return int(np.searchsorted(running, p, side="right" if is_strict else "left"))


def _normal(p: float) -> float:
    return -INTERVAL if p < 0.5 else INTERVAL
