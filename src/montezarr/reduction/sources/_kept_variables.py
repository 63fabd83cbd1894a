"""Which variables of the paths an expression looks at, so that the draw computes these alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from montezarr.core.compat.dask import Task, TaskRef
from montezarr.reduction.sources._chunk_function import ChunkFunction
from montezarr.run._task import own_scenarios, own_variable


def kept_variables(function: ChunkFunction) -> set[str] | None:
    """Return the names of the variables that a chunk function takes of the paths of one run.

    None if that is not known.
    """
    if len(function.sources) != 1:
        return None
    (place,) = function.sources
    found = set()
    for _, step in function.steps:
        if place not in step.dependencies:
            continue
        if not isinstance(step, Task) or step.func not in (own_variable, own_scenarios):
            return None
        name = getattr(step.args[1], "value", step.args[1])  # as a node of the graph
        if not isinstance(step.args[0], TaskRef) or not isinstance(name, str):
            return None
        found.add(name)
    return found if all(key != place for key, _ in function.outputs) else None


def of_variables(function: ChunkFunction, names: Collection[str]) -> ChunkFunction:
    """Return the chunk function of paths that have these of their variables alone."""
    sources = {
        place: replace(
            source, names={own: drawn for own, drawn in source.names.items() if drawn in names}
        )
        for place, source in function.sources.items()
    }
    return ChunkFunction(function.steps, sources, function.outputs, function.of_paths)
