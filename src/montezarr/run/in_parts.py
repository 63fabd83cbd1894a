"""Ranges of slow paths, drawn in parts by all workers and put together in this thread.

A part is smaller than a block, which statistics, expressions and stores take as a whole: they get
the same arrays as from one task that draws the whole range, so the bits are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Any

from montezarr.core.tunables.memory import GOOD_CHUNKS_MAX
from montezarr.core.tunables.scheduling import (
    PART_SECONDS_MIN,
    REDUCTION_TASK_SECONDS,
    REDUCTION_TASKS_PER_WORKER,
)
from montezarr.execute import Backend, windowed
from montezarr.execute.run_monitor import RunMonitor
from montezarr.random.seeding import BLOCK
from montezarr.run import cost
from montezarr.run._run import Run
from montezarr.samplers import Sampler
from montezarr.samplers.drawn_range import DrawnRange
from montezarr.samplers.task import RangeTask


def part_of_block(run: Run, backend: Backend) -> int | None:
    """Return the paths of a task where a block takes too long for one; None for whole blocks.

    A path is measured, once for each run.
    """
    if not run.sampler.draws_single_paths:
        return None
    seconds = cost.measure(run, backend)
    return None if seconds is None else paths_of_part(seconds, run.n_paths, backend.workers)


def paths_of_part(seconds: float, n_paths: int | None, workers: int) -> int | None:
    """Return a power of two of paths that take 0.5 to 1 s, or None if that is a block or more.

    Tasks are shorter, down to 0.2 s, where a worker would get less than 8 of them, and longer where
    they would be too many for one graph.

    Parameters
    ----------
    seconds : float
        What a path takes on one core.
    n_paths : int or None
        Number of paths; None for any number.
    workers : int
        Number of workers.
    """
    goal, least = REDUCTION_TASK_SECONDS, 1
    if n_paths is not None:
        share = seconds * n_paths / (REDUCTION_TASKS_PER_WORKER * workers)
        goal = max(min(goal, share), PART_SECONDS_MIN)
        least = -(-n_paths // GOOD_CHUNKS_MAX)
    paths = max(1, int(goal / max(seconds, 1e-9)))
    part = max(1 << (paths.bit_length() - 1), 1 << (least - 1).bit_length())
    return part if part < BLOCK else None


def drawn_in_parts(
    backend: Backend,
    sampler: Sampler,
    items: Iterable[Any],
    size: int,
    *,
    monitor: RunMonitor,
    ordered: bool = False,
    window: int | None = None,
    stopping: Callable[[], bool] | None = None,
    settle: bool | None = None,
) -> Generator[tuple[int, int, Any], None, None]:
    """Yield (start, stop, item) of each part as it is drawn; see `windowed` for the other options.

    The item is None until its last part is there. Then it has the drawn range in place of the
    initial states. The last one ends early if the parts are stopped, in order, before its end.

    Parameters
    ----------
    items : iterable of tuple
        Each begins with first path and end, and ends with the initial states.
    size : int
        Paths of a part.
    """
    waiting: dict[int, tuple[Any, DrawnRange]] = {}

    def parts() -> Iterator[tuple[int, int, Any]]:
        for start, stop, *others, x0 in items:
            drawn = DrawnRange(start, stop)
            item = (start, stop, *others, drawn)
            for low in range(start, stop, size):
                high = min(low + size, stop)
                waiting[low] = item, drawn
                yield low, high, None if x0 is None else x0[..., low - start : high - start]

    results = windowed(
        backend, RangeTask(sampler), parts(), lambda part: part[:2], ordered=ordered,
        window=window, stopping=stopping, settle=settle, monitor=monitor,
    )  # fmt: skip
    last: tuple[Any, DrawnRange, int] | None = None
    with closing(results):
        for (low, high, _), (arrays, report) in results:
            item, drawn = waiting.pop(low)
            drawn.put(low, arrays, report)
            last = item, drawn, high
            yield low, high, None if drawn.missing else item
    if ordered and last is not None and last[1].missing:
        (start, _, *others), _, high = last
        yield high, high, (start, high, *others)
