"""The runs of this process that are alive: by the names of their arrays, and by their recipes."""

from __future__ import annotations

import weakref
from typing import Any

_by_name: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
_by_recipe: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()


def keep(name: str, fingerprint: str, task: Any) -> Any:
    """Return the task of the array of that name, which is found for as long as somebody keeps it.

    Where there is one by that name already, it is the one: equal names mean equal values.
    """
    task = _by_name.setdefault(name, task)
    _by_recipe[fingerprint] = task
    return task


def run_named(name: str) -> Any:
    """Return the run that the array of that name is of, or None."""
    task = _by_name.get(name)
    return None if task is None else task.run


def run_of_recipe(fingerprint: str) -> Any:
    """Return the run of that recipe whose array was made last, or None."""
    task = _by_recipe.get(fingerprint)
    return None if task is None else task.run
