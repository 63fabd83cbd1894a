"""From lazy arrays that are computed from runs to their chunk function.

An expression that treats every path alike has the same tasks for every chunk. These can be run on
any range of paths, not only on the chunks of the expression.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from dask.highlevelgraph import HighLevelGraph

from montezarr.core.compat.dask import (
    Alias,
    Blockwise,
    GraphNode,
    as_tasks,
    without_chunk_number,
)
from montezarr.reduction.sources._alike import (
    alike,
    difference,
    moved,
    name_of,
    needed_by,
    plain_name,
)
from montezarr.reduction.sources._chunk_function import ChunkFunction, GraphSource
from montezarr.reduction.sources._rechunked import MERGED, EveryKey, Joined, joined_chunks
from montezarr.reduction.sources._sized_tasks import (
    NoChunkFunction,
    SizedTask,
    in_chunk,
    is_cut_at,
    is_filled,
    knows_chunk,
    sized_along,
    sized_at,
)


def chunk_function_of(
    arrays: list[tuple[Any, int]], sources: Sequence[GraphSource]
) -> ChunkFunction:
    """Return the chunk function of lazy arrays that are computed from runs.

    Parameters
    ----------
    arrays : list of (dask array, int)
        Each with the position of its axis of paths.
    sources : sequence of GraphSource
        The arrays of the runs.

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
    if not any(source.name in graph.layers for source in sources):
        raise NoChunkFunction("it is not made of simulated paths")
    walk = _GraphWalk(graph, sources)
    outputs = []
    for array, axis in arrays:
        if array.chunks[axis] != walk.chunks_of(array.name):
            raise NoChunkFunction("its chunks are not those of the run")
        outputs.append(((array.name, *(0 for _ in array.shape)), axis))
    pairs = zip(outputs, arrays, strict=True)
    each = [(key, axis + 1, array.chunks[axis]) for (key, axis), (array, _) in pairs]
    walk.load([moved(key, at, i) for key, at, chunks in each for i in range(min(2, len(chunks)))])
    for one in each:
        walk.start(*one)
    _check_layers(graph, walk)
    places = {walk.places[s.name]: s for s in sources if s.name in walk.places}
    return ChunkFunction(walk.steps, places, outputs, frozenset(walk.of_paths))


def _whole_beside(array: Any, axis: int) -> Any:
    """Return an array with one chunk along all dimensions but that of the paths."""
    return array.rechunk({other: -1 for other in range(array.ndim) if other != axis})


