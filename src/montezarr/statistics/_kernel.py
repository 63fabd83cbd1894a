"""The loops of the statistics, compiled: the bits of the NumPy definitions beside them."""

from __future__ import annotations

import numpy as np

from montezarr.draws.kernel import compile_loops  # kept on disk: compiling takes four seconds

# `fastmath` stays off: the compiler must not change the order of a sum.

WIDTH = 1024
"""Length of a row: known to the compiler, which makes the loops four times as fast."""
HALF = WIDTH // 2

MAGNITUDE = np.int64(0x7FFF_FFFF_FFFF_FFFF)
"""All bits of a number but its sign."""

TINY = 2.2250738585072014e-308
"""Numbers below this one count as 0."""


@compile_loops
def _tree(x, tree):
    """Return the sum of a row of 1024 values."""
    for j in range(HALF):
        tree[j] = x[j] + x[j + HALF]
    half = HALF
    while half > 1:
        half //= 2
        for j in range(half):
            tree[j] = tree[j] + tree[j + half]
    return tree[0]


@compile_loops
def tree_sum(values, out):
    """Do what `reference_tree_sum` does for rows (m, n) with n <= 1024."""
    rows, n = values.shape
    tree = np.empty(HALF)
    padded = np.zeros(WIDTH)
    for i in range(rows):
        x = values[i]
        if n < WIDTH:
            padded[:n] = x
            x = padded
        out[i] = _tree(x, tree)


@compile_loops
def central_sums(values, count, mean, sums):
    """Do what `reference_central_sums` does for rows (m, n) with n <= 1024."""
    rows, n = values.shape
    orders = sums.shape[0]
    tree = np.empty(HALF)
    padded = np.zeros(WIDTH)
    centred = np.zeros(WIDTH)
    power = np.zeros(WIDTH)
    for i in range(rows):
        x = values[i]
        if n < WIDTH:
            padded[:n] = x
            x = padded
        total = _tree(x, tree)
        present = n
        full = total == total  # a NaN among the values would have come through
        if not full:
            present = 0
            for j in range(n):
                counts = x[j] == x[j]
                present += counts
                power[j] = x[j] if counts else 0.0
            power[n:] = 0.0
            total = _tree(power, tree)
        centre = total / max(present, 1)
        count[i] = present
        mean[i] = centre
        if full:
            for j in range(WIDTH):
                d = x[j] - centre
                centred[j] = d
                power[j] = d * d
        else:
            for j in range(WIDTH):
                d = x[j] - centre if x[j] == x[j] else 0.0
                centred[j] = d
                power[j] = d * d
        centred[n:] = 0.0
        power[n:] = 0.0
        for p in range(orders):
            if p > 0:
                for j in range(WIDTH):
                    power[j] = power[j] * centred[j]
            sums[p, i] = _tree(power, tree)


@compile_loops
def extremes(values, low, high):
    """Put the smallest and the largest of rows (m, n) among those in `low` and `high`, sorted."""
    last = low.shape[1] - 1
    for i in range(values.shape[0]):
        x, below, above = values[i], low[i], high[i]
        smallest, largest = above[0], below[last]
        for j in range(x.size):
            v = x[j]
            if v > smallest:  # False of NaN
                k = 0
                while k < last and above[k + 1] < v:
                    above[k] = above[k + 1]
                    k += 1
                above[k] = v
                smallest = above[0]
            if v < largest:
                k = last
                while k > 0 and below[k - 1] > v:
                    below[k] = below[k - 1]
                    k -= 1
                below[k] = v
                largest = below[last]


@compile_loops
def extent(values, low, high, near):
    """Widen the extremes of rows (cells, n), and those of all numbers on either side of 0."""
    below, above = near[0], near[1]
    for i in range(values.shape[0]):
        x = values[i]
        smallest, largest = low[i], high[i]
        for j in range(x.size):
            v = x[j]
            smallest = v if v < smallest else smallest
            largest = v if v > largest else largest
            above = v if TINY <= v < above else above
            below = v if -TINY >= v > below else below
        low[i], high[i] = smallest, largest
    near[0], near[1] = below, above


@compile_loops
def count_between(values, edges, per_bin, counts):
    """Count rows (cells, n) between edges that are nearly even: below, in each bin, above.

    The place among even edges is right or next to it; the edges themselves decide.
    """
    last = edges.size - 2
    for i in range(values.shape[0]):
        x, row = values[i], counts[i]
        for j in range(x.size):
            v = x[j]
            if v < edges[0]:
                row[0] += 1
            elif v > edges[last + 1]:
                row[last + 2] += 1
            elif v == v:
                k = max(0, min(int((v - edges[0]) * per_bin), last))
                while k > 0 and v < edges[k]:
                    k -= 1
                while k < last and v >= edges[k + 1]:
                    k += 1
                row[k + 1] += 1


@compile_loops
def count_bins(values, patterns, shift, first, base, positive, counts):
    """Count the bins of rows (cells, n); `patterns` are the same numbers as int64."""
    for i in range(values.shape[0]):
        x, pattern, row = values[i], patterns[i], counts[i]
        for j in range(x.size):
            v, p = x[j], pattern[j]
            if v >= TINY:
                row[base + 1 + (p >> shift) - positive] += 1
            elif v <= -TINY:
                row[((p ^ MAGNITUDE) >> shift) - first] += 1
            elif v == v:
                row[base] += 1


@compile_loops
def count_bins_and_offsets(values, patterns, shift, scale, first, base, positive, counts, offsets):
    """Count the bins, and add up where in its bin each value lies."""
    low_bits = (np.int64(1) << shift) - 1
    for i in range(values.shape[0]):
        x, pattern, row, sums = values[i], patterns[i], counts[i], offsets[i]
        for j in range(x.size):
            v, p = x[j], pattern[j]
            if v >= TINY:
                place = base + 1 + (p >> shift) - positive
            elif v <= -TINY:
                p ^= MAGNITUDE
                place = (p >> shift) - first
            elif v == v:
                row[base] += 1
                continue
            else:
                continue
            row[place] += 1
            sums[place] += (p & low_bits) >> scale
