"""Arrays in memory, in slices of whole blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

import numpy as np
import xarray as xr

from montezarr.backends import Backend
from montezarr.folding import Arrays, Fold, Parts
from montezarr.observed._feed import (
    TASK_BYTES,
    TASKS_PER_WORKER,
    Cuts,
    Feed,
    Key,
    Observe,
    Result,
    no_cuts,
    told,
)
from montezarr.observed._schema import Schema
from montezarr.run._variables import variables_of
from montezarr.samplers import Report
from montezarr.samplers.schema import PATH
from montezarr.seeding import BLOCK

SLAB_BYTES = 2**22
"""Bytes that are brought into the canonical layout at once."""


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
        slab = max(1, SLAB_BYTES // path_bytes // BLOCK) * BLOCK
        for low in range(0, stop - start, slab):
            part = [array[..., low : low + slab] for array in arrays]
            with told(start + low, min(start + low + slab, stop)):
                parts.add(start + low, part if self.observe is None else self.observe(part))
        return parts.end(stop), Report()


@final
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
        key: Key,
    ):
        self.arrays = [
            np.moveaxis(np.asarray(v.values), v.dims.index(PATH), -1)
            for v in variables_of(ds).values()
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
        return int(max(1, min(TASK_BYTES // path_bytes, fair) // BLOCK) * BLOCK)

    def items(self, start: int, stop: int, size: int, cuts: Cuts = no_cuts) -> Iterator[Any]:
        """Yield (start, stop, cuts, arrays)."""
        for low in range(start, stop, size):
            high = min(low + size, stop)
            yield low, high, cuts(low, high), [array[..., low:high] for array in self.arrays]

    @property
    def block_bytes(self) -> int:
        """Bytes of a slice in canonical layout."""
        return min(TASK_BYTES, sum(a.nbytes for a in self.arrays))
