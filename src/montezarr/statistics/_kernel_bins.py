"""The loops of bins that refine themselves, compiled; `montezarr.statistics._bins` defines them."""

from __future__ import annotations

import numpy as np

from montezarr.draws.kernel import compile_loops

MAGNITUDE = np.int64(0x7FFF_FFFF_FFFF_FFFF)
"""All bits of a number but its sign."""

TINY = 2.2250738585072014e-308
"""Numbers below this one count as 0."""

SPREAD = np.uint64(0x9E37_79B9_7F4A_7C15)
"""Odd factor that spreads neighbouring pages over a table: 2**64 over the golden ratio."""

ROOM = 4
"""Entries of a plain table per value that is looked up; beyond, a hash table is cheaper."""


@compile_loops
def bit_length(x):
    """Return the place of the highest bit of an unsigned integer, from 1; 0 for 0."""
    length = 0
    for step in (32, 16, 8, 4, 2, 1):
        if x >> np.uint64(step):
            x >>= np.uint64(step)
            length += step
    return length + 1 if x else length


@compile_loops
def extremes(values, patterns, low, high, n, used):
    """Widen the extremes of rows (cells, n), add to their numbers, and note all bits in use."""
    for i in range(values.shape[0]):
        x, pattern = values[i], patterns[i]
        smallest, largest, present, bits = low[i], high[i], 0, np.int64(0)
        for j in range(x.size):
            v = x[j]
            smallest = v if v < smallest else smallest
            largest = v if v > largest else largest
            present += v == v
            bits |= pattern[j] if abs(v) >= TINY else np.int64(0)  # a NaN is not
        low[i], high[i] = smallest, largest
        n[i] += present
        used[i] |= bits & MAGNITUDE


@compile_loops
def _plain_table(pages):
    """Return the place of each page after the first one; -1 for what is no page."""
    table = np.full(pages[-1] - pages[0] + 1, -1, np.int32)
    for k in range(pages.size):
        table[pages[k] - pages[0]] = k
    return table


@compile_loops
def _hash_table(pages, bits):
    """Return a hash table of pages, and their places in it; -1 where an entry is free."""
    keys = np.zeros(1 << bits, np.int64)
    places = np.full(1 << bits, -1, np.int32)
    for k in range(pages.size):
        h = np.int64((np.uint64(pages[k]) * SPREAD) >> np.uint64(64 - bits))
        while places[h] >= 0:
            h = (h + 1) & ((1 << bits) - 1)
        keys[h], places[h] = pages[k], k
    return keys, places


@compile_loops
def _count_in_table(x, pattern, pages, s, p, unit, counts, places, rest):
    """Count the values of a cell whose pages are close together; return how many are elsewhere."""
    table, lowest = _plain_table(pages), pages[0]
    down, mask, m, last = s + p, (1 << p) - 1, 0, np.uint64(table.size)
    with_places = places.size > 0
    for j in range(x.size):
        v = x[j]
        key = pattern[j]
        key ^= (key >> 63) & MAGNITUDE
        key = key if abs(v) >= TINY else np.int64(0)
        at = np.uint64((key >> down) - lowest)  # unsigned: no place counts from the end
        slot = table[at] if at < last else np.int32(-1)
        if slot >= 0 and v == v:
            place = np.uint64((np.int64(slot) << p) + ((key >> s) & mask))
            counts[place] += 1
            if with_places:
                places[place] += (key >> unit) - (((key >> s) << s) >> unit)
        elif v == v:
            rest[m] = key
            m += 1
    return m


@compile_loops
def _count_hashed(x, pattern, pages, s, p, unit, counts, places, rest):
    """Do the same where pages may be anywhere."""
    bits = max(bit_length(np.uint64(2 * pages.size)), 1)
    keys, slots = _hash_table(pages, bits)
    down, mask, m, last = s + p, (1 << p) - 1, 0, np.uint64((1 << bits) - 1)
    with_places = places.size > 0
    for j in range(x.size):
        v = x[j]
        if v != v:
            continue
        key = pattern[j]
        key ^= (key >> 63) & MAGNITUDE
        key = key if abs(v) >= TINY else np.int64(0)
        page = key >> down
        h = (np.uint64(page) * SPREAD) >> np.uint64(64 - bits)
        while keys[h] != page and slots[h] >= 0:
            h = (h + np.uint64(1)) & last
        slot = slots[h]
        if slot >= 0:
            place = np.uint64((np.int64(slot) << p) + ((key >> s) & mask))
            counts[place] += 1
            if with_places:
                places[place] += (key >> unit) - (((key >> s) << s) >> unit)
        else:
            rest[m] = key
            m += 1
    return m


@compile_loops
def count_pages(
    values, patterns, levels, first, pages, page_bits, unit, counts, places, missing, missed
):
    """Count rows (cells, n) in the pages that are there; note the keys of the others.

    `patterns` are the same numbers as int64; `missing` (cells, n) gets keys, `missed` how many.
    """
    base = 0
    for i in range(values.shape[0]):
        x = values[i]
        s = max(levels[i] - 1, 0)
        p = page_bits if levels[i] > 0 else 0
        mine = pages[first[i] : first[i + 1]]
        span = np.int64(0)
        if mine.size > 0:
            span = mine[-1] - mine[0] + 1  # below 0 where it is beyond an integer
        size = mine.size << p
        own = counts[base : base + size]
        inside = places[base : base + size] if places.size > 0 else places
        if 0 < span <= ROOM * x.size + 1024:
            m = _count_in_table(x, patterns[i], mine, s, p, unit, own, inside, missing[i])
        else:
            m = _count_hashed(x, patterns[i], mine, s, p, unit, own, inside, missing[i])
        missed[i] = m
        base += size


@compile_loops
def plan_union(
    level_a, first_a, pages_a, level_b, first_b, pages_b, page_bits, distinct, most, last,
    levels, sizes,
):  # fmt: skip
    """Write the level of each cell of two states together, and how many pages it has there."""
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
        # How many neighbours differ in this bit and in none above: they part below its level.
        parts = np.zeros(66, np.int64)
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
                parts[bit_length(np.uint64(before ^ start))] += 1
            before, is_first = start, False
        while True:
            down = level - 1 + page_bits if level > 0 else 0
            found = 1
            for b in range(down + 1, 66):
                found += parts[b]
            if level >= last or found <= (most if level > 0 else distinct):
                break
            level += 1
        levels[i], sizes[i] = level, found


@compile_loops
def list_pages(
    level_a, first_a, pages_a, level_b, first_b, pages_b, page_bits, levels, first, pages
):
    """Write the pages of two states together, at the levels that they have there."""
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
def pour(
    level_a, first_a, pages_a, counts_a, places_a, page_bits, unit, levels, first, pages, counts,
    places,
):  # fmt: skip
    """Add a state to one whose bins are as wide or wider, and that has all of its pages."""
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
                width = 1 << p  # by slices, which the compiler turns into vectors
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
