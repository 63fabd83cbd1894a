"""Confidence sequences of probabilities, valid at every number of trials and for few hits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ALPHA = 0.05
"""The confidence sequence misses the true value, at any time at all, with this probability."""

TIGHTEST = 2**17
"""Number of paths at which a confidence sequence is narrowest, relatively."""

_LOG = -2 * math.log(ALPHA)

MIXTURE_WIDTH = (_LOG + math.log(_LOG) + 1) / TIGHTEST
r"""The parameter :math:`\rho^2` of the normal mixture that is narrowest there."""

LEAST_HITS = 0.05
"""Hits below which the low end is 0; of whole numbers no hit is."""

ASYMPTOTIC_VALUES = 100
"""Values from which on the asymptotic sequence of a mean of a few of all values is believed."""

HALVINGS = 44
"""Halvings of the range in which an end lies: relative to it, to 1e-12."""


def binomial_sequence(hits: Any, n: Any) -> tuple[Array, Array]:
    r"""Return the ends of the 95 % confidence sequence of a probability; NaN where `n` is 0.

    It contains the true value at all numbers of trials at once with a probability of at least
    95 %, exactly, however rare the hits are: without hits it is [0, high] with high > 0. An end is
    where

    .. math::
        M(p) = \tfrac12 \frac{B(\tfrac12 + k, \tfrac12 + n - k)}{B(\tfrac12, \tfrac12)\, p^k
        (1-p)^{n-k}} + \tfrac12 \frac{B(r p + k, r (1-p) + n - k)}{B(r p, r (1-p))\, p^k
        (1-p)^{n-k}}

    reaches 20. Under p both terms are nonnegative martingales that start at 1, which ever reach
    20 with a probability of 1/20 at most (Ville). The first term, by Robbins, suits rare hits; the
    second one is the two-sided beta-binomial mixture of Howard, Ramdas, McAuliffe and
    Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of Statistics
    49 (2021), doi:10.1214/20-AOS1991, with r such that it is narrowest at 2**17 trials. Both
    are log-convex in p, and at most 1 at k/n, so what lies between the ends is one interval.

    Parameters
    ----------
    hits, n : array
        Numbers k of hits, 0 ... n, and of trials; they broadcast. NaN gives NaN. The hits may be
        a sum of numbers in [0, 1] with the mean p: then the terms are supermartingales, since
        :math:`E\, e^{\lambda X} \le 1 - p + p e^{\lambda}` (Hoeffding), and the sequence is valid.
    """
    k, total = np.broadcast_arrays(np.asarray(hits, float), np.asarray(n, float))
    is_known = (total > 0) & (k >= 0)
    low, high = np.full(k.shape, np.nan), np.full(k.shape, np.nan)
    # Many cells are equal: those of a common start, and of times before the first hit.
    pairs, place = np.unique(np.stack([k[is_known], total[is_known]]), axis=1, return_inverse=True)
    k, total = pairs
    # Both ends at once: for a few cells, calls cost more than arithmetic.
    ends = _low(np.concatenate([k, total - k]), np.concatenate([total, total]))
    low[is_known] = ends[: k.size][place.reshape(-1)]
    high[is_known] = 1.0 - ends[k.size :][place.reshape(-1)]
    return low, high


def _low(k: Array, n: Array) -> Array:
    """Return the low ends, by bisection of log(p) below k/n."""
    some = k >= LEAST_HITS
    out = np.zeros_like(k)
    k, n = k[some], n[some]
    log_best = np.log(k / n)
    robbins, whole = _log_robbins(k, n), _log_whole(n)
    near = np.zeros_like(k)
    # Start where the first term alone exceeds 20: n D(k/n, p) >= k (log(k/n) - log(p) - 1).
    far = 1.0 + (math.log(2 / ALPHA) + 0.5 * np.log(n) + 2.0) / k
    for _ in range(HALVINGS):
        middle = (near + far) / 2
        p = np.exp(log_best - middle)
        inside = _log_mixture(robbins, whole, p, k, n) < -math.log(ALPHA)
        near, far = np.where(inside, middle, near), np.where(inside, far, middle)
    out[some] = np.exp(log_best - far)
    return out


def ranks_always(n: Any, levels: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    r"""Return the ranks between whose order statistics quantiles lie at all times.

    The number of values up to the q-quantile, of n values of a continuous law, is binomial; while
    the martingale M of `binomial_sequence` is below 20 at p = q, it is one of k, ..., m. So the
    quantile lies in :math:`[x_{(k)}, x_{(m+1)}]`, at all n at once with a probability of at least
    95 %, and no less for other laws, with ties and atoms: Howard and Ramdas,
    "Sequential estimation of quantiles with applications to A/B testing and best-arm
    identification", Bernoulli 28 (2022), doi:10.3150/21-BEJ1388. M is log-convex in the
    number of hits, and at most 1 at nq.

    Parameters
    ----------
    n : array (cells,)
        Numbers of values.
    levels : array (levels,)
        Levels q in [0, 1].

    Returns
    -------
    first, last : array (cells, levels)
        The ranks; 0 if no value bounds the quantile below, n + 1 if none does above.
    """
    counts, place = np.unique(np.asarray(n, np.int64), return_inverse=True)
    q = np.asarray(levels, np.float64)
    total, p = np.broadcast_arrays(counts[:, None].astype(np.float64), q)
    first = _fewest(total, p)
    # By symmetry: the sequence of 1 - q is the mirrored one of q.
    last = total + 1 - _fewest(total, 1 - p)
    middle = np.clip(np.ceil(total * p), np.minimum(total, 1), total)
    first, last = np.minimum(first, middle), np.maximum(last, middle)
    at = place.reshape(-1)
    return first.astype(np.int64)[at], last.astype(np.int64)[at]


def _fewest(n: Array, p: Array) -> Array:
    """Return the fewest hits at which the martingale of p is below 20; n for p = 1."""
    low, high = np.full(n.shape, -1.0), np.ceil(n * p)  # the first k inside is above `low`
    whole = _log_whole(n)
    inner = np.clip(p, np.finfo(np.float64).tiny, 1 - 2.0**-53)
    for _ in range(64):
        middle = np.ceil((low + high) / 2)
        if (middle == high).all():
            break
        k = np.clip(middle, 0, n)
        inside = _log_mixture(_log_robbins(k, n), whole, inner, k, n) < -math.log(ALPHA)
        low, high = np.where(inside, low, middle), np.where(inside, middle, high)
    return np.where(p >= 1, n, np.where(p <= 0, 0.0, high))


def _log_mixture(robbins: Array, whole: Array, p: Array, k: Array, n: Array) -> Array:
    """Return the log of the martingale of `binomial_sequence`.

    `robbins` is the log of its first term, `whole` that of the second term's factor without p.
    """
    around = np.logaddexp(robbins, _log_around(whole, p, k, n)) - math.log(2)
    return np.asarray(around - k * np.log(p) - (n - k) * np.log1p(-p))


def _log_robbins(k: Array, n: Array) -> Array:
    return np.asarray(_log_beta(k + 0.5, n - k + 0.5) - math.log(math.pi))


def _log_whole(n: Array) -> Array:
    # The beta functions of the second term share gamma(r) and gamma(r + n) up to rounding.
    r = 1.0 / MIXTURE_WIDTH
    return np.asarray(_log_gamma(r + n) - _log_gamma(np.asarray(r)))


def _log_around(whole: Array, p: Array, k: Array, n: Array) -> Array:
    """Return the log of the second term's beta functions, a mixture concentrated around p."""
    r, q = 1.0 / MIXTURE_WIDTH, 1.0 - p
    # All four at once: for a few cells, calls cost more than arithmetic.
    with_hits, hits, with_misses, misses = _log_gamma(
        np.stack(np.broadcast_arrays(r * p + k, r * p, r * q + (n - k), r * q))
    )
    return np.asarray(with_hits - hits + with_misses - misses - whole)


def _log_beta(a: Array, b: Array) -> Array:
    return np.asarray(_log_gamma(a) + _log_gamma(b) - _log_gamma(a + b))


def _log_gamma(x: Array) -> Array:
    """Return the logarithm of the gamma function of positive numbers, by Stirling's series."""
    is_small = x < 8.0  # the series needs large numbers: shift by the recurrence
    y = np.where(is_small, x + 8.0, x)
    s = 1.0 / (y * y)
    series = 1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s * (1 / 1188))))
    out = (y - 0.5) * np.log(y) - y + 0.5 * math.log(2 * math.pi) + series / y
    if is_small.any():
        small = x[is_small]
        out[is_small] -= np.log(np.prod([small + i for i in range(8)], axis=0))
    return np.asarray(out)
