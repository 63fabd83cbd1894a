"""From a lazy expression to a chunk function: what Dask's graph does with one chunk.

An expression that treats every path alike has the same tasks for every chunk. These can be run on
any range of paths, not only on the chunks of the expression.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from numpy.typing import NDArray

from montezarr.core.checks import without_mask
from montezarr.core.compat.dask import (
    Alias,
    Blockwise,
    DataNode,
    GraphNode,
    NestedContainer,
    Task,
    TaskRef,
    as_tasks,
    contents_of,
    without_chunk_number,
)
from montezarr.reduction.sources._sized_tasks import NoChunkFunction as NoChunkFunction
from montezarr.reduction.sources._sized_tasks import (
    SizedTask,
    in_chunk,
    is_cut_at,
    is_filled,
    knows_chunk,
    sized_along,
    sized_at,
)
from montezarr.run._task import as_block
from montezarr.run.digests import digest_of_code
from montezarr.samplers import PathArrays
from montezarr.samplers.schema import count_of, first_paths_of

TermKey = tuple[Any, ...]
Match = Callable[[Any, Any], bool]
"""Whether two keys correspond to each other in two chunks."""


TRIAL_PATHS_MIN = 4
"""Paths on which it can be tried whether an expression treats all alike."""


class ChunkFunction:
    """The tasks of one chunk, run on any range of paths.

    Parameters
    ----------
    steps : list of (key, task)
        In topological order.
    source : key
        Key of the paths.
    outputs : list of (key, int)
        Keys of the results, each with its axis of the paths.
    of_paths : set of key, optional
        Steps that depend on paths, where it is yet to be tested that they keep paths apart.
    leads : dict of str to int
        Number of dimensions before that of the paths, by variable of the run.
    """

    def __init__(
        self,
        steps: list[tuple[Any, Any]],
        source: Any,
        outputs: list[tuple[Any, int]],
        of_paths: frozenset[Any] = frozenset(),
        *,
        leads: Mapping[str, int],
    ):
        self.leads = leads
        self.steps, self.source, self.outputs = steps, source, outputs
        self.of_paths = of_paths
        kept = {source, *(key for key, _ in outputs)}
        last: dict[Any, int] = {}
        for i, (_, step) in enumerate(steps):
            for name in step.dependencies:
                last[name] = i
        self._done: list[list[Any]] = [[] for _ in steps]
        for name, i in last.items():
            if name not in kept:
                self._done[i].append(name)

    def __call__(self, drawn: PathArrays) -> list[NDArray[Any]]:
        """Return the outputs, each with the paths along its last axis."""
        return self._run(drawn, {})

    def tried(self, drawn: PathArrays) -> list[NDArray[Any]]:
        """Return the outputs for a few paths, on which it is tried whether any range will do.

        Raises
        ------
        NoChunkFunction
            If not, with the reason.
        """
        try:
            arrays = self(drawn)
            alike = self.keeps_paths(drawn) and is_pathwise(self, drawn, arrays)
        except Exception as error:
            reason = f"it cannot be computed in parts: {type(error).__name__}"
            raise NoChunkFunction(reason) from error
        if not alike:
            raise NoChunkFunction("what it makes of a path depends on others")
        return arrays

    def keeps_paths(self, drawn: PathArrays) -> bool:
        """Return whether every step has an axis of the length of the paths.

        The tasks of two chunks of one graph show that; with one chunk it is tested.
        """
        n = count_of(drawn)
        if not self.of_paths:
            return True
        if n < TRIAL_PATHS_MIN:
            return False
        fewer = max(TRIAL_PATHS_MIN - 1, n // 2 - 1)
        long: dict[Any, list[tuple[int, ...]]] = {}
        short: dict[Any, list[tuple[int, ...]]] = {}
        self._run(drawn, long)
        self._run(first_paths_of(drawn, fewer), short)
        return all(
            len(long[key]) == len(short[key])
            and all(_follows(a, b, n, fewer) for a, b in zip(long[key], short[key], strict=True))
            for key in self.of_paths
        )

    def _run(
        self, drawn: PathArrays, shapes: dict[Any, list[tuple[int, ...]]]
    ) -> list[NDArray[Any]]:
        """Return the outputs, and record the shapes of the steps in `of_paths`."""
        # In the memory layout of the chunks of a run, which NumPy's sums depend on.
        values = {self.source: as_block(drawn, self.leads)}
        n = count_of(drawn)
        for (key, step), done in zip(self.steps, self._done, strict=True):
            task = step.of(n) if isinstance(step, SizedTask) else step
            values[key] = task({name: values[name] for name in task.dependencies})
            if key in self.of_paths:
                shapes[key] = list(_shapes_in(values[key]))
            for name in done:  # no later step needs it
                del values[name]
        return [np.moveaxis(without_mask(values[key]), axis, -1) for key, axis in self.outputs]

    def token(self) -> str:
        """Return a digest of the steps that does not depend on the names of keys."""
        names = {self.source: "source"}
        parts: list[Any] = []
        for i, (key, step) in enumerate(self.steps):
            task = step.of(1) if isinstance(step, SizedTask) else step
            used = [names[name] for name in sorted(task.dependencies, key=str)]
            renamed = task.substitute({name: names[name] for name in task.dependencies})
            names[key] = f"step-{i}"
            what = ("func", "args", "kwargs", "value", "target")
            parts.append((used, type(task).__name__, *(getattr(renamed, w, None) for w in what)))
        code = digest_of_code(f for _, step in self.steps for f in functions_in(step))
        return str(tokenize(parts, code, [(names[key], axis) for key, axis in self.outputs]))


def is_pathwise(
    function: Callable[[Any], list[NDArray[Any]]],
    arrays: list[NDArray[Any]] | PathArrays,
    whole: list[NDArray[Any]] | None = None,
) -> bool:
    """Return whether paths alone, in parts and in reverse order give the same as all together.

    `whole` is the result for all paths, if it is known.
    """
    several = arrays if isinstance(arrays, dict) else dict(enumerate(arrays))
    n = next(iter(several.values())).shape[-1]
    if n < 4:
        return True
    whole = function(arrays) if whole is None else whole
    splits = sorted({0, 2, n // 32, n // 2, n})
    parts = [slice(a, b) for a, b in itertools.pairwise(splits) if b - a > 1]
    for part in [*parts, slice(None, None, -1)]:
        some = {name: np.ascontiguousarray(array[..., part]) for name, array in several.items()}
        sample = some if isinstance(arrays, dict) else list(some.values())
        pairs = zip(whole, function(sample), strict=True)
        if not all(np.array_equal(a[..., part], b, equal_nan=True) for a, b in pairs):
            return False
    return True


def functions_in(thing: Any) -> Iterator[Any]:
    """Yield the functions and classes that a task, or a part of one, may call."""
    if isinstance(thing, SizedTask):
        thing = thing.task
    contents = contents_of(thing)
    if contents is not None:
        yield from functions_in(contents)
    elif isinstance(thing, functools.partial):
        yield from functions_in([thing.func, *thing.args, *thing.keywords.values()])
    elif isinstance(thing, dict):
        yield from functions_in(list(thing.values()))
    elif isinstance(thing, (list, tuple)):
        for part in thing:
            yield from functions_in(part)
    elif callable(thing):
        yield thing


def chunk_function_of(
    arrays: list[tuple[Any, int]],
    source: str,
    chunks: tuple[int, ...],
    leads: Mapping[str, int],
) -> ChunkFunction:
    """Return the chunk function of lazy arrays that are computed from one run.

    Parameters
    ----------
    arrays : list of (dask array, int)
        Each with the position of its axis of paths.
    source : str
        Name of the array of the run.
    chunks : tuple of int
        Paths of each of its chunks.
    leads : dict of str to int
        Number of dimensions before that of the paths, by variable of the run.

    Raises
    ------
    NoChunkFunction
        If the tasks of some chunk differ from those of the others, with the reason.
    """
    # Scenarios that are joined, or cut, are several blocks; statistics take one.
    arrays = [(_whole_beside(array, axis), axis) for array, axis in arrays]
    graphs = [array.dask for array, _ in arrays]
    if not all(isinstance(graph, HighLevelGraph) for graph in graphs):
        raise NoChunkFunction("its graph has no layers")
    graph = HighLevelGraph.merge(*graphs)
    if source not in graph.layers:
        raise NoChunkFunction("it is not made of simulated paths")
    for array, axis in arrays:
        if array.chunks[axis] != chunks:
            raise NoChunkFunction("its chunks are not those of the run")
    if len(chunks) == 1:
        return _of_one_chunk(graph, arrays, source, chunks[0], leads)
    first, second = (
        [(array.name, *(i if k == axis else 0 for k in range(array.ndim)))
         for array, axis in arrays]
        for i in (0, 1)
    )  # fmt: skip
    walk = _GraphWalk(graph, _tasks(graph, first), _tasks(graph, second), source, chunks)
    for a, b in zip(first, second, strict=True):
        walk.visit(a, b)
    _check_layers(graph, walk)
    outputs = [(key, axis) for key, (_, axis) in zip(first, arrays, strict=True)]
    return ChunkFunction(walk.steps, walk.place, outputs, leads=leads)


def _whole_beside(array: Any, axis: int) -> Any:
    """Return an array with one chunk along all dimensions but that of the paths."""
    return array.rechunk({other: -1 for other in range(array.ndim) if other != axis})


def _of_one_chunk(
    graph: HighLevelGraph,
    arrays: list[tuple[Any, int]],
    source: str,
    n_paths: int,
    leads: Mapping[str, int],
) -> ChunkFunction:
    """Return the function of arrays of one chunk; `keeps_paths` is yet to be tested."""
    outputs = [((array.name, *(0 for _ in array.shape)), axis) for array, axis in arrays]
    tasks = _tasks(graph, [key for key, _ in outputs])
    steps: list[tuple[Any, Any]] = []
    of_paths: dict[Any, bool] = {}
    places = {key for key in tasks if _name(key) == source}

    def visit(key: Any) -> bool:
        if key in places:
            return True
        if key not in of_paths:
            layer = graph.layers.get(_name(key))
            step = sized_along(layer, tasks[key], n_paths)
            is_sized = isinstance(step, SizedTask)
            made = [visit(name) for name in sorted(tasks[key].dependencies, key=str)]  # visit all
            of_paths[key] = any(made) or is_sized
            if of_paths[key] and knows_chunk(layer, tasks[key]):
                raise NoChunkFunction(f"{_plain(_name(key))} knows the number of its chunk")
            if of_paths[key] and is_cut_at(tasks[key], n_paths):
                raise NoChunkFunction(f"{_plain(_name(key))} knows the number of paths")
            steps.append((key, step))
        return of_paths[key]

    for key, _ in outputs:
        if not visit(key):
            raise NoChunkFunction("it is not made of simulated paths")
    if len(places) != 1:
        raise NoChunkFunction("chunks depend on others")
    made = frozenset(key for key, is_made in of_paths.items() if is_made)
    return ChunkFunction(steps, places.pop(), outputs, made, leads=leads)


def _shapes_in(value: Any) -> Iterator[tuple[int, ...]]:
    """Yield the shapes of the arrays in a value: partial means and the like are dicts of arrays."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _shapes_in(part)
    else:
        yield np.shape(value)


