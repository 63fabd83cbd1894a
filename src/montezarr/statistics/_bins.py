"""Counts in adaptive bins: as fine as the values need and the memory budget allows.

The bits of a float64 form an integer that grows with the number: its key (`_keys`). A bin is all
numbers whose keys differ only in the last `shift` bits, so every octave has ``2**(52 - shift)``
bins of equal width, and a bin holds exactly two of the next smaller shift. The state of a cell
depends only on the values that it has seen:

* few values are kept one by one;
* of more values, distinct numbers and their counts are kept, while these are few (level 0);
* beyond that, counts in bins are kept, with the smallest shift at which all values lie in the
  allowed number of pages, blocks of ``2**page_bits`` neighbouring bins (level shift + 1). Pages
  without values take no memory.

More values never need fewer pages, so a level only rises, and bins are joined, never split: two
states merge to the state of all their values, in any order. At the last level a bin is as wide as
the promised relative error, and the number of pages is not limited.

HdrHistogram bins integers by their leading bits; as a quantile sketch with a certified relative
error: Masson, Rim and Lee, "DDSketch", PVLDB 12 (2019), doi:10.14778/3352063.3352135. Numbers below
2.2e-308 count as 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from montezarr.core.tunables.memory import PLANNED_OCTAVES
from montezarr.statistics._bins_plain import PLACE_BITS, fill_plainly, starts_of
from montezarr.statistics._keys import (
    MAGNITUDE,
    Array,
    Integers,
    Noted,
    keys_of,
    noted_of,
)
from montezarr.statistics._room import appended
from montezarr.statistics._sums import compiled

MANTISSA_BITS = 52

SINGLE_BINS = 20
"""Base-2 logarithm of the number of bins of a single cell."""

MOST_BINS = 19
"""Base-2 logarithm of the number of bins of several cells together."""

WIDE_PAGE = 12
"""Base-2 logarithm of the bins in a page of a single cell: large pages are allocated less often."""

OCTAVES_MORE = 2
"""Factor, as a base-2 logarithm, of additional bins if the values of a cell span many octaves."""

LEAST_BINS = 11
"""Base-2 logarithm of the number of bins of a cell among many, more than half a screen's height."""

MOST_VALUES = 2**20
"""Values of a single cell that are kept one by one; each of n cells keeps 1 / n**2 of that."""

LEAST_VALUES = 2**10
"""Values of a cell among many that are kept one by one."""

MOST_DISTINCT = 2**12
"""Distinct values of a single cell that are counted exactly."""

LEAST_DISTINCT = 2**7
"""The same, for a cell among many."""

PLACES_BELOW = 2**15
"""Number of bins of a cell below which the mean position of the values in each bin is kept too."""


SORTED_FIRST = 2**13
"""Values of all cells that are sorted to find out at which level the others are counted: more than
as many different numbers as are kept, or nothing would be found out."""

LEAST_SORTED_FIRST = 2**8
"""The same, for a cell among many."""

MARKS = 2**18
"""Pages of a single cell that can be marked to find those of all values, and their level."""

CELL_MARKS = 2**14
"""The same, for a cell among many."""

WIDE = 2**31
"""Number of values from which counts take eight bytes."""


