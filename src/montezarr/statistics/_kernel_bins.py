"""Compiled loops of adaptive bins; `montezarr.statistics._bins` defines them."""

from __future__ import annotations

from typing import Any

import numpy as np

from montezarr.random.draws.phases import compile_loops

KEY_MAGNITUDE = np.int64(0x7FFF_FFFF_FFFF_FFFF)
"""All bits of a number but its sign."""

SMALLEST_NORMAL = 2.2250738585072014e-308
"""Numbers below this one count as 0."""

SPREAD = np.uint64(0x9E37_79B9_7F4A_7C15)
"""Odd factor that spreads neighbouring pages over a table: 2**64 over the golden ratio."""

OCTAVE = 52
"""Bits of a key below its octave and sign."""

ROOM = 4
"""Entries of a plain table per value that is looked up; beyond, a hash table is cheaper."""

MOST_ROOM = 2**18
"""Entries of a plain table, at most: they stay in the cache."""

PIECE = 1024
"""Values whose keys are made at once: they stay in the nearest cache."""


@compile_loops
def bit_length(x):
    """Return the position of the highest set bit of an unsigned integer, from 1; 0 for 0."""
    length = 0
    for step in (32, 16, 8, 4, 2, 1):
        if x >> np.uint64(step):
            x >>= np.uint64(step)
            length += step
    return length + 1 if x else length


@compile_loops
def _keys_of(x, pattern, keys):
    """Write the keys of values, KEY_MAGNITUDE for NaN; return least and largest, n, bits in use.

    In integers alone, so that the compiler makes vectors of it.
    """
    lowest, highest, present, bits = KEY_MAGNITUDE, ~KEY_MAGNITUDE, np.int64(0), np.int64(0)
    for j in range(x.size):
        v, whole = x[j], pattern[j]
        is_there, is_far = v == v, abs(v) >= SMALLEST_NORMAL
        key = whole ^ ((whole >> 63) & KEY_MAGNITUDE) if is_far else np.int64(0)
        low = key if is_there else KEY_MAGNITUDE
        lowest = min(lowest, low)
        highest = max(highest, key if is_there else ~KEY_MAGNITUDE)
        present += is_there
        bits |= whole if is_far else np.int64(0)
        keys[j] = low
    return lowest, highest, present, bits & KEY_MAGNITUDE


@compile_loops
def extremes(values, patterns, lows, highs, n, used):
    """Update extreme keys, numbers of values and bits in use by rows (cells, n)."""
    keys = np.empty(PIECE, np.int64)
    for i in range(values.shape[0]):
        for start in range(0, values.shape[1], PIECE):
            x, pattern = values[i, start : start + PIECE], patterns[i, start : start + PIECE]
            low, high, present, bits = _keys_of(x, pattern, keys)
            lows[i], highs[i] = min(lows[i], low), max(highs[i], high)
            n[i] += present
            used[i] |= bits


@compile_loops
def _plain_table(pages, p):
    """Return a table, by page after the first, of the offsets from bin numbers to positions."""
    table = np.full(pages[-1] - pages[0] + 1, KEY_MAGNITUDE)
    for k in range(pages.size):
        table[pages[k] - pages[0]] = (k - pages[k]) << p
    return table


@compile_loops
def _hash_table(pages, bits):
    """Return a hash table of pages and of their positions; -1 marks a free entry."""
    keys = np.zeros(1 << bits, np.int64)
    places = np.full(1 << bits, -1, np.int32)
    for k in range(pages.size):
        h = np.int64((np.uint64(pages[k]) * SPREAD) >> np.uint64(64 - bits))
        while places[h] >= 0:
            h = (h + 1) & ((1 << bits) - 1)
        keys[h], places[h] = pages[k], k
    return keys, places


