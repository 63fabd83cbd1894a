"""Arrays in memory, in slices of whole blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

import numpy as np
from dask.base import tokenize

from montezarr.core.tunables.memory import LAYOUT_SLAB_BYTES, REDUCTION_TASK_BYTES
from montezarr.core.tunables.scheduling import REDUCTION_TASKS_PER_WORKER
from montezarr.random.seeding import BLOCK
from montezarr.reduction.accumulate import Accumulator, Arrays, SplitAccumulation
from montezarr.reduction.sources._block_source import (
    BlockSource,
    Result,
    SplitsBetween,
    any_backend,
    no_splits,
    noting_range,
)
from montezarr.reduction.sources._dataset_function import DatasetFunction
from montezarr.reduction.sources._path_data import PathData
from montezarr.samplers import FailureReport
from montezarr.samplers.schema import PATH


class MemoryTask:
    """Fold values in memory."""

    def __init__(self, accumulator: Accumulator, transform: DatasetFunction | None, name: str):
        self.accumulator, self.transform = accumulator, transform
        self.__name__ = f"reduce-{name}"

    def __call__(self, item: tuple[int, int, tuple[int, ...], Arrays]) -> Result:
        """Run the task on (start, stop, splits, arrays)."""
        start, stop, splits, arrays = item
        parts = SplitAccumulation(self.accumulator, splits)
        path_bytes = max(1, sum(a.nbytes for a in arrays) // (stop - start))
        slab = max(1, LAYOUT_SLAB_BYTES // path_bytes // BLOCK) * BLOCK
        for low in range(0, stop - start, slab):
            part = [array[..., low : low + slab] for array in arrays]
            with noting_range(start + low, min(start + low + slab, stop)):
                parts.add(start + low, part if self.transform is None else self.transform(part))
        return parts.end(stop), FailureReport()


@final
class MemoryBlocks(BlockSource):
    """Arrays in memory, in slices of whole blocks."""

    def __init__(self, data: PathData, transform: Any = None):
        self.arrays = [
            np.moveaxis(np.asarray(v.values), v.dims.index(PATH), -1)
            for v in data.variables.values()
        ]
        self.schema, self.backend = data.schema, any_backend()
        self.n_paths = int(self.arrays[0].shape[-1])
        self.how, self.key = "in memory", lambda: tokenize(data.ds)
        if transform is not None:
            self.apply_transform(transform, [array[..., :BLOCK] for array in self.arrays])

    def task(self, accumulator: Accumulator) -> MemoryTask:
        """Return the task that folds a slice."""
        return MemoryTask(accumulator, self.transform, self.schema.variables[0].name)

    def size(self) -> int:
        """Return the number of paths of a slice: some MiB, fewer so that every worker gets one."""
        n_paths = self.arrays[0].shape[-1]
        path_bytes = max(1, sum(a.nbytes for a in self.arrays) // n_paths)
        fair = n_paths // (REDUCTION_TASKS_PER_WORKER * self.backend.workers)
        return int(max(1, min(REDUCTION_TASK_BYTES // path_bytes, fair) // BLOCK) * BLOCK)

    def items(
        self, start: int, stop: int, size: int, splits: SplitsBetween = no_splits
    ) -> Iterator[Any]:
        """Yield (start, stop, splits, arrays)."""
        for low in range(start, stop, size):
            high = min(low + size, stop)
            yield low, high, splits(low, high), [array[..., low:high] for array in self.arrays]

    @property
    def block_bytes(self) -> int:
        """Bytes of a slice in canonical layout."""
        return min(REDUCTION_TASK_BYTES, sum(a.nbytes for a in self.arrays))
