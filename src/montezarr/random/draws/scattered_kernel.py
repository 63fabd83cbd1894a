"""The compiled draws of single paths, anywhere: those of `kernel`, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from montezarr.random.draws import reference as ref
from montezarr.random.draws.phases import (
    HIGH_21,
    MASK,
    SHIFT,
    TILE,
    alone,
    compile_loops,
    exponential64,
    interleaved,
    normal64,
    phase,
    philox,
    radius64,
    u64,
    uniform64,
    widest_vectors,
)


@phase
def _words_of(k0, k1, paths, n, group, slot, u, v):
    alone()
    for j in range(n):
        p = paths[j]
        w0, w1, w2, w3 = philox(group, p & MASK, p >> SHIFT, slot, k0, k1)
        u[j] = (w1 << SHIFT) | (w0 & HIGH_21)
        v[j] = (w3 << SHIFT) | (w2 & HIGH_21)
    interleaved(2)


def _make_fill(kind: int) -> Any:
    """Return the float64 loop for one distribution."""

    def fill_of(k0, k1, paths, step, slot, out):
        widest_vectors()
        steps, n = out.shape
        u, v = np.empty(TILE, np.uint64), np.empty(TILE, np.uint64)
        radius, spare = np.empty(TILE), np.empty(TILE)
        for low in range(0, n, TILE):
            size = min(TILE, n - low)
            for group in range(step // 2, (step + steps + 1) // 2):
                k = group * 2 - step
                row0 = out[k, low : low + size] if k >= 0 else spare[:size]
                row1 = out[k + 1, low : low + size] if k + 1 < steps else spare[:size]
                _words_of(k0, k1, paths[low : low + size], size, u64(group), slot, u, v)
                if kind == 0:
                    uniform64(u, row0, size)
                    uniform64(v, row1, size)
                elif kind == 1:
                    radius64(u, radius, size)
                    normal64(radius, v, row0, row1, size)
                else:
                    exponential64(u, row0, size)
                    exponential64(v, row1, size)

    return compile_loops(fill_of)


_FILL = {"uniform": _make_fill(0), "normal": _make_fill(1), "exponential": _make_fill(2)}


def fill_of(
    kind: str, key: tuple[int, int], paths: ref.Array, step: int, slot: int, out: ref.Array
) -> None:
    """Fill the rows of `out` (steps, n) in float64 with the draws of n paths from a step on."""
    _FILL[kind](u64(key[0]), u64(key[1]), paths, step, u64(slot), out)
