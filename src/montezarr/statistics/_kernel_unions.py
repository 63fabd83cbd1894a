"""Compiled loops that unite two states of bins; `montezarr.statistics._bins` defines them."""

from __future__ import annotations

import numpy as np

from montezarr.random.draws.phases import compile_loops
from montezarr.statistics._kernel_bins import OCTAVE, bit_length


@compile_loops
def _end_octave(inside, squares):
    """Add an octave's squared number of pages, by the bits below a page, and reset its counts.

    `inside` counts neighbours in the octave by the highest bit in which they differ.
    """
    found = 1
    for down in range(OCTAVE, -1, -1):
        squares[down] += found * found
        found += inside[down]
        inside[down] = 0


@compile_loops
def plan_union(
    level_a, first_a, pages_a, level_b, first_b, pages_b, page_bits, distinct, most, total, last,
    levels, sizes,
):  # fmt: skip
    """Write the level and the number of pages of each cell of the union of two states."""
    for i in range(level_a.size):
        down_a = level_a[i] - 1 + page_bits if level_a[i] > 0 else 0
        down_b = level_b[i] - 1 + page_bits if level_b[i] > 0 else 0
        j, stop_j = first_a[i], first_a[i + 1]
        k, stop_k = first_b[i], first_b[i + 1]
        level = max(level_a[i], level_b[i])
        levels[i] = level
        sizes[i] = 0
        if j == stop_j and k == stop_k:
            continue
        # Neighbours by the highest bit in which they differ: below its level they are two pages.
        parts = np.zeros(66, np.int64)
        inside, squares = np.zeros(OCTAVE + 1, np.int64), np.zeros(OCTAVE + 1, np.int64)
        before = np.int64(0)
        is_first = True
        while j < stop_j or k < stop_k:
            if k == stop_k or (j < stop_j and pages_a[j] << down_a <= pages_b[k] << down_b):
                start = pages_a[j] << down_a
                j += 1
            else:
                start = pages_b[k] << down_b
                k += 1
            if not is_first:
                bit = bit_length(np.uint64(before ^ start))
                parts[bit] += 1
                if bit > OCTAVE:
                    _end_octave(inside, squares)
                else:
                    inside[bit] += 1
            before, is_first = start, False
        _end_octave(inside, squares)
        while True:
            down = level - 1 + page_bits if level > 0 else 0
            found = 1
            for b in range(down + 1, 66):
                found += parts[b]
            squared = squares[down] if down <= OCTAVE else found
            fits = found <= total and squared <= most * most
            if level >= last or (fits if level > 0 else found <= distinct):
                break
            level += 1
        levels[i], sizes[i] = level, found


@compile_loops
def list_pages(
    level_a, first_a, pages_a, level_b, first_b, pages_b, page_bits, levels, first, pages
):
    """Write the pages of the union of two states, at the levels of the union."""
    for i in range(levels.size):
        down_a = level_a[i] - 1 + page_bits if level_a[i] > 0 else 0
        down_b = level_b[i] - 1 + page_bits if level_b[i] > 0 else 0
        down = levels[i] - 1 + page_bits if levels[i] > 0 else 0
        j, stop_j = first_a[i], first_a[i + 1]
        k, stop_k = first_b[i], first_b[i + 1]
        place = first[i]
        while j < stop_j or k < stop_k:
            if k == stop_k or (j < stop_j and pages_a[j] << down_a <= pages_b[k] << down_b):
                page = (pages_a[j] << down_a) >> down
                j += 1
            else:
                page = (pages_b[k] << down_b) >> down
                k += 1
            if place == first[i] or pages[place - 1] != page:
                pages[place] = page
                place += 1


@compile_loops
def move_pages(first_a, pages_a, counts_a, places_a, widths, first, pages, counts, places):
    """Copy a state into one with more pages at the same levels, in uninitialised memory.

    Adjacent pages are copied at once; `widths` are the bins of a page of each cell.
    """
    base_a = base = 0
    with_places = places.size > 0
    for i in range(widths.size):
        j, stop_j, width = first_a[i], first_a[i + 1], widths[i]
        t, stop = first[i], first[i + 1]
        while t < stop:
            begin, source = t, j
            while t < stop and j < stop_j and pages[t] == pages_a[j]:
                t, j = t + 1, j + 1
            start, end = base + (begin - first[i]) * width, base + (t - first[i]) * width
            begin_a = base_a + (source - first_a[i]) * width
            end_a = base_a + (j - first_a[i]) * width
            counts[start:end] = counts_a[begin_a:end_a]
            if with_places:
                places[start:end] = places_a[begin_a:end_a]
            while t < stop and (j == stop_j or pages[t] != pages_a[j]):
                t += 1
            counts[end : base + (t - first[i]) * width] = 0
            if with_places:
                places[end : base + (t - first[i]) * width] = 0
        base_a += (stop_j - first_a[i]) * width
        base += (stop - first[i]) * width


@compile_loops
def pour(
    level_a, first_a, pages_a, counts_a, places_a, page_bits, unit, levels, first, pages, counts,
    places,
):  # fmt: skip
    """Add a state to one that has all its pages, in bins at least as wide."""
    base_a = base = 0
    with_places = places.size > 0
    has_places = places_a.size > 0
    for i in range(levels.size):
        s_a, s = max(level_a[i] - 1, 0), max(levels[i] - 1, 0)
        p_a = page_bits if level_a[i] > 0 else 0
        p = page_bits if levels[i] > 0 else 0
        mask, t = (1 << p) - 1, first[i]
        for j in range(first_a[i], first_a[i + 1]):
            start = pages_a[j] << (s_a + p_a)
            while pages[t] != start >> (s + p):
                t += 1
            of_page = base + ((t - first[i]) << p)
            mine = base_a + ((j - first_a[i]) << p_a)
            if s_a == s and p_a == p:
                width = 1 << p  # slices, which the compiler vectorises
                counts[of_page : of_page + width] += counts_a[mine : mine + width]
                if with_places and has_places:
                    places[of_page : of_page + width] += places_a[mine : mine + width]
                continue
            into = np.uint64(of_page + ((start >> s) & mask))
            if not with_places:
                for b in range(1 << p_a):
                    counts[into + np.uint64(b >> (s - s_a))] += counts_a[np.uint64(mine + b)]
                continue
            for b in range(1 << p_a):
                count = counts_a[mine + b]
                if count > 0:
                    key = start + (np.int64(b) << s_a)
                    place = into + np.uint64(b >> (s - s_a))
                    counts[place] += count
                    moved = (key >> unit) - (((key >> s) << s) >> unit)
                    inside = places_a[mine + b] if has_places else 0
                    places[place] += inside + count * moved
        base_a += (first_a[i + 1] - first_a[i]) << p_a
        base += (first[i + 1] - first[i]) << p
