"""Large parameters known to this process: arrays in memory, and those of opened stores."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from montezarr.core.errors import ReplayError
from montezarr.core.fork import ForkLock
from montezarr.core.parameters._reference import Reference
from montezarr.core.tunables.keeping import STORED_PARAMETERS_KEPT, STORES_KEPT_PER_PARAMETER

ReadParameter = Callable[[Reference], NDArray[Any] | None]
"""Function that reads a parameter from a store and checks it.

It returns None where the store was in memory and is gone.
"""

_alive: weakref.WeakValueDictionary[str, NDArray[Any]] = weakref.WeakValueDictionary()
_places: OrderedDict[str, dict[str, ReadParameter]] = OrderedDict()
_lock = ForkLock()
"""Guards changes of both: `setdefault` of a WeakValueDictionary is not atomic."""


def know(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Register arrays by digest while a reference to them is alive, and return them.

    Where an array of the same digest is alive, it is returned in place of the given one.
    """
    with _lock:
        return {digest: _alive.setdefault(digest, array) for digest, array in arrays.items()}


def remember_parameter(reference: Reference, place: str, load: ReadParameter) -> None:
    """Record the location of a stored parameter; `load` reads and checks it."""
    with _lock:
        known = _places.setdefault(reference.sha256, {})
        known.pop(place, None)
        known[place] = load
        while len(known) > STORES_KEPT_PER_PARAMETER:
            del known[next(iter(known))]
        _places.move_to_end(reference.sha256)
        while len(_places) > STORED_PARAMETERS_KEPT:
            _places.popitem(last=False)


def array_of(reference: Reference, own: Mapping[str, NDArray[Any]] | None = None) -> NDArray[Any]:
    """Return a large parameter, read-only: the caller's own, one in memory, or a stored one.

    Parameters
    ----------
    own : mapping, optional
        Arrays by digest that the caller holds.

    Raises
    ------
    ReplayError
        If it is not known in this process.
    StoreError
        If it is damaged or lost.
    """
    with _lock:
        found = (own or {}).get(reference.sha256, _alive.get(reference.sha256))
        loads: list[ReadParameter] = [*_places.get(reference.sha256, {}).values()]
    if found is not None and found.nbytes == reference.nbytes:
        out: NDArray[Any] = found.view(reference.dtype).reshape(reference.shape)
        out.setflags(write=False)
        return out
    failed: Exception | None = None
    for load in reversed(loads):
        try:
            stored = load(reference)
        except Exception as error:  # another store may have an undamaged copy
            failed = failed or error
        else:
            if stored is not None:
                return stored
    if failed is not None:
        raise failed
    raise ReplayError(
        f"ds: its recipe refers to the parameter {reference.name!r} of {reference}, which lies"
        " beside the recipe in the store and is not known in this process. Open the store with"
        " montezarr.open, or pass process=."
    )
