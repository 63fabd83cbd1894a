"""Compiled loops of the statistics; they give the bits of their NumPy definitions."""

from __future__ import annotations

import numpy as np

# Compiled loops are cached on disk: compiling takes four seconds.
from montezarr.random.draws.phases import compile_loops, f64, inline
from montezarr.statistics import _kernel_bins as bins
from montezarr.statistics import _kernel_unions as unions

__all__ = [
    "any_has",
    "bins",
    "central_sums",
    "count_between",
    "merge_squares",
    "tree_sum",
    "unions",
]

# `fastmath` stays off: the compiler must not change the order of a sum.

ROW_LENGTH = 1024
"""Length of a row: known to the compiler, which makes the loops four times as fast."""
EXTREMES = 32
"""Extremes of a block that are kept: `BLOCK_VALUES_MAX` of `montezarr.statistics._tails`."""


@inline
def _eight(x, j, s):
    """Return the sum that three levels of the tree make of 8 s values, for position j of s."""
    a = (f64(x[j]) + f64(x[j + 4 * s])) + (f64(x[j + 2 * s]) + f64(x[j + 6 * s]))
    return a + ((f64(x[j + s]) + f64(x[j + 5 * s])) + (f64(x[j + 3 * s]) + f64(x[j + 7 * s])))


@inline
def _square(x, centre):
    d = f64(x) - centre
    return d * d


@inline
def _eight_squares(x, centre, j, s):
    """Return what `_eight` returns of the squared distances from a centre."""
    a = _square(x[j], centre) + _square(x[j + 4 * s], centre)
    b = _square(x[j + 2 * s], centre) + _square(x[j + 6 * s], centre)
    c = _square(x[j + s], centre) + _square(x[j + 5 * s], centre)
    d = _square(x[j + 3 * s], centre) + _square(x[j + 7 * s], centre)
    return (a + b) + (c + d)


@inline
def _top(tree):
    """Return the sum of the first 128 values."""
    for j in range(16):
        tree[128 + j] = _eight(tree, j, 16)
    for j in range(128, 130):
        tree[j] = _eight(tree, j, 2)
    return tree[128] + tree[129]


# Three levels at a time: each value is read once, and most sums stay in registers.
@compile_loops
def _tree(x, tree):
    """Return the sum of a row of 1024 values."""
    for j in range(128):
        tree[j] = _eight(x, j, 128)
    return _top(tree)


@compile_loops
def _tree_of_squares(x, centre, tree):
    """Return the sum of the squared distances of 1024 values from a centre."""
    for j in range(128):
        tree[j] = _eight_squares(x, centre, j, 128)
    return _top(tree)


@compile_loops
def tree_sum(values, out):
    """Compute `reference_tree_sum` for rows (m, n) with n <= 1024."""
    rows, n = values.shape
    tree = np.empty(144)
    padded = np.zeros(ROW_LENGTH)
    for i in range(rows):
        if n < ROW_LENGTH:
            padded[:n] = values[i]
            out[i] = _tree(padded, tree)
        else:
            out[i] = _tree(values[i], tree)


@compile_loops
def central_sums(values, count, mean, sums):
    """Compute `reference_central_sums` for rows (m, n) with n <= 1024, in either precision."""
    rows, n = values.shape
    orders = sums.shape[0]
    tree = np.empty(144)
    x = np.zeros(ROW_LENGTH)
    centred = np.zeros(ROW_LENGTH)
    power = np.zeros(ROW_LENGTH)
    for i in range(rows):
        if n == ROW_LENGTH and orders == 1:  # the usual case, without a copy
            total = _tree(values[i], tree)
            if total == total:
                count[i] = n
                mean[i] = total / n
                sums[0, i] = _tree_of_squares(values[i], mean[i], tree)
                continue
        x[:n] = values[i]
        total = _tree(x, tree)
        present = n
        full = total == total  # a NaN among the values makes the total NaN
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
            for j in range(ROW_LENGTH):
                d = x[j] - centre
                centred[j] = d
                power[j] = d * d
        else:
            for j in range(ROW_LENGTH):
                d = x[j] - centre if x[j] == x[j] else 0.0
                centred[j] = d
                power[j] = d * d
        centred[n:] = 0.0
        power[n:] = 0.0
        for p in range(orders):
            if p > 0:
                for j in range(ROW_LENGTH):
                    power[j] = power[j] * centred[j]
            sums[p, i] = _tree(power, tree)


@compile_loops
def merge_squares(a_n, a_mean, a_sums, b_n, b_mean, b_sums, n, mean, sums):
    """Compute `merge_sums` of counts that are not 0, means and squares, each (n,)."""
    for i in range(a_n.size):
        n[i] = a_n[i] + b_n[i]
        delta = b_mean[i] - a_mean[i]
        share = b_n[i] / n[i]
        mean[i] = a_mean[i] + delta * share
        left, right = -delta * share, delta * (a_n[i] / n[i])
        first = a_sums[i] + a_n[i] * (left * left)
        sums[i] = first + (b_sums[i] + b_n[i] * (right * right))


