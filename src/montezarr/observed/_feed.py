"""Where paths come from: drawn in any range, computed chunk by chunk, or in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import xarray as xr
from dask._task_spec import convert_legacy_graph

from montezarr import cost
from montezarr.backends import Backend
from montezarr.folding import Arrays, DrawnTask, Fold, Folded, Parts
from montezarr.lazy import Run
from montezarr.observed._schema import PATH, Schema
from montezarr.sampling import Report
from montezarr.seeding import BLOCK

TASK_SECONDS = 1.0
"""What a task that draws should last: long enough for a scheduler of a thousand workers."""

TASKS_PER_WORKER = 8
"""Tasks that each worker gets at least, where there is that much work."""

COMPUTED_BYTES = 2**25
"""Bytes of small chunks that one task computes, one after the other."""

Observe = Callable[[Arrays], Arrays]
Result = tuple[list[tuple[int, Folded]], Report]
"""What a task returns: the states of each of its parts, with their ends, and what went wrong."""


Cuts = Callable[[int, int], tuple[int, ...]]
"""From a range of paths (start, stop) to where in it parts end."""


def no_cuts(start: int, stop: int) -> tuple[int, ...]:
    """Return that nothing is cut."""
    return ()


class Feed(ABC):
    """The paths of an object, as tasks that fold them.

    Attributes
    ----------
    schema : Schema
        The variables that statistics see.
    n_paths : int or None
        Number of paths; None where there is no end.
    backend : Backend
        Where tasks run.
    how : str
        How paths are had, for `plan`.
    key : function
        Returns what determines the values, for states that are taken up again.
    """

    schema: Schema
    n_paths: int | None
    backend: Backend
    how: str
    key: Callable[[], str]

    @abstractmethod
    def task(self, fold: Fold) -> Callable[[Any], Result]:
        """Return what runs on each item."""

    @abstractmethod
    def size(self) -> int:
        """Return the paths that one task should cover."""

    @abstractmethod
    def items(self, start: int, stop: int, size: int, cuts: Cuts = no_cuts) -> Iterator[Any]:
        """Yield the items that cover the paths start ... stop-1, of about `size` paths each.

        An item is (start, stop, cuts, what else the task needs).
        """

    @property
    @abstractmethod
    def block_bytes(self) -> int:
        """Bytes that a worker has in hand at once."""


class DrawnFeed(Feed):
    """Paths of a run, drawn in any range, a few blocks at a time."""

    def __init__(
        self,
        run: Run,
        schema: Schema,
        backend: Backend,
        *,
        program: Any = None,
        how: str,
        key: Callable[[], str],
    ):
        self.run, self.schema, self.backend, self.program = run, schema, backend, program
        self.n_paths = None if run.is_endless else run.n_paths
        self.how, self.key = how, key

    def task(self, fold: Fold) -> DrawnTask:
        """Return the task that draws and folds a range."""
        return DrawnTask(self.run.sampling, fold, self.program, self._path_bytes)

    def size(self) -> int:
        """Return the paths that take about a second, in whole blocks, a power of two of them."""
        seconds = cost.measure(self.run, self.backend)
        paths = BLOCK if seconds is None else TASK_SECONDS / max(seconds, 1e-9)
        if self.n_paths is not None:
            paths = min(paths, self.n_paths / (TASKS_PER_WORKER * self.backend.workers))
        blocks = max(1, int(paths // BLOCK))
        return int(BLOCK << (blocks.bit_length() - 1))

    def items(self, start: int, stop: int, size: int, cuts: Cuts = no_cuts) -> Iterator[Any]:
        """Yield (start, stop, cuts, initial states); ranges end at multiples of their size."""
        low = start
        while low < stop:
            high = min((low // size + 1) * size, stop)
            yield low, high, cuts(low, high), cost.initial_states(self.run, low, high)
            low = high

    @property
    def block_bytes(self) -> int:
        """Bytes of the paths that are drawn at once."""
        slab = self.task(Fold(())).slab
        return slab * self._path_bytes + self.run.scratch_bytes

    @property
    def _path_bytes(self) -> int:
        # A program reads the path and makes something of it, which is at most as large, mostly.
        extra = 0 if self.program is None else self.schema.path_bytes
        return self.run.path_bytes + extra


class Part:
    """The tasks of some chunks, and what comes out; opaque to Dask, which would run them."""

    __slots__ = ("chunks", "graph")

    def __init__(self, graph: dict[Any, Any], chunks: list[tuple[int, list[Any]]]):
        self.graph, self.chunks = graph, chunks

    def __reduce__(self) -> Any:
        return Part, (self.graph, self.chunks)


class ComputedTask:
    """Compute chunks one after the other, as their expression has them, and fold them."""

    def __init__(self, fold: Fold, axes: list[int], observe: Observe | None, name: str):
        self.fold, self.axes, self.observe = fold, axes, observe
        self.__name__ = f"reduce-{name}"

    def __call__(self, item: Any) -> Result:
        """Run the task on (start, stop, cuts, part, values of what a cluster holds)."""
        from dask.local import get_sync

        _, stop, cuts, part, held = item
        graph = dict(part.graph)
        for key, value in held:
            graph[key] = value.result() if hasattr(value, "result") else value
        parts = Parts(self.fold, cuts)
        for start, keys in part.chunks:
            values = get_sync(graph, keys)
            arrays = [
                np.moveaxis(np.asarray(value), axis, -1)
                for value, axis in zip(values, self.axes, strict=True)
            ]
            if self.observe is not None:
                arrays = self.observe(arrays)
            parts.add(start, arrays)
        return parts.end(stop), Report()


class ComputedFeed(Feed):
    """Lazy arrays, computed in the chunks that they have."""

    def __init__(
        self,
        ds: xr.Dataset,
        schema: Schema,
        backend: Backend,
        *,
        observe: Observe | None = None,
        how: str,
        key: Callable[[], str],
    ):
        # One chunk along all other dimensions, and the same ones along the paths.
        whole = {d: -1 for d in ds.dims if d != PATH}
        self.arrays = [v.variable for v in ds.chunk(whole).unify_chunks().data_vars.values()]
        self.axes = [array.dims.index(PATH) for array in self.arrays]
        self.chunks: tuple[int, ...] = (self.arrays[0].chunks or ())[self.axes[0]]
        self.schema, self.backend, self.observe = schema, backend, observe
        self.n_paths = sum(self.chunks)
        self.how, self.key = how, key
        self._graph: dict[Any, Any] | None = None
        self._source_bytes = sum(array.nbytes for array in self.arrays) // sum(self.chunks)

    def task(self, fold: Fold) -> ComputedTask:
        """Return the task that computes and folds some chunks."""
        return ComputedTask(fold, self.axes, self.observe, self.schema.variables[0].name)

    def size(self) -> int:
        """Return the paths of one chunk, or of as many small ones as make a task."""
        largest = max(self.chunks)
        fair = sum(self.chunks) // (TASKS_PER_WORKER * self.backend.workers)
        many = min(COMPUTED_BYTES // max(1, self._source_bytes), fair)
        return max(largest, many)

    def items(self, start: int, stop: int, size: int, cuts: Cuts = no_cuts) -> Iterator[Any]:
        """Yield (start, stop, cuts, part, held) of groups of chunks that begin in the range."""
        group: list[tuple[int, list[Any]]] = []
        first = low = end = 0
        for i, count in enumerate(self.chunks):
            high = low + count
            if high > start and low < stop:
                if group and high - first > size:
                    yield self._item(first, low, cuts, group)
                    group = []
                if not group:
                    first = low
                group.append((low, [self._key(k, i) for k in range(len(self.arrays))]))
                end = high
            low = high
        if group:
            yield self._item(first, end, cuts, group)

    @property
    def block_bytes(self) -> int:
        """Bytes of a chunk, and of what its expression makes of it."""
        return 3 * max(self.chunks) * max(self._source_bytes, self.schema.path_bytes)

    def _key(self, k: int, chunk: int) -> tuple[Any, ...]:
        array, axis = self.arrays[k], self.axes[k]
        return (array.data.name, *(chunk if i == axis else 0 for i in range(array.ndim)))

    def _item(self, start: int, stop: int, cuts: Cuts, group: list[Any]) -> Any:
        """Return an item with the tasks that it needs, and no more."""
        if self._graph is None:
            merged: dict[Any, Any] = {}
            for array in self.arrays:
                merged.update(array.data.dask)
            self._graph = convert_legacy_graph(merged)
        needed: dict[Any, Any] = {}
        held = []
        open_keys = [key for _, keys in group for key in keys]
        while open_keys:
            key = open_keys.pop()
            if key in needed:
                continue
            needed[key] = node = self._graph[key]
            value = getattr(node, "value", None)
            if type(value).__name__ == "Future":  # what a cluster holds is not in the graph
                held.append((key, value))
            open_keys.extend(node.dependencies)
        for key, _ in held:
            del needed[key]
        return start, stop, cuts(start, stop), Part(needed, group), held


class MemoryTask:
    """Fold values that are there."""

    def __init__(self, fold: Fold, observe: Observe | None, name: str):
        self.fold, self.observe = fold, observe
        self.__name__ = f"reduce-{name}"

    def __call__(self, item: tuple[int, int, tuple[int, ...], Arrays]) -> Result:
        """Run the task on (start, stop, cuts, arrays)."""
        start, stop, cuts, arrays = item
        parts = Parts(self.fold, cuts)
        path_bytes = max(1, sum(a.nbytes for a in arrays) // (stop - start))
        slab = max(1, 2**22 // path_bytes // BLOCK) * BLOCK
        for low in range(0, stop - start, slab):
            part = [array[..., low : low + slab] for array in arrays]
            parts.add(start + low, part if self.observe is None else self.observe(part))
        return parts.end(stop), Report()


class MemoryFeed(Feed):
    """Arrays in memory, in slices of whole blocks."""

    def __init__(
        self,
        ds: xr.Dataset,
        schema: Schema,
        backend: Backend,
        *,
        observe: Observe | None = None,
        how: str,
        key: Callable[[], str],
    ):
        self.arrays = [
            np.moveaxis(np.asarray(v.values), v.dims.index(PATH), -1) for v in ds.data_vars.values()
        ]
        self.schema, self.backend, self.observe = schema, backend, observe
        self.n_paths = ds.sizes[PATH]
        self.how, self.key = how, key

    def task(self, fold: Fold) -> MemoryTask:
        """Return the task that folds a slice."""
        return MemoryTask(fold, self.observe, self.schema.variables[0].name)

    def size(self) -> int:
        """Return the paths of a slice: some MiB, fewer where a worker would get none."""
        n_paths = self.arrays[0].shape[-1]
        path_bytes = max(1, sum(a.nbytes for a in self.arrays) // n_paths)
        fair = n_paths // (TASKS_PER_WORKER * self.backend.workers)
        return int(max(1, min(COMPUTED_BYTES // path_bytes, fair) // BLOCK) * BLOCK)

    def items(self, start: int, stop: int, size: int, cuts: Cuts = no_cuts) -> Iterator[Any]:
        """Yield (start, stop, cuts, arrays)."""
        for low in range(start, stop, size):
            high = min(low + size, stop)
            yield low, high, cuts(low, high), [array[..., low:high] for array in self.arrays]

    @property
    def block_bytes(self) -> int:
        """Bytes of a slice in canonical layout."""
        return min(COMPUTED_BYTES, sum(a.nbytes for a in self.arrays))
