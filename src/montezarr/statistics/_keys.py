"""Keys, integers in the order of the floats that they represent, and extremes of many values."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from montezarr.statistics._sums import compiled

MAGNITUDE = np.int64(0x7FFF_FFFF_FFFF_FFFF)
"""All bits of a number but its sign."""

TINY = float(np.finfo(np.float64).tiny)
"""Numbers below this one count as 0."""

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


def keys_of(values: Array, shift: int = 0) -> Integers:
    """Return the bin number of each value; it does not decrease with the value."""
    pattern = np.where(np.abs(values) < TINY, 0.0, values).view(np.int64)
    # Invert all bits but the sign of negative numbers: then the integers compare as the floats.
    return np.asarray((pattern ^ ((pattern >> 63) & MAGNITUDE)) >> shift)


def numbers_of_keys(keys: Any) -> Array:
    """Return the numbers with some keys; those below 2.2e-308 are 0."""
    ordered = np.asarray(keys, np.int64)
    values = np.asarray((ordered ^ ((ordered >> 63) & MAGNITUDE)).view(np.float64))
    return np.where(np.abs(values) < TINY, 0.0, values)


class Noted(NamedTuple):
    """Extremes, number and bits in use of the values of each cell, as keys; changed in place."""

    lows: Integers
    highs: Integers
    n: Integers
    used: Integers

    @classmethod
    def of(cls, state: Any) -> Noted:
        """Return the extremes, number and bits in use of a state."""
        return cls(keys_of(state.low), keys_of(state.high), state.n.copy(), state.used.copy())

    def fields(self) -> dict[str, Any]:
        """Return the fields of a state; numbers below 2.2e-308 are a 0 without sign."""
        low, high = numbers_of_keys(self.lows), numbers_of_keys(self.highs)
        return {"low": low, "high": high, "n": self.n, "used": self.used}


def noted_of(values: Array, state: Any) -> Noted:
    """Return extremes, number and bits in use of a state together with further values."""
    noted, kernel = Noted.of(state), compiled()
    if kernel is not None:
        kernel.bins.extremes(values, values.view(np.int64), *noted)
    elif values.shape[-1]:
        absent, keys = values != values, keys_of(values)
        noted.n[:] += (~absent).sum(axis=-1)
        noted.lows[:] = np.minimum(noted.lows, np.where(absent, MAGNITUDE, keys).min(axis=-1))
        noted.highs[:] = np.maximum(noted.highs, np.where(absent, ~MAGNITUDE, keys).max(axis=-1))
        patterns = np.where(np.abs(values) >= TINY, values, 0.0).view(np.int64) & MAGNITUDE
        noted.used[:] |= np.bitwise_or.reduce(patterns, axis=-1)
    return noted
