"""Automatic bins whose width is a power of two, so that any two sets of them merge exactly.

A bin of width 2**e holds exactly two of width 2**(e - 1), because all start at whole multiples of
their width. The width is a function of the lowest and the highest value that grows with their
distance, so counts are never split, in any order of merging.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from montezarr.statistics._shares import Array, Counts, count_positions

DIGITS = 40
"""Binary digits of an index, so that indices are exact as floats and as integers."""
FINEST = -1022
"""Exponent of the narrowest bins: 2.0**1022 is the largest power whose inverse is exact."""


class BinnedCounts(NamedTuple):
    """Counts (cells, bins) in bins [i, i + 1) * 2**exponent, for i = first, first + 1, ..."""

    low: Array
    high: Array
    exponent: Counts
    first: Counts
    counts: Counts


def bin_counts(values: Array, bins: int, into: BinnedCounts | None = None) -> BinnedCounts:
    """Return the counts of values (cells, blocks, paths), added to those in `into`."""
    cells = len(values)
    if into is None:
        into = _empty(cells)
    flat = values.reshape(cells, -1)
    if flat.size == 0:
        return into
    low, high = float(flat.min()), float(flat.max())
    some_absent = math.isnan(low)
    if some_absent:
        low, high = float(np.fmin.reduce(flat, axis=None)), float(np.fmax.reduce(flat, axis=None))
        if math.isnan(low):
            return into
    joint = _bins(min(low, float(into.low[0])), max(high, float(into.high[0])), bins, cells)
    exponent, first = int(joint.exponent[0]), int(joint.first[0])
    scale, width = math.ldexp(1.0, -exponent), joint.counts.shape[1]
    # A small negative number must not underflow to -0.0: its index is -1, not 0.
    vanishes = exponent > 0 and low < 0

    def locate(piece: Array) -> Array:
        position = piece * scale
        if vanishes and (position == 0.0).any():
            position[(position == 0.0) & (piece < 0.0)] = -1.0
        np.floor(position, out=position)
        position -= first
        if some_absent:
            position[np.isnan(position)] = width
        return position

    counts = count_positions(flat, width, locate)
    _add(into, joint, counts)
    return joint._replace(counts=counts)


def merge_bins(a: BinnedCounts, b: BinnedCounts, bins: int) -> BinnedCounts:
    """Return the joint counts, in bins that are wide enough for both."""
    low, high = min(float(a.low[0]), float(b.low[0])), max(float(a.high[0]), float(b.high[0]))
    if low > high:
        return a
    joint = _bins(low, high, bins, len(a.counts))
    for side in (a, b):
        _add(side, joint, joint.counts)
    return joint


def exponent_of(low: float, high: float, bins: int) -> int:
    """Return the smallest e for which fewer than `bins` multiples of 2**e lie in (low, high].

    It is large enough that indices have at most 40 binary digits. All e above a valid one are valid
    too: halving indices, rounded down, never increases their distance.
    """
    magnitude = max(abs(low), abs(high))
    largest = math.frexp(magnitude)[1] if magnitude > 0.0 else FINEST
    lowest = max(largest - DIGITS, FINEST)
    e = max(largest, lowest)  # all indices are 0 or -1
    while e > lowest and _index(high, e - 1) - _index(low, e - 1) < bins:
        e -= 1
    return e


def _index(x: float, exponent: int) -> int:
    scaled = math.ldexp(x, -exponent)
    return -1 if scaled == 0.0 and x < 0.0 else math.floor(scaled)


def _empty(cells: int) -> BinnedCounts:
    zero = np.zeros(1, np.int64)
    counts = np.zeros((cells, 0), np.int64)
    return BinnedCounts(np.full(1, np.inf), np.full(1, -np.inf), zero, zero, counts)


def _bins(low: float, high: float, bins: int, cells: int) -> BinnedCounts:
    """Return empty bins from `low` to `high`."""
    exponent = exponent_of(low, high, bins)
    first = _index(low, exponent)
    return BinnedCounts(
        np.array([low]) + 0.0,  # +0.0: the sign of a 0 would depend on the order of merging
        np.array([high]) + 0.0,
        np.array([exponent]),
        np.array([first]),
        np.zeros((cells, _index(high, exponent) - first + 1), np.int64),
    )


def _add(side: BinnedCounts, joint: BinnedCounts, counts: Counts) -> None:
    """Add the counts of `side` to `counts`, in the bins of `joint`, which are at least as wide."""
    n = side.counts.shape[1]
    if n == 0:
        return
    shift = min(int(joint.exponent[0] - side.exponent[0]), 63)  # a larger shift is undefined in C
    index = (side.first[0] + np.arange(n)) >> shift
    starts = np.flatnonzero(np.diff(index, prepend=index[0] - 1))
    start = int(index[0] - joint.first[0])
    counts[:, start : start + len(starts)] += np.add.reduceat(side.counts, starts, axis=1)
