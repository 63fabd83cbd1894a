"""The live tasks of runs in this process, by the names of their arrays and by their recipes."""

from __future__ import annotations

import weakref
from typing import Any

from montezarr.core.fork import ForkLock

_by_name: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
_by_recipe: dict[str, weakref.WeakSet[Any]] = {}
_lock = ForkLock()


def keep(name: str, fingerprint: str, task: Any) -> Any:
    """Register the task of the array of that name, while the task is alive; return it.

    A live task of that name is returned instead: equal names mean equal values.
    """
    with _lock:
        task = _by_name.setdefault(name, task)
        for key in [key for key, tasks in _by_recipe.items() if not tasks]:
            del _by_recipe[key]
        _by_recipe.setdefault(fingerprint, weakref.WeakSet()).add(task)
    return task


def run_named(name: str) -> Any:
    """Return the run of the array of that name, or None."""
    task = _by_name.get(name)
    return None if task is None else task.run


def run_of_recipe(fingerprint: str) -> Any:
    """Return the longest live run of that recipe, or None."""
    with _lock:
        runs = [task.run for task in _by_recipe.get(fingerprint, ()) if task.run is not None]
    return max(runs, key=lambda run: run.length, default=None)
