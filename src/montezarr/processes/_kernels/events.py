"""The random numbers of the events of one path, compiled: a few step groups of its draws."""

from __future__ import annotations

import numpy as np
from numba import njit

from montezarr.random.draws.phases import (
    HIGH_21,
    MASK,
    SHIFT,
    alone,
    exponential64,
    interleaved,
    phase,
    philox,
    u64,
    uniform64,
)


@phase
def _words(k0, k1, path, event, n, u, v):
    """Fill u and v with two numbers of 53 bits for each step group from `event` on."""
    alone()
    high, low = path >> SHIFT, path & MASK
    for j in range(n):
        w0, w1, w2, w3 = philox(event + u64(j), low, high, u64(0), k0, k1)
        u[j] = (w1 << SHIFT) | (w0 & HIGH_21)
        v[j] = (w3 << SHIFT) | (w2 & HIGH_21)
    interleaved(2)


@njit(error_model="numpy")
def events_from(k0, k1, path, event, waits, choices, words, n):
    """Compute `networks._streams.events_from`; `words` (2, n) is room for the bits."""
    u, v = words[0], words[1]
    _words(k0, k1, np.uint64(path), np.uint64(event), n, u, v)
    exponential64(u, waits, n)
    uniform64(v, choices, n)