@compile_loops
def _count_in_table(keys, low, high, table, lowest, s, p, unit, counts, places, rest, m):
    """Count values of a cell with nearby pages by their keys, from `low` to `high`.

    Return the number of values outside of the pages, added to `m`.
    """
    last, with_places = np.uint64(table.size), places.size > 0
    first, end = np.uint64((low >> (s + p)) - lowest), np.uint64((high >> (s + p)) - lowest)
    if first < last and end < last and table[first] == table[end] < KEY_MAGNITUDE:
        away = table[first]  # all pages between them exist
        for j in range(keys.size):
            if keys[j] < KEY_MAGNITUDE:
                counts[np.uint64((keys[j] >> s) + away)] += 1
        if with_places:
            for j in range(keys.size):
                key = keys[j]
                if key < KEY_MAGNITUDE:
                    place = np.uint64((key >> s) + away)
                    places[place] += (key >> unit) - (((key >> s) << s) >> unit)
        return m
    for j in range(keys.size):
        key = keys[j]
        at = np.uint64((key >> (s + p)) - lowest)  # unsigned: no index counts from the end
        away = table[at] if at < last else KEY_MAGNITUDE
        if away < KEY_MAGNITUDE:
            place = np.uint64((key >> s) + away)
            counts[place] += 1
            if with_places:
                places[place] += (key >> unit) - (((key >> s) << s) >> unit)
        elif key < KEY_MAGNITUDE:
            rest[m] = key
            m += 1
    return m


@compile_loops
def _count_hashed(keys, pages, slots, s, p, unit, counts, places, rest, m):
    """Do the same for pages at any distance, by a hash table."""
    mask, last = (1 << p) - 1, np.uint64(slots.size - 1)
    down, off = s + p, np.uint64(65 - bit_length(np.uint64(slots.size)))
    with_places = places.size > 0
    for j in range(keys.size):
        key = keys[j]
        if key == KEY_MAGNITUDE:
            continue
        page = key >> down
        h = (np.uint64(page) * SPREAD) >> off
        while pages[h] != page and slots[h] >= 0:
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
    values, patterns, levels, first, pages, page_bits, unit, counts, places, missing, missed, lows,
    highs, n, used,
):  # fmt: skip
    """Count rows (cells, n) in existing pages; record the keys of values outside of these.

    `patterns` are the same numbers as int64; `missing` (cells, n) gets the keys, `missed` their
    numbers. The other arrays are updated as by `extremes`.
    """
    base = 0
    keys = np.empty(PIECE, np.int64)
    for i in range(values.shape[0]):
        s = max(levels[i] - 1, 0)
        p = page_bits if levels[i] > 0 else 0
        mine = pages[first[i] : first[i + 1]]
        lowest, m = np.int64(0), 0
        is_plain: Any = False
        if mine.size > 0:
            lowest = mine[0]
            most = min(ROOM * values.shape[1] + 1024, MOST_ROOM)
            is_plain = np.uint64(mine[-1]) - np.uint64(lowest) < np.uint64(most)
        size = mine.size << p
        own = counts[base : base + size]
        inside = places[base : base + size] if places.size > 0 else places
        if is_plain:
            table = _plain_table(mine, p)
            listed, slots = mine, np.empty(0, np.int32)
        else:
            table = mine
            listed, slots = _hash_table(mine, max(bit_length(np.uint64(2 * mine.size)), 1))
        for start in range(0, values.shape[1], PIECE):
            x, pattern = values[i, start : start + PIECE], patterns[i, start : start + PIECE]
            low, high, present, bits = _keys_of(x, pattern, keys)
            lows[i], highs[i] = min(lows[i], low), max(highs[i], high)
            n[i] += present
            used[i] |= bits
            if present == 0:
                continue
            some = keys[: x.size]
            if is_plain:
                m = _count_in_table(
                    some, low, high, table, lowest, s, p, unit, own, inside, missing[i], m
                )
            else:
                m = _count_hashed(some, listed, slots, s, p, unit, own, inside, missing[i], m)
        missed[i] = m
        base += size


@compile_loops
def _mark_pages(x, pattern, down, lowest, seen):
    """Mark the pages of the values of a cell, counted from the lowest one."""
    for j in range(x.size):
        v = x[j]
        key = pattern[j]
        key ^= (key >> 63) & KEY_MAGNITUDE
        key = key if abs(v) >= SMALLEST_NORMAL else np.int64(0)
        if v == v:
            seen[np.uint64((key >> down) - lowest)] = 1


