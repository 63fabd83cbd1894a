"""How heavy the tails of values are: whether a few of them carry a mean, or a mean of powers."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from montezarr.random.seeding import BLOCK
from montezarr.statistics._base import Sample
from montezarr.statistics._moments import MEAN_ROUNDING
from montezarr.statistics._sums import compiled

Array = NDArray[np.float64]

KEPT = 64
"""Smallest values that are kept, and as many of the largest."""

BLOCK_VALUES_MAX = 32
"""Values that are taken of one block at most: finding more would take too long."""

FIRST_BLOCKS = 4
"""First blocks of a run; each of them is searched for extreme values."""

BLOCK_STRIDE = 256
"""Of the later blocks, one in this many is searched."""

MOST_ROWS = 2**13
"""Cells whose tails are kept; tails of more cells would take more memory than all else."""

TAIL_VALUES_MIN = 256
"""Values below which no statement is made about a tail."""

INDEX_VALUES_MIN = 25
"""Values beyond a threshold from which the index of a tail is estimated."""


class Tails(NamedTuple):
    """The smallest and the largest values of a subset of the blocks; a function of these only.

    Attributes
    ----------
    n : array (rows,)
        Number of inspected values.
    low, high : array (rows, kept)
        The smallest and the largest of them, in increasing order: KEPT, padded with inf and -inf;
        none before the first inspected block.
    blocks : array (orders, rows)
        The largest sum, over all blocks, of the powers 2, 4, ... of the values less their mean.
    """

    n: NDArray[np.int64]
    low: Array
    high: Array
    blocks: Array


def rows_of(sample: Sample) -> int:
    """Return the number of cells of a sample, times the length of its axis if it has one."""
    return math.prod(sample.shape[:-2])


def tail_bytes(rows: int) -> int:
    """Return the bytes of the tails of a number of cells."""
    return 0 if rows > MOST_ROWS else 2 * 8 * KEPT * rows


def tails_of(sample: Sample, known: Tails | None = None) -> Tails:
    """Return the tails of a sample, merged with known ones, which stay unchanged."""
    blocks, paths = sample.shape[-2:]
    rows = rows_of(sample)
    if known is None:
        orders = sample.order // 2 if len(sample.shape) == 3 else 0
        none = np.empty((rows, 0))
        known = Tails(np.zeros(rows, np.int64), none, none, np.zeros((orders, rows)))
    n, low, high, largest = known
    seen = _looked_at(sample.start // BLOCK, blocks)
    if seen:
        counts = sample.central(2).n if len(sample.shape) == 3 else sample.count
        n = n + counts.reshape(rows, blocks)[:, seen].sum(axis=-1)
        low, high = _filled(-low[:, ::-1]), _filled(high)
        _add_extremes(sample.values.reshape(rows, blocks, paths), seen, low, high)
        low = -low[:, ::-1]
    if len(largest):
        largest = _add_largest(sample.central(2 * len(largest)).sums, largest)
    return Tails(n, low, high, largest)


def merge_tails(a: Tails, b: Tails) -> Tails:
    """Return the tails of both."""
    low, high = (a.low, a.high) if a.low.shape[1] else (b.low, b.high)
    if a.low.shape[1] and b.low.shape[1]:
        low = -_joined(_filled(-low[:, ::-1]), -b.low[:, ::-1])[:, ::-1]
        high = _joined(_filled(high), b.high)
    return Tails(a.n + b.n, low, high, np.fmax(a.blocks, b.blocks))


def _looked_at(first: int, blocks: int) -> list[int]:
    """Return the positions of the inspected blocks among `blocks` blocks from `first` on."""
    last = first + blocks
    early = list(range(first, min(FIRST_BLOCKS, last)))
    start = max(first, FIRST_BLOCKS)
    return [
        block - first
        for block in (*early, *range(start + -start % BLOCK_STRIDE, last, BLOCK_STRIDE))
    ]


def _filled(largest: Array) -> Array:
    """Return a copy of sorted values padded to the kept size."""
    out = np.full((len(largest), KEPT), -np.inf)
    out[:, KEPT - largest.shape[1] :] = largest
    return out


def _add_extremes(values: Array, seen: list[int], low: Array, high: Array) -> None:
    """Merge extremes of some blocks of (rows, blocks, paths) into sorted ones (rows, KEPT).

    This is in place; those in `low` have their sign changed.
    """
    kernel = compiled()
    if kernel is not None and values.flags.c_contiguous and values.shape[-1] <= BLOCK:
        kernel.add_extremes(values, np.array(seen), low, high)
        return
    for block in seen:
        for kept, x in ((low, -values[:, block]), (high, values[:, block])):
            largest = np.sort(np.where(x == x, x, -np.inf), axis=-1)
            kept[:] = _joined(kept, largest[:, -BLOCK_VALUES_MAX:])


def _joined(kept: Array, largest: Array) -> Array:
    """Return the largest of two sorted arrays, (rows, KEPT) and a smaller one; may reuse `kept`."""
    kernel = compiled()
    if kernel is None:
        return np.sort(np.concatenate([kept, largest], axis=-1), axis=-1)[:, -KEPT:]
    kernel.join_largest(kept, largest)
    return kept


def _add_largest(sums: Array, largest: Array) -> Array:
    """Return the largest sums of even powers, over the blocks and the largest ones so far."""
    kernel = compiled()
    if kernel is None:
        return np.fmax(largest, np.fmax.reduce(sums[::2], axis=-1, initial=0.0))
    largest = largest.copy()
    kernel.add_largest(sums, largest)
    return largest


# --- what is made of them -------------------------------------------------------------------------

INDEX = {1: (0.6, 0.3), 2: (0.28, 0.2), 3: (0.27, 0.2), 4: (0.26, 0.2)}
"""By q, indices (Hill, Pareto) from which a mean of |x|**q is not trusted; its error needs 1/2q."""

SHARE = {1: (0.48, 0.0, 0.48), 2: (26.0, 0.4, 0.8), 3: (34.0, 0.35, 0.97), 4: (50.0, 0.35, 0.98)}
"""By q, factor and power of 1/n, and the most, of a share of the largest term that is trusted."""

LEAST_SHARE = {1: 0.0, 2: 0.15, 3: 0.4, 4: 0.6}
"""The share that is always trusted: of a term in the sum of |x - mean|**2q."""

SMALL_SHARE = 0.1
"""A share of the largest term in the sum of squares that is no sign of a heavy tail by itself."""

FINITE = 0.5
"""Index of a tail below which a variance is finite, all that the error of a mean needs."""

BY_CHANCE = 0.002
"""Share of the cells of a result that may seem to have heavy tails, and have not."""

LIGHT = 1.45
"""A Hill index of less than so many times that of exponential values is one of light tails."""


class Verdict(NamedTuple):
    """The finding for each cell: whether its mean can be trusted, and the evidence.

    Attributes
    ----------
    is_heavy : array of bool (rows,)
        Whether a mean of the power cannot be trusted.
    share : array (rows,)
        Share of the largest term in the sum of the squares of the averaged numbers.
    pareto : array (rows,)
        Pareto index k-hat of the averaged numbers; NaN if too few are beyond a threshold.
    """

    is_heavy: NDArray[np.bool_]
    share: Array
    pareto: Array


def judge(tails: Tails, q: int, n: Any, mean: Array, total: Any) -> Verdict:
    r"""Judge by the tails whether a mean of |x - mean|**q can be trusted.

    Its standard error comes from the sum of |x - mean|**2q. If one term makes up much of it, or if
    it has no finite expectation, neither estimate nor error can be trusted. With the index
    :math:`\xi` of the tail of |x - mean|, it is finite for :math:`2 q \xi < 1`. Two estimates have
    to agree: that of Hill, "A simple general approach to inference about the tail of a
    distribution", Annals of Statistics 3 (1975), doi:10.1214/aos/1176343247, and that of Zhang and
    Stephens, "A new and efficient estimation method for the generalized Pareto distribution",
    Technometrics 51 (2009), doi:10.1198/tech.2009.08017, which is the k-hat of Vehtari, Simpson,
    Gelman, Yao and Gabry, "Pareto smoothed importance sampling", Journal of Machine Learning
    Research 25 (2024), arXiv:1507.02646.

    Parameters
    ----------
    q : int
        1 for a mean, 2 for a variance, 3 for a skewness, 4 for a kurtosis.
    n, mean, total : array (rows,)
        Number of values, mean, and the sum of the powers 2q, NaN if unknown.
    """
    index, share = np.full(len(mean), np.nan), largest_share(tails, q, n, mean, total)
    factor, power, most = SHARE[q]
    with np.errstate(all="ignore"):
        limit = np.clip(factor * np.maximum(n, 1.0) ** -power, LEAST_SHARE[q], most)
        is_heavy = (n >= TAIL_VALUES_MIN) & (share > limit) & np.isfinite(share)
    if not tails.high.shape[1]:
        return Verdict(is_heavy, share, index)
    # If the sum is unknown, values may have no tails at all.
    is_looked_at = (tails.n >= TAIL_VALUES_MIN) & np.isfinite(share)
    for row in np.flatnonzero(is_looked_at & (is_heavy | (_rough(tails, mean) > INDEX[q][0]))):
        beyond = _beyond(tails, int(row), float(mean[row]))
        if beyond is None:
            continue
        threshold, excess = beyond
        hill = float(np.log1p(excess / threshold).mean())
        least, least_pareto = INDEX[q]
        limit_of_hill = max(least, LIGHT * _of_exponential(int(tails.n[row]), len(excess)))
        if hill <= limit_of_hill and not is_heavy[row]:
            continue
        pareto = _pareto(excess)
        index[row] = q * pareto
        # The clearer one index is, the less is required of the other.
        if q > 1:
            least_pareto *= max(0.0, 2.0 - hill / limit_of_hill)
        elif share[row] < SMALL_SHARE:
            least_pareto = FINITE
        is_heavy[row] |= hill > limit_of_hill and pareto > least_pareto
    return Verdict(is_heavy, share, index)


def judge_exceedances(largest: Array, n: Any, threshold: Array, total: Any) -> Verdict:
    """Judge the mean of exceedances by the largest ones; see `Statistic.exceedances`."""
    none = np.full(largest.shape, np.inf)
    blocks = np.zeros((0, len(largest)))
    return judge(Tails(n, none, largest, blocks), 1, n, threshold, total)


def largest_share(tails: Tails, q: int, n: Any, mean: Array, total: Any) -> Array:
    """Return the share of the largest term in the sum of |x - mean|**2q; see `judge`."""
    with np.errstate(all="ignore"):
        far = np.zeros(len(mean))
        if tails.high.shape[1]:
            far = np.fmax(tails.high[:, -1] - mean, mean - tails.low[:, 0])
        share = far ** (2 * q) / total
        if q <= len(tails.blocks):
            # The share of one block, less that of a block with light tails.
            share = np.fmax(share, tails.blocks[q - 1] / total - BLOCK / np.maximum(n, 1))
        # For a constant, the mean and the deviations from it are rounding errors.
        varies = np.asarray(total) > n * (MEAN_ROUNDING * np.abs(mean)) ** (2 * q)
        return np.where(varies, np.minimum(share, 1.0), np.nan)


def _distances(tails: Tails, mean: Array) -> Array:
    """Return the largest distances from the mean, (rows, kept), decreasing, then -inf.

    If not all values of a side are kept, those nearer to the mean than the last one are missing:
    distances below its distance are dropped on both sides.
    """
    whole = BLOCK_VALUES_MAX if int(tails.n.max(initial=0)) <= 2 * BLOCK else KEPT
    parts, least = [], np.zeros(len(mean))
    for distance in (mean[:, None] - tails.low[:, :whole], (tails.high - mean[:, None])[:, ::-1]):
        side = np.where(np.isfinite(distance[:, :whole]), distance[:, :whole], -np.inf)
        is_cut = (tails.n > whole) & np.isfinite(side[:, -1])
        least = np.where(is_cut, np.maximum(least, side[:, -1]), least)
        parts.append(side)
    both = np.concatenate(parts, axis=-1)
    return np.sort(np.where(both >= least[:, None], both, -np.inf), axis=-1)[:, ::-1]


def _rough(tails: Tails, mean: Array) -> Array:
    """Return an upper bound of Hill's index of each row, over all numbers of kept values."""
    distance = _distances(tails, mean)[:, : KEPT + 1]
    with np.errstate(all="ignore"):
        log = np.log(np.maximum(distance, 1e-300))
        count = np.arange(1, log.shape[1])
        hill = np.cumsum(log[:, :-1], axis=-1) / count - log[:, 1:]
    hill = np.where(np.isfinite(distance[:, 1:]), hill, 0.0)
    return np.asarray(hill[:, INDEX_VALUES_MIN - 1 :].max(axis=-1, initial=0.0))


