"""Which times of the paths an expression looks at, so that the draw computes these alone."""

from __future__ import annotations

from dataclasses import dataclass
from operator import getitem as plain_getitem
from typing import Any

from dask.array.chunk import getitem as chunk_getitem

from montezarr.core.compat.dask import Task, TaskRef
from montezarr.reduction.sources._chunk_function import ChunkFunction

GETITEMS = (plain_getitem, chunk_getitem)
"""Functions by which a task of Dask takes a part of a chunk."""


@dataclass(frozen=True)
class KeptTimes:
    """The positions of times, increasing, and the chunk function of paths that have these alone."""

    positions: tuple[int, ...]
    function: ChunkFunction


def kept_times(function: ChunkFunction, times: int) -> KeptTimes | None:
    """Return the times of the paths that a chunk function looks at, out of so many.

    Known are expressions that take single times of a run of one variable and look at nothing else
    of it, as ``isel(time=-1)`` does. None for all others.
    """
    if len(function.sources) != 1:
        return None
    ((place, source),) = function.sources.items()
    if len(source.leads) != 1:
        return None
    (lead,) = source.leads.values()
    looked_at: dict[Any, int] = {}
    for key, step in function.steps:
        if place in step.dependencies:
            position = _position(step, place, lead, times)
            if position is None:
                return None
            looked_at[key] = position
    if not looked_at or any(key == place for key, _ in function.outputs):
        return None
    positions = tuple(sorted(set(looked_at.values())))
    steps = [
        (key, _taking(step, positions.index(looked_at[key])) if key in looked_at else step)
        for key, step in function.steps
    ]
    return KeptTimes(
        positions,
        ChunkFunction(steps, function.sources, function.outputs, function.of_paths),
    )


def _position(step: Any, place: Any, lead: int, times: int) -> int | None:
    """Return which time of (scenarios ..., paths, time) a task takes, of all paths; else None."""
    if not isinstance(step, Task) or step.func not in GETITEMS or step.kwargs:
        return None
    if len(step.args) != 2 or not isinstance(step.args[0], TaskRef) or step.args[0].key != place:
        return None
    index = step.args[1]
    if not isinstance(index, tuple) or len(index) != lead + 2 or index[lead] != slice(None):
        return None
    if not all(isinstance(i, (int, slice)) for i in index[:lead]):
        return None
    position = index[-1]
    if not isinstance(position, int) or not -times <= position < times:
        return None
    return position % times


def _taking(step: Any, position: int) -> Any:
    """Return a task that takes another time."""
    return Task(step.key, step.func, step.args[0], (*step.args[1][:-1], position))