class _GraphWalk:
    """Walk the graph of the first chunk, from the outputs to the sources.

    Where there is a second chunk, its graph is walked in parallel: what differs between the two
    depends on paths. Where there is none, it is left to a trial whether steps keep paths apart.

    Attributes
    ----------
    steps : list of (key, task)
        In topological order.
    places : dict of str to key
        The first chunk of each source.
    of_paths : set of key
        Steps on paths of which there is one chunk alone.
    axes : dict of str to int
        By layer, the place of the number of a chunk in its keys.
    chunks : dict of str to tuple of int
        By layer, the paths of each chunk.
    tasks : dict of key to task
        The tasks of the chunks that were visited.
    """

    def __init__(self, graph: HighLevelGraph, sources: Sequence[GraphSource]):
        self.graph = graph
        self.sources = {source.name: source for source in sources}
        self.places: dict[str, Any] = {}
        self.axes: dict[str, int] = {}
        self.chunks: dict[str, tuple[int, ...]] = {}
        self.steps: list[tuple[Any, Any]] = []
        self.of_paths: set[Any] = set()
        self.tasks: dict[Any, GraphNode] = {}
        self._pairs: dict[Any, Any] = {}
        self._alone: dict[Any, bool] = {}
        self._known: dict[str, tuple[int, ...] | None] = {}
        self._joined: dict[str, Joined | None] = {}

    def start(self, key: Any, axis: int, chunks: tuple[int, ...]) -> None:
        """Walk from the first of some chunks, whose number stands at a place in the key."""
        if len(chunks) > 1:
            second = moved(key, axis, 1)
            self.load([key, second])
            self.visit(key, second, chunks)
            return
        self.load([key])
        if not self.visit_alone(key):
            raise NoChunkFunction("it is not made of simulated paths")

    # --- two chunks --------------------------------------------------------------------------

    def visit(self, a: Any, b: Any, chunks: tuple[int, ...]) -> None:
        """Compare the tasks of two keys and their dependencies, and record the steps."""
        if a in self._pairs:
            if self._pairs[a] != b:
                raise NoChunkFunction("chunks depend on others")
            return
        self._pairs[a] = b
        if a == b:
            self._constant(a)
            return
        differing = difference(a, b)
        if differing is None:
            raise NoChunkFunction("its chunks are made of others")
        name, axis = differing
        if self.axes.setdefault(name, axis) != axis:
            raise NoChunkFunction("it turns the paths round")
        self.chunks[name] = chunks
        if name in self.sources:
            self._place(a)
            return
        step = self.step_of(a, axis)
        if is_filled(self.graph.layers.get(name)):
            self.steps.append((a, step))
            return
        if (joined := self.joined(name)) is not None:
            self._visit_below(a, joined, axis)
            return
        needed: list[tuple[Any, Any]] = []

        def match(x: Any, y: Any) -> bool:
            needed.append((x, y))
            return True

        if not alike(in_chunk(step, chunks[1]), without_chunk_number(self.tasks[b]), match):
            raise NoChunkFunction(f"{plain_name(name)} differs from chunk to chunk")
        for x, y in needed:
            self.visit(x, y, chunks)
        self.steps.append((a, step))

    def step_of(self, key: Any, axis: int) -> Any:
        """Return the task of a key of the first chunk, for any number of paths if it names that."""
        name = name_of(key)
        layer = self.graph.layers.get(name)
        return sized_at(layer, self.tasks[key], axis - 1, self.chunks[name][0])

    def _constant(self, key: Any) -> None:
        """Take over a value that all chunks share, unless it depends on paths."""
        if name_of(key) in self.sources:
            raise NoChunkFunction("all chunks depend on one")
        for name in self._needed(key):
            if name not in self._pairs:
                self._pairs[name] = name
                self._constant(name)
        self.steps.append((key, self.tasks[key]))

    # --- one chunk ---------------------------------------------------------------------------

    def visit_alone(self, key: Any) -> bool:
        """Record the steps of the only chunk, and return whether it depends on paths."""
        name = name_of(key)
        if name in self.sources:
            self._place(key)
            return True
        if key in self._alone:
            return self._alone[key]
        if (joined := self.joined(name)) is not None:
            self._visit_below(key, joined, joined.axis)
            self._alone[key] = True
        else:
            self._alone[key] = self._step_alone(key)
        if self._alone[key]:
            self.of_paths.add(key)
        return self._alone[key]

    def _step_alone(self, key: Any) -> bool:
        layer, task = self.graph.layers.get(name_of(key)), self.tasks[key]
        n_paths = sum(next(iter(self.sources.values())).chunks)
        step = sized_along(layer, task, n_paths)
        made = [self.visit_alone(needed) for needed in self._needed(key)]  # visit all
        is_of_paths = any(made) or isinstance(step, SizedTask)
        if is_of_paths and knows_chunk(layer, task):
            raise NoChunkFunction(f"{plain_name(name_of(key))} knows the number of its chunk")
        if is_of_paths and is_cut_at(task, n_paths):
            raise NoChunkFunction(f"{plain_name(name_of(key))} knows the number of paths")
        self.steps.append((key, step))
        return is_of_paths

    def _needed(self, key: Any) -> list[Any]:
        """Return what a task needs: in the order of keys for one run, as its token has it."""
        task: Any = self.tasks[key]
        return needed_by(task) if len(self.sources) > 1 else sorted(task.dependencies, key=str)

    def _place(self, key: Any) -> None:
        if self.places.setdefault(name_of(key), key) != key:
            raise NoChunkFunction("chunks depend on others")

    # --- other chunks of the same paths ------------------------------------------------------

    def joined(self, name: str) -> Joined | None:
        """Return how a layer cuts and joins chunks along the paths; None if it does not.

        Of several runs each may have chunks of its own, which Dask makes equal to add them.
        """
        if len(self.sources) == 1 or not name.startswith(MERGED):
            return None
        if name not in self._joined:
            (below,) = self.graph.dependencies[name]
            chunks = self.chunks_of(below)
            layer = self.graph.layers[name]
            found = None if chunks is None else joined_chunks(name, layer, below, chunks)
            self._joined[name] = found
        return self._joined[name]

    def _visit_below(self, key: Any, joined: Joined, axis: int) -> None:
        """Go on with the chunks that a layer cuts and joins, which are the same paths."""
        if axis != joined.axis:
            raise NoChunkFunction("it turns the paths round")
        (below,) = self.graph.dependencies[name_of(key)]
        first: Any = (below, *(0 for _ in key[1:]))
        self.start(first, axis, self.chunks_of(below) or ())
        self.steps.append((key, Alias(key, first)))

    def chunks_of(self, name: str) -> tuple[int, ...] | None:
        """Return the chunks along the paths that a layer has by the runs that it is made of.

        None where it is made of no run, or of chunks of several sizes.
        """
        if len(self.sources) == 1:
            return next(iter(self.sources.values())).chunks
        if name in self.sources:
            return self.sources[name].chunks
        if name not in self._known:
            below = self.graph.dependencies.get(name, ())
            found = {chunks for one in below if (chunks := self.chunks_of(one)) is not None}
            joined = self.joined(name)
            out = found.pop() if len(found) == 1 else None
            self._known[name] = out if joined is None else joined.chunks
        return self._known[name]

    def first_keys(self, name: str) -> list[Any]:
        """Return the keys of the first chunk in a layer."""
        return [a for a, b in self._pairs.items() if a != b and name_of(a) == name]

    def load(self, keys: list[Any]) -> None:
        """Look up the tasks of some chunks, with all that they need."""
        if not all(key in self.tasks for key in keys):
            self.tasks |= as_tasks(dict(self.graph.cull(set(keys))))


