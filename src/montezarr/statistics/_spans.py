"""What bins say of the values in them: between which numbers they lie, and which has which rank."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from montezarr.statistics._bins import TINY, Array, Bins, Budget, Integers, keys_of, values_of


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
    places = np.unique(ranks - 1)
    found = np.partition(mine, places)[ranks - 1]
    return np.where(np.abs(found) < TINY, 0.0, found)


def cell_of(state: Bins, cell: int, budget: Budget, ranks: slice = slice(None)) -> Cell:
    """Return what is known of one cell, or of the values from one place in their order to another.

    Values that are kept one by one are sorted only there; the first of them counts for all below.
    """
    if not state.pages.size:
        mine = keys_of(state.values[state.begins[cell] : state.begins[cell + 1]])
        start, stop, _ = ranks.indices(mine.size)
        keys = np.partition(mine, [start, stop - 1])[start:stop] if mine.size else mine
        keys.sort()
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
