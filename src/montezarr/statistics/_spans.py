"""Bounds of the values in bins, and values at given ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np

from montezarr.core.tunables.keeping import SORTED_ORDERS_KEPT_VALUES
from montezarr.statistics._bins import Bins, Budget
from montezarr.statistics._keys import TINY, Array, Integers, keys_of, numbers_of_keys
from montezarr.statistics._sums import compiled

SLICES = 2**12
"""Slices of equal width in which values are counted to find some of their ranks."""

PARTITIONED_VALUES_MAX = 2**14
"""Values up to which that is not worth it."""


class Cell(NamedTuple):
    """The used bins of one cell in order, or some of them.

    Attributes
    ----------
    keys : array (bins,)
        First key of each bin.
    shift : int
        Bits of a key inside a bin.
    used : int
        Bits in use, as in `Bins`.
    counts, places : array (bins,)
        As in `Bins`.
    running : array (bins,)
        Number of values up to the end of each bin, including those of omitted earlier bins.
    """

    keys: Integers
    shift: int
    used: int
    counts: Integers
    places: Integers
    running: Integers


class Spans(NamedTuple):
    """The used bins of a cell in order: ends as values, counts, and running counts."""

    left: Array
    right: Array
    counts: Integers
    running: Integers

    def mirrored(self, missing: int = 0) -> Spans:
        """Return the bins of the negated values, `missing` of which are in none of the bins."""
        counts = self.counts[::-1].copy()
        return Spans(-self.right[::-1], -self.left[::-1], counts, np.cumsum(counts) + missing)

    def of_integers(self) -> Spans:
        """Return the bins from the smallest to the largest integer in each."""
        return self._replace(left=np.ceil(self.left), right=np.floor(self.right))

    def at(self, ranks: Integers) -> tuple[Array, Array, Array]:
        """Return the values at some ranks, from 1, and their lower and upper bounds.

        The values of a bin are assumed to be spread evenly, the j-th of c at (j - 1/2) / c.
        """
        place = np.searchsorted(self.running, ranks)
        count, left, right = self.counts[place], self.left[place], self.right[place]
        share = (ranks - (self.running[place] - count) - 0.5) / count
        value = left + share * (right - left)
        value = np.where(np.abs(value) < TINY, 0.0, value)
        return np.clip(value, left, right), left, right


def bin_bounds(cell: Cell) -> tuple[Array, Array]:
    """Return the smallest and the largest number that the values of each bin can be."""
    step = cell.used & -cell.used or 1 << cell.shift  # a pattern is a multiple of it
    step, width = min(step, 1 << cell.shift), 1 << cell.shift
    # The key of a negative number is one below its inverted pattern.
    is_negative = cell.keys < 0
    left = cell.keys + np.where(is_negative, step - 1, 0)
    right = cell.keys + np.where(is_negative, width - 1, width - step)
    return numbers_of_keys(left), numbers_of_keys(right)


def order_statistics(state: Bins, cell: int, ranks: Integers) -> Array:
    """Return the values at some ranks, from 1, of a cell with values kept one by one."""
    mine = state.values[state.begins[cell] : state.begins[cell + 1]]
    found = _selected(mine, float(state.low[cell]), float(state.high[cell]), ranks)
    return np.where(np.abs(found) < TINY, 0.0, found)


def _selected(values: Array, low: float, high: float, ranks: Integers) -> Array:
    """Return the values at some ranks, from 1; of many values, sort only those nearby."""
    kernel, width = compiled(), high - low
    if (
        kernel is None
        or values.size < PARTITIONED_VALUES_MAX
        or not width > 0
        or not SLICES / width < np.inf
    ):
        return np.asarray(np.partition(values, np.unique(ranks - 1))[ranks - 1])
    counts, wanted = np.zeros(SLICES, np.int64), np.zeros(SLICES, np.uint8)
    kernel.bins.count_in_slices(values, low, SLICES / width, counts)
    running = np.cumsum(counts)
    slices = np.searchsorted(running, ranks)
    wanted[slices] = 1
    kept = counts * wanted
    nearby = np.empty(int(kept.sum()) + 1)
    nearby[-1] = np.inf
    kernel.bins.gather(values, low, SLICES / width, wanted, nearby)
    places = np.cumsum(kept)[slices] - (running[slices] - ranks) - 1
    return np.asarray(np.partition(nearby[:-1], np.unique(places))[places])


class _Orders(dict[Any, Any]):
    """Cache of sorted parts of cells, with the room that is left for more."""

    room = SORTED_ORDERS_KEPT_VALUES


_shared: ContextVar[_Orders | None] = ContextVar("_shared", default=None)


@contextmanager
def shared_orders() -> Iterator[None]:
    """Cache sorted bins during the block, in which no state may change."""
    token = _shared.set(_Orders())
    try:
        yield
    finally:
        _shared.reset(token)


def shared_order(
    state: Bins, place: tuple[Any, ...], least: int, make: Callable[[], Any], size: int
) -> Any:
    """Return the cached result of `make` for a cell from a rank on, or a lower one; else make it.

    `place` identifies the result within a state; `size` is the number of values from the rank on.
    """
    known = _shared.get()
    if known is None:
        return make()
    key = (id(state.n), *place)
    if key in known and known[key][0] <= least:
        return known[key][2]
    made = make()
    before = known[key][3] if key in known else 0
    if size - before <= known.room:
        known.room -= size - before
        known[key] = least, state, made, size  # keeps the state alive, so its id stays unique
    return made


def begins_of(state: Bins, budget: Budget) -> Integers:
    """Return the offsets of the bins of each cell among all bins."""
    sizes = np.diff(state.first) * budget.width(state.levels)
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def sorted_part(state: Bins, cell: int, ranks: slice) -> Cell:
    """Return a range of ranks of a cell's values that are kept one by one.

    Only this range is sorted.
    """
    mine = state.values[state.begins[cell] : state.begins[cell + 1]]
    start, stop, _ = ranks.indices(mine.size)
    ends = float(state.low[cell]), float(state.high[cell])
    if 0 < start < stop:
        (least,) = _selected(mine, *ends, np.array([start + 1]))
        # Take all numbers that count as 0 together.
        mine = mine[mine >= (-TINY if abs(least) < TINY else least)]
        keys = np.sort(keys_of(mine))[mine.size - (int(state.n[cell]) - start) :]
    elif start < stop < mine.size:
        (most,) = _selected(mine, *ends, np.array([stop]))
        keys = np.sort(keys_of(mine[mine <= (TINY if abs(most) < TINY else most)]))
    else:
        keys = np.sort(keys_of(mine))
    keys = keys[: stop - start]
    ones, nowhere = np.ones(keys.size, np.int64), np.zeros(keys.size, np.int64)
    return Cell(keys, 0, 0, ones, nowhere, np.arange(start + 1, start + 1 + keys.size))


def bins_at(state: Bins, cell: int, begin: int, budget: Budget, ranks: Integers | slice) -> Cell:
    """Return the used bins of the pages that contain the values of some ranks, from 1.

    A slice selects all bins of a range in the order of the values, counted from 0 as in a list.
    `begin` is the offset of the cell's bins; see `begins_of`.
    """
    level = int(state.levels[cell])
    width, shift = int(budget.width(level)), max(level - 1, 0)
    pages = state.pages[state.first[cell] : state.first[cell + 1]]
    here = slice(begin, begin + pages.size * width)
    counts = state.counts[here].reshape(-1, width)
    sums = counts.sum(axis=1, dtype=np.int64)
    up_to = np.cumsum(sums)
    if isinstance(ranks, slice):
        start, stop, _ = ranks.indices(int(up_to[-1]))
        first, last = np.searchsorted(up_to, [start + 1, stop]).tolist()
        chosen = np.arange(first, last + 1)
    else:
        chosen = np.unique(np.searchsorted(up_to, ranks))
    part = counts[chosen]
    row, inside = np.nonzero(part)
    before = (up_to - sums)[chosen]
    running = np.cumsum(part, axis=1, dtype=np.int64)[row, inside] + before[row]
    keys = (pages[chosen][row] << int(budget.down(level))) + (inside << shift)
    places = np.zeros(row.size, np.int64)
    if state.places.size:
        places = state.places[here].reshape(-1, width)[chosen][row, inside]
    in_use = int(state.used[cell])
    return Cell(keys, shift, in_use, part[row, inside].astype(np.int64), places, running)


def spans_of(cell: Cell, low: float, high: float) -> Spans:
    """Return the bins of a cell, clipped to its extreme values."""
    left, right = bin_bounds(cell)
    left, right = np.maximum(left, low), np.minimum(right, high)
    return Spans(left, right, cell.counts, cell.running)
