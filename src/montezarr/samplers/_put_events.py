"""Compiled code that moves the events that a compiled function returned into path arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.core.errors import TypingError
from numba.extending import overload, register_jitable

from montezarr.samplers._put import store_of
from montezarr.samplers.schema import EVENT_TIME

NOT_TOLD, NO_NUMBER, LARGEST = -1, -2, 2**62
"""In place of a number of events: the length is meant, or Python has to look."""


def part_of(value: Any, name: str) -> Any:
    """Return the variable of a name in what a function returned; all of it if that is no tuple."""
    raise NotImplementedError  # compiled code has the version below


@overload(part_of, prefer_literal=True)
def _part_of(value: Any, name: Any) -> Any:
    place = _place_in(value, getattr(name, "literal_value", ""))
    if place is None:
        raise TypingError(f"no {name} in {value}")
    return _getter(place)


def number_in(value: Any, name: str) -> int:
    """Return the number of events that a function returned under a name, or `NOT_TOLD`."""
    raise NotImplementedError  # compiled code has the version below


@overload(number_in, prefer_literal=True)
def _number_in(value: Any, name: Any) -> Any:
    place = _place_in(value, getattr(name, "literal_value", ""))
    get = register_jitable(_getter(place or ""))

    def not_told(value: Any, name: Any) -> Any:
        return NOT_TOLD

    def told(value: Any, name: Any) -> Any:
        number = get(value, name)
        return np.int64(number) if 0 <= number <= LARGEST and number == int(number) else NO_NUMBER

    return not_told if place is None else told


def _place_in(value: Any, name: str) -> str | None:
    """Return where a variable is in a value of some type, as Python that follows it."""
    fields = getattr(value, "fields", ()) if isinstance(value, types.BaseNamedTuple) else ()
    if {"times", "states"} <= {*fields}:
        if name == EVENT_TIME:
            return ".times"
        inner = _place_in(value.types[fields.index("states")], name)
        return None if inner is None else f".states{inner}"
    if name in fields:
        return f".{name}"
    return "" if name == "x" and not fields else None


def _getter(place: str) -> Any:
    found: dict[str, Any] = {}
    # As annotated as what it is a version of, or Numba refuses it.
    exec(f"def get(value: Any, name: Any) -> Any:\n    return value{place}\n", found)
    return found["get"]


def put_events(
    value: Any, number: int, row: Any, shape: Any, blank: Any, cuts: bool
) -> tuple[int, bool]:
    """Write an array of any length into the row of its path, then padding.

    Return the number of events, or -1 if Python has to look; and whether all of them are finite.

    Parameters
    ----------
    value, row, shape
        As for `put`; the first of `shape` is the room for events.
    number : int
        The number of events; `NOT_TOLD` if it is the length.
    blank : number
        The padding, which no event may be.
    cuts : bool
        Whether events beyond the room are left out.
    """
    raise NotImplementedError  # compiled code has the version below


@overload(put_events)
def _put_events(value: Any, number: Any, row: Any, shape: Any, blank: Any, cuts: Any) -> Any:
    if not isinstance(value, types.Array) or not value.ndim or value.ndim != len(shape):
        raise TypingError(f"no way to read {value} as events")
    store = store_of(value.dtype, row)

    def events(
        value: Any, number: Any, row: Any, shape: Any, blank: Any, cuts: Any
    ) -> tuple[int, bool]:
        count = value.shape[0] if number == NOT_TOLD else number
        if not 0 <= count <= value.shape[0] or value.shape[1:] != shape[1:]:
            return -1, False
        if count > shape[0] and not cuts:
            return -1, False
        flat = np.ascontiguousarray(value[:count]).reshape(-1)
        for k in range(len(row), len(flat)):  # left out, but read, as Python reads them
            if not store(flat[k], row, 0) or row[0] == blank:
                return -1, False
        used, wrong = min(len(flat), len(row)), 0
        for k in range(used):
            if not store(flat[k], row, k) or row[k] == blank:
                return -1, False
            wrong += row[k] - row[k] != 0  # as for NaN and infinities alone
        for k in range(used, len(row)):
            row[k] = blank
        return count, wrong == 0

    return events
