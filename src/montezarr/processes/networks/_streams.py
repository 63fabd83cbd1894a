"""The random numbers of events: those of a path, one pair after another.

The event e of a path, counted from 0, has the numbers of step group e of its draws on slot 0: the
exponential number of the step 2e, and the uniform number of the step 2e + 1.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from montezarr.random.draws import reference

NUMBERS_AT_ONCE = 128
"""Events for which a path has numbers at once; for the first ones fewer."""


@cache
def compiled_streams() -> dict[str, Any]:
    """Return the functions that code calls for random numbers, compiled."""
    from montezarr.processes._kernels import events

    return {"events_from": events.events_from}


def python_streams() -> dict[str, Any]:
    """Return the same functions in Python: they say which numbers these are."""
    return {"events_from": events_from}


def events_from(
    key0: Any, key1: Any, path: int, event: int, waits: Any, choices: Any, words: Any, n: int
) -> None:
    """Fill `waits` and `choices` with the numbers of the events from `event` on of a path."""
    group = np.arange(event, event + n, dtype=np.uint64)
    out = np.empty((n, 4), np.uint32)
    addresses = np.full(n, path, np.uint64), group, np.zeros(n, np.uint64)
    reference.fill_words((int(key0), int(key1)), *addresses, out)
    both = np.ascontiguousarray(out.T)
    waits[:n] = reference.group_of("exponential", both, np.dtype(np.float64))[0]
    choices[:n] = reference.group_of("uniform", both, np.dtype(np.float64))[1]
