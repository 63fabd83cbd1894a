"""Check the consistency of bins read from a file: compiled loops trust their offsets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from montezarr.core.errors import ArgumentValueError
from montezarr.statistics._bins import Bins, Budget

KINDS = {"low": "f", "high": "f", "values": "f"}
"""Kinds of the arrays that are not integers."""

Checks = Mapping[str, bool]


def checked_bins(state: Bins, budget: Budget) -> Bins:
    """Return a state after checking sizes, offsets and order of its arrays.

    Raises
    ------
    ArgumentValueError
        If they are inconsistent.
    """
    kinds = all(
        array.ndim == 1
        and array.dtype.kind == KINDS.get(name, "i")
        and (array.dtype.itemsize == 8 or name == "counts")
        for name, array in zip(state._fields, state, strict=True)
    )
    _require({"types": kinds and state.counts.dtype.itemsize in (4, 8)})
    cells, levels = len(state.low), state.levels
    same = all(len(array) == cells for array in (state.high, state.n, state.used, levels))
    _require(
        {
            "cells": same,
            "levels": bool(((levels >= 0) & (levels <= budget.last)).all()),
            "first": _is_offsets(state.first, cells, state.pages.size),
            "begins": _is_offsets(state.begins, cells, state.values.size),
            "numbers": bool((state.n >= 0).all() and (state.used >= 0).all()),
        }
    )
    sizes = np.diff(state.first)
    of = np.repeat(np.arange(cells), sizes)
    bins = np.concatenate([[0], np.cumsum(budget.width(levels)[of])]).astype(np.int64)
    _require(
        {
            "counts": int(bins[-1]) == state.counts.size and bool((state.counts >= 0).all()),
            "places": state.places.size == (state.counts.size if budget.with_places else 0),
            "pages": bool((np.diff(state.pages)[np.diff(of) == 0] > 0).all()),
            "page": _in_range(state.pages, budget.down(levels)[of]),
        }
    )
    ends = bins[state.first]
    totals = np.concatenate([[0], np.cumsum(state.counts, dtype=np.int64)])
    counted = totals[ends[1:]] - totals[ends[:-1]]
    kept = np.diff(state.begins)
    _require({"n": bool((np.where(state.pages.size, counted, kept) == state.n).all())})
    return state


def check_octaves(arrays: Mapping[str, Any], budget: Budget) -> None:
    """Check the sizes of a state of an earlier version.

    Raises
    ------
    ArgumentValueError
        If they are inconsistent.
    """
    counts, ranges = arrays["counts"], arrays["ranges"]
    _require({"counts": counts.ndim == 2 and counts.dtype.kind in "iu", "ranges": len(ranges) == 4})
    first, stop, positive, end = ranges.tolist()
    most = 2**63 >> (budget.last - 1)
    in_order = -most <= first <= stop <= 0 <= positive <= end <= most
    bins = stop - first + 1 + end - positive
    cells = {name: arrays[name].shape for name in ("low", "high")}
    _require(
        {
            "ranges": in_order and bins == counts.shape[1],
            "cells": all(shape == (len(counts),) for shape in cells.values()),
            "offsets": not budget.with_places or arrays["offsets"].shape == counts.shape,
            "numbers": bool((counts >= 0).all()),
        }
    )


def _is_offsets(offsets: Any, cells: int, end: int) -> bool:
    """Return whether offsets of cells begin at 0, never decrease, and end at `end`."""
    good = offsets.size == cells + 1 and bool((np.diff(offsets) >= 0).all())
    return good and offsets[0] == 0 and offsets[-1] == end


def _in_range(pages: Any, down: Any) -> bool:
    """Return whether pages can contain float64 numbers."""
    most = np.int64(0x7FFF_FFFF_FFFF_FFFF) >> down
    return bool(((pages <= most) & (pages >= -most - 1)).all())


def _require(checks: Checks) -> None:
    for name, is_good in checks.items():
        if not is_good:
            raise ArgumentValueError(f"state: expected bins that hold together, got other {name}.")
