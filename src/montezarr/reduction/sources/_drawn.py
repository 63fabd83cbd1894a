"""Paths of a run, drawn in any range."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, final

from montezarr.core.tunables.memory import (
    EXPRESSION_TRIAL_MAX_BYTES,
    SLAB_PATHS_MULTIPLE,
    WHOLE_BLOCK_MAX_BYTES,
)
from montezarr.core.tunables.scheduling import (
    EXPRESSION_TRIAL_BLOCKS,
    REDUCTION_SLAB_TASKS_PER_WORKER,
    REDUCTION_TASK_MIN_SECONDS,
    REDUCTION_TASKS_PER_WORKER,
)
from montezarr.execute.run_monitor import RunMonitor
from montezarr.random.seeding import BLOCK
from montezarr.reduction.accumulate import Accumulator, Arrays, DrawnTask
from montezarr.reduction.sources._block_source import (
    BlockSource,
    Result,
    SplitsBetween,
    no_splits,
)
from montezarr.reduction.sources._chunk_function import ChunkFunction, GraphSource
from montezarr.reduction.sources._dataset_function import ComposedFunction
from montezarr.reduction.sources._graph_walk import chunk_function_of
from montezarr.reduction.sources._kept_times import kept_times
from montezarr.reduction.sources._kept_variables import kept_variables, of_variables
from montezarr.reduction.sources._path_data import PathData
from montezarr.reduction.sources._schema import Schema
from montezarr.reduction.sources._sized_tasks import NoChunkFunction
from montezarr.run import cost
from montezarr.run._arrays import array_name, chunk_sizes
from montezarr.run._behind import is_untouched
from montezarr.run._run import Run
from montezarr.run._states import InitialStates
from montezarr.run.choose_backend import backend_of
from montezarr.run.in_parts import part_of_block, results_of
from montezarr.samplers import PathArrays
from montezarr.samplers.joint import name_in
from montezarr.samplers.schema import PATH


@final
class DrawnBlocks(BlockSource):
    """Paths of a run, drawn in any range, a few blocks at a time."""

    marks_masked = True

    def __init__(self, run: Run, schema: Schema, expression: ChunkFunction | None = None):
        self.run, self.schema, self.expression = run, schema, expression
        self.n_paths = run.n_paths
        self.grain = 1 if run.sampler.draws_single_paths else BLOCK
        self.states = InitialStates(run)
        policies = f"{run.sampler.on_error}-{run.sampler.on_nonfinite}"
        token = str if expression is None else expression.token
        self.key = lambda: f"{run.fingerprint}-{policies}-{token()}"
        self.sampler, self.made_of_paths = run.sampler, expression
        if expression is not None and not run.together:
            self._draw_what_is_looked_at(expression)

    def _draw_what_is_looked_at(self, expression: ChunkFunction) -> None:
        """Draw the variables, or the times, alone that an expression takes."""
        names = kept_variables(expression)
        fewer = None if names is None else self.run.sampler.only(names)
        if fewer is not None:
            drawn = [variable.name for variable in fewer.variables]
            self.sampler, self.made_of_paths = fewer, of_variables(expression, drawn)
            return
        if self.run.inputs is not None:  # a common start shows that all is finite
            return
        kept = kept_times(expression, self.run.sampler.n_times)
        sampler = None if kept is None else self.run.sampler.keeping(kept.positions)
        if kept is not None and sampler is not None:
            self.sampler, self.made_of_paths = sampler, kept.function

    @classmethod
    def of_expression(cls, data: PathData, run: Run, transform: Any) -> DrawnBlocks:
        """Return the source of an expression of a run, and of what a function makes of it.

        Both are tried on the first paths.

        Raises
        ------
        NoChunkFunction
            If the expression cannot be computed in any range.
        """
        expression = _expression(data, run)
        source = cls(run, data.schema, expression)
        if expression is not None or transform is not None:
            n = EXPRESSION_TRIAL_BLOCKS * BLOCK if run.sampler.interface.is_vectorised else 4
            most = max(4, EXPRESSION_TRIAL_MAX_BYTES // max(1, run.path_bytes))
            drawn = cost.timed_first_paths(run, min(n, most, run.length))
            first = _as_drawn(drawn) if expression is None else expression.tried(drawn)
            if transform is not None:
                source.apply_transform(transform, first)
        made = "" if source.chunk_function is None else ", with what is made of them"
        source.how = f"block by block (paths are drawn in any range{made})"
        source.backend = backend_of(run)
        return source

    @property
    def chunk_function(self) -> Callable[[PathArrays], Arrays] | None:
        """What is made of the paths that are drawn; None if statistics see these."""
        if self.transform is None:
            return self.made_of_paths
        return ComposedFunction(self.made_of_paths, self.transform)

    @property
    def function_of_paths(self) -> Callable[[PathArrays], Arrays] | None:
        """What is made of paths that have all times of the run; None if these are stored."""
        if self.transform is None:
            return self.expression
        return ComposedFunction(self.expression, self.transform)

    def task(self, accumulator: Accumulator) -> DrawnTask:
        """Return the task that draws and folds a range."""
        return DrawnTask(self.sampler, accumulator, self.chunk_function, self._path_bytes)

    def whole_task(self, accumulator: Accumulator) -> DrawnTask:
        """Return the task of a pass over all paths, after which no paths are added."""
        task = self.task(accumulator)
        task.end = self.n_paths
        return task

    def size(self) -> int:
        """Return the number of paths that take about a second: a power of two of blocks.

        With more than a hundred workers it takes longer, so that the scheduler keeps up. A run that
        takes less than the least time of a task is one task. If a block takes too long, it is an
        item that is drawn in parts; of long paths, a part of a block is.
        """
        if (part := self.part) is not None:
            most = max(SLAB_PATHS_MULTIPLE, WHOLE_BLOCK_MAX_BYTES // max(1, self.run.path_bytes))
            return int(max(part, min(BLOCK, 1 << (most.bit_length() - 1))))
        if self.n_paths is not None and cost.is_short(self.run, REDUCTION_TASK_MIN_SECONDS):
            return _blocks_of(self.n_paths)
        seconds = cost.measure(self.run, self.backend)
        paths = BLOCK if seconds is None else cost.task_seconds(self.backend) / max(seconds, 1e-9)
        if self.n_paths is not None:
            least = 0 if seconds is None else REDUCTION_TASK_MIN_SECONDS / max(seconds, 1e-9)
            share = self.n_paths / (REDUCTION_TASKS_PER_WORKER * self.backend.workers)
            if least >= self.n_paths:
                return _blocks_of(self.n_paths)
            fewer = self.n_paths / (REDUCTION_SLAB_TASKS_PER_WORKER * self.backend.workers)
            at_once = self.task(Accumulator(())).slab
            paths = min(paths, max(share, least, min(at_once, fewer)))
        blocks = max(1, int(paths // BLOCK))
        return int(BLOCK << (blocks.bit_length() - 1))

    def graph_size(self) -> int:
        """Return the paths of one of about 256 tasks: a measured size would vary between calls."""
        blocks = max(1, (self.n_paths or 0) // (256 * BLOCK))
        return int(min(BLOCK << (blocks.bit_length() - 1), 2**20))

    @property
    def part(self) -> int | None:
        """Paths of a task if a block takes too long for one."""
        return part_of_block(self.run, self.backend)

    def results(
        self, task: Any, items: Iterable[Any], monitor: RunMonitor, **options: Any
    ) -> Generator[tuple[int, int, Result | None], None, None]:
        """Yield first path and end of what a task has done, and the result of a finished item.

        The options are those of `windowed`.
        """
        return results_of(
            self.backend, self.sampler, self.part, task, items, monitor, **options
        )  # fmt: skip

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
        return self.bytes_with(Accumulator(()))

    def bytes_with(self, accumulator: Accumulator) -> int:
        """Return the bytes of the paths that are drawn at once to fold them by an accumulator."""
        at_once = self.task(accumulator).bytes_at_once(self.n_paths, self.run.inputs)
        return at_once + self.run.scratch_bytes

    def part_bytes(self, share: float) -> int:
        """Return the bytes of whole paths, and of the share that an expression takes of them."""
        width = int((1 + share) * self.run.path_bytes)
        task = DrawnTask(self.sampler, Accumulator(()), self.chunk_function or _as_drawn, width)
        return task.at_once(self.n_paths) * width + self.run.scratch_bytes

    @property
    def _path_bytes(self) -> int:
        # A chunk function reads the path; its result is usually at most as large.
        extra = 0 if self.chunk_function is None else self.schema.path_bytes
        return self.sampler.path_bytes + extra


def _expression(data: PathData, run: Run) -> ChunkFunction | None:
    """Return the function of an expression, for any range of paths; None for the paths alone.

    Raises
    ------
    NoChunkFunction
        If there is none.
    """
    arrays = [(v.data, v.dims.index(PATH)) for v in data.variables.values()]
    if len(run.parts) > 1:
        return _function_of(arrays, run)
    known = {variable.name: variable.dims_with_paths for variable in run.sampler.variables}
    is_alike = [v.dims for v in data.variables.values()] == list(known.values())  # not renamed
    if is_alike and list(data.variables) == list(known) and is_untouched(data.provenance, run):
        return None
    drawn = array_name(run)
    if is_alike and len(arrays) == 1 and arrays[0][0].name == drawn:  # the variable was renamed
        return None
    return _function_of(arrays, run)


def _function_of(arrays: list[tuple[Any, int]], run: Run) -> ChunkFunction:
    """Return the chunk function of lazy arrays, which may be made of several runs."""
    sources = []
    for i, part in enumerate(run.parts):
        own = [variable.name for variable in part.sampler.variables]
        names = {name: name_in(i, name) if run.together else name for name in own}
        leads = part.sampler.leads
        sources.append(GraphSource(array_name(part), chunk_sizes(part), leads, names))
    try:
        return chunk_function_of(arrays, sources)
    except NoChunkFunction:
        raise
    except Exception as error:  # another version of Dask may have other graphs
        raise NoChunkFunction(f"its graph is not understood: {type(error).__name__}") from error


def _as_drawn(drawn: PathArrays) -> Arrays:
    return list(drawn.values())


def _blocks_of(n_paths: int) -> int:
    """Return the smallest power of two of blocks that holds this number of paths."""
    return int(BLOCK << (-(-n_paths // BLOCK) - 1).bit_length())