def _follows(long: tuple[int, ...], short: tuple[int, ...], n: int, fewer: int) -> bool:
    """Return whether exactly one axis changes with the number of paths, as a multiple of it."""
    differing = [pair for pair in zip(long, short, strict=False) if pair[0] != pair[1]]
    if len(long) != len(short) or len(differing) != 1:
        return False
    times = differing[0][0] // n
    return differing == [(times * n, times * fewer)]


def _tasks(graph: HighLevelGraph, keys: list[TermKey]) -> dict[Any, GraphNode]:
    return as_tasks(dict(graph.cull(set(keys))))


class _GraphWalk:
    """Walk the graphs of the first two chunks in parallel, from the outputs to the source."""

    def __init__(
        self,
        graph: HighLevelGraph,
        first: Mapping[Any, GraphNode],
        second: Mapping[Any, GraphNode],
        source: str,
        chunks: tuple[int, ...],
    ):
        self.graph, self.first, self.second, self.source = graph, first, second, source
        self.chunks = chunks
        self.place: Any = None
        self.axes: dict[str, int] = {}
        self.steps: list[tuple[Any, Any]] = []
        self.seen: dict[Any, Any] = {}

    def visit(self, a: Any, b: Any) -> None:
        """Compare the tasks of two keys and their dependencies, and record the steps."""
        if a in self.seen:
            if self.seen[a] != b:
                raise NoChunkFunction("chunks depend on others")
            return
        self.seen[a] = b
        if a == b:
            self._constant(a)
            return
        name, axis = _difference(a, b)
        if self.axes.setdefault(name, axis) != axis:
            raise NoChunkFunction("it turns the paths round")
        if name == self.source:
            if self.place not in (None, a):
                raise NoChunkFunction("chunks depend on others")
            self.place = a
            return
        step = self.step_of(a, axis)
        if is_filled(self.graph.layers.get(name)):
            self.steps.append((a, step))
            return
        needed: list[tuple[Any, Any]] = []

        def match(x: Any, y: Any) -> bool:
            needed.append((x, y))
            return True

        if not alike(in_chunk(step, self.chunks[1]), without_chunk_number(self.second[b]), match):
            raise NoChunkFunction(f"{_plain(name)} differs from chunk to chunk")
        for x, y in needed:
            self.visit(x, y)
        self.steps.append((a, step))

    def step_of(self, key: Any, axis: int) -> Any:
        """Return the task of a key of the first chunk, for any number of paths if it names that."""
        layer = self.graph.layers.get(_name(key))
        return sized_at(layer, self.first[key], axis - 1, self.chunks[0])

    def _constant(self, key: Any) -> None:
        """Take over a value that all chunks share, unless it depends on paths."""
        task = self.first[key]
        if _name(key) == self.source:
            raise NoChunkFunction("all chunks depend on one")
        for name in sorted(task.dependencies, key=str):
            if name not in self.seen:
                self.seen[name] = name
                self._constant(name)
        self.steps.append((key, task))


