"""The loops of the statistics, compiled: the bits of the NumPy definitions beside them."""

from __future__ import annotations

import numpy as np

from montezarr.draws.kernel import compile_loops  # kept on disk: compiling takes four seconds
from montezarr.statistics import _kernel_bins as bins

__all__ = ["bins", "central_sums", "count_between", "tree_sum"]

# `fastmath` stays off: the compiler must not change the order of a sum.

WIDTH = 1024
"""Length of a row: known to the compiler, which makes the loops four times as fast."""
HALF = WIDTH // 2


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
def add_passage_times(late, passing, before, after, start, step, per, p, q, far, tiny):
    """Do what `reference_add_passage_times` does for rows (n,).

    Its constants are arguments: code that is kept on disk would not see them change.
    """
    for i in range(late.size):
        total = before[i] + after[i]
        z = total * per
        z = far if z > far else z
        above = z + p[7]
        for j in range(6, -1, -1):
            above = above * z + p[j]
        below = z + q[8]
        for j in range(7, -1, -1):
            below = below * z + q[j]
        share = before[i] / (tiny if total < tiny else total) * (above * z / below)
        late[i] += passing[i] * (start + step * share)


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
