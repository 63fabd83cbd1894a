"""The runs of this process that are alive: by the names of their arrays, and by their recipes."""

from __future__ import annotations

import weakref
from typing import Any

from montezarr.core.fork import ForkLock

_by_name: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
_by_recipe: dict[str, weakref.WeakSet[Any]] = {}
_lock = ForkLock()


def keep(name: str, fingerprint: str, task: Any) -> Any:
    """Return the task of the array of that name, which is found for as long as somebody keeps it.

    Where there is one by that name already, it is the one: equal names mean equal values.
    """
    with _lock:
        task = _by_name.setdefault(name, task)
        for key in [key for key, tasks in _by_recipe.items() if not tasks]:
            del _by_recipe[key]
        _by_recipe.setdefault(fingerprint, weakref.WeakSet()).add(task)
    return task


def run_named(name: str) -> Any:
    """Return the run that the array of that name is of, or None."""
    task = _by_name.get(name)
    return None if task is None else task.run


def run_of_recipe(fingerprint: str) -> Any:
    """Return a run of that recipe whose array is alive, the longest there is, or None."""
    with _lock:
        runs = [task.run for task in _by_recipe.get(fingerprint, ()) if task.run is not None]
    return max(runs, key=lambda run: run.length, default=None)
