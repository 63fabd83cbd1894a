"""What bins say of the values in them: between which numbers they lie, and which has which rank."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from montezarr.statistics._bins import TINY, Array, Bins, Budget, Integers, keys_of, values_of
from montezarr.statistics._sums import compiled

SLICES = 2**12
"""Slices of equal width in which values are counted to find some of their ranks."""

FEW = 2**14
"""Values up to which that is not worth it."""


class Cell(NamedTuple):
    """The used bins of one cell in order: first keys, shift, bits in use, counts, places."""

    keys: Integers
    shift: int
    used: int
    counts: Integers
    places: Integers


class Spans(NamedTuple):
    """The used bins of a cell in order, as values: their ends, counts, and counts up to there."""

    left: Array
    right: Array
    counts: Integers
    running: Integers

    def mirrored(self, missing: int = 0) -> Spans:
        """Return the bins of the negative values; the first one counts for the missing ones."""
        counts = self.counts[::-1].copy()
        counts[0] += missing
        return Spans(-self.right[::-1], -self.left[::-1], counts, np.cumsum(counts))

    def at(self, ranks: Integers) -> tuple[Array, Array, Array]:
        """Return the values at some ranks, from 1, and the least and the most that they may be.

        The values of a bin are taken to be spread evenly over it, the j-th of c at (j - 1/2) / c.
        """
        place = np.searchsorted(self.running, ranks)
        count, left, right = self.counts[place], self.left[place], self.right[place]
        share = (ranks - (self.running[place] - count) - 0.5) / count
        value = left + share * (right - left)
        value = np.where(np.abs(value) < TINY, 0.0, value)
        return np.clip(value, left, right), left, right


def bounds(cell: Cell) -> tuple[Array, Array]:
    """Return the smallest and the largest number that the values of each bin can be."""
    step = cell.used & -cell.used or 1 << cell.shift  # a pattern is a multiple of it
    step, width = min(step, 1 << cell.shift), 1 << cell.shift
    # The key of a negative number is one below the pattern that is turned round.
    is_negative = cell.keys < 0
    left = cell.keys + np.where(is_negative, step - 1, 0)
    right = cell.keys + np.where(is_negative, width - 1, width - step)
    return values_of(left), values_of(right)


def order_statistics(state: Bins, cell: int, ranks: Integers) -> Array:
    """Return the values at some ranks, from 1, of a cell whose values are kept one by one."""
    mine = state.values[state.begins[cell] : state.begins[cell + 1]]
    found = _selected(mine, float(state.low[cell]), float(state.high[cell]), ranks)
    return np.where(np.abs(found) < TINY, 0.0, found)


def _selected(values: Array, low: float, high: float, ranks: Integers) -> Array:
    """Return the values at some ranks, from 1; of many values, only those nearby are sorted."""
    kernel, width = compiled(), high - low
    if kernel is None or values.size < FEW or not width > 0 or not SLICES / width < np.inf:
        return np.asarray(np.partition(values, np.unique(ranks - 1))[ranks - 1])
    counts, wanted = np.zeros(SLICES, np.int64), np.zeros(SLICES, np.uint8)
    kernel.bins.tally(values, low, SLICES / width, counts)
    running = np.cumsum(counts)
    slices = np.searchsorted(running, ranks)
    wanted[slices] = 1
    kept = counts * wanted
    nearby = np.empty(int(kept.sum()) + 1)
    nearby[-1] = np.inf
    kernel.bins.gather(values, low, SLICES / width, wanted, nearby)
    places = np.cumsum(kept)[slices] - (running[slices] - ranks) - 1
    return np.asarray(np.partition(nearby[:-1], np.unique(places))[places])


def cell_of(state: Bins, cell: int, budget: Budget, ranks: slice = slice(None)) -> Cell:
    """Return what is known of one cell, or of the values from one place in their order to another.

    Values that are kept one by one are sorted only there; the first of them counts for all below.
    """
    if not state.pages.size:
        mine = state.values[state.begins[cell] : state.begins[cell + 1]]
        start, stop, _ = ranks.indices(mine.size)
        ends = float(state.low[cell]), float(state.high[cell])
        if 0 < start < stop:
            (least,) = _selected(mine, *ends, np.array([start + 1]))
            # All numbers that count as 0 are one.
            mine = mine[mine >= (-TINY if abs(least) < TINY else least)]
            keys = np.sort(keys_of(mine))[mine.size - (int(state.n[cell]) - start) :]
        elif start < stop < mine.size:
            (most,) = _selected(mine, *ends, np.array([stop]))
            keys = np.sort(keys_of(mine[mine <= (TINY if abs(most) < TINY else most)]))
        else:
            keys = np.sort(keys_of(mine))
        keys = keys[: stop - start]
        counts = np.ones(keys.size, np.int64)
        counts[:1] += start
        return Cell(keys, 0, 0, counts, np.zeros(keys.size, np.int64))
    level = int(state.levels[cell])
    width = int(budget.width(level))
    start, stop = state.first[cell], state.first[cell + 1]
    begin = int((np.diff(state.first[: cell + 1]) * budget.width(state.levels[:cell])).sum())
    end = begin + int(stop - start) * width
    used = np.flatnonzero(state.counts[begin:end])
    shift = max(level - 1, 0)
    page = state.pages[start:stop][used // width]
    keys = (page << int(budget.down(level))) + ((used % width) << shift)
    places = state.places[begin:end][used] if state.places.size else np.zeros(used.size, np.int64)
    used_bits = int(state.used[cell])
    return Cell(keys, shift, used_bits, state.counts[begin:end][used].astype(np.int64), places)


def spans_of(cell: Cell, low: float, high: float) -> Spans:
    """Return the bins of a cell, which lie between its extreme values."""
    left, right = bounds(cell)
    running = np.cumsum(cell.counts)
    return Spans(np.maximum(left, low), np.minimum(right, high), cell.counts, running)
