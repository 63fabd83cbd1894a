"""Private names of Dask: the tasks of its graphs, metadata of arrays, and schedulers.

The classes of `dask._task_spec` go together: where one is missing, `KNOWS_TASKS` is False, no
object is an instance of any of them, and `as_tasks` raises.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Mapping
from numbers import Integral
from typing import Any

from dask.optimization import cull

try:
    from dask._task_spec import (
        Alias,
        DataNode,
        GraphNode,
        NestedContainer,
        Task,
        TaskRef,
        convert_legacy_graph,
    )

    KNOWS_TASKS = True
except ImportError:

    class _Absent:
        """Stand-in for a missing class; it has no instances."""

    Alias = DataNode = GraphNode = _Absent  # type: ignore[assignment, misc]
    NestedContainer = Task = TaskRef = _Absent  # type: ignore[assignment, misc]
    KNOWS_TASKS = False

try:
    from dask.blockwise import Blockwise
except ImportError:

    class Blockwise:  # type: ignore[no-redef]
        """Stand-in for the missing layer class; it has no instances."""


try:
    from dask.layers import ArrayChunkShapeDep
except ImportError:

    class ArrayChunkShapeDep:  # type: ignore[no-redef]
        """Stand-in for the missing argument that gives a chunk's shape; it has no instances."""


try:
    from dask.base import get_scheduler as _get_scheduler
except ImportError:
    _get_scheduler = None  # type: ignore[assignment]

try:
    from dask.base import named_schedulers as _named_schedulers
except ImportError:
    _named_schedulers = None  # type: ignore[assignment]

try:
    from dask.system import cpu_count as _cpu_count
except ImportError:
    _cpu_count = None  # type: ignore[assignment]

__all__ = [
    "KNOWS_TASKS",
    "Alias",
    "ArrayChunkShapeDep",
    "Blockwise",
    "DataNode",
    "GraphNode",
    "NestedContainer",
    "Task",
    "TaskRef",
    "UnknownTasks",
    "as_node",
    "as_tasks",
    "contents_of",
    "count_cores",
    "graph_of_chunks",
    "meta_of",
    "named_schedulers",
    "operand_names",
    "place_of_shape",
    "scheduler_of",
    "without_chunk_number",
]

SHAPED = ("broadcast_to", "reshape", "_reshape_blockwise")
"""Functions and methods whose tasks hold, behind the array, the shape of the chunk they make."""

ALIKE_IN_CHUNKS = ("_gradient_kernel", "_trim")
"""Functions of Dask that get the number of a chunk, and use it along their own axis alone."""


class UnknownTasks(Exception):
    """Dask has no task classes that montezarr knows."""


def as_tasks(graph: Mapping[Any, Any], all_keys: Container[Any] | None = None) -> dict[Any, Any]:
    """Return a graph with a `GraphNode` for every key.

    Parameters
    ----------
    graph : mapping
        A graph of Dask.
    all_keys : container, optional
        The keys that tasks may refer to; those of the graph by default.

    Raises
    ------
    UnknownTasks
        If this version of Dask has no `GraphNode`.
    """
    if not KNOWS_TASKS:
        raise UnknownTasks("dask._task_spec is not what it was")
    tasks: dict[Any, Any] = convert_legacy_graph(graph, all_keys=all_keys)
    return tasks


def as_node(key: Any, value: Any) -> Any:
    """Return a value as a node of a graph: a `DataNode`, or the value itself in older versions."""
    return DataNode(key, value) if KNOWS_TASKS else value


def graph_of_chunks(
    graph: Mapping[Any, Any], all_keys: Container[Any]
) -> tuple[dict[Any, Any], Callable[[Any], Iterable[Any]]]:
    """Return a graph that can be culled, and a function from a key to its dependencies."""
    if KNOWS_TASKS:
        tasks = as_tasks(graph, all_keys)
        return tasks, lambda key: tasks[key].dependencies
    # Keys of results that a cluster holds count as dependencies, but have no tasks in this graph.
    results = {key: None for key in all_keys if key not in graph}  # type: ignore[attr-defined]
    needs = cull({**results, **graph}, list(graph))[1]
    return dict(graph), lambda key: needs[key]


def contents_of(node: Any) -> list[Any] | None:
    """Return the function and the arguments of a task, or the value of a node; else None."""
    if KNOWS_TASKS:
        if isinstance(node, Task):
            return [node.func, *node.args, *node.kwargs.values()]
        return [node.value] if isinstance(node, DataNode) else None
    if type(node).__module__.partition(".")[0] != "dask":
        return None
    if hasattr(node, "func") and hasattr(node, "args"):
        return [node.func, *node.args, *getattr(node, "kwargs", {}).values()]
    return [node.value] if hasattr(node, "value") and hasattr(node, "key") else None


def place_of_shape(task: Any) -> int | None:
    """Return which argument of a task is the shape of the chunk that it makes; None if unknown."""
    if not isinstance(task, Task) or len(task.args) < 2:
        return None
    name = getattr(task.func, "method", None) or getattr(task.func, "__name__", None)
    if name not in SHAPED:
        return None
    shape = getattr(task.args[1], "value", task.args[1])
    is_shape = isinstance(shape, tuple) and all(isinstance(n, Integral) for n in shape)
    return 1 if is_shape else None


def without_chunk_number(task: Any) -> Any:
    """Return a task of Dask's own that does the same in all chunks without the chunk's number.

    ``map_blocks`` and ``map_overlap`` pass the number, though functions such as that of a gradient
    use it along one dimension alone. Any other task is returned as it is.
    """
    if not isinstance(task, Task) or getattr(task.func, "__name__", "") != "_pass_extra_kwargs":
        return task
    function, names = (getattr(entry, "value", entry) for entry in task.args[:2])
    function = getattr(function, "func", function)  # of a partial one
    is_known = getattr(function, "__module__", "").startswith("dask.array.")
    if not is_known or getattr(function, "__name__", "") not in ALIKE_IN_CHUNKS:
        return task
    args = task.args[:2] + task.args[2 + len(names) :]
    return Task(task.key, task.func, *args, **task.kwargs)


def meta_of(array: Any) -> Any:
    """Return the empty array that gives the type of a lazy array's blocks; None if unknown."""
    return getattr(array, "_meta", None)


def operand_names(expression: Any) -> tuple[str, ...]:
    """Return the names of the operands of a Dask expression; none where these are unknown."""
    return tuple(getattr(expression, "_parameters", ()))


def named_schedulers() -> dict[str, Any]:
    """Return Dask's table of schedulers by name; a new empty dict where Dask has none."""
    return _named_schedulers if isinstance(_named_schedulers, dict) else {}


def scheduler_of(wanted: Any) -> Any:
    """Return the function that computes a graph for a value that Dask takes as ``scheduler=``."""
    if _get_scheduler is not None:
        return _get_scheduler(scheduler=wanted)
    from dask import local, threaded

    if hasattr(wanted, "get") and not isinstance(wanted, str):  # a Client
        return wanted.get
    if callable(wanted):
        return wanted
    if wanted in ("processes", "multiprocessing"):
        from dask import multiprocessing

        return multiprocessing.get
    is_single = wanted in ("sync", "synchronous", "single-threaded")
    return local.get_sync if is_single else threaded.get


def count_cores() -> int:
    """Return the number of processors that this process may use."""
    if _cpu_count is not None:
        return int(_cpu_count())
    affinity = getattr(os, "sched_getaffinity", None)
    return (os.cpu_count() or 1) if affinity is None else len(affinity(0))
