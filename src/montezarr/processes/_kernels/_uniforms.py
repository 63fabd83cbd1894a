"""The uniform numbers of a tile of paths for compiled steps: drawn by groups, or rows kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from montezarr.processes._kernels._draws import fill_uniforms
from montezarr.random.draws import Draws
from montezarr.random.draws.phases import u64


@njit(error_model="numpy")
def uniforms_at(k0, k1, path, step, first, low, size, kept, buffer):
    """Return the numbers (size,) of a step for the paths from `low` on.

    Steps must be asked for in order, from `first` on: `buffer` holds those of a group.
    """
    if len(kept):
        return kept[step, low : low + size]
    odd = step % 2
    if odd == 0 or step == first:
        both = buffer[: 2 * size].reshape(2, size)
        fill_uniforms(k0, k1, path + u64(low), step - odd, u64(0), both)
    at = odd * size
    return buffer[at : at + size]


def arguments_of(source: Draws, steps: int) -> tuple[Any, ...]:
    """Return key, first path, and rows that are kept: none if they are to be drawn."""
    kept = source.kept_rows("uniform", steps)
    none = np.empty((0, 0))
    return (
        u64(source.key[0]), u64(source.key[1]), u64(source.start), none if kept is None else kept,
    )  # fmt: skip
