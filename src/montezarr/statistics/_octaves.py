"""Convert states of quantiles of earlier versions to the current form.

They have counts of all bins of the last level, over whole octaves: of the negative numbers, of 0,
and of the positive ones. So they are states of that level, and continue with the same bins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from montezarr.core.errors import ArgumentValueError
from montezarr.statistics._bins import Bins, Budget, empty_bins
from montezarr.statistics._bins_plain import PLACE_BITS
from montezarr.statistics._bins_read import check_octaves, checked_bins
from montezarr.statistics._keys import MAGNITUDE

FIELDS = {"low", "high", "near", "ranges", "counts", "offsets"}
"""Arrays of such a state."""

OFFSET_BITS = 20
"""Places in bins were told to so many bits of a bin."""


def restore_bins(arrays: Mapping[str, Any], budget: Budget) -> Bins:
    """Return a state from its arrays by name, of this version or an earlier one.

    Raises
    ------
    ArgumentValueError
        If the arrays are neither.
    """
    if set(arrays) == set(Bins._fields):
        return checked_bins(Bins(**arrays), budget)
    if set(arrays) != FIELDS:
        raise ArgumentValueError(
            f"state: expected counts as this version or an earlier one keeps them,"
            f" got {', '.join(sorted(arrays))}. Take the statistics anew, with this version."
        )
    counts, (first, stop, positive, end) = arrays["counts"], arrays["ranges"].tolist()
    check_octaves(arrays, budget)
    nothing = empty_bins(len(counts))
    if not counts.any():
        return nothing
    keys = np.concatenate([np.arange(first, stop), [0], np.arange(positive, end)])
    pages, of = np.unique(keys >> budget.page_bits, return_inverse=True)
    width = 1 << budget.page_bits
    dense = np.zeros((len(counts), pages.size * width), np.int64)
    # The bin of 0 is also the first one of the smallest positive numbers, which counted as 0.
    np.add.at(dense.T, of * width + (keys & (width - 1)), counts.T)
    there = dense.reshape(len(counts), pages.size, width).any(axis=2)
    places = np.zeros(0, np.int64)
    if budget.with_places:
        inside = np.zeros_like(dense)
        np.add.at(inside.T, of * width + (keys & (width - 1)), arrays["offsets"].T)
        places = np.ldexp(inside, budget.last - 1 - OFFSET_BITS - PLACE_BITS).astype(np.int64)
        places = places.reshape(*there.shape, width)[there].reshape(-1)
    n = counts.sum(axis=1)
    kept = dense.reshape(*there.shape, width)[there].reshape(-1)
    sizes = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    return nothing._replace(
        low=arrays["low"],
        high=arrays["high"],
        n=n,
        used=np.full(len(n), MAGNITUDE),
        levels=np.where(n > 0, budget.last, 0),
        first=sizes.astype(np.int64),
        pages=np.broadcast_to(pages, there.shape)[there],
        counts=kept.astype(np.int64 if n.max() >= 2**31 else np.int32),
        places=places,
    )
