"""Lazy arrays, computed in their own chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, final

import numpy as np
from dask.base import compute, tokenize

from montezarr.core.compat.dask import graph_of_chunks
from montezarr.core.tunables.memory import REDUCTION_TASK_BYTES
from montezarr.core.tunables.scheduling import REDUCTION_TASKS_PER_WORKER
from montezarr.reduction.accumulate import Accumulator, SplitAccumulation
from montezarr.reduction.sources._block_source import (
    BlockSource,
    Result,
    SplitsBetween,
    any_backend,
    no_splits,
    noting_range,
)
from montezarr.reduction.sources._chunk_function import functions_in
from montezarr.reduction.sources._dataset_function import DatasetFunction
from montezarr.reduction.sources._masks import Masks, masks_of, paths_last
from montezarr.reduction.sources._path_data import PathData
from montezarr.run._run import Run
from montezarr.run.choose_backend import backend_of
from montezarr.run.digests import digest_of_code
from montezarr.samplers import FailureReport
from montezarr.samplers.schema import PATH


class ChunkRange:
    """The tasks of some chunks, and their output keys; opaque to Dask, which would run them."""

    __slots__ = ("chunks", "graph")

    def __init__(self, graph: dict[Any, Any], chunks: list[tuple[int, list[Any]]]):
        self.graph, self.chunks = graph, chunks


class ComputedTask:
    """Compute the chunks of an expression one after the other, and fold them."""

    def __init__(
        self,
        accumulator: Accumulator,
        axes: list[int],
        transform: DatasetFunction | None,
        name: str,
        masks: Masks | None = None,
    ):
        self.accumulator, self.axes, self.transform, self.masks = (
            accumulator,
            axes,
            transform,
            masks,
        )
        self.__name__ = f"reduce-{name}"

    def __call__(self, item: Any) -> Result:
        """Run the task on (start, stop, splits, chunk range, values of futures)."""
        from dask.local import get_sync

        _, stop, splits, part, futures = item
        graph = dict(part.graph)
        for key, value in futures:
            graph[key] = value.result() if hasattr(value, "result") else value
        parts, reports = SplitAccumulation(self.accumulator, splits), FailureReport()
        for start, keys in part.chunks:
            with noting_range(start, stop):
                if self.masks is None:
                    seen = self._seen(paths_last(get_sync(graph, keys), self.axes))
                else:
                    seen, report = self.masks.compute(graph, keys, self.axes, self._seen)
                    reports += report
                parts.add(start, seen)
        return parts.end(stop), reports

    def _seen(self, arrays: list[Any]) -> list[Any]:
        """Return what statistics see of arrays with the paths along the last axis."""
        return arrays if self.transform is None else self.transform(arrays)


@final
class ComputedBlocks(BlockSource):
    """Lazy arrays, computed in their own chunks.

    Parameters
    ----------
    data : PathData
        The arrays; some may be in memory.
    transform : callable or None
        From a Dataset in memory to what statistics see in its place.
    run : Run or None
        The run that they are made of, if there is one.
    reason : str
        Why its paths are not drawn in any range.
    """

    def __init__(self, data: PathData, transform: Any, run: Run | None, reason: str):
        # One chunk along all other dimensions, and common chunks along the paths.
        whole = {dim: -1 for dim in data.ds.dims if dim != PATH}
        ds = data.lazy.ds.chunk(whole).unify_chunks()
        self.arrays = [ds.variables[name] for name in data.variables]
        self.axes = [array.dims.index(PATH) for array in self.arrays]
        self.chunks: tuple[int, ...] = (self.arrays[0].chunks or ())[self.axes[0]]
        self.schema = data.schema
        self.backend = any_backend() if run is None else backend_of(run)
        self.n_paths = sum(self.chunks)
        self.how = f"chunk by chunk ({reason})"
        names = [variable.data.name for variable in data.lazy.variables.values()]
        # Names of Dask's arrays identify functions by name alone.
        self.key = lambda: tokenize(names, self.code())
        self._graph: dict[Any, Any] | None = None
        self._needs: Callable[[Any], Iterable[Any]] = lambda key: ()
        self._futures: dict[Any, Any] = {}
        self._drawn_bytes = 0 if run is None else run.path_bytes
        self._masks = masks_of(data.provenance.runs)
        self._source_bytes = sum(array.nbytes for array in self.arrays) // sum(self.chunks)
        if transform is not None:
            few = compute(*(array.isel({PATH: slice(8)}).data for array in self.arrays))
            self.apply_transform(transform, paths_last(few, self.axes))

    def task(self, accumulator: Accumulator) -> ComputedTask:
        """Return the task that computes and folds a range of chunks."""
        name = self.schema.variables[0].name
        return ComputedTask(accumulator, self.axes, self.transform, name, self._masks)

    def size(self) -> int:
        """Return the number of paths of one chunk, or of several small ones that make up a task."""
        largest = max(self.chunks)
        fair = sum(self.chunks) // (REDUCTION_TASKS_PER_WORKER * self.backend.workers)
        many = min(REDUCTION_TASK_BYTES // max(1, self._source_bytes), fair)
        return max(largest, many)

    def items(
        self, start: int, stop: int, size: int, splits: SplitsBetween = no_splits
    ) -> Iterator[Any]:
        """Yield (start, stop, splits, chunk range, futures) of each group of chunks."""
        group: list[tuple[int, list[Any]]] = []
        first = low = end = 0
        for i, count in enumerate(self.chunks):
            high = low + count
            if high > start and low < stop:
                if group and high - first > size:
                    yield self._item(first, low, splits, group)
                    group = []
                if not group:
                    first = low
                group.append((low, [self._key(k, i) for k in range(len(self.arrays))]))
                end = high
            low = high
        if group:
            yield self._item(first, end, splits, group)

    @property
    def block_bytes(self) -> int:
        """Bytes of a chunk, of the intermediate results of its expression, and of its input."""
        own = max(self._source_bytes, self.schema.path_bytes)
        return max(self.chunks) * max(3 * own, own + 2 * self._read_bytes)

    def code(self) -> str:
        """Return a digest of the user's functions that compute the first chunk."""
        part = next(iter(self.items(0, 1, 1)))[3]
        return digest_of_code(f for node in part.graph.values() for f in functions_in(node))

    @cached_property
    def _read_bytes(self) -> int:
        """Bytes of a path as it is drawn or read, with all of its times."""
        part = next(iter(self.items(0, 1, 1)))[3]
        read = 0
        for node in part.graph.values():
            array: Any = getattr(node, "value", node)  # the object itself in a graph without nodes
            if hasattr(array, "dtype") and not isinstance(array, np.ndarray):
                read += int(np.prod(array.shape, dtype=np.int64)) * array.dtype.itemsize
        return max(self._drawn_bytes, read // sum(self.chunks))

    def _key(self, k: int, chunk: int) -> tuple[Any, ...]:
        array, axis = self.arrays[k], self.axes[k]
        return (array.data.name, *(chunk if i == axis else 0 for i in range(array.ndim)))

    def _item(self, start: int, stop: int, splits: SplitsBetween, group: list[Any]) -> Any:
        """Return an item with only the tasks that it needs."""
        if self._graph is None:
            merged: dict[Any, Any] = {}
            for array in self.arrays:
                merged.update(array.data.dask)
            # Futures are passed to tasks as arguments, where Dask finds them.
            self._futures = {key: value for key, value in merged.items() if _is_future(value)}
            rest = {key: value for key, value in merged.items() if key not in self._futures}
            self._graph, self._needs = graph_of_chunks(rest, merged.keys())
        needed: dict[Any, Any] = {}
        futures: dict[Any, Any] = {}
        open_keys = [key for _, keys in group for key in keys]
        while open_keys:
            key = open_keys.pop()
            if key in self._futures:
                futures[key] = self._futures[key]
            elif key not in needed:
                needed[key] = self._graph[key]
                open_keys.extend(self._needs(key))
        return start, stop, splits(start, stop), ChunkRange(needed, group), list(futures.items())


def _is_future(value: Any) -> bool:
    """Return whether a value is a Dask future, without importing distributed."""
    return type(value).__name__ == "Future" and type(value).__module__.startswith("distributed")
