"""Counts, means and centred sums of powers, and how they merge."""

from __future__ import annotations

from math import comb
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from montezarr.statistics._sums import compiled

Array = NDArray[np.float64]

SAME = 1e-9
"""Relative difference up to which two sums of the same values are equal, but for rounding."""

MEAN_ROUNDING = 32 * float(np.finfo(np.float64).eps)
"""Relative distance from their mean that the rounding of a mean gives to equal values."""


class CentralSums(NamedTuple):
    """The state of moments.

    Attributes
    ----------
    n : array (..., blocks)
        Number of values.
    mean : array (..., blocks)
        Their mean, 0 without values.
    sums : array (order - 1, ..., blocks)
        Sums of the powers 2 ... order of the centred values.
    """

    n: NDArray[np.int64]
    mean: Array
    sums: Array


def merge_sums(a: CentralSums, b: CentralSums) -> CentralSums:
    r"""Return the sums of both.

    About the common mean, :math:`\sum (u + s)^p = \sum_j \binom{p}{j} s^j \sum u^{p-j}` for each
    side, with its shift s (Pébay, SAND2008-6212, 2008, doi:10.2172/1028931; for p = 2 it is
    Chan, Golub and LeVeque 1983, doi:10.1080/00031305.1983.10483115).
    """
    if (merged := _merged_at_once(a, b)) is not None:
        return merged
    n = a.n + b.n
    with np.errstate(over="ignore", invalid="ignore"):
        delta = b.mean - a.mean
        share = b.n / np.maximum(n, 1)
        mean = a.mean + delta * share
        if a.n.all() and b.n.all():  # the usual case, in a third of the time
            left, right = -delta * share, delta * (a.n / n)
            return CentralSums(n, mean, _shifted(a, left) + _shifted(b, right))
        # An empty side has no values to shift; its mean of 0 could overflow a power.
        left = np.where(a.n > 0, -delta * share, 0.0)
        right = np.where(b.n > 0, delta * (a.n / np.maximum(n, 1)), 0.0)
        sums = _shifted(a, left) + _shifted(b, right)
    # Rounding, or a mean out of range, must not change the only side with values.
    mean = np.where(a.n == 0, b.mean, np.where(b.n == 0, a.mean, mean))
    sums = np.where(a.n == 0, b.sums, np.where(b.n == 0, a.sums, sums))
    return CentralSums(n, mean, sums)


def _merged_at_once(a: CentralSums, b: CentralSums) -> CentralSums | None:
    """Return `merge_sums` of squares by one compiled loop; None if they need the general way."""
    kernel, shape = compiled(), np.shape(a.n)
    if kernel is None or not shape or len(a.sums) != 1 or len(b.sums) != 1:
        return None
    if not np.shape(a.mean) == np.shape(b.n) == np.shape(b.mean) == shape:
        return None
    if not (a.n.all() and b.n.all()):
        return None
    out = CentralSums(np.empty(shape, np.int64), np.empty(shape), np.empty((1, *shape)))
    kernel.merge_squares(*(x.ravel() for state in (a, b, out) for x in state))
    return out


def _shifted(state: CentralSums, shift: Array) -> Array:
    """Return the sums of the powers about a point `shift` below the mean."""
    out = np.empty_like(state.sums)
    powers = [shift, shift]  # of the powers 1 on
    for _ in range(len(out)):
        powers.append(powers[-1] * shift)
    for i in range(len(out)):
        p = i + 2
        total = state.sums[i] + state.n * powers[p]
        for j in range(1, p - 1):
            total = total + comb(p, j) * powers[j] * state.sums[i - j]
        out[i] = total
    return out


def variance_of(state: CentralSums) -> Array:
    """Return the unbiased variance; 0 for equal values, NaN for fewer than two."""
    sums = without_rounding(state).sums
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(state.n > 1, sums[0] / (state.n - 1.0), np.nan)


def without_rounding(state: CentralSums) -> CentralSums:
    """Set the sums to 0 if all values are equal: the rounding of their mean makes them nonzero."""
    with np.errstate(all="ignore"):
        is_constant = state.sums[0] <= state.n * (MEAN_ROUNDING * np.abs(state.mean)) ** 2
    return state._replace(sums=np.where(is_constant, 0.0, state.sums))


def mean_of(state: CentralSums) -> Array:
    """Return the mean; NaN without values."""
    return np.where(state.n > 0, state.mean, np.nan)


def standard_error_of(state: CentralSums) -> Array:
    r"""Return the standard error of the mean, :math:`s/\sqrt n`; NaN for fewer than two values."""
    return np.sqrt(variance_of(state) / np.maximum(state.n, 1))


def ones_of(state: CentralSums, is_boolean: bool) -> Array:
    r"""Return the number of ones if all values of a variable are 0 or 1; else NaN.

    For booleans the type shows it. For other numbers, :math:`\sum x^2 = \sum x` does, which is
    :math:`\sum (x - \bar x)^2 = k (1 - k/n)` for k ones; it must hold in all cells, and both values
    must occur. Values that are all 0 prove nothing: a payoff may still be to come.
    """
    n, mean = state.n, np.clip(state.mean, 0.0, 1.0)
    ones = np.rint(n * mean)
    if not is_boolean:
        square = ones * (1.0 - ones / np.maximum(n, 1))
        is_share = (mean == state.mean) & (np.abs(n * mean - ones) <= SAME * n)
        is_share &= np.abs(state.sums[0] - square) <= SAME * square
        if not (is_share.all() and (square > 0).any()):
            return np.full(ones.shape, np.nan)
    return np.where(n > 0, ones, np.nan)


def powers_of(state: CentralSums, q: int, is_boolean: bool) -> tuple[int, Any, Array, Array]:
    """Return the entry of `Statistic.powers`; NaN sums for zeros and ones, which have no tails."""
    is_share = np.isfinite(ones_of(state, is_boolean))
    return q, state.n, state.mean, np.where(is_share, np.nan, state.sums[2 * q - 2])