def _check_layers(graph: HighLevelGraph, walk: _GraphWalk) -> None:
    """Raise unless the tasks of all chunks are those of the first one."""
    for name, axis in walk.axes.items():
        if name in walk.sources or walk.joined(name) is not None:
            continue
        layer, keys = graph.layers.get(name), walk.first_keys(name)
        if isinstance(layer, Blockwise):
            if any(knows_chunk(layer, walk.tasks[key]) for key in keys):
                raise NoChunkFunction(f"{plain_name(name)} knows the number of its chunk")
            continue  # one task for all chunks, by its nature
        tasks = as_tasks(_layer_with(graph, name, keys[0]), all_keys=EveryKey())
        for base in keys:
            step = walk.step_of(base, axis)
            for i, n in enumerate(walk.chunks[name]):
                key, match = moved(base, axis, i), partial(_is_moved, walk.axes, i)
                if key not in tasks or not alike(in_chunk(step, n), tasks[key], match):
                    raise NoChunkFunction(f"{plain_name(name)} differs from chunk to chunk")


def _layer_with(graph: HighLevelGraph, name: str, key: Any) -> dict[Any, Any]:
    """Return the tasks of the layer of this name, or of that which has tasks of two names."""
    layers = [graph.layers[name]] if name in graph.layers else graph.layers.values()
    for layer in layers:
        if not isinstance(layer, Blockwise) and key in layer:
            return dict(layer)
    raise NoChunkFunction(f"{plain_name(name)} is no layer of its graph")


def _is_moved(axes: Mapping[str, int], i: int, x: Any, y: Any) -> bool:
    """Return whether a key is that of chunk `i` for the key of the first chunk."""
    return bool((moved(x, axes[name_of(x)], i) if name_of(x) in axes else x) == y)
