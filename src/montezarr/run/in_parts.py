"""Ranges of slow paths, drawn in parts by all workers and put together in this thread.

A part is smaller than a block, which statistics, expressions and stores take as a whole: they get
the same arrays as from one task that draws the whole range, so the bits are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Any

from montezarr.execute import Backend, windowed
from montezarr.execute.run_monitor import RunMonitor
from montezarr.run import cost
from montezarr.run._run import Run
from montezarr.run.chunk_policy import paths_of_part
from montezarr.run.first_path import kept_seconds
from montezarr.samplers import Sampler
from montezarr.samplers.drawn_range import DrawnRange
from montezarr.samplers.task import RangeTask


def part_of_block(run: Run, backend: Backend) -> int | None:
    """Return the paths of a task where a block takes too long for one; None for whole blocks.

    A path is measured, once for each run, if the first one was slow.
    """
    if not run.sampler.draws_single_paths:
        return None
    if not any(kept_seconds(part.recipe) for part in run.parts):
        return None
    seconds = cost.measure(run, backend)
    return None if seconds is None else paths_of_part(seconds, run.n_paths, backend.workers)


def results_of(
    backend: Backend, sampler: Sampler | None, part: int | None, task: Callable[[Any], Any],
    items: Iterable[Any], monitor: RunMonitor, **options: Any,
) -> Generator[tuple[int, int, Any], None, None]:  # fmt: skip
    """Yield first path and end of what a task has done, and the result of a finished item.

    Parameters
    ----------
    sampler, part : Sampler, int
        What draws the paths, and how many a task draws; without them, a task does a whole item.
    options
        Those of `windowed`.
    """
    if sampler is None or part is None:
        ended = windowed(backend, task, items, span_of, monitor=monitor, **options)
        with closing(ended):
            for item, result in ended:
                yield *span_of(item), result
        return
    drawn = drawn_in_parts(backend, sampler, items, part, monitor=monitor, **options)
    with closing(drawn):
        for start, stop, item in drawn:
            yield start, stop, None if item is None else task(item)


def span_of(item: Any) -> tuple[int, int]:
    """Return the range of paths of an item."""
    return int(item[0]), int(item[1])


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
        backend, RangeTask(sampler), parts(), span_of, ordered=ordered,
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