def _check_layers(graph: HighLevelGraph, walk: _GraphWalk) -> None:
    """Raise unless the tasks of all chunks are those of the first one."""
    for name, axis in walk.axes.items():
        if name == walk.source:
            continue
        wanted = [key for key in walk.seen if _name(key) == name]
        layer = graph.layers.get(name)
        if isinstance(layer, Blockwise):
            if any(knows_chunk(layer, walk.first[key]) for key in wanted):
                raise NoChunkFunction(f"{_plain(name)} knows the number of its chunk")
            continue  # one task for all chunks, by its nature
        tasks = as_tasks(_layer_with(graph, name, wanted[0]), all_keys=_Everything())
        for base in wanted:
            step = walk.step_of(base, axis)
            for i, n in enumerate(walk.chunks):
                key = _moved(base, axis, i)

                def match(x: Any, y: Any, i: int = i) -> bool:
                    moved = _moved(x, walk.axes[_name(x)], i) if _name(x) in walk.axes else x
                    return bool(moved == y)

                if key not in tasks or not alike(in_chunk(step, n), tasks[key], match):
                    raise NoChunkFunction(f"{_plain(name)} differs from chunk to chunk")


def _layer_with(graph: HighLevelGraph, name: str, key: Any) -> dict[Any, Any]:
    """Return the tasks of the layer of this name, or of that which has tasks of two names."""
    layers = [graph.layers[name]] if name in graph.layers else graph.layers.values()
    for layer in layers:
        if not isinstance(layer, Blockwise) and key in layer:
            return dict(layer)
    raise NoChunkFunction(f"{_plain(name)} is no layer of its graph")


class _Everything:
    """A container of every key, for the tasks of a layer that refer to other layers."""

    def __contains__(self, key: Any) -> bool:
        return isinstance(key, tuple) and bool(key) and isinstance(key[0], str)


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


def _difference(a: Any, b: Any) -> tuple[str, int]:
    """Return name and axis of two keys that differ only in the chunk number."""
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b) and a[0] == b[0]:
        places = [i for i in range(1, len(a)) if a[i] != b[i]]
        if len(places) == 1 and (a[places[0]], b[places[0]]) == (0, 1):
            return str(a[0]), places[0]
    raise NoChunkFunction("its chunks are made of others")


def _moved(key: Any, place: int, i: int) -> Any:
    return (*key[:place], i, *key[place + 1 :])


def _name(key: Any) -> str:
    return str(key[0]) if isinstance(key, tuple) else str(key)


def _plain(name: str) -> str:
    """Return a layer's name without its token."""
    return name.rpartition("-")[0] or name
