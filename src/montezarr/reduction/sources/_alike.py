"""Compare the tasks of two chunks of a graph, and their keys."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from dask.base import tokenize

from montezarr.core.compat.dask import Alias, DataNode, NestedContainer, Task, TaskRef

Match = Callable[[Any, Any], bool]
"""Whether two keys correspond to each other in two chunks."""


def alike(a: Any, b: Any, match: Match) -> bool:
    """Return whether two tasks apply the same operation to matching keys."""
    if isinstance(a, TaskRef) and isinstance(b, TaskRef):
        return match(a.key, b.key)
    if isinstance(a, Alias) and isinstance(b, Alias):
        return match(a.target, b.target)
    if isinstance(a, DataNode) and isinstance(b, DataNode):
        return _equal(a.value, b.value)
    if isinstance(a, NestedContainer) != isinstance(b, NestedContainer):
        return False
    if isinstance(a, Task) and isinstance(b, Task):
        if type(a) is not type(b) or not _equal(a.func, b.func):
            return False
        if len(a.args) != len(b.args) or a.kwargs.keys() != b.kwargs.keys():
            return False
        pairs = [*zip(a.args, b.args, strict=True), *((a.kwargs[k], b.kwargs[k]) for k in a.kwargs)]
        return all(alike(x, y, match) for x, y in pairs)
    if isinstance(a, (list, tuple)) and type(a) is type(b) and len(a) == len(b):
        return all(alike(x, y, match) for x, y in zip(a, b, strict=True))
    return _equal(a, b)


def needed_by(task: Any) -> list[Any]:
    """Return the keys that a task depends on, in the order of its arguments."""
    found: list[Any] = []

    def note(x: Any, y: Any) -> bool:
        found.append(x)
        return True

    alike(task, task, note)
    rest = sorted(set(task.dependencies) - set(found), key=str)
    return [*dict.fromkeys(found), *rest]


def _equal(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, functools.partial):
        return _equal(a.func, b.func) and _equal(a.args, b.args) and _equal(a.keywords, b.keywords)
    if isinstance(a, (int, float, str, bytes, bool, slice, np.generic, type(None))):
        return bool(a == b)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(_equal(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    return bool(tokenize(a) == tokenize(b))


def difference(a: Any, b: Any) -> tuple[str, int] | None:
    """Return name and axis of two keys that differ only in the chunk number, 0 and 1; or None."""
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b) and a[0] == b[0]:
        places = [i for i in range(1, len(a)) if a[i] != b[i]]
        if len(places) == 1 and (a[places[0]], b[places[0]]) == (0, 1):
            return str(a[0]), places[0]
    return None


def moved(key: Any, place: int, i: int) -> Any:
    """Return the key of another chunk, by its number and the place of that in the key."""
    return (*key[:place], i, *key[place + 1 :])


def name_of(key: Any) -> str:
    """Return the name of the layer of a key."""
    return str(key[0]) if isinstance(key, tuple) else str(key)


def plain_name(name: str) -> str:
    """Return a layer's name without its token."""
    return name.rpartition("-")[0] or name
