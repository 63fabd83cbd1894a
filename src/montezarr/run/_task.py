"""What a chunk of a run carries and does; a worker that gets one imports no Dask for it."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core import buffers
from montezarr.core.errors import MemoryBudgetError
from montezarr.samplers import PathArrays, Sampler, sample_range


class RunTask:
    """What a task carries: the sampler and how to find its range.

    In the process that made the array it also keeps the `Run` alive, which others find.
    """

    __slots__ = ("__weakref__", "chunk", "n_paths", "run", "sampler")

    def __init__(self, sampler: Sampler, chunk: int, n_paths: int | None, run: Any = None):
        self.sampler, self.chunk, self.n_paths, self.run = sampler, chunk, n_paths, run

    def __reduce__(self) -> Any:  # to a worker goes what it needs, not the run
        return RunTask, (self.sampler, self.chunk, self.n_paths)

    def __dask_tokenize__(self) -> Any:  # the name of the array says it all already
        return ("montezarr", self.sampler.name, self.chunk, self.n_paths)


def chunk_of(run: RunTask, block_id: Any = None) -> Any:
    """Return one chunk, as `as_block` has it."""
    _bound_buffers()
    return as_block(sample_range(run.sampler, *_range(run, block_id)))


def chunk_from(x0: NDArray[Any], run: RunTask, block_id: Any = None) -> Any:
    """Return one chunk from the initial states of its paths."""
    _bound_buffers()
    return as_block(sample_range(run.sampler, *_range(run, block_id), x0))


def _bound_buffers() -> None:
    """In a task of a Dask worker, let few buffers wait: its memory may be far less than ours."""
    distributed: Any = sys.modules.get("distributed")
    if distributed is None:
        return
    try:
        limit = distributed.get_worker().memory_manager.memory_limit
    except (ValueError, AttributeError):  # no such task, or another version
        return
    if limit:
        buffers.limit_idle(int(limit))


def own_variable(block: PathArrays, name: str) -> NDArray[Any]:
    """Return one variable of a chunk in memory of its own, so that the others can be let go."""
    values = np.moveaxis(block[name], 0, -1)
    out = buffers.recycled_empty(values.shape, values.dtype)
    out[...] = values
    return np.moveaxis(out, -1, 0)


def as_block(arrays: PathArrays) -> Any:
    """Return paths as a chunk of the array of a run: the paths first, as views.

    The one variable of a run, or all of several by their names.
    """
    block = {name: np.moveaxis(array, -1, 0) for name, array in arrays.items()}
    return next(iter(block.values())) if len(block) == 1 else block


def _range(run: RunTask, block_id: Any) -> tuple[int, int]:
    if run.n_paths is None:
        raise MemoryBudgetError(
            "n_paths: expected a number of paths to compute, got None, which only montezarr.stream"
            " takes. Pass n_paths= to simulate."
        )
    start = block_id[0] * run.chunk
    return start, min(start + run.chunk, run.n_paths)
