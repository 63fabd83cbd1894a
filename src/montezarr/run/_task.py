"""The tasks that draw the chunks of a run; they run in a worker without importing Dask."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core import buffers
from montezarr.core.errors import MemoryBudgetError
from montezarr.samplers import PathArrays, Sampler, sample_range


class RunTask:
    """The argument of a chunk's task: the sampler, and how to find its range of paths.

    In the process that made the array it also keeps the `Run` alive, for `Run.behind`.
    """

    __slots__ = ("__weakref__", "chunk", "n_paths", "run", "sampler")

    def __init__(self, sampler: Sampler, chunk: int, n_paths: int | None, run: Any = None):
        self.sampler, self.chunk, self.n_paths, self.run = sampler, chunk, n_paths, run

    def __reduce__(self) -> Any:  # workers do not need the run
        return RunTask, (self.sampler, self.chunk, self.n_paths)

    def __dask_tokenize__(self) -> Any:  # the name of the array identifies the run already
        return ("montezarr", self.sampler.name, self.chunk, self.n_paths)


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
    if run.n_paths is None:
        raise MemoryBudgetError(
            "n_paths: expected a number of paths to compute, got None, which only montezarr.stream"
            " takes. Pass n_paths= to simulate."
        )
    variables = run.sampler.variables
    # A run of several variables has chunks along the paths alone.
    start = block_id[variables[0].lead if len(variables) == 1 else 0] * run.chunk
    return start, min(start + run.chunk, run.n_paths)
