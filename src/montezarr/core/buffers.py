"""Large arrays on recycled memory.

A fresh 64 MiB array costs as much time in page faults as the draws that fill it, and page faults
serialise threads. Arrays made here give their memory back when their last view is freed, and the
next array of that size, or of somewhat less, reuses it without page faults.
"""

from __future__ import annotations

import math
import os
import sys
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from montezarr.core.fork import ForkLock
from montezarr.core.tunables.memory import (
    BUFFER_ALIGNMENT_BYTES,
    IDLE_BUFFERS_DASK_SHARE,
    IDLE_BUFFERS_PER_CORE,
    RECYCLED_BUFFER_MAX_RATIO,
    RECYCLED_BUFFER_MIN_BYTES,
)

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
IDLE_LIMIT = IDLE_BUFFERS_PER_CORE * (CORES + 1)
"""Buffers that may wait for their next use."""

_idle: list[NDArray[np.uint8]] = []
_lock = ForkLock()
_room = sys.maxsize
"""Bytes of idle buffers, at most."""


class _Lease:
    """Owner of a piece of memory, for as long as an array refers to it."""

    __slots__ = ("__array_interface__", "_memory")

    def __init__(self, memory: NDArray[np.uint8], shape: tuple[int, ...], dtype: np.dtype[Any]):
        self._memory = memory
        address = memory.ctypes.data
        self.__array_interface__ = {
            "version": 3,
            "shape": shape,
            "typestr": dtype.str,
            "data": (address + -address % BUFFER_ALIGNMENT_BYTES, False),
        }

    def __del__(self) -> None:
        # No lock: a garbage collection may run this inside `recycled_empty`, whose thread holds it.
        # Appending to a list is atomic, and one buffer too many for a moment is harmless.
        waiting = sum(memory.nbytes for memory in list(_idle))
        if len(_idle) < IDLE_LIMIT and waiting + self._memory.nbytes <= _room:
            _idle.append(self._memory)


def limit_idle(memory: int) -> None:
    """Limit the idle buffers to a share of the `memory` in bytes that this process may use."""
    global _room
    _room = int(memory * IDLE_BUFFERS_DASK_SHARE)


def recycled_empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an uninitialised array like `numpy.empty`, on recycled memory where it is large."""
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    if size < RECYCLED_BUFFER_MIN_BYTES:
        return np.empty(shape, kind)
    needed = size + BUFFER_ALIGNMENT_BYTES
    with _lock:
        largest = RECYCLED_BUFFER_MAX_RATIO * needed
        fitting = [(m.nbytes, i) for i, m in enumerate(_idle) if needed <= m.nbytes <= largest]
        if fitting:
            memory = _idle.pop(min(fitting)[1])
        else:
            # Runs of another chunk size have ended: nothing would reuse their buffers.
            _idle.clear()
            memory = np.empty(needed, np.uint8)
    return np.asarray(_Lease(memory, shape, kind))
