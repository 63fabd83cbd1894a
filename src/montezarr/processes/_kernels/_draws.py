"""The compiled draws that the steps of processes take, by the names that these use."""

from __future__ import annotations

from typing import Any

from numba import njit, types
from numba.extending import overload

from montezarr.random.draws.kernel import _FILL
from montezarr.random.draws.phases import (
    HIGH_21,
    MASK,
    SHIFT,
    _log32,
    _log64,
    f64,
    one32,
    philox,
    u32,
    u64,
    widest_vectors,
)

__all__ = ["exponentials", "fill_normals", "fill_uniforms", "widest_vectors"]

fill_uniforms, _ = _FILL["uniform"]
_NORMALS64, _NORMALS32 = _FILL["normal"]


def fill_normals(k0: Any, k1: Any, path: Any, step: int, slot: Any, out: Any) -> None:
    """Fill the rows of `out` with normal numbers, by its dtype."""


@overload(fill_normals)
def _fill_normals_typed(k0, k1, path, step, slot, out):
    loop = _NORMALS64 if out.dtype == types.float64 else _NORMALS32
    return lambda k0, k1, path, step, slot, out: loop(k0, k1, path, step, slot, out)


def _exponential(words: Any, step: int, like: Any) -> Any:
    """Return the exponential number of a step out of the words of its group, by the dtype."""


@overload(_exponential, inline="always")
def _exponential_typed(words, step, like):
    if like.dtype == types.float64:

        def in_float64(words, step, like):
            w0, w1, w2, w3 = words
            low, high = (w0, w1) if step & 1 == 0 else (w2, w3)
            word = (high << SHIFT) | (low & HIGH_21)
            return _log64(f64(u64(word)) + 2048.0, 64.0, 1.0)

        return in_float64

    def in_float32(words, step, like):
        w0, w1, w2, w3 = words
        even, odd = (w0, w1) if step & 2 == 0 else (w2, w3)
        return f64(_log32(u32(even if step & 1 == 0 else odd), one32))

    return in_float32


@njit(error_model="numpy")
def exponentials(k0, k1, path, step, slot, places, like, out, n):
    """Fill `out` with the exponential numbers of some paths at a step, in the dtype of `like`."""
    widest_vectors()
    group = u64(step // (16 // like.itemsize))
    for i in range(n):
        p = path + u64(places[i])
        words = philox(group, p & MASK, p >> SHIFT, slot, k0, k1)
        out[i] = _exponential(words, step, like)
