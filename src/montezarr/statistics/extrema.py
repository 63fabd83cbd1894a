"""The extreme values, and the paths that they belong to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_int
from montezarr.core.value import checked
from montezarr.statistics._base import Estimate, Sample, Source, Statistic

Array = NDArray[np.float64]
PathNumbers = NDArray[np.int64]

SEARCHED_RANKS_MAX = 32
"""Ranks up to which one search for the minimum each is faster than a partition."""


class ExtremaState(NamedTuple):
    """The state of `Extrema`.

    Attributes
    ----------
    low, high : array (cells, k)
        The smallest values, increasing, and the largest, decreasing; infinite if there are fewer.
    low_path, high_path : array (cells, k)
        Indices of their paths, increasing among equal values; -1 if there are fewer.
    """

    low: Array
    low_path: PathNumbers
    high: Array
    high_path: PathNumbers


@final
@dataclass(frozen=True, slots=True)
class Extrema(Statistic):
    """The smallest and largest values over paths, and the paths that they belong to.

    Results without `k`: ``<variable>_min``, ``_max`` in the units of the variable, and
    ``_min_path``, ``_max_path``, the indices of the paths. With `k`, along a dimension ``rank``
    from 1 to k: ``_smallest`` (increasing), ``_largest`` (decreasing), ``_smallest_path`` and
    ``_largest_path``. Among equal values the lowest path comes first. If there are fewer values:
    NaN, and -1 for the path.

    Results of `montezarr.reduce` and other reductions have the index of a path in its run, which
    `replay` takes, also for a store of some paths and a selection, ``ds.isel(path=...)``: lazy
    paths are identified by their graph, others by a coordinate ``path`` of integers, or by drawing
    some of them again from the recipe of a Dataset. If the paths differ, or are not known, the
    index is -1, and the attribute ``long_name`` says so. For data without a run, such as a
    DataArray in memory without that coordinate, the index is the position.

    The extremes of a sample have no standard error: they move outwards with more paths, and
    estimate no property of the distribution.

    Parameters
    ----------
    k : int, optional
        Number of values at each end, at least 1.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `k` is not an integer of at least 1.

    Examples
    --------
    >>> import numpy as np
    >>> from montezarr.statistics import Sample, Source
    >>> state = Extrema().chunk(Sample(np.array([[[3.0, 1.0, 4.0, 1.0]]]), start=100))
    >>> Extrema().finalize(state, Source())["min_path"].values
    array([101])
    """

    State: ClassVar[type] = ExtremaState
    order_free: ClassVar[bool] = True
    without_error: ClassVar[tuple[str, ...]] = ("min", "max", "smallest", "largest")

    k: int | None = field(default=None, metadata=checked(check_int, minimum=1, optional=True))

    def __post_init__(self) -> None:
        self.check_fields()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Statistic.examples`."""
        return cls(), cls(k=3)

    def chunk(self, sample: Sample) -> ExtremaState:
        """Return the extremes of each cell."""
        return self._of(sample.values, sample.start)

    def merge(self, a: ExtremaState, b: ExtremaState) -> ExtremaState:
        """Return the extremes of both."""
        low, low_path = _first(a.low, a.low_path, b.low, b.low_path)
        high, high_path = _first(-a.high, a.high_path, -b.high, b.high_path)
        return ExtremaState(low, low_path, -high, high_path)

    def update(self, state: ExtremaState, sample: Sample) -> ExtremaState:
        """Add a sample to the state; cells that it cannot change cost a min and a max."""
        x = sample.all_paths()
        if x.shape[1] == 0:
            return state
        low, high = np.fmin.reduce(x, axis=1), np.fmax.reduce(x, axis=1)  # NaN: not better
        last, top = state.low[:, -1], state.high[:, -1]
        better = (low < last) | (high > top)
        # An equal value of an earlier path counts: samples may arrive out of order.
        better |= (low == last) & (sample.start < state.low_path[:, -1])
        better |= (high == top) & (sample.start < state.high_path[:, -1])
        cells = np.flatnonzero(better)
        if len(cells) == 0:
            return state
        known = ExtremaState._make(array[cells] for array in state)
        joined = self.merge(known, self._of(sample.values[cells], sample.start))
        out = ExtremaState._make(array.copy() for array in state)
        for array, new in zip(out, joined, strict=True):
            array[cells] = new
        return out

    def finalize(self, state: ExtremaState, source: Source) -> dict[str, Estimate]:
        """Return the extremes and their paths."""
        one = self.k is None
        dims = () if one else ("rank",)
        coords = {} if one else {"rank": np.arange(1, state.low.shape[1] + 1)}
        out = {}
        for name, several, method, values, path in (
            ("min", "smallest", "minimum", state.low, state.low_path),
            ("max", "largest", "maximum", state.high, state.high_path),
        ):
            label = name if one else several
            shown = np.where(path >= 0, values, np.nan)
            text = (
                {"cell_methods": f"path: {method}"} if one else {"long_name": f"{several} values"}
            )
            out[label] = Estimate(shown[:, 0] if one else shown, dims, coords, text)
            text = {"long_name": "index of the path"}
            paths = path[:, 0] if one else path
            out[f"{label}_path"] = Estimate(paths, dims, coords, text, power=0, is_path=True)
        return out

    def reference(self, values: Array, source: Source) -> dict[str, Any]:
        """Return the same by sorting pairs of value and path."""
        k = self.k or 1
        shape = (len(values), k)
        low, high = np.full(shape, np.nan), np.full(shape, np.nan)
        low_path, high_path = np.full(shape, -1), np.full(shape, -1)
        for cell, row in enumerate(values):
            pairs = [(x, path) for path, x in enumerate(row.tolist()) if np.isfinite(x)]
            for rank, (x, path) in enumerate(sorted(pairs)[:k]):
                low[cell, rank], low_path[cell, rank] = x, path
            for rank, (x, path) in enumerate(sorted(pairs, key=lambda p: (-p[0], p[1]))[:k]):
                high[cell, rank], high_path[cell, rank] = x, path
        if self.k is None:
            return {
                "min": low[:, 0], "min_path": low_path[:, 0],
                "max": high[:, 0], "max_path": high_path[:, 0],
            }  # fmt: skip
        return {
            "smallest": low, "smallest_path": low_path, "largest": high, "largest_path": high_path,
        }  # fmt: skip

    def _of(self, values: Array, start: int) -> ExtremaState:
        """Return the extremes of values (cells, blocks, paths)."""
        low, low_path = _smallest(values, self.k or 1, start)
        high, high_path = _smallest(values, self.k or 1, start, sign=-1)
        return ExtremaState(low, low_path, -high, high_path)


