"""Random batches: while one window of paths is handed out, the next one is read or drawn."""

from __future__ import annotations

import contextvars
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.interrupts import wait_uninterrupted
from montezarr.core.tunables.memory import BATCHES_TAKEN_BYTES
from montezarr.core.tunables.scheduling import BATCH_READERS_MAX
from montezarr.engine._batch_formats import Rows, path_variables, rows_of
from montezarr.engine._lazy_rows import LazyRows
from montezarr.engine._random_order import RandomOrder, Range, positions_of
from montezarr.execute import cores
from montezarr.execute.run_monitor import RunMonitor
from montezarr.run._run import Run
from montezarr.run.choose_backend import backend_of
from montezarr.run.execution import FailureLog, ranges_of, run_ranges
from montezarr.run.in_parts import part_of_block
from montezarr.samplers.schema import PATH
from montezarr.samplers.task import RangeTask

Fill = Callable[[Sequence[Range], Rows], Iterator[int]]
"""Fills rows with the paths of some parts, and yields how many there are after each."""


def random_batches(
    ds: xr.Dataset, source: AbstractContextManager[Fill], order: RandomOrder, ends: Iterable[Range]
) -> Generator[Rows, None, None]:
    """Yield the rows of batches of a lazy Dataset, with the positions of their paths.

    Parameters
    ----------
    source : context manager
        Its value fills windows, in their order.
    ends : iterable of (int, int)
        First place in the order, and end, of each batch.
    """
    shapes, has_labels = shapes_of(ds), PATH in ds.variables
    with source as fill, closing(_windows(shapes, has_labels, fill, order)) as windows:
        window, used = next(windows), 0
        for group in _groups(shapes, ends, order.capacity):
            first, stop = group[0][0], group[-1][1]
            rows, filled = space_for(shapes, stop - first), 0
            while filled < stop - first:
                if used == window.n:
                    window, used = next(windows), 0
                count = min(stop - first - filled, window.n - used)
                window.take(used, used + count, rows, filled)
                used, filled = used + count, filled + count
            window.read_ahead(used)
            for low, high in group:
                yield {name: values[low - first : high - first] for name, values in rows.items()}


def held_batches(
    ds: xr.Dataset, order: RandomOrder, ends: Iterable[Range]
) -> Generator[Rows, None, None]:
    """Yield the same of a Dataset in memory, whose one window is not copied."""
    shuffled = order.shuffled(0, ds.sizes[PATH])
    for low, high in ends:
        places = shuffled[low:high]
        batch = rows_of(ds.isel({PATH: places}).compute())
        batch.setdefault(PATH, places)
        yield batch


