"""Paths of a run, drawn in any range."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

from montezarr.core.tunables.scheduling import (
    REDUCTION_TASK_MIN_SECONDS,
    REDUCTION_TASK_SECONDS,
    REDUCTION_TASKS_PER_WORKER,
)
from montezarr.execute import Backend
from montezarr.random.seeding import BLOCK
from montezarr.reduction.accumulate import Accumulator, Arrays, DrawnTask
from montezarr.reduction.sources._block_source import (
    BlockSource,
    FingerprintFunction,
    SplitsBetween,
    no_splits,
)
from montezarr.reduction.sources._schema import Schema
from montezarr.run import cost
from montezarr.run._run import Run
from montezarr.run._states import InitialStates
from montezarr.samplers import PathArrays


@final
class DrawnBlocks(BlockSource):
    """Paths of a run, drawn in any range, a few blocks at a time."""

    def __init__(
        self,
        run: Run,
        schema: Schema,
        backend: Backend,
        *,
        chunk_function: Any = None,
        how: str,
        key: FingerprintFunction,
    ):
        self.run, self.schema, self.backend, self.chunk_function = (
            run,
            schema,
            backend,
            chunk_function,
        )
        self.n_paths = run.n_paths
        self.how, self.key = how, key
        self.states = InitialStates(run)

    def task(self, accumulator: Accumulator) -> DrawnTask:
        """Return the task that draws and folds a range."""
        return DrawnTask(self.run.sampler, accumulator, self.chunk_function, self._path_bytes)

    def size(self) -> int:
        """Return the number of paths that take about a second: a power of two of blocks.

        A run that takes less than the least time of a task is one task.
        """
        if self.n_paths is not None and cost.is_short(self.run, REDUCTION_TASK_MIN_SECONDS):
            return _blocks_of(self.n_paths)
        seconds = cost.measure(self.run, self.backend)
        paths = BLOCK if seconds is None else REDUCTION_TASK_SECONDS / max(seconds, 1e-9)
        if self.n_paths is not None:
            least = 0 if seconds is None else REDUCTION_TASK_MIN_SECONDS / max(seconds, 1e-9)
            share = self.n_paths / (REDUCTION_TASKS_PER_WORKER * self.backend.workers)
            if least >= self.n_paths:
                return _blocks_of(self.n_paths)
            paths = min(paths, max(share, least))
        blocks = max(1, int(paths // BLOCK))
        return int(BLOCK << (blocks.bit_length() - 1))

    def graph_size(self) -> int:
        """Return the paths of one of about 256 tasks: a measured size would vary between calls."""
        blocks = max(1, (self.n_paths or 0) // (256 * BLOCK))
        return int(min(BLOCK << (blocks.bit_length() - 1), 2**20))

    def items(
        self, start: int, stop: int, size: int, splits: SplitsBetween = no_splits
    ) -> Iterator[Any]:
        """Yield (start, stop, splits, initial states); ranges end at multiples of their size."""
        low = start
        while low < stop:
            high = min((low // size + 1) * size, stop)
            yield low, high, splits(low, high), self.states.of(low, high)
            low = high

    @property
    def seconds(self) -> float | None:
        """Seconds that drawing all paths takes on all workers, measured on the first few."""
        return None if self.n_paths is None else cost.expected(self.run, self.backend, self.n_paths)

    @property
    def block_bytes(self) -> int:
        """Bytes of the paths that are drawn at once."""
        paths = self.task(Accumulator(())).at_once(self.n_paths)
        return paths * self._path_bytes + self.run.scratch_bytes

    def part_bytes(self, share: float) -> int:
        """Return the bytes of whole paths, and of the share that an expression takes of them."""
        width = int((1 + share) * self.run.path_bytes)
        task = DrawnTask(self.run.sampler, Accumulator(()), self.chunk_function or _as_drawn, width)
        return task.at_once(self.n_paths) * width + self.run.scratch_bytes

    @property
    def _path_bytes(self) -> int:
        # A chunk function reads the path; its result is usually at most as large.
        extra = 0 if self.chunk_function is None else self.schema.path_bytes
        return self.run.path_bytes + extra


def _as_drawn(drawn: PathArrays) -> Arrays:
    return list(drawn.values())


def _blocks_of(n_paths: int) -> int:
    """Return the smallest power of two of blocks that holds this number of paths."""
    return int(BLOCK << (-(-n_paths // BLOCK) - 1).bit_length())
