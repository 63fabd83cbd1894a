"""The loops of networks, compiled or as Python: made of their source, and kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.tunables.scheduling import LOOP_CALL_SECONDS
from montezarr.processes.networks._functions import compiled_functions, python_functions
from montezarr.processes.networks._streams import compiled_streams, python_streams

NETWORK_LOOPS_KEPT = 64
"""Compiled loops that are kept."""

Loop = Callable[[int, int], None]
"""A loop over the paths low ... high-1 of a range."""


@lru_cache(maxsize=NETWORK_LOOPS_KEPT)
def compiled_loop(text: str) -> Any:
    """Return the loop of a source, compiled without the GIL when it is called first."""
    from numba import njit  # imported here to keep the import of montezarr quick

    return njit(nogil=True, error_model="numpy")(
        _made(text, {**compiled_functions(), **compiled_streams()})
    )


@lru_cache(maxsize=NETWORK_LOOPS_KEPT)
def python_loop(text: str) -> Any:
    """Return the loop of a source in Python: slow, and the specification of the compiled one."""
    return _made(text, {**python_functions(), **python_streams()})


def _made(text: str, functions: dict[str, Any]) -> Any:
    names: dict[str, Any] = {"np": np, "infinity": np.inf, **functions}
    exec(text, names)  # made by `_code` of checked trees and numbered names alone
    return names["loop"]


def run(loop: Loop, n: int, failed: NDArray[np.float64]) -> None:
    """Run a loop over n paths, a few at a time, up to the first failure.

    A call is short, so that Ctrl-C, and what waits for the GIL, are not held up.
    """
    low, size = 0, 16
    while low < n and not failed[0]:
        high = min(low + size, n)
        began = time.perf_counter()
        loop(low, high)
        seconds = max(time.perf_counter() - began, 1e-9)
        in_time = int((high - low) * LOOP_CALL_SECONDS / seconds)
        size = max(1, min(in_time, 8 * size))
        low = high
