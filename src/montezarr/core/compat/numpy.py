"""Undocumented layout of NumPy: where a PCG64 keeps its state.

`bit_generator.ctypes.state_address` is documented, what lies there is not::

    struct { struct { uint128 state, inc; } *pcg_state; int has_uint32; uint32_t uinteger; }
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class StateViews(NamedTuple):
    """Views of the memory of a PCG64, which live no longer than it.

    Attributes
    ----------
    numbers : array (4,) of uint64
        State and increment, each with its low half first.
    cached : array (2,) of uint32
        Whether half of a number is left over, and that half.
    """

    numbers: NDArray[np.uint64]
    cached: NDArray[np.uint32]


def state_views(bits: Any) -> StateViews | None:
    """Return views of the state of a PCG64; None where NumPy keeps it in another way."""
    return _views(bits) if _is_as_known() else None


def _views(bits: Any) -> StateViews:
    address = bits.ctypes.state_address
    inner = ctypes.c_void_p.from_address(address).value
    assert inner is not None
    numbers = (ctypes.c_uint64 * 4).from_address(inner)
    cached = (ctypes.c_uint32 * 2).from_address(address + ctypes.sizeof(ctypes.c_void_p))
    return StateViews(np.asarray(numbers), np.asarray(cached))


@cache
def _is_as_known() -> bool:
    """Return whether what is read there, and written there, is the state that NumPy shows."""
    try:
        bits = np.random.PCG64(1)
        np.random.Generator(bits).integers(0, 9, dtype=np.uint32)  # leaves half a number
        shown: Any = bits.state
        address = bits.ctypes.state_address
        # The pointer must lie in the object itself, else reading behind it might end the process.
        if not id(bits) <= address < id(bits) + type(bits).__basicsize__:
            return False
        if not _points_near(address):
            return False
        views = _views(bits)
        if not _equal(views, shown):
            return False
        views.numbers[:] = [5, 6, 7, 8]
        views.cached[:] = [0, 9]
        return _equal(views, bits.state)
    except Exception:  # no ctypes interface, or no such entries in the state
        return False


def _points_near(address: int) -> bool:
    inner = ctypes.c_void_p.from_address(address).value
    return inner is not None and inner % 8 == 0 and abs(inner - address) < 4096


def _equal(views: StateViews, shown: Any) -> bool:
    low, high, inc_low, inc_high = (int(word) for word in views.numbers)
    return bool(
        shown["state"] == {"state": low | high << 64, "inc": inc_low | inc_high << 64}
        and shown["has_uint32"] == views.cached[0]
        and shown["uinteger"] == views.cached[1]
    )
