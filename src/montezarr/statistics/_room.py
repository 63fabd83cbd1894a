"""Arrays with spare room at the end, so that appending copies only the new values."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.tunables.memory import STATE_ROOM_VALUES

Array = NDArray[np.float64]


_rooms: dict[int, list[Any]] = {}
"""Arrays with spare room: a weak reference, and the number of values in use.

Only a state whose values end at that number may take the room: no other state has.
"""


def appended(values: Array, more: Array) -> Array:
    """Return `values` with `more` appended, in the spare room behind them if there is enough."""
    size, base = values.size, values.base
    total, kept = size + more.size, _rooms.get(id(base))
    if kept is not None and base is not None and kept[0]() is base and kept[1] == size:
        room = base if base.size >= total else None
    else:
        room = None
    if room is None:
        room = np.empty(max(2 * total, min(8 * total, STATE_ROOM_VALUES)))
        room[:size] = values
        key = id(room)
        kept = [weakref.ref(room, lambda _: _rooms.pop(key, None)), size]
        _rooms[key] = kept
    assert kept is not None
    room[size:total] = more
    kept[1] = total
    return np.asarray(room[:total])