def _beyond(tails: Tails, row: int, mean: float) -> tuple[float, Array] | None:
    """Return a threshold of distances from the mean, and the largest excesses over it."""
    n = int(tails.n[row])
    mine = slice(row, row + 1)
    alone = Tails(tails.n[mine], tails.low[mine], tails.high[mine], tails.blocks)
    kept = _distances(alone, np.array([mean]))[0]
    kept = kept[np.isfinite(kept)]
    kept = kept[: min(KEPT, 1 + int(3 * math.sqrt(n)), 1 + n // 5)]
    # Ties at the threshold, as for a payoff that is mostly 0, are not beyond it.
    if len(kept) > 1 and kept[-2] == kept[-1]:
        kept = kept[kept > kept[-1]]
    if len(kept) <= INDEX_VALUES_MIN or kept[-1] <= 0:
        return None
    excess = np.sort(kept[kept > kept[-1]] - kept[-1])
    is_enough = len(excess) >= INDEX_VALUES_MIN and len(np.unique(excess)) >= INDEX_VALUES_MIN
    return (float(kept[-1]), excess) if is_enough else None


def _of_exponential(n: int, k: int) -> float:
    """Return Hill's index for the k largest distances from the mean of n exponential values."""
    level = max(math.log(n / k) - 1.0, 0.3)
    # E log(1 + e / level) for an exponential e, by the mean over its quantiles.
    p = (np.arange(64) + 0.5) / 64
    return float(np.log1p(-np.log1p(-p) / level).mean())


def _pareto(x: Array) -> float:
    """Return the index of the generalized Pareto law of sorted excesses, by Zhang-Stephens."""
    n = len(x)
    count = 30 + int(math.sqrt(n))
    b = 1.0 - np.sqrt(count / (np.arange(1, count + 1) - 0.5))
    b = b / (3.0 * x[int(n / 4 + 0.5) - 1]) + 1.0 / x[-1]
    with np.errstate(all="ignore"):
        k = np.log1p(-b[:, None] * x).mean(axis=1)
        likelihood = n * (np.log(-b / k) - k - 1.0)
        weight = 1.0 / np.exp(likelihood - likelihood[:, None]).sum(axis=1)
        b_hat = float((b * weight).sum() / weight.sum())
        return float(np.log1p(-b_hat * x).mean())
