"""Counts in bins of equal relative width, found from the bits of a number alone.

A float64 is sign, exponent and mantissa. Its first `bits` mantissa bits, with what stands before
them, are the number of its bin: every octave is cut into ``2**bits`` bins of equal width. So a bin
is no wider than ``2**-bits`` times any value in it, the same on every machine, and the counts add
up exactly in any order. (HdrHistogram cuts integers so; as a quantile sketch with a certified
relative error: Masson, Rim and Lee, "DDSketch", PVLDB 12 (2019), doi:10.14778/3352063.3352135.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from montezarr.statistics._sums import compiled

MANTISSA = 52
OFFSET_BITS = 20
"""Where in its bin a value lies is kept to this many bits: 2**-28 of it with the usual bins."""

MAGNITUDE = np.int64(0x7FFF_FFFF_FFFF_FFFF)
"""All bits of a number but its sign."""

TINY = float(np.finfo(np.float64).tiny)

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


class Bins(NamedTuple):
    """The state: counts over whole octaves, from that of the smallest value to the largest's.

    Attributes
    ----------
    low, high : array (cells,)
        Extreme values; infinities the other way round where there is none.
    first : array (1,)
        Number of the first bin.
    counts : array (cells, bins)
        Values in each bin.
    offsets : array (cells, bins) or (cells, 0)
        Sums of the places of the values in their bins, in units of ``2**-OFFSET_BITS`` bins.
    """

    low: Array
    high: Array
    first: Integers
    counts: Integers
    offsets: Integers


def keys_of(values: Array, shift: int) -> Integers:
    """Return the number of the bin of each value; it does not decrease with the value."""
    pattern = (values + 0.0).view(np.int64)  # -0.0 becomes 0.0, and lies in its bin
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
    low, high = state.low.copy(), state.high.copy()
    _extend(values, low, high)
    low, high = low + 0.0, high + 0.0  # so that the order of the paths shows in no sign of a 0
    if not (low <= high).any():
        return state
    first, width = _range(low, high, bits)
    out = _resized(state, first, width, with_offsets)._replace(low=low, high=high)
    shift = MANTISSA - bits
    kernel = compiled()
    if kernel is None:
        _count_plainly(values, shift, first, out, with_offsets)
    elif with_offsets:
        kernel.count_bins_and_offsets(
            values, values.view(np.int64), shift, shift - OFFSET_BITS, first, out.counts,
            out.offsets,
        )  # fmt: skip
    else:
        kernel.count_bins(values, values.view(np.int64), shift, first, out.counts)
    return out


def merge(a: Bins, b: Bins, bits: int, with_offsets: bool) -> Bins:
    """Return the bins of both."""
    low, high = np.minimum(a.low, b.low), np.maximum(a.high, b.high)
    if not (low <= high).any():
        return a
    first, width = _range(low, high, bits)
    out = _resized(a, first, width, with_offsets, copy=True)
    start, size = int(b.first[0]) - first, b.counts.shape[1]
    if size:
        out.counts[:, start : start + size] += b.counts
        if with_offsets:
            out.offsets[:, start : start + size] += b.offsets
    return out._replace(low=low, high=high)


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
        left = np.maximum(edges_of(state.first[0] + used[place], shift), low)
        right = np.minimum(edges_of(state.first[0] + used[place] + 1, shift), high)
        value = left + share * (right - left)
        out[cell] = np.where(np.abs(value) < TINY, 0.0, value)
    return out


def total_of(state: Bins) -> Integers:
    """Return the number of values of each cell."""
    return np.asarray(state.counts.sum(axis=1, dtype=np.int64))


def _empty(cells: int) -> Bins:
    none = np.zeros((cells, 0), np.int64)
    low, high = np.full(cells, np.inf), np.full(cells, -np.inf)
    return Bins(low, high, np.zeros(1, np.int64), none, none)


def _extend(values: Array, low: Array, high: Array) -> None:
    kernel = compiled()
    if kernel is not None:
        kernel.extent(values, low, high)
    elif values.shape[-1]:
        np.fmin(low, np.fmin.reduce(values, axis=-1), out=low)
        np.fmax(high, np.fmax.reduce(values, axis=-1), out=high)


def _range(low: Array, high: Array, bits: int) -> tuple[int, int]:
    """Return the first bin of the lowest octave, and the number of bins to the highest's end."""
    ends = np.array([low.min(), high.max()])
    first, last = (keys_of(ends, MANTISSA - bits) >> bits).tolist()
    return first << bits, (last + 1 - first) << bits


def _resized(
    state: Bins, first: int, width: int, with_offsets: bool, *, copy: bool = False
) -> Bins:
    """Return the state over another range of bins, which holds its own."""
    start, old = int(state.first[0]) - first, state.counts.shape[1]
    if start == 0 and old == width:
        if not copy:
            return state
        return state._replace(counts=state.counts.copy(), offsets=state.offsets.copy())
    cells = len(state.counts)
    counts = np.zeros((cells, width), np.int64)
    offsets = np.zeros((cells, width if with_offsets else 0), np.int64)
    if old:
        counts[:, start : start + old] = state.counts
        if with_offsets:
            offsets[:, start : start + old] = state.offsets
    return state._replace(first=np.array([first], np.int64), counts=counts, offsets=offsets)


def _count_plainly(values: Array, shift: int, first: int, out: Bins, with_offsets: bool) -> None:
    """Do what the compiled loops do, in NumPy."""
    cell, column = np.nonzero(values == values)
    present = np.ascontiguousarray(values[cell, column])
    flat = cell * out.counts.shape[1] + (keys_of(present, shift) - first)
    size = out.counts.size
    out.counts[...] += np.bincount(flat, minlength=size).reshape(out.counts.shape)
    if with_offsets:
        inside = keys_of(present, 0) & ((np.int64(1) << shift) - 1)
        places = inside >> (shift - OFFSET_BITS)
        # Integers below 2**53 add up exactly as floats too.
        sums = np.bincount(flat, weights=places.astype(np.float64), minlength=size)
        out.offsets[...] += sums.reshape(out.counts.shape).astype(np.int64)