def _smallest(x: Array, k: int, start: int, sign: int = 1) -> tuple[Array, PathNumbers]:
    """Return the k smallest values of each cell (cells, blocks, paths), times `sign`, and paths."""
    cells, blocks, n = x.shape
    values, paths = np.full((cells, k), np.inf), np.full((cells, k), -1, np.int64)
    if n == 0:
        return values, paths
    block = np.broadcast_to(np.arange(blocks), (cells, blocks))
    if blocks > k:
        # The k smallest values lie in the k blocks with the smallest minima.
        best = np.fmin.reduce(x, axis=2) if sign > 0 else -np.fmax.reduce(x, axis=2)
        block = np.sort(np.argsort(best, axis=1, kind="stable")[:, :k], axis=1)
        x = np.take_along_axis(x, block[:, :, None], axis=1)
    x = x.reshape(cells, -1) if sign > 0 else -x.reshape(cells, -1)
    absent = np.isnan(x)
    some_absent = absent.any()
    if some_absent:
        x = np.where(absent, np.inf, x)
    order = _order(x, min(k, x.shape[1]))
    found = np.take_along_axis(x, order, axis=1)
    if some_absent:  # positions beyond the last value mean nothing
        present = absent.shape[1] - absent.sum(axis=1)
        found[np.arange(found.shape[1]) >= present[:, None]] = np.inf
    path = start + n * np.take_along_axis(block, order // n, axis=1) + order % n
    values[:, : found.shape[1]] = found
    paths[:, : found.shape[1]] = np.where(found < np.inf, path, -1)
    return values, paths


def _order(x: Array, k: int) -> PathNumbers:
    """Return the positions of the k smallest values of each row, by value and then by position."""
    if k <= SEARCHED_RANKS_MAX:
        order = np.empty((len(x), k), np.int64)
        left = x if k == 1 else x.copy()
        for rank in range(k):
            order[:, rank] = left.argmin(axis=1)  # the first of equal ones
            if rank + 1 < k:
                np.put_along_axis(left, order[:, rank, None], np.inf, axis=1)
        return order
    last = np.partition(x, k - 1, axis=1)[:, k - 1, None]
    taken, ties = x < last, x == last
    taken |= ties & (np.cumsum(ties, axis=1) <= k - taken.sum(axis=1, keepdims=True))
    order = np.nonzero(taken)[1].reshape(len(x), k)
    by_value = np.argsort(np.take_along_axis(x, order, axis=1), axis=1, kind="stable")
    return np.take_along_axis(order, by_value, axis=1)


def _first(
    a: Array, a_path: PathNumbers, b: Array, b_path: PathNumbers
) -> tuple[Array, PathNumbers]:
    """Return the first k of both sides (cells, k), by value and then by path."""
    values, paths = np.concatenate([a, b], axis=1), np.concatenate([a_path, b_path], axis=1)
    order = np.lexsort((paths, values), axis=1)[:, : a.shape[1]]
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(paths, order, axis=1)