class Budget(NamedTuple):
    """The memory budget of a cell.

    Attributes
    ----------
    values : int
        Largest number of values that are kept one by one.
    distinct : int
        Largest number of distinct values that are kept with their counts.
    page_bits : int
        Bins of a page, as a power of two.
    pages : int
        Largest number of pages of one octave, below the last level: for several octaves, of the
        root of the sum of squares, since octaves of small values need pages least.
    total : int
        Largest number of pages of all octaves, below the last level.
    last : int
        The level of the widest allowed bins.
    with_places : bool
        Whether to sum the places of values in their bins, for their means.
    """

    values: int
    distinct: int
    page_bits: int
    pages: int
    total: int
    last: int
    with_places: bool

    @classmethod
    def of(cls, cells: int, bits: int, with_places: bool) -> Budget:
        """Return the budget of each of `cells` cells; `bits` of a mantissa identify a bin."""
        cells = max(cells, 1)
        is_single = cells == 1
        shared = max(MOST_BINS - (cells - 1).bit_length(), LEAST_BINS)
        share = SINGLE_BINS if is_single else shared
        page_bits = min(WIDE_PAGE, share * 3 // 5) if is_single else share // 2
        pages = 1 << (share - page_bits)
        return cls(
            values=max(MOST_VALUES // cells**2, LEAST_VALUES),
            distinct=max(MOST_DISTINCT // cells, LEAST_DISTINCT),
            page_bits=page_bits,
            pages=pages,
            total=pages << OCTAVES_MORE if is_single else pages,
            last=MANTISSA_BITS - bits + 1,
            with_places=with_places and 1 << share < PLACES_BELOW,
        )

    def down(self, level: Any) -> Any:
        """Return the number of low bits of a key that are inside a page."""
        return np.where(np.asarray(level) > 0, level - 1 + self.page_bits, 0)

    def width(self, level: Any) -> Any:
        """Return the number of bins of a page."""
        return np.where(np.asarray(level) > 0, 1 << self.page_bits, 1)

    def holds(self, level: int, pages: Integers) -> bool:
        """Return whether a cell may have these pages at a level."""
        if not level:
            return pages.size <= self.distinct
        octaves = pages >> max(MANTISSA_BITS - int(self.down(level)), 0)
        sizes = np.unique(octaves, return_counts=True)[1]
        return bool(pages.size <= self.total and (sizes**2).sum() <= self.pages**2)


class Bins(NamedTuple):
    """Counts of values in bins: the state of quantiles and expected shortfall.

    Attributes
    ----------
    low, high : array (cells,)
        Extreme values; inf and -inf if there is no value.
    n : array (cells,)
        Number of values.
    used : array (cells,)
        Bitwise or of the bit patterns of the values, without the sign. Integers lack the last bits,
        so that a bin may hold a single possible value.
    levels : array (cells,)
        0: distinct numbers are counted; l > 0: bins of ``2**(l - 1)`` keys. All are 0 while values
        are kept one by one.
    first : array (cells + 1,)
        Offsets of the pages of each cell among all pages.
    pages : array (pages,)
        Page numbers of each cell, increasing.
    counts : array (bins,)
        Values in each bin of each page: 4 bytes each below 2**31 values, then 8.
    places : array (bins,) or (0,)
        Sums of the places of values in their bins, in units of ``2**PLACE_BITS`` keys.
    begins : array (cells + 1,)
        Offsets of the values of each cell that are kept one by one.
    values : array (values,)
        These values, in the order of their arrival.
    """

    low: Array
    high: Array
    n: Integers
    used: Integers
    levels: Integers
    first: Integers
    pages: Integers
    counts: NDArray[Any]
    places: Integers
    begins: Integers
    values: Array


class Loose(NamedTuple):
    """Bins that are not yet united: a page may occur twice. Fields as in `Bins`."""

    levels: Integers
    first: Integers
    pages: Integers
    counts: NDArray[Any]
    places: Integers


def empty_bins(cells: int) -> Bins:
    """Return the state without values."""
    ends, zeros = np.zeros(cells + 1, np.int64), np.zeros(cells, np.int64)
    nothing = np.zeros(0, np.int64)
    low, high = np.full(cells, np.inf), np.full(cells, -np.inf)
    return Bins(
        low,
        high,
        zeros,
        zeros,
        zeros,
        ends,
        nothing,
        np.zeros(0, np.int32),
        nothing,
        ends,
        np.zeros(0),
    )


def count_into_bins(values: Array, budget: Budget, into: Bins | None = None) -> Bins:
    """Return the state of values (cells, n), ignoring NaN, added to the state `into` in place.

    `into` must not be used afterwards.
    """
    state = empty_bins(len(values)) if into is None else into
    most = int(state.n.max(initial=0)) + values.shape[1]
    if state.pages.size and compiled() is not None and (most < WIDE or _is_wide(state)):
        noted = Noted.of(state)
        state = _count_compiled(values, state, budget, noted)
        return state._replace(**noted.fields())
    both = noted_of(values, state).fields()
    n = both["n"]
    if not state.pages.size:
        if n.max(initial=0) <= budget.values:
            return _kept(state, values, n - state.n)._replace(**both)
        kept = _padded(state)
        state = empty_bins(len(values))._replace(**both)
        state = _counted(kept, state, budget)
    state = state._replace(**both)
    if n.max(initial=0) >= WIDE:
        state = state._replace(counts=state.counts.astype(np.int64, copy=False))
    return _counted(values, state, budget)


def merge_bins(a: Bins, b: Bins, budget: Budget, *, in_place: bool = False) -> Bins:
    """Return the joint state; `a` must not be used afterwards if `in_place`."""
    low, high, n = np.minimum(a.low, b.low), np.maximum(a.high, b.high), a.n + b.n
    both: dict[str, Any] = {"low": low, "high": high, "n": n, "used": a.used | b.used}
    if not a.pages.size and not b.pages.size:
        if n.max(initial=0) <= budget.values:
            return _kept_of_both(a, b, in_place=in_place)._replace(**both)
        a = _counted(_padded(a), empty_bins(len(n))._replace(**both), budget)
        return _counted(_padded(b), a, budget)
    if not a.pages.size:
        a, b, in_place = b, a, False
    a = a._replace(**both)
    if n.max(initial=0) >= WIDE:
        a = a._replace(counts=a.counts.astype(np.int64, copy=False))
    if b.pages.size:
        return _united(a, Loose(*b[4:9]), budget, in_place=in_place)
    return _counted(_padded(b), a if in_place else _copied(a), budget)


def bins_bytes(cells: int, bits: int, with_places: bool) -> int:
    """Return the bytes of a state with all its pages in use, an upper bound in most cases."""
    budget = Budget.of(cells, bits, with_places)
    bins = max(budget.total << budget.page_bits, PLANNED_OCTAVES << bits)
    pages = max(budget.total, bins >> budget.page_bits)
    binned = bins * (12 if budget.with_places else 4) + pages * 8
    return cells * max(binned, budget.values * 8)


# --- values kept one by one ---------------------------------------------------------------------


def _is_wide(state: Bins) -> bool:
    return state.counts.dtype == np.int64


def _kept(state: Bins, values: Array, sizes: Integers) -> Bins:
    """Return a state with values (cells, n) appended to those that it keeps."""
    if not sizes.any():
        return state
    begins = np.concatenate([[0], np.cumsum(sizes)])
    flat = values.reshape(-1) if begins[-1] == values.size else values[values == values]
    if not state.values.size:
        flat = flat.copy()
    return _kept_of_both(state, state._replace(begins=begins, values=flat), in_place=True)


def _kept_of_both(a: Bins, b: Bins, *, in_place: bool) -> Bins:
    """Return the first state with the values of both; in each cell those of `a` come first.

    In place, the values of a single cell are the front of an array with room for more.
    """
    if not a.values.size or not b.values.size:
        return a if a.values.size else a._replace(begins=b.begins, values=b.values)
    if len(a.n) == 1:
        if in_place:
            return a._replace(begins=a.begins + b.begins, values=appended(a.values, b.values))
        values = np.concatenate([a.values, b.values])
    else:
        pairs = zip(np.split(a.values, a.begins[1:-1]), np.split(b.values, b.begins[1:-1]),
                    strict=True)  # fmt: skip
        values = np.concatenate([part for pair in pairs for part in pair])
    return a._replace(begins=a.begins + b.begins, values=values)


def _padded(state: Bins) -> Array:
    """Return the values that a state keeps as rows (cells, n), NaN after the last one."""
    if len(state.n) == 1:
        return state.values[None]
    sizes = np.diff(state.begins)
    out = np.full((len(sizes), int(sizes.max(initial=0))), np.nan)
    out[np.arange(out.shape[1]) < sizes[:, None]] = state.values
    return out


# --- bins --------------------------------------------------------------------------------------


def _copied(state: Bins) -> Bins:
    return state._replace(counts=state.counts.copy(), places=state.places.copy())


def _loose(values: Array) -> Loose:
    """Return the keys of values (cells, n), each as a page."""
    keys, absent = keys_of(values), values != values
    keys[absent] = MAGNITUDE  # above all numbers
    return _loose_of(keys, values.shape[1] - absent.sum(axis=1))


def _loose_of(keys: Integers, sizes: Integers) -> Loose:
    """Return the `sizes` smallest keys of each row, sorted; the others mark absent values."""
    keys.sort(axis=1)
    full = bool((sizes == keys.shape[1]).all())
    flat = keys.reshape(-1) if full else keys[np.arange(keys.shape[1]) < sizes[:, None]]
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    ones, none = np.ones(flat.size, np.int32), np.zeros(0, np.int64)
    return Loose(np.zeros(len(sizes), np.int64), first, flat, ones, none)


def _counted(values: Array, state: Bins, budget: Budget) -> Bins:
    """Add values (cells, n) to a state in place; its `n` and extremes include them already."""
    if compiled() is None:
        return _united(state, _loose(values), budget)
    start = 0
    if not state.pages.size:
        blank = _with_pages(values, state, budget)
        if blank is not None:
            return _count_compiled(values, blank, budget)
        start = max(SORTED_FIRST // max(len(values), 1), LEAST_SORTED_FIRST)
        state = _united(state, _loose(values[:, :start]), budget)
    # The more pages are known, the fewer values are outside of them and have to be sorted.
    while start < values.shape[1]:
        stop = 8 * start if 0 < start < values.shape[1] // 16 else values.shape[1]
        state = _count_compiled(values[:, start:stop], state, budget)
        start = stop
    return state


def _with_pages(values: Array, state: Bins, budget: Budget) -> Bins | None:
    """Return a state with the pages of values (cells, n), all counts being 0.

    None if the pages are too far apart to be marked in a table.
    """
    values = np.ascontiguousarray(values)
    cells = len(values)
    seen = np.zeros(MARKS if cells == 1 else CELL_MARKS, np.uint8)
    levels, first = np.zeros(cells, np.int64), np.zeros(cells + 1, np.int64)
    pages = np.empty(cells * max(budget.total, budget.distinct), np.int64)
    if not compiled().bins.find_pages(
        values, values.view(np.int64), budget.page_bits, budget.distinct, budget.pages,
        budget.total, budget.last, keys_of(state.low), keys_of(state.high), seen,
        seen.view(np.int64), levels, first, pages,
    ):  # fmt: skip
        return None
    blank = _blank(state, levels, first, budget)
    blank.pages[:] = pages[: first[-1]]
    return blank


def _count_compiled(values: Array, state: Bins, budget: Budget, noted: Noted | None = None) -> Bins:
    """Count the values that lie in pages of the state in place, then the others."""
    values = np.ascontiguousarray(values)
    missing, missed = np.empty(values.shape, np.int64), np.zeros(len(values), np.int64)
    noted = Noted.of(state) if noted is None else noted
    compiled().bins.count_pages(
        values, values.view(np.int64), state.levels, state.first, state.pages, budget.page_bits,
        PLACE_BITS, state.counts, state.places, missing, missed, *noted,
    )  # fmt: skip
    most = int(missed.max(initial=0))
    if not most:
        return state
    keys = missing[:, :most].copy()
    keys[np.arange(most) >= missed[:, None]] = MAGNITUDE
    return _united(state, _loose_of(keys, missed), budget, in_place=True)


def _united(a: Bins, b: Loose, budget: Budget, *, in_place: bool = False) -> Bins:
    """Add the bins of `b` to a state whose `n` and extremes include them already."""
    if not b.pages.size:
        return a
    levels, sizes = _planned(a, b, budget)
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    kernel = compiled()
    parts: tuple[Loose, ...] = (b,)
    is_level = np.array_equal(levels, a.levels)
    if is_level and np.array_equal(first, a.first):  # no page is new
        out = a if in_place else _copied(a)
    elif kernel is None:
        out, parts = _blank(a, levels, first, budget), (Loose(*a[4:9]), b)
    else:
        # Most of a large state is copied unchanged: its memory need not be cleared.
        is_moved = is_level and a.counts.dtype == _counter(a)
        out = _blank(a, levels, first, budget, np.empty if is_moved else np.zeros)
        kernel.unions.list_pages(*a[4:7], *b[:3], budget.page_bits, levels, first, out.pages)
        if is_moved:
            kernel.unions.move_pages(*a[5:9], budget.width(levels), *out[5:9])
        else:
            parts = (Loose(*a[4:9]), b)
    if kernel is None:
        fill_plainly(parts, out, budget)
        return out
    for part in parts:
        if part.pages.size:
            # Equal dtypes: the loops are compiled for each pair of them.
            part = part._replace(counts=part.counts.astype(out.counts.dtype, copy=False))
            kernel.unions.pour(*part, budget.page_bits, PLACE_BITS, *out[4:9])
    return out


def _counter(state: Bins) -> type:
    """Return the dtype of the counts."""
    return np.int64 if state.n.max(initial=0) >= WIDE else np.int32


def _blank(
    state: Bins, levels: Integers, first: Integers, budget: Budget, new: Any = np.zeros
) -> Bins:
    """Return the state with other, empty pages; `new` allocates their bins."""
    bins = int((np.diff(first) * budget.width(levels)).sum())
    return state._replace(
        levels=levels,
        first=first,
        pages=np.zeros(first[-1], np.int64),
        counts=new(bins, _counter(state)),
        places=new(bins if budget.with_places else 0, np.int64),
        begins=np.zeros_like(first),
        values=np.zeros(0),
    )


def _planned(a: Bins, b: Loose, budget: Budget) -> tuple[Integers, Integers]:
    """Return the level of each cell of the union, and its number of pages."""
    levels, sizes = np.zeros_like(a.levels), np.zeros_like(a.levels)
    kernel = compiled()
    if kernel is not None:
        kernel.unions.plan_union(
            *a[4:7], *b[:3], budget.page_bits, budget.distinct, budget.pages, budget.total,
            budget.last, levels, sizes,
        )  # fmt: skip
        return levels, sizes
    for cell in range(len(levels)):
        starts = np.concatenate([starts_of(a, cell, budget), starts_of(b, cell, budget)])
        level = max(int(a.levels[cell]), int(b.levels[cell]))
        while True:
            pages = np.unique(starts >> budget.down(level))
            if level >= budget.last or budget.holds(level, pages):
                break
            level += 1
        levels[cell], sizes[cell] = level, pages.size
    return levels, sizes