@compile_loops
def any_has(bits, mask):
    """Return whether any of the integers (n,) has all bits of a mask."""
    found = False
    for j in range(bits.size):
        found |= (bits[j] & mask) == mask
    return found


@compile_loops
def add_passage_times(late, passing, before, after, start, step, per, p, q, far, tiny):
    """Compute `reference_add_passage_times` for rows (n,).

    Its constants are arguments, since code cached on disk would not see them change.
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
def _put(kept, v):
    """Insert a value into sorted ones, replacing the smallest, which it exceeds."""
    k, last = 0, kept.size - 1
    while k < last and kept[k + 1] < v:
        kept[k] = kept[k + 1]
        k += 1
    kept[k] = v


@compile_loops
def _join(kept, largest, merged):
    """Merge sorted values into others, no fewer; keep the largest. `merged` is scratch memory."""
    i, j = kept.size - 1, largest.size - 1
    if not largest[j] > kept[0]:
        return
    for k in range(kept.size - 1, -1, -1):
        a, b = kept[i], largest[max(j, 0)]
        is_new = (b > a) & (j >= 0)
        merged[k] = b if is_new else a
        j -= is_new
        i -= not is_new
    kept[:] = merged


@compile_loops
def _threshold(groups):
    """Return the largest but EXTREMES - 1 of the largest values of groups, by their ranks."""
    out = np.inf
    for i in range(2 * EXTREMES):
        v = groups[i]
        rank = 0
        for j in range(2 * EXTREMES):
            rank += groups[j] > v
        out = min(out, v if rank < EXTREMES else np.inf)
    return out


@compile_loops
def _keep(found, count, largest):
    """Sort the largest of some values by ranks; of many, which are mostly ties, by insertion."""
    largest[:] = -np.inf
    if count > 4 * EXTREMES:
        for i in range(count):
            if found[i] > largest[0]:
                _put(largest, found[i])
        return
    for i in range(count):
        v = found[i]
        rank = 0
        for j in range(i):
            rank += found[j] >= v
        for j in range(i + 1, count):
            rank += found[j] > v
        if rank < EXTREMES:
            largest[EXTREMES - 1 - rank] = v


@compile_loops
def add_extremes(values, seen, low, high):
    """Put extremes of some blocks of rows (m, blocks, n), n <= 1024, among sorted ones (m, kept).

    The largest are in `high`, the smallest in `low`, with the other sign; of each block EXTREMES at
    most. Values are dealt to 2 EXTREMES groups, and what is below all but EXTREMES of their largest
    ones, or all that is kept already, is passed over: without a branch that cannot be predicted.
    """
    n = values.shape[2]
    padded = np.full(ROW_LENGTH, np.nan)
    least, most, largest = (
        np.empty(2 * EXTREMES),
        np.empty(2 * EXTREMES),
        np.empty(EXTREMES),
    )
    lower, upper, merged = np.empty(ROW_LENGTH), np.empty(ROW_LENGTH), np.empty(low.shape[1])
    for i in range(values.shape[0]):
        for block in seen:
            x = values[i, block]
            if n < ROW_LENGTH:
                padded[:n] = x
                x = padded
            least[:], most[:] = -np.inf, -np.inf
            for j in range(0, ROW_LENGTH, 2 * EXTREMES):
                for k in range(2 * EXTREMES):
                    v = x[j + k]
                    least[k] = -v if -v > least[k] else least[k]  # never true for NaN
                    most[k] = v if v > most[k] else most[k]
            bottom = max(_threshold(least), low[i, 0])
            top = max(_threshold(most), high[i, 0])
            few, many = 0, 0
            for j in range(ROW_LENGTH):
                v = x[j]
                lower[few], upper[many] = -v, v
                few += -v >= bottom
                many += v >= top
            _keep(lower, few, largest)
            _join(low[i], largest, merged)
            _keep(upper, many, largest)
            _join(high[i], largest, merged)


@compile_loops
def join_largest(kept, largest):
    """Merge sorted values (rows, few) into the kept ones (rows, kept)."""
    merged = np.empty(kept.shape[1])
    for i in range(kept.shape[0]):
        _join(kept[i], largest[i], merged)


@compile_loops
def add_largest(sums, largest):
    """Update the largest sums of even powers (orders, rows) by (2 orders - 1, rows, blocks)."""
    for q in range(largest.shape[0]):
        for i in range(largest.shape[1]):
            for block in range(sums.shape[2]):
                if sums[2 * q, i, block] > largest[q, i]:  # False for NaN
                    largest[q, i] = sums[2 * q, i, block]


@compile_loops
def count_between(values, edges, per_bin, counts):
    """Count rows (cells, n) between nearly even edges: below, in each bin, above.

    The bin computed from even spacing is at most one off; the edges themselves decide.
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
