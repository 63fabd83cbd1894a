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

SIGNED = 2**11
"""Octaves of each sign, of all float64."""

OCTAVE = 52
"""Bits of a key below its octave and sign."""

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
def _end_octave(inside, squares):
    """Add the squared number of pages of an octave, by the bits below a page, and begin another.

    `inside` counts neighbours in it by the highest bit in which they differ.
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


@compile_loops
def _slot_of(page, lowest, span, keys, slots, bits):
    """Return where a page stands in a table, or the free entry where it belongs.

    The table is plain if it has room for the whole span from the lowest page, and else hashed.
    """
    if 0 < span <= slots.size:
        return page - lowest
    h = np.int64((np.uint64(page) * SPREAD) >> np.uint64(64 - bits))
    while slots[h] >= 0 and keys[h] != page:
        h = (h + 1) & ((1 << bits) - 1)
    return h


@compile_loops
def _level_above(level, found, pages, page_bits, total, last):
    """Return the next level of one cell that has room for its pages, or 0 if the last has not.

    `pages` are of this level, in any order. From the first level on none has more than the one
    below it, but of single numbers each may need a page of its own.
    """
    if level > 0:
        return level + 1
    ordered, parts = np.sort(pages[:found]), np.zeros(66, np.int64)
    for k in range(1, found):
        parts[bit_length(np.uint64(ordered[k - 1] ^ ordered[k]))] += 1
    for above in range(1, last + 1):
        needed = 1
        for b in range(above + page_bits, 66):
            needed += parts[b]
        if needed <= total:
            return above
    return 0


@compile_loops
def _coarser(
    level, level_out, found, pages, counts, places, page_bits, unit, low, high, keys, slots, bits,
    pages_out, counts_out, places_out,
):  # fmt: skip
    """Write the pages of one cell, in any order, as a level above has them; return how many."""
    s, p = max(level - 1, 0), page_bits if level > 0 else 0
    down, s_out, m = s + p, level_out - 1, 0
    down_out, mask = s_out + page_bits, (1 << page_bits) - 1
    lowest = low >> down_out
    span = (high >> down_out) - lowest + 1
    slots[: span if 0 < span <= slots.size else slots.size] = -1
    for k in range(found):
        start = pages[k] << down
        h = _slot_of(start >> down_out, lowest, span, keys, slots, bits)
        if slots[h] < 0:
            keys[h], slots[h], pages_out[m] = start >> down_out, m, start >> down_out
            counts_out[m << page_bits : (m + 1) << page_bits] = 0
            if places_out.size > 0:
                places_out[m << page_bits : (m + 1) << page_bits] = 0
            m += 1
        base = np.int64(slots[h]) << page_bits
        for b in range(1 << p):
            count = counts[(k << p) + b]
            if count > 0:
                key = start + (np.int64(b) << s)
                place = base + ((key >> s_out) & mask)
                counts_out[place] += count
                if places_out.size > 0:
                    moved = (key >> unit) - (((key >> s_out) << s_out) >> unit)
                    places_out[place] += places[(k << p) + b] + count * moved
    return m


@compile_loops
def _squared(found, pages, down, octaves):
    """Return the sum of the squared numbers of pages of each octave; note these numbers."""
    octaves[:] = 0
    if down > OCTAVE:
        return found
    squared = 0
    for k in range(found):
        octave = (pages[k] >> (OCTAVE - down)) + SIGNED
        squared += 2 * octaves[octave] + 1
        octaves[octave] += 1
    return squared


@compile_loops
def _until_full(
    x, pattern, j, m, s, p, lowest, span, most, squares, is_bound, unit, keys, slots, bits, octaves,
    pages, counts, places,
):  # fmt: skip
    """Count values from the j-th on, up to one whose page is too much; return its place, and pages.

    `squares` bounds the sum of the squared numbers of pages of each octave, if it `is_bound`.
    """
    down, mask, with_places = s + p, (1 << p) - 1, places.size > 0
    is_plain = 0 < span <= slots.size
    squared = 0
    if is_bound:
        squared = _squared(m, pages, down, octaves)
    while j < x.size:
        v = x[j]
        key = pattern[j]
        key ^= (key >> 63) & MAGNITUDE
        key = key if abs(v) >= TINY else np.int64(0)
        if v != v:
            j += 1
            continue
        page = key >> down
        if is_plain:
            h = np.uint64(page - lowest)
        else:
            h = np.uint64(_slot_of(page, lowest, span, keys, slots, bits))
        slot = slots[h]
        if slot < 0:
            more = 1
            if is_bound and down <= OCTAVE:
                more = 2 * octaves[(key >> OCTAVE) + SIGNED] + 1
            if m == most or (is_bound and squared + more > squares):
                break
            if is_bound:
                squared += more
                octaves[(key >> OCTAVE) + SIGNED] += 1
            if not is_plain:
                keys[h] = page
            slots[h], pages[m] = m, page
            counts[m << p : (m + 1) << p] = 0
            if with_places:
                places[m << p : (m + 1) << p] = 0
            slot = m
            m += 1
        place = np.uint64((np.int64(slot) << p) + ((key >> s) & mask))
        counts[place] += 1
        if with_places:
            places[place] += (key >> unit) - (((key >> s) << s) >> unit)
        j += 1
    return j, m


@compile_loops
def count_anew(
    values, patterns, page_bits, distinct, most, total, last, unit, bits, lows, highs, work,
    work_places, levels, first, pages, counts, places,
):  # fmt: skip
    """Count rows (cells, n) of which nothing was counted before; return whether there is room.

    Pages are found as values come, and joined where there are too many. `levels` are those of some
    of the values, and become those of all. `work` has room for twice the pages of a cell,
    `work_places` the same where places are added up; `pages`, `counts` and `places` for all.
    """
    room = max(work.size >> (page_bits + 1), distinct)
    mine, theirs = np.empty(room, np.int64), np.empty(room, np.int64)
    here, there = work[: work.size // 2], work[work.size // 2 :]
    half = work_places.size // 2
    here_places, there_places = work_places[:half], work_places[half:]
    keys, slots = np.zeros(1 << bits, np.int64), np.empty(1 << bits, np.int32)
    octaves = np.zeros(2 * SIGNED, np.int64)
    base = 0
    for i in range(values.shape[0]):
        level, m, j = levels[i], 0, 0
        while True:
            s, p = max(level - 1, 0), page_bits if level > 0 else 0
            lowest = lows[i] >> (s + p)
            span = (highs[i] >> (s + p)) - lowest + 1
            if m == 0:
                slots[: span if 0 < span <= slots.size else slots.size] = -1
            is_bound = 0 < level < last and total > most  # or the pages alone are bound
            limit = distinct
            if level > 0:
                limit = total if level < last else work.size >> (page_bits + 1)
            j, m = _until_full(
                values[i], patterns[i], j, m, s, p, lowest, span, limit, most * most, is_bound,
                unit, keys, slots, bits, octaves, mine, here, here_places,
            )  # fmt: skip
            if j == values.shape[1]:
                break
            if level >= last:
                return False
            above = _level_above(level, m, mine, page_bits, total, last)
            if above == 0:
                return False
            m = _coarser(
                level, above, m, mine, here, here_places, page_bits, unit, lows[i], highs[i], keys,
                slots, bits, theirs, there, there_places,
            )  # fmt: skip
            mine, theirs = theirs, mine
            here, there = there, here
            here_places, there_places = there_places, here_places
            level = above
        levels[i] = level
        start = first[i]
        first[i + 1] = start + m
        order = np.argsort(mine[:m])
        for k in range(m):
            slot = order[k]
            pages[start + k] = mine[slot]
            counts[base : base + (1 << p)] = here[slot << p : (slot + 1) << p]
            if places.size > 0:
                places[base : base + (1 << p)] = here_places[slot << p : (slot + 1) << p]
            base += 1 << p
    return True


@compile_loops
def tally(x, low, scale, counts):
    """Count values in bins of equal width; the first and the last one hold what is beyond."""
    last = counts.size - 1
    for j in range(x.size):
        counts[max(min(int((x[j] - low) * scale), last), 0)] += 1


@compile_loops
def gather(x, low, scale, wanted, out):
    """Write the values of some of these bins."""
    last, m = wanted.size - 1, 0
    for j in range(x.size):
        out[m] = x[j]
        m += wanted[max(min(int((x[j] - low) * scale), last), 0)]