def _groups(shapes: Shapes, ends: Iterable[Range], most: int) -> Iterator[list[Range]]:
    """Yield batches that are taken together, since to take each small one alone is slow.

    They have about as many paths as a window, `most`, or fewer.
    """
    width = sum(dtype.itemsize * math.prod(shape) for _, shape, dtype in shapes)
    enough = min(most, BATCHES_TAKEN_BYTES // max(1, width))
    group: list[Range] = []
    for low, high in ends:
        group.append((low, high))
        if high - group[0][0] >= enough:
            yield group
            group = []
    if group:
        yield group


Shapes = list[tuple[str, tuple[int, ...], np.dtype[Any]]]
"""Name, shape without the paths, and dtype of each array of rows."""


def shapes_of(ds: xr.Dataset) -> Shapes:
    """Return the shapes of rows, with a place for the positions of the paths."""
    shapes: Shapes = [
        (name, tuple(v.sizes[dim] for dim in v.dims if dim != PATH), v.dtype)
        for name, v in path_variables(ds).items()
    ]
    return shapes if PATH in ds.variables else [*shapes, (PATH, (), np.dtype(np.int64))]


def space_for(shapes: Shapes, n: int) -> Rows:
    """Return rows of `n` paths, not set."""
    return {name: np.empty((n, *shape), dtype) for name, shape, dtype in shapes}


class _Window:
    """Paths that have been read, in their random order; and the next window, being read.

    Parameters
    ----------
    rows : dict of str to array
        The paths as they were read.
    order : array of int
        Their order.
    following : iterator of int, optional
        Reads the next window, and yields how many of its paths are there.
    total : int
        Paths of the next window.
    """

    def __init__(self, rows: Rows, order: NDArray[np.int64], following: Iterator[int], total: int):
        self.n = len(order)
        self._rows, self._order, self._following, self._total = rows, order, following, total
        self._read = 0

    def take(self, low: int, high: int, batch: Rows, place: int) -> None:
        """Copy the paths low ... high-1 of the order to a place in a batch."""
        for name, rows in self._rows.items():
            out = batch[name][place : place + high - low]
            np.take(rows, self._order[low:high], axis=0, out=out, mode="clip")

    def read_ahead(self, used: int) -> None:
        """Read as large a part of the next window as is used of this one."""
        while self._read * self.n < used * self._total:
            self._read = next(self._following)


def _windows(
    shapes: Shapes, has_labels: bool, fill: Fill, order: RandomOrder
) -> Generator[_Window, None, None]:
    """Yield each window when it is there, in two spaces by turns."""
    parts = order.windows()
    spaces = [space_for(shapes, order.capacity) for _ in parts[:2]]
    sizes = [sum(high - low for low, high in window) for window in parts] + [0]
    fillings = [fill(window, spaces[i % 2]) for i, window in enumerate(parts)] + [iter(())]
    for number, window in enumerate(parts):
        for _ in fillings[number]:
            pass
        rows, n = spaces[number % 2], sizes[number]
        if not has_labels:
            rows[PATH][:n] = positions_of(window)
        shuffled = order.shuffled(number, n)
        yield _Window(rows, shuffled, fillings[number + 1], sizes[number + 1])


@contextmanager
def computed(ds: xr.Dataset) -> Iterator[Fill]:
    """Return what fills windows with paths of a lazy Dataset, computed by a few threads."""
    lazy = LazyRows(ds)

    def fill(window: Sequence[Range], rows: Rows) -> Iterator[int]:
        places = np.cumsum([0, *(high - low for low, high in window)]).tolist()
        futures = [
            # Each in a copy of the context, which says what backend is in force.
            pool.submit(contextvars.copy_context().run, lazy.put, low, high, rows, place)
            for (low, high), place in zip(window, places[:-1], strict=True)
        ]
        for future, place in zip(futures, places[1:], strict=True):
            wait_uninterrupted([future], None)
            future.result()
            yield place

    readers = min(BATCH_READERS_MAX, cores())
    pool = ThreadPoolExecutor(readers, "montezarr-batches")
    try:
        yield fill
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def drawn(run: Run, order: RandomOrder) -> Iterator[Fill]:
    """Return what fills windows with paths of a run, drawn on all workers."""
    backend, failure_log, task = backend_of(run), FailureLog(), RangeTask(run.sampler)
    most = part_of_block(run, backend) or run.length
    parts = (
        part for window in order.windows() for whole in window for part in ranges_of(*whole, most)
    )
    with (
        RunMonitor("batches") as monitor,
        closing(
            run_ranges(run, backend, task, parts, failure_log, monitor, ordered=True)
        ) as results,
    ):
        done = 0

        def fill(window: Sequence[Range], rows: Rows) -> Iterator[int]:
            nonlocal done
            place, total = 0, sum(high - low for low, high in window)
            while place < total:
                low, high, arrays = next(results)
                for name, values in arrays.items():
                    rows[name][place : place + high - low] = np.moveaxis(values, -1, 0)
                place, done = place + high - low, done + high - low
                monitor(done, run.length, len(failure_log.masked))
                yield place

        yield fill
    failure_log.warn(run.length)


def as_batches(
    rows: Generator[Rows, None, None], form: Callable[[Rows], Any]
) -> Generator[Any, None, None]:
    """Yield each batch of rows in the form of the caller."""
    with closing(rows):
        for batch in rows:
            yield form(batch)
