"""The number of events of each path up to each time: one compiled pass over both."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.random.draws.phases import compile_loops


@compile_loops
def _count(events: Any, numbers: Any, times: Any, out: Any) -> int:
    """Write the number of events <= t of each path; return a path whose events decrease, or -1."""
    for i in range(len(events)):
        k, n = 0, max(numbers[i], 0)
        for j in range(1, n):
            if not events[i, j - 1] <= events[i, j]:
                return i
        for j in range(len(times)):
            while k < n and events[i, k] <= times[j]:
                k += 1
            out[i, j] = k
    return -1


def counts_up_to(
    events: NDArray[Any], numbers: NDArray[np.int64], times: NDArray[np.float64]
) -> tuple[NDArray[np.int64], int]:
    """Return the number of events up to each time (paths, times), and the first path out of order.

    Parameters
    ----------
    events : array (paths, events)
        Times of the events, in order, then padding.
    numbers : array (paths,)
        Numbers of events; a negative one is of a masked path.
    times : array (times,)
        The times, increasing.
    """
    out = np.zeros((len(events), len(times)), np.int64)
    wrong = _count(np.ascontiguousarray(events, np.float64), numbers, times, out)
    return out, int(wrong)
