"""The tasks that draw the chunks of a run, or the parts of them that an expression takes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core import buffers
from montezarr.core.errors import MemoryBudgetError
from montezarr.samplers import PathArrays, Sampler, sample_range
from montezarr.samplers.schema import TIME


class RunTask:
    """The argument of a chunk's task: the sampler, and how to find its range of paths.

    It is indexed as an array is that holds the only variable of a run, and draws what is taken:
    Dask makes one slice of those of an expression, so that ``x.isel(time=-1)`` draws no other time.
    In the process that made the array it also keeps the `Run` alive, for `Run.behind`.
    """

    __slots__ = ("__weakref__", "chunk", "n_paths", "run", "sampler")

    def __init__(self, sampler: Sampler, chunk: int, n_paths: int | None, run: Any = None):
        self.sampler, self.chunk, self.n_paths, self.run = sampler, chunk, n_paths, run

    def __reduce__(self) -> Any:  # workers do not need the run
        return RunTask, (self.sampler, self.chunk, self.n_paths)

    def __dask_tokenize__(self) -> Any:  # the name of the array identifies the run already
        return ("montezarr", self.sampler.name, self.chunk, self.n_paths)

    def __getitem__(self, index: Any) -> Any:
        """Draw the paths and times that an index takes."""
        (variable,) = self.sampler.variables
        n_paths = _check_bounded(self)
        _bound_buffers()
        taken = [i for i in index if i is not None]
        taken += [slice(None)] * (1 + len(variable.dims) - len(taken))
        start, stop, taken[variable.lead] = _span(taken[variable.lead], n_paths)
        sampler = self.sampler
        if TIME in variable.dims:
            axis = variable.dims_with_paths.index(TIME)
            sampler, taken[axis] = _at_times(sampler, taken[axis])
        if start == stop:
            shape = *variable.shape(sampler.n_times), 0
            block = as_block({variable.name: np.empty(shape, variable.dtype)}, sampler.leads)
        else:
            block = as_block(sample_range(sampler, start, stop), sampler.leads)
        for axis in reversed(range(block.ndim)):  # each alone: two arrays would go together
            block = block[(slice(None),) * axis + (taken[axis],)]
        new = tuple(i if i is None else slice(None) for i in index if not isinstance(i, Integral))
        return block[new] if None in index else block


def _span(taken: Any, n_paths: int) -> tuple[int, int, Any]:
    """Return the first path and the end of what an index takes, and the index of it in there."""
    if isinstance(taken, Integral):
        path = range(n_paths)[taken]
        return path, path + 1, 0
    if isinstance(taken, slice):
        start, stop, step = taken.indices(n_paths)
        if step == 1:
            return start, max(start, stop), slice(None)
        taken = np.arange(start, stop, step)
    paths = np.asarray(taken)
    if not paths.size:
        return 0, 0, slice(0)
    start = int(paths.min())
    return start, int(paths.max()) + 1, paths - start


def _at_times(sampler: Sampler, taken: Any) -> tuple[Sampler, Any]:
    """Return the sampler that draws the times of an index alone, if there is one, and the index."""
    positions = np.arange(sampler.n_times)[taken]
    chosen = np.unique(positions)
    if len(chosen) == sampler.n_times or not len(chosen):
        return sampler, taken
    fewer = sampler.keeping(tuple(chosen.tolist()))
    if fewer is None:
        return sampler, taken
    return fewer, np.searchsorted(chosen, positions) if positions.ndim else 0


def chunk_of(run: RunTask, block_id: Any = None) -> Any:
    """Draw one chunk; see `as_block`."""
    return _drawn(run, *_range(run, block_id), None)


def chunk_from(x0: NDArray[Any], run: RunTask, block_id: Any = None) -> Any:
    """Draw one chunk from the initial states of its paths."""
    return _drawn(run, *_range(run, block_id), x0)


def _drawn(run: RunTask, start: int, stop: int, x0: Any) -> Any:
    _bound_buffers()
    if run.sampler.only(()) is not None:
        return BlockOnDemand(run.sampler, start, stop, x0)
    return as_block(sample_range(run.sampler, start, stop, x0), run.sampler.leads)


class BlockOnDemand:
    """A chunk of all variables by name, of which those are drawn that are asked for.

    Some of them take longer than others; see `Sampler.only`.
    """

    __slots__ = ("_arrays", "_lock", "sampler", "start", "stop", "x0")

    def __init__(self, sampler: Sampler, start: int, stop: int, x0: Any):
        self.sampler, self.start, self.stop, self.x0 = sampler, start, stop, x0
        self._arrays: PathArrays = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> Any:
        return BlockOnDemand, (self.sampler, self.start, self.stop, self.x0)

    def __getitem__(self, name: str) -> NDArray[Any]:
        with self._lock:
            if name not in self._arrays:
                sampler = self.sampler.only((name,)) or self.sampler
                arrays = sample_range(sampler, self.start, self.stop, self.x0)
                self._arrays |= as_block(arrays, sampler.leads)
            return self._arrays[name]


def _bound_buffers() -> None:
    """Keep fewer idle buffers in a Dask worker: its memory may be far less than the driver's."""
    distributed: Any = sys.modules.get("distributed")
    if distributed is None:
        return
    try:
        limit = distributed.get_worker().memory_manager.memory_limit
    except (ValueError, AttributeError):  # not in a task, or another version
        return
    if limit:
        buffers.limit_idle(int(limit))


def own_variable(block: PathArrays, name: str) -> NDArray[Any]:
    """Return one variable of a chunk in memory of its own, so that the others can be freed."""
    values = np.moveaxis(block[name], 0, -1)
    out = buffers.recycled_empty(values.shape, values.dtype)
    out[...] = values
    return np.moveaxis(out, -1, 0)


def own_scenarios(block: PathArrays, name: str, lead: int) -> NDArray[Any]:
    """Return one variable of a chunk, as `own_variable` does, with scenarios before the paths.

    A function of its own: the code of `own_variable` is digested into stores of expressions.
    """
    values = np.moveaxis(block[name], lead, -1)
    out = buffers.recycled_empty(values.shape, values.dtype)
    out[...] = values
    return np.moveaxis(out, -1, lead)


def as_block(arrays: PathArrays, leads: Mapping[str, int]) -> Any:
    """Return path arrays as a chunk of a run's array: views with the paths in their place.

    A run of one variable gives an array, one of several a block of all variables by name.

    Parameters
    ----------
    leads : dict of str to int
        Number of dimensions before that of the paths, by variable.
    """
    block = {name: np.moveaxis(array, -1, leads[name]) for name, array in arrays.items()}
    return next(iter(block.values())) if len(block) == 1 else block


def _range(run: RunTask, block_id: Any) -> tuple[int, int]:
    n_paths = _check_bounded(run)
    variables = run.sampler.variables
    # A run of several variables has chunks along the paths alone.
    start = block_id[variables[0].lead if len(variables) == 1 else 0] * run.chunk
    return start, min(start + run.chunk, n_paths)


def _check_bounded(run: RunTask) -> int:
    """Return the number of paths; raise if there is none."""
    if run.n_paths is None:
        raise MemoryBudgetError(
            "n_paths: expected a number of paths to compute, got None, which only montezarr.stream"
            " takes. Pass n_paths= to simulate."
        )
    return run.n_paths
