"""Unite bins in NumPy: the definition of the compiled loops, and used without Numba."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PLACE_BITS = 24
"""Sums of places in bins count in units of so many bits of a key: 2**-28 of a value."""

Integers = NDArray[np.int64]


def starts_of(part: Any, cell: int, budget: Any) -> Integers:
    """Return the first key of each page of a cell."""
    mine = part.pages[part.first[cell] : part.first[cell + 1]]
    return np.asarray(mine << budget.down(part.levels[cell]))


def fill_plainly(parts: tuple[Any, ...], out: Any, budget: Any) -> None:
    """Write the pages and counts of all parts, as the compiled loops do, in NumPy."""
    bases, base = [0] * len(parts), 0
    for cell, level in enumerate(out.levels.tolist()):
        down, width = int(budget.down(level)), int(budget.width(level))
        shift, mine = max(level - 1, 0), slice(out.first[cell], out.first[cell + 1])
        starts = [starts_of(part, cell, budget) for part in parts]
        if len(parts) > 1:
            out.pages[mine] = np.unique(np.concatenate(starts) >> down)
        for i, part in enumerate(parts):
            other = int(part.levels[cell])
            wide = int(budget.width(other))
            keys = (starts[i][:, None] + (np.arange(wide) << max(other - 1, 0))).reshape(-1)
            source = slice(bases[i], bases[i] + keys.size)
            page = np.searchsorted(out.pages[mine], keys >> down)
            place = base + page * width + ((keys >> shift) & (width - 1))
            counts = part.counts[source].astype(np.int64)
            np.add.at(out.counts, place, counts.astype(out.counts.dtype))
            if budget.with_places:
                moved = (keys >> PLACE_BITS) - (((keys >> shift) << shift) >> PLACE_BITS)
                inside = part.places[source] if part.places.size else 0
                np.add.at(out.places, place, inside + counts * moved)
            bases[i] += keys.size
        base += (mine.stop - mine.start) * width
