"""Counts in bins of equal relative width, found from the bits of a number alone.

A float64 is sign, exponent and mantissa. Its first `bits` mantissa bits, with what stands before
them, are the number of its bin: every octave is cut into ``2**bits`` bins of equal width. So a bin
is no wider than ``2**-bits`` times any value in it, the same on every machine, and the counts add
up exactly in any order. Numbers below 2.2e-308 count as 0, which has a bin of its own.

HdrHistogram cuts integers so; as a quantile sketch with a certified relative error: Masson, Rim and
Lee, "DDSketch", PVLDB 12 (2019), doi:10.14778/3352063.3352135.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from montezarr.statistics._sums import compiled

MANTISSA = 52
OCTAVES = 64
"""Octaves for which memory is planned: from 1 down to 5e-20, or to 2e-10 for both signs."""

OFFSET_BITS = 20
"""Where in its bin a value lies is kept to this many bits: 2**-28 of it with the usual bins."""

MAGNITUDE = np.int64(0x7FFF_FFFF_FFFF_FFFF)
"""All bits of a number but its sign."""

TINY = float(np.finfo(np.float64).tiny)

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


class Bins(NamedTuple):
    """The state: counts over whole octaves, of the negative numbers, of 0, and of the positive.

    Attributes
    ----------
    low, high : array (cells,)
        Extreme values; infinities the other way round where there is none.
    near : array (2,)
        The largest negative and the smallest positive number of all cells; infinities likewise.
    ranges : array (4,)
        First bin, and the one after the last, of the negative and of the positive numbers.
    counts : array (cells, bins)
        Values in each bin, from the lowest one up.
    offsets : array (cells, bins) or (cells, 0)
        Sums of the places of the values in their bins, in units of ``2**-OFFSET_BITS`` bins.
    """

    low: Array
    high: Array
    near: Array
    ranges: Integers
    counts: Integers
    offsets: Integers


def keys_of(values: Array, shift: int) -> Integers:
    """Return the number of the bin of each value; it does not decrease with the value."""
    pattern = np.where(np.abs(values) < TINY, 0.0, values).view(np.int64)
    # Of negative numbers all bits but the sign are turned round: then integers compare as floats.
    return np.asarray((pattern ^ ((pattern >> 63) & MAGNITUDE)) >> shift)


def edges_of(keys: Integers, shift: int) -> Array:
    """Return the lower edge of each bin."""
    ordered = np.asarray(keys, np.int64) << shift
    return np.asarray((ordered ^ ((ordered >> 63) & MAGNITUDE)).view(np.float64))


def count(values: Array, bits: int, with_offsets: bool, into: Bins | None = None) -> Bins:
    """Return the bins of values (cells, n), NaN not counting, added to those of `into`, in place.

    `into` is of no use afterwards.
    """
    state = _empty(len(values)) if into is None else into
    low, high, near = state.low.copy(), state.high.copy(), state.near.copy()
    _extend(values, low, high, near)
    low, high = low + 0.0, high + 0.0  # so that the order of the paths shows in no sign of a 0
    if not (low <= high).any():
        return state
    ranges = _ranges(low, high, near, bits)
    out = _resized(state, ranges, with_offsets)._replace(low=low, high=high, near=near)
    shift = MANTISSA - bits
    kernel = compiled()
    if kernel is None:
        _count_plainly(values, shift, out, with_offsets)
        return out
    patterns, base = values.view(np.int64), ranges[1] - ranges[0]
    if with_offsets:
        kernel.count_bins_and_offsets(
            values, patterns, shift, shift - OFFSET_BITS, ranges[0], base, ranges[2], out.counts,
            out.offsets,
        )  # fmt: skip
    else:
        kernel.count_bins(values, patterns, shift, ranges[0], base, ranges[2], out.counts)
    return out


def merge(a: Bins, b: Bins, bits: int, with_offsets: bool) -> Bins:
    """Return the bins of both."""
    low, high = np.minimum(a.low, b.low), np.maximum(a.high, b.high)
    near = np.array([max(a.near[0], b.near[0]), min(a.near[1], b.near[1])])
    if not b.counts.shape[1]:
        return a
    ranges = _ranges(low, high, near, bits)
    out = _resized(a, ranges, with_offsets, copy=True)
    for mine, theirs in _segments(ranges, b.ranges):
        out.counts[:, mine] += b.counts[:, theirs]
        if with_offsets:
            out.offsets[:, mine] += b.offsets[:, theirs]
    return out._replace(low=low, high=high, near=near)


def key_at(state: Bins, places: Any) -> Integers:
    """Return the numbers of the bins at some places; that of 0 is 0."""
    first, stop, positive, _ = state.ranges
    base = stop - first
    places = np.asarray(places)
    keys = np.where(places < base, first + places, positive + places - base - 1)
    return np.where(places == base, 0, keys).astype(np.int64)


def bounds(state: Bins, places: Any, shift: int) -> tuple[Array, Array]:
    """Return the edges of the bins at some places; both are 0 for that of 0."""
    keys = key_at(state, places)
    is_zero = np.asarray(places) == state.ranges[1] - state.ranges[0]
    left, right = edges_of(keys, shift), edges_of(keys + 1, shift)
    return np.where(is_zero, 0.0, left), np.where(is_zero, 0.0, right)


def at_ranks(state: Bins, ranks: Array, bits: int) -> Array:
    """Return the values at ranks (cells, r) from 1 to the number of values, NaN for none.

    The values of a bin are taken to be spread evenly over it: the j-th of c at (j - 1/2) / c.
    """
    out = np.full(ranks.shape, np.nan)
    shift = MANTISSA - bits
    for cell in np.flatnonzero(total_of(state)):
        used = np.flatnonzero(state.counts[cell])
        count = state.counts[cell, used]
        running = np.cumsum(count)
        depth = np.clip(ranks[cell], 0.5, running[-1] + 0.5) - 0.5
        place = np.minimum(np.searchsorted(running, depth), used.size - 1)
        share = (depth - (running[place] - count[place])) / count[place]
        low, high = state.low[cell], state.high[cell]
        left, right = bounds(state, used[place], shift)
        left, right = np.maximum(left, low), np.minimum(right, high)
        value = left + share * (right - left)
        out[cell] = np.where(np.abs(value) < TINY, 0.0, value)
    return out


def total_of(state: Bins) -> Integers:
    """Return the number of values of each cell."""
    return np.asarray(state.counts.sum(axis=1, dtype=np.int64))


def bytes_of(cells: int, bits: int, with_offsets: bool) -> int:
    """Return the bytes of a state that spans `OCTAVES` octaves: more than most values do."""
    return cells * (OCTAVES << bits) * 8 * (2 if with_offsets else 1)


def _empty(cells: int) -> Bins:
    none = np.zeros((cells, 0), np.int64)
    low, high = np.full(cells, np.inf), np.full(cells, -np.inf)
    return Bins(low, high, np.array([-np.inf, np.inf]), np.zeros(4, np.int64), none, none)


def _extend(values: Array, low: Array, high: Array, near: Array) -> None:
    kernel = compiled()
    if kernel is not None:
        kernel.extent(values, low, high, near)
    elif values.shape[-1]:
        np.fmin(low, np.fmin.reduce(values, axis=-1), out=low)
        np.fmax(high, np.fmax.reduce(values, axis=-1), out=high)
        near[0] = np.max(values, initial=near[0], where=values <= -TINY)
        near[1] = np.min(values, initial=near[1], where=values >= TINY)


def _ranges(low: Array, high: Array, near: Array, bits: int) -> Integers:
    """Return the bins from the octave of the smallest magnitude to that of the largest."""
    ends = np.array([low.min(), near[0], near[1], high.max()])
    first, stop, positive, end = (keys_of(ends, MANTISSA - bits) >> bits).tolist()
    out = [first, stop + 1] if near[0] > -np.inf else [0, 0]
    out += [positive, end + 1] if near[1] < np.inf else [0, 0]
    return np.array(out, np.int64) << bits


def _segments(mine: Integers, theirs: Integers) -> list[tuple[slice, slice]]:
    """Return where the negative bins, that of 0, and the positive ones of a part are in a whole."""
    base, other = int(mine[1] - mine[0]), int(theirs[1] - theirs[0])
    start = int(theirs[0] - mine[0])
    positive, width = base + 1 + int(theirs[2] - mine[2]), int(theirs[3] - theirs[2])
    out = [(slice(base, base + 1), slice(other, other + 1))]
    if other:
        out.append((slice(start, start + other), slice(0, other)))
    if width:
        out.append((slice(positive, positive + width), slice(other + 1, other + 1 + width)))
    return out


def _resized(state: Bins, ranges: Integers, with_offsets: bool, *, copy: bool = False) -> Bins:
    """Return the state over another range of bins, which holds its own."""
    if state.counts.shape[1] and np.array_equal(state.ranges, ranges):
        if not copy:
            return state
        return state._replace(counts=state.counts.copy(), offsets=state.offsets.copy())
    cells, width = len(state.counts), int(ranges[1] - ranges[0] + 1 + ranges[3] - ranges[2])
    counts = np.zeros((cells, width), np.int64)
    offsets = np.zeros((cells, width if with_offsets else 0), np.int64)
    if state.counts.shape[1]:
        for mine, theirs in _segments(ranges, state.ranges):
            counts[:, mine] = state.counts[:, theirs]
            if with_offsets:
                offsets[:, mine] = state.offsets[:, theirs]
    return state._replace(ranges=ranges, counts=counts, offsets=offsets)


def _count_plainly(values: Array, shift: int, out: Bins, with_offsets: bool) -> None:
    """Do what the compiled loops do, in NumPy."""
    first, stop, positive, _ = out.ranges
    cell, column = np.nonzero(values == values)
    present = np.ascontiguousarray(values[cell, column])
    keys, base = keys_of(present, shift), stop - first
    place = np.where(present <= -TINY, keys - first, keys - positive + base + 1)
    place = np.where(np.abs(present) < TINY, base, place)
    flat = cell * out.counts.shape[1] + place
    size = out.counts.size
    out.counts[...] += np.bincount(flat, minlength=size).reshape(out.counts.shape)
    if with_offsets:
        inside = keys_of(present, 0) & ((np.int64(1) << shift) - 1)
        places = inside >> (shift - OFFSET_BITS)
        # Integers below 2**53 add up exactly as floats too.
        sums = np.bincount(flat, weights=places.astype(np.float64), minlength=size)
        out.offsets[...] += sums.reshape(out.counts.shape).astype(np.int64)
