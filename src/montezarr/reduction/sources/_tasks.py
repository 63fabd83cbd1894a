"""Evaluate a property of the blocks of a graph, task by task, without running any."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def evaluate_terms(
    keys: Iterable[Any],
    tasks: Mapping[Any, Any],
    known: dict[Any, Any],
    leaf: Callable[[Any, Any], tuple[Any] | None],
    made: Callable[[Any, Any], Any],
) -> None:
    """Store a property of some blocks in `known`, after that of their dependencies.

    Iterate, since graphs are too deep for recursion.

    Parameters
    ----------
    keys : iterable
        Keys of the blocks.
    tasks : mapping
        The tasks of the graph.
    known : dict
        The properties known so far; this function adds to it.
    leaf : function (key, task)
        Returns the property of a block that has no need of dependencies, in a tuple; else None.
    made : function (key, task)
        Returns the property of a block whose dependencies are all known.
    """
    waiting = list(keys)
    while waiting:
        key = waiting[-1]
        if key in known:
            waiting.pop()
            continue
        task = tasks[key]
        found = leaf(key, task)
        missing = [] if found else [k for k in task.dependencies if k not in known]
        if missing:
            waiting += missing
        else:
            known[key] = found[0] if found else made(key, task)


def layer_of(key: Any) -> Any:
    """Return the name of the layer of a block."""
    return key[0] if isinstance(key, tuple) else key
