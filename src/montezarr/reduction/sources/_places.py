"""Map positions along `path` to path indices of the run, through selections in the graph."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from montezarr.core.compat.dask import Alias, Blockwise, DataNode, Task, TaskRef, as_tasks
from montezarr.core.tunables.scheduling import ADJACENT_BLOCKS_INSPECTED
from montezarr.reduction.sources._tasks import evaluate_terms, layer_of
from montezarr.reduction.sources._terms import all_functions, operator_of
from montezarr.run._origins import Origin


class Unknown(Exception):
    """Raised where an operation on the paths is not understood."""


class Placed(NamedTuple):
    """A block: the indices of its paths, the axis of the paths, and its number of axes."""

    paths: NDArray[np.int64]
    axis: int
    ndim: int


def indices_of(data: Any, axis: int, origins: Mapping[str, Origin]) -> Iterator[NDArray[np.int64]]:
    """Yield the indices in the run of the paths of each chunk of a lazy array.

    Raises
    ------
    Unknown
        If some operation may move paths in a way that is not known here.
    """
    plain = origins.get(data.name)
    if plain is not None and plain.axis == axis:  # the paths of the run in order
        for i in range(data.numblocks[axis]):
            yield _source(plain, tuple(i if k == axis else 0 for k in range(data.ndim))).paths
        return
    others = [range(n) for i, n in enumerate(data.numblocks) if i != axis]
    if math.prod(len(span) for span in others) > ADJACENT_BLOCKS_INSPECTED:
        others = [range(1) for _ in others]
    graph, length = data.dask, data.chunks[axis]
    beside: list[tuple[int, ...]] = [()]
    for span in others:
        beside = [(*rest, i) for rest in beside for i in span]
    keys = [
        [(data.name, *rest[:axis], i, *rest[axis:]) for rest in beside]
        for i in range(data.numblocks[axis])
    ]
    tasks = as_tasks(dict(graph.cull({key for row in keys for key in row})))
    for row, count in zip(keys, length, strict=True):
        known: dict[Any, Placed | None] = {}
        found = [place for key in row if (place := _place(key, tasks, graph, origins, known))]
        if not found or any(not _same(found[0], place) for place in found):
            raise Unknown
        if found[0].axis != axis or len(found[0].paths) != count:
            raise Unknown
        yield found[0].paths


def _place(
    key: Any, tasks: Any, graph: Any, origins: Mapping[str, Origin], known: dict[Any, Any]
) -> Placed | None:
    """Return the paths of a block, or None for a block without paths."""

    def leaf(here: Any, task: Any) -> tuple[Placed | None] | None:
        name = layer_of(here)
        if name in origins:
            return (_source(origins[name], here[1:]),)
        # Numbers, or the carry of a running sum from the blocks before.
        return (None,) if isinstance(task, DataNode) or here[1:2] == ("extra",) else None

    def made(here: Any, task: Any) -> Placed | None:
        return _made(task, tasks, graph.layers.get(layer_of(here)), known)

    evaluate_terms([key], tasks, known, leaf, made)
    place: Placed | None = known[key]
    return place


def _source(origin: Origin, block: tuple[int, ...]) -> Placed:
    start = block[origin.axis] * origin.chunk
    stop = min(start + origin.chunk, origin.shape[origin.axis])
    return Placed(np.arange(start, stop) + origin.first, origin.axis, len(origin.shape))


def _made(task: Any, tasks: Any, layer: Any, known: Mapping[Any, Any]) -> Placed | None:
    if isinstance(task, Alias):
        return known[task.target]  # type: ignore[no-any-return]
    places = [known[needed] for needed in sorted(task.dependencies, key=str)]
    if all(place is None for place in places):
        return None
    names = {getattr(part, "__name__", "") for part in all_functions(task.func)}
    values = [_value(argument, tasks) for argument in task.args[1:]]
    if "getitem" in names:
        return _selected(_place_in(task.args[0], known), values[0])
    if "_getitem" in names:  # of a list of paths, which dask.array keeps in a task of its own
        return _selected(_place_in(task.args[0], known), values[0][1])
    if "concatenate_arrays" in names:
        return _shuffled(_places_in(task.args[0], known), values[0][1], values[1])
    if "concatenate_shaped" in names:
        return _merged(_places_in(task.args[0], known), tuple(values[0]))
    if isinstance(layer, Blockwise):
        return _blockwise(layer, known, task)
    keywords = _keywords(task)
    if "axis" in keywords:
        return _reduced(places, keywords["axis"], bool(keywords.get("keepdims", False)))
    if operator_of(task.func):
        return _first(places)
    raise Unknown


# --- by operation ------------------------------------------------------------------------------


def _selected(place: Placed | None, index: Any) -> Placed | None:
    if place is None:
        return None
    entries = list(index) if isinstance(index, tuple) else [index]
    used = sum(entry is not None and entry is not Ellipsis for entry in entries)
    if Ellipsis in [entry for entry in entries if not isinstance(entry, np.ndarray)]:
        at = next(i for i, entry in enumerate(entries) if entry is Ellipsis)
        entries[at : at + 1] = [slice(None)] * (place.ndim - used)
    else:
        entries += [slice(None)] * (place.ndim - used)
    arrays = [entry for entry in entries if isinstance(entry, (list, np.ndarray))]
    if len(arrays) > 1 or any(np.ndim(array) != 1 for array in arrays):
        raise Unknown
    paths, axis, before, new = None, 0, 0, 0
    for entry in entries:
        if entry is None:
            new += 1
            continue
        if before == place.axis:
            paths, axis = place.paths[entry], new
        new += 0 if isinstance(entry, (int, np.integer)) else 1
        before += 1
    if paths is None or paths.ndim != 1:
        raise Unknown
    return Placed(paths, axis, new)


def _shuffled(parts: list[Placed | None], order: Any, axis: Any) -> Placed:
    first = next(part for part in parts if part is not None)
    if axis != first.axis:
        return _first(parts)
    if any(part is None or part[1:] != first[1:] for part in parts):
        raise Unknown
    joined = np.concatenate([part.paths for part in parts if part is not None])
    return first._replace(paths=joined[np.argsort(order)])


def _merged(parts: list[Placed | None], shape: tuple[int, ...]) -> Placed:
    """Return several blocks as one, given their numbers along each axis."""
    axis = next(part for part in parts if part is not None).axis
    grid = np.moveaxis(np.arange(len(parts)).reshape(shape), axis, 0)
    rows = [_first([parts[i] for i in row]) for row in grid.reshape(shape[axis], -1)]
    return rows[0]._replace(paths=np.concatenate([row.paths for row in rows]))


def _reduced(places: Sequence[Placed | None], axes: Any, keepdims: bool) -> Placed | None:
    gone = {axes} if isinstance(axes, int) else set(axes)
    if all(place is None or place.axis in gone for place in places):
        return None  # over all paths, so no path is left
    place = _first(places)
    if keepdims:
        return place
    below = sum(axis < place.axis for axis in gone)
    return Placed(place.paths, place.axis - below, place.ndim - len(gone))


def _blockwise(layer: Blockwise, known: Mapping[Any, Any], task: Task) -> Placed:
    """Return the paths of a block of a function that is applied to each path alone."""
    out = tuple(layer.output_indices)
    axes = {name: tuple(index) for name, index in layer.indices if index is not None}
    found = []
    for needed in task.dependencies:
        place = known[needed]
        if place is None:
            continue
        letter = axes[needed[0]][place.axis]
        if letter not in out:
            raise Unknown
        found.append(Placed(place.paths, out.index(letter), len(out)))
    return _first(found)


def _first(places: Sequence[Placed | None]) -> Placed:
    """Return the paths that all blocks share."""
    found = [place for place in places if place is not None]
    if not found:
        raise Unknown
    if any(not _same(found[0], place) for place in found):
        raise Unknown
    return found[0]


def _same(a: Placed, b: Placed) -> bool:
    return a[1:] == b[1:] and (a.paths is b.paths or np.array_equal(a.paths, b.paths))


# --- arguments of tasks ------------------------------------------------------------------------


def _place_in(argument: Any, known: Mapping[Any, Any]) -> Placed | None:
    if isinstance(argument, TaskRef):
        return known[argument.key]  # type: ignore[no-any-return]
    if isinstance(argument, Alias):
        return known[argument.target]  # type: ignore[no-any-return]
    raise Unknown


def _places_in(argument: Any, known: Mapping[Any, Any]) -> list[Placed | None]:
    """Return the paths of a list of blocks; some may be numbers without paths."""
    if isinstance(argument, Task):  # also a list, which is a task in Dask's graphs
        argument = argument.args
    if len(argument) == 1 and isinstance(argument[0], (list, tuple)):
        argument = argument[0]
    return [_place_in(part, known) for part in argument]


def _value(argument: Any, tasks: Any) -> Any:
    if isinstance(argument, TaskRef):
        argument = tasks[argument.key]
    if isinstance(argument, DataNode):
        return argument.value
    return None if isinstance(argument, Task) else argument


def _keywords(task: Task) -> dict[str, Any]:
    """Return the keywords of the function of a task, or of one that it wraps."""
    given = {name: getattr(value, "value", value) for name, value in task.kwargs.items()}
    waiting: list[Any] = [task.func]
    while waiting:
        part = waiting.pop()
        given = {**getattr(part, "keywords", {}), **given}
        waiting += [getattr(part, "func", None)] if hasattr(part, "keywords") else []
        waiting += [part.first, *part.funcs] if hasattr(part, "funcs") else []
    return given
