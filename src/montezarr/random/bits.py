"""The random words as a stream of bytes, for test batteries such as PractRand, TestU01, dieharder.

A battery finds correlations of neighbouring bytes only, so the order of the addresses decides which
it can find: between the steps of one path, between the paths at one step, or between both.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from montezarr.core.checks import MAX_INDEX, check_choice, check_int, value_error
from montezarr.core.tunables.memory import BITS_ADDRESSES_AT_ONCE
from montezarr.random.draws import MAX_SLOT, MAX_STEPS, Draws

__all__ = ["ORDERS", "stream"]

SIDE = 4
"""Paths and step groups along the edge of a cell, which order "interleaved" emits as a whole."""
# Default extent (paths, step groups): the inner one of typical size, the outer one almost endless.
BOX = {"path": (2**40, 2**8), "step": (2**12, MAX_STEPS), "interleaved": (2**12, MAX_STEPS)}
ORDERS = tuple(BOX)


def stream(
    seed: Any,
    order: str = "path",
    *,
    paths: int | None = None,
    groups: int | None = None,
    slots: int = 4,
    n_bytes: int | None = None,
) -> Iterator[bytes]:
    """Return an iterator over the words of a box of addresses, as little-endian bytes.

    Each address (path, step group, slot) gives the 16 bytes of its four words, in their order, as
    `Draws.words` returns them; a step group is two steps in float64 and four in float32. The box
    holds ``16 * paths * groups * slots`` bytes, of which one MiB is in memory at a time.

    Parameters
    ----------
    seed : int, sequence of int, SeedSequence or None
        Root entropy, as in `simulate`.
    order : {"path", "step", "interleaved"}
        "path": all step groups of path 0, then of path 1, and so on. "step": all paths at step
        group 0, then at step group 1. "interleaved": cells of 4 neighbouring paths at 4
        neighbouring step groups, cell after cell along the paths. Slots vary fastest in all orders.
    paths, groups, slots : int
        Extent of the box, from path 0, step group 0 and slot 0 on; by default 256 step groups of
        2**40 paths in order "path", else 4096 paths at 2**32 step groups.
    n_bytes : int, optional
        Stop after this many bytes; by default at the end of the box.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For an invalid argument, at the call and not at the first item.
    """
    check_choice("order", order, ORDERS)
    paths = check_int("paths", BOX[order][0] if paths is None else paths, minimum=1)
    groups = BOX[order][1] if groups is None else groups
    check_int("groups", groups, minimum=1, maximum=MAX_STEPS)
    check_int("slots", slots, minimum=1, maximum=MAX_SLOT + 1)
    # Rounded up to whole cells, the count of addresses must fit NumPy's index type.
    if (paths + SIDE) * (groups + SIDE) * slots > MAX_INDEX:
        raise value_error("paths", "paths * groups * slots below 2**63", paths)
    size = 16 * paths * groups * slots
    limit = size if n_bytes is None else min(size, check_int("n_bytes", n_bytes, maximum=2**80))
    return _pieces(Draws.of(seed), order, (paths, groups, slots), limit)


def _pieces(draws: Draws, order: str, box: tuple[int, int, int], limit: int) -> Iterator[bytes]:
    module = importlib.import_module(f"montezarr.random.draws.{draws.implementation}")
    paths, groups, slots = box
    shape: tuple[int, ...] = (groups, paths, slots) if order == "step" else box
    if order == "interleaved":
        shape = (-(-groups // SIDE), -(-paths // SIDE), SIDE, SIDE, slots)
    for first in range(0, math.prod(shape), BITS_ADDRESSES_AT_ONCE):
        if limit <= 0:
            return
        index = np.arange(first, min(first + BITS_ADDRESSES_AT_ONCE, math.prod(shape)))
        digits = [digit.astype(np.uint64) for digit in np.unravel_index(index, shape)]
        if order == "interleaved":
            group, path = digits[0] * SIDE + digits[2], digits[1] * SIDE + digits[3]
            inside = (group < groups) & (path < paths)  # the last cells may extend beyond the box
            path, group, slot = path[inside], group[inside], digits[4][inside]
        else:
            (path, group, slot) = digits if order == "path" else (digits[1], digits[0], digits[2])
        if not len(path):
            continue
        out = np.empty((len(path), 4), np.uint32)
        module.fill_words(draws.key, path, group, slot, out)
        yield out.astype("<u4", copy=False).tobytes()[:limit]
        limit -= out.nbytes
