"""Initial states of paths in opened stores, by their digests in recipes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from montezarr.core.fork import ForkLock
from montezarr.core.parameters import restore_initial_states, states_in
from montezarr.core.tunables.keeping import STORED_STATES_KEPT

ReadStates = Callable[[], Mapping[str, Any] | None]
"""Function that reads the stored initial states; None if the store has none, or is gone."""

_loads: OrderedDict[tuple[Any, ...], ReadStates] = OrderedDict()
_lock = ForkLock()


def has_digest(x0: Any) -> bool:
    """Return whether a recipe has only the digest of its x0."""
    return isinstance(x0, dict) and set(x0) == {"digest"}


def remember_states(recipe: Mapping[str, Any], load: ReadStates) -> None:
    """Register where the arrays by path of a recipe are stored; they are read on demand."""
    key = _digests_in(recipe)
    if not key:
        return
    with _lock:
        _loads[key] = load
        _loads.move_to_end(key)
        while len(_loads) > STORED_STATES_KEPT:
            _loads.popitem(last=False)


def stored_states(recipe: Mapping[str, Any]) -> tuple[Any, int] | None:
    """Return the arrays by path of a recipe and their number of paths; None if none are known.

    Raises
    ------
    StoreError
        If they are damaged or lost.
    """
    key = _digests_in(recipe)
    with _lock:
        load = _loads.get(key)
    form = None if load is None else load()
    return None if form is None else (restore_initial_states(form), states_in(form))


def _digests_in(recipe: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the digests of the initial states, and of the parameters that are arrays by path."""
    varying = recipe.get("vary")
    entries = [recipe["x0"]] if has_digest(recipe["x0"]) else []
    entries += varying if isinstance(varying, list) else []
    return tuple(
        str(entry["digest"]) for entry in entries if isinstance(entry, dict) and "digest" in entry
    )
