"""Tasks of a graph that hold the size of their chunk, made tasks for any number of paths."""

from __future__ import annotations

from typing import Any

from montezarr.core.compat.dask import (
    ArrayChunkShapeDep,
    Blockwise,
    DataNode,
    GraphNode,
    Task,
    place_of_shape,
    without_chunk_number,
)


class NoChunkFunction(Exception):
    """Raised, with the reason, where an expression cannot be run on any range of paths."""


class SizedTask:
    """A task with the shape of its chunk as an argument, which it gets for any number of paths.

    Parameters
    ----------
    task : node of a graph
        The task of one chunk.
    place : int
        Which of its arguments is the shape.
    axis : int
        The axis of the paths in it.
    times : int
        Its length over the number of paths: 1, unless scenarios are stacked with paths.
    """

    def __init__(self, task: GraphNode, place: int, axis: int, times: int):
        self.task, self.place, self.axis, self.times = task, place, axis, times

    @property
    def dependencies(self) -> Any:
        """The keys that the task needs."""
        return self.task.dependencies

    def of(self, n: int) -> GraphNode:
        """Return the task for a chunk of `n` paths."""
        task: Any = self.task
        shape = _value(task.args[self.place])
        cut = (*shape[: self.axis], self.times * n, *shape[self.axis + 1 :])
        args = (*task.args[: self.place], cut, *task.args[self.place + 1 :])
        return Task(task.key, task.func, *args, **task.kwargs)


def sized_at(layer: Any, task: Any, axis: int, n_paths: int) -> Any:
    """Return a task for any number of paths, if its shape has `n_paths` along the axis."""
    place = _place_of_shape(layer, task)
    shape = () if place is None else _value(task.args[place])
    if place is None or axis >= len(shape) or not shape[axis] or shape[axis] % n_paths:
        return task
    return SizedTask(task, place, axis, shape[axis] // n_paths)


def sized_along(layer: Any, task: Any, n_paths: int) -> Any:
    """Return a task for any number of paths, if one axis of its shape has `n_paths`.

    Raises
    ------
    NoChunkFunction
        If several have.
    """
    place = _place_of_shape(layer, task)
    shape = () if place is None else _value(task.args[place])
    axes = [axis for axis, n in enumerate(shape) if n == n_paths]
    axes = axes or [axis for axis, n in enumerate(shape) if n and n % n_paths == 0]
    if len(axes) > 1:
        raise NoChunkFunction("a dimension is as long as there are paths")
    return sized_at(layer, task, axes[0], n_paths) if axes else task


def in_chunk(step: Any, n: int) -> Any:
    """Return the task of a step in a chunk of `n` paths, to compare it with the task there."""
    return step.of(n) if isinstance(step, SizedTask) else without_chunk_number(step)


def knows_chunk(layer: Any, task: Any) -> bool:
    """Return whether a task may do other things in other chunks, though it is the same one."""
    if not isinstance(layer, Blockwise) or not layer.io_deps or is_filled(layer):
        return False
    return without_chunk_number(task) is task


def is_cut_at(task: Any, n_paths: int) -> bool:
    """Return whether a task takes the part of an array that ends at the number of paths."""
    arguments = [_value(entry) for entry in getattr(task, "args", ())]
    entries = [x for entry in arguments if isinstance(entry, tuple) for x in entry]
    return any(isinstance(x, slice) and x.stop == n_paths for x in (*arguments, *entries))


def is_filled(layer: Any) -> bool:
    """Return whether a layer only fills arrays, as `zeros_like` does."""
    return (
        isinstance(layer, Blockwise)
        and len(layer.indices) == 1
        and [type(dep) for dep in layer.io_deps.values()] == [ArrayChunkShapeDep]
    )


def _place_of_shape(layer: Any, task: Any) -> int | None:
    """Return which argument of a task is the shape of its chunk, if one is."""
    return 0 if is_filled(layer) else place_of_shape(task)


def _value(argument: Any) -> Any:
    return argument.value if isinstance(argument, DataNode) else argument