@compile_loops
def _marked(words, seen, down, lowest, out):
    """Write the marked pages in order; return their number, and the sum of squares by octave.

    `words` are the same marks, eight at a time.
    """
    m, inside, squared, octave = 0, 0, 0, np.int64(0)
    by_octave = max(OCTAVE - down, 0)
    for w in range(words.size):
        if words[w] == 0:
            continue
        for k in range(8 * w, 8 * w + 8):
            if seen[k] == 0:
                continue
            page = lowest + k
            if page >> by_octave != octave:
                squared += inside * inside
                inside, octave = 0, page >> by_octave
            inside += 1
            if m < out.size:
                out[m] = page
            m += 1
    squared += inside * inside
    return m, squared if down <= OCTAVE else m


@compile_loops
def _level_within(low, high, page_bits, most):
    """Return the lowest level with at most `most` pages between two keys, and a page's bits."""
    level, down = 0, 0
    # Unsigned: the difference of signed integers may overflow.
    while np.uint64(high >> down) - np.uint64(low >> down) >= np.uint64(most):
        level += 1
        down = level - 1 + page_bits
    return level, down


@compile_loops
def _joined(words, seen, lowest, bits):
    """Join marked pages in place by dropping low bits of their numbers; return the lowest page."""
    base = lowest >> bits
    for w in range(words.size):
        if words[w] == 0:
            continue
        for k in range(8 * w, 8 * w + 8):
            if seen[k]:
                seen[k] = 0  # no page moves up, so later marks are not overwritten
                seen[((lowest + k) >> bits) - base] = 1
    return base


@compile_loops
def find_pages(
    values, patterns, page_bits, distinct, most, total, last, lows, highs, seen, words, levels,
    first, pages,
):  # fmt: skip
    """Write the level and pages of rows (cells, n) of which nothing was counted before.

    Return whether all were found. `lows` and `highs` are the extreme keys of each row, `seen` is a
    cleared table of page marks, `words` are the same bytes, eight at a time; `pages` has equal room
    for each row. Pages are marked at a level that has too many, and joined until they are few
    enough. False if at no such level the pages are close enough for the table.
    """
    room = pages.size // max(levels.size, 1)
    mine = np.empty(room, np.int64)
    for i in range(values.shape[0]):
        first[i + 1] = first[i]
        levels[i] = 0
        if lows[i] > highs[i]:
            continue
        octaves = (highs[i] >> OCTAVE) - (lows[i] >> OCTAVE)
        span = min(8 * total * (1 + octaves), seen.size)
        before = np.int64(-1)
        while True:
            level, down = _level_within(lows[i], highs[i], page_bits, span)
            if level > last or level == before:
                return False
            before, is_least = level, level == 0
            lowest = lows[i] >> down
            _mark_pages(values[i], patterns[i], down, lowest, seen)
            while True:
                here = words[: ((highs[i] >> down) - lowest) // 8 + 1]
                m, squared = _marked(here, seen, down, lowest, mine)
                fits = m <= total and squared <= most * most
                if level == before and m <= distinct:
                    break  # so few pages that level 0 may hold the numbers themselves
                if level >= last or (fits if level > 0 else m <= distinct):
                    break
                is_least = True  # the level below has too many pages
                lowest = _joined(here, seen, lowest, level + page_bits - down)
                level, down = level + 1, level + page_bits
            here[:] = 0
            if is_least or m == 0:
                break
            if span == seen.size:
                return False
            span = seen.size
        if m > room:
            return False
        levels[i] = level if m > 0 else 0
        pages[first[i] : first[i] + m] = mine[:m]
        first[i + 1] = first[i] + m
    return True


@compile_loops
def count_in_slices(x, low, scale, counts):
    """Count values in bins of equal width; the first and last one include values beyond them."""
    last = counts.size - 1
    for j in range(x.size):
        counts[max(min(int((x[j] - low) * scale), last), 0)] += 1


@compile_loops
def gather(x, low, scale, wanted, out):
    """Write the values that lie in wanted bins of `count_in_slices`."""
    last, m = wanted.size - 1, 0
    for j in range(x.size):
        out[m] = x[j]
        m += wanted[max(min(int((x[j] - low) * scale), last), 0)]
