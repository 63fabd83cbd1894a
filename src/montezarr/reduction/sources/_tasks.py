"""What the blocks of a graph are made of, task by task, without running any."""

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
    """Note in `known` what holds of some blocks, after all that they are made of.

    Without recursion, which graphs are too deep for.

    Parameters
    ----------
    keys : iterable
        Keys of the blocks.
    tasks : mapping
        The tasks of the graph.
    known : dict
        What is known already; it is added to.
    leaf : function (key, task)
        Returns what holds of a block by itself, in a tuple; None where it takes those before it.
    made : function (key, task)
        Returns what holds of a block of which all before it are known.
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
    """Return the name of the layer that a block is of."""
    return key[0] if isinstance(key, tuple) else key
