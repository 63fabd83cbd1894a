"""Windowed submission: a few tasks per worker in flight, never all tasks at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager, nullcontext
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from montezarr.core.errors import WorkerDied, WorkerTimeout
from montezarr.core.interrupts import wait_uninterrupted
from montezarr.core.timed_task import Timed
from montezarr.core.tunables.scheduling import TASKS_IN_FLIGHT_PER_WORKER
from montezarr.core.tunables.waiting import WORKER_CHECK_SECONDS
from montezarr.execute._base import Backend

Span = Callable[[Any], tuple[int, int]]
"""Function from an item to its range of paths (start, stop)."""


class TaskCallback(Protocol):
    """Callback of the window: a `montezarr.execute.run_monitor.RunMonitor`."""

    def at_work(self, backend: Backend) -> AbstractContextManager[None]:
        """Return the context in which tasks run."""

    def task_done(self, worker: str, paths: int, seconds: float) -> None:
        """Record a finished task."""


def windowed(
    backend: Backend,
    function: Callable[[Any], Any],
    items: Iterable[Any],
    span: Span,
    *,
    ordered: bool = False,
    window: int | None = None,
    stopping: Callable[[], bool] | None = None,
    settle: bool | None = None,
    monitor: TaskCallback | None = None,
) -> Generator[tuple[Any, Any], None, None]:
    """Yield (item, result) as tasks end, or in the order of the items.

    When a task fails, no more tasks are submitted, later queued tasks are cancelled, and earlier
    ones are waited for. So the error is that of the first item that fails, on every backend.
    Finished results are yielded before the error; in order, only those before the failed item.
    Ctrl-C waits for the running tasks; a second one abandons them.

    Parameters
    ----------
    backend : Backend
        Where to run; already started.
    function : callable
        What to run on each item.
    items : iterable
        Its arguments, one per task.
    span : callable
        Range of paths of an item.
    ordered : bool
        Whether to yield in the order of the items; early results wait.
    window : int, optional
        Tasks in flight or waiting for their turn; by default a few per worker.
    stopping : callable, optional
        Returns whether to stop: then no more tasks are submitted, and the running ones are waited
        for and yielded. Called ten times a second, in this thread.
    settle : bool, optional
        Whether to wait for the running tasks also after an error, or when the generator is closed;
        by default, if there is `stopping`.
    monitor : RunMonitor, optional
        Records which worker did how many paths in how many seconds.

    Raises
    ------
    WorkerDied, WorkerTimeout
        With the range of paths.
    BackendError
        If the backend cannot go on.
    Exception
        What the function raised on the first item that failed.
    """
    run = Timed(function) if monitor is not None else function
    with nullcontext() if monitor is None else monitor.at_work(backend):
        results = _Window(
            backend, run, items, span,
            ordered=ordered, window=window, stopping=stopping, settle=settle,
        ).results()  # fmt: skip
        try:
            for item, result in results:
                if monitor is not None:
                    start, stop = span(item)
                    result, (worker, seconds) = result
                    monitor.task_done(worker, stop - start, seconds)
                yield item, result
        finally:
            results.close()


class _Window:
    """The tasks in flight and the results that wait for their turn; see `windowed`."""

    def __init__(
        self,
        backend: Backend,
        function: Callable[[Any], Any],
        items: Iterable[Any],
        span: Span,
        *,
        ordered: bool,
        window: int | None,
        stopping: Callable[[], bool] | None,
        settle: bool | None,
    ):
        self._backend, self._function, self._span = backend, function, span
        self._ordered, self._window, self._stopping = ordered, window, stopping
        self._settle = stopping is not None if settle is None else settle
        self._source = enumerate(items)
        self._pending: dict[Future[Any], tuple[int, Any]] = {}
        self._done: SimpleQueue[Future[Any]] = SimpleQueue()
        self._early: dict[int, tuple[Any, Any]] = {}
        self._following = 0

    def results(self) -> Generator[tuple[Any, Any], None, None]:
        """Yield (item, result) until nothing is left, or an item fails."""
        try:
            while True:
                self._submit()
                if not self._pending:
                    return
                done = self._wait_for_some()
                _check_not_stopped(self._backend, done)
                for future in sorted(done, key=lambda f: self._pending[f][0]):
                    yield from self._ended(future)
        except KeyboardInterrupt:
            _drain(self._backend, self._pending)
            raise
        except (Exception, GeneratorExit):
            if self._settle:  # no task may still run after the generator has ended
                cancels = self._backend.cancels_waiting
                left = [f for f in self._pending if not (cancels and f.cancel())]
                _wait_for_all(self._backend, left)
            raise
        finally:
            for future in self._pending:
                future.cancel()

    def _submit(self) -> None:
        """Fill the window with tasks, unless `stopping` says so."""
        backend = self._backend
        if self._stopping is not None and self._stopping():
            if backend.cancels_waiting:
                self._pending = {f: entry for f, entry in self._pending.items() if not f.cancel()}
            elif not self._settle:
                self._pending = _earliest(self._pending, backend.workers)
            return
        # Read each time: workers of a cluster come and go.
        limit = (
            TASKS_IN_FLIGHT_PER_WORKER * backend.workers
            if self._window is None
            else max(1, self._window)
        )
        # Refill by half a window: a scheduler takes many tasks as fast as one, and keeps a record
        # of each message.
        room = limit - len(self._pending) - len(self._early)
        if room >= max(1, limit // 2):
            entries = list(itertools.islice(self._source, room))
            futures = backend.submit_all(self._function, [item for _, item in entries])
            self._pending.update(zip(futures, entries, strict=True))
            for future in futures:
                future.add_done_callback(self._done.put)

    def _wait_for_some(self) -> list[Future[Any]]:
        """Return the pending tasks that have ended since; wait a while if there are none.

        Tasks put themselves into a queue: to wait for any of thousands would look at each of them.
        """
        done: list[Future[Any]] = []
        try:
            done.append(self._done.get(timeout=WORKER_CHECK_SECONDS))
            while True:
                done.append(self._done.get_nowait())
        except Empty:
            return [future for future in done if future in self._pending]

    def _ended(self, future: Future[Any]) -> Iterator[tuple[Any, Any]]:
        """Yield the results that are due once a task has ended, or raise if it has failed."""
        error = _error_of(self._backend, future)
        if error is not None and self._backend.deaths_of(error):
            future = self._repeated(future)
            error = _error_of(self._backend, future)
        if error is None:
            number, item = self._pending.pop(future)
            yield from self._in_turn({number: (item, future.result())})
            return
        failed, error = _first_failure(self._backend, self._pending, self._span)
        # Finished results are not lost, and a caller that stops before the error never sees it.
        yield from self._in_turn(
            {
                number: (item, f.result())
                for f, (number, item) in self._pending.items()
                if _is_good(f) and (not self._ordered or number < failed)
            }
        )
        raise error

    def _repeated(self, future: Future[Any]) -> Future[Any]:
        """Repeat a task that died, alone: other tasks of its worker may have killed that."""
        _wait_for_all(self._backend, self._pending)
        repeated = self._backend.submit(self._function, self._pending[future][1])
        self._pending[repeated] = self._pending.pop(future)
        _wait_for_all(self._backend, [repeated])
        return repeated

    def _in_turn(self, results: dict[int, tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
        """Yield early results by number; if ordered, only those whose turn it is."""
        self._early |= results
        while self._following in self._early if self._ordered else self._early:
            yield self._early.pop(self._following if self._ordered else min(self._early))
            self._following += 1


def _is_good(future: Future[Any]) -> bool:
    """Return whether a task has ended without an error."""
    return future.done() and not future.cancelled() and future.exception() is None


def _check_not_stopped(backend: Backend, done: Iterable[Future[Any]]) -> None:
    """Raise if the backend is lost, or a task was cancelled elsewhere."""
    if backend.is_lost or any(future.cancelled() for future in done):
        raise backend.loss_of(CancelledError()) or CancelledError()


def _error_of(backend: Backend, future: Future[Any]) -> BaseException | None:
    """Return what a task has raised, or the `BackendError` if its backend failed."""
    try:
        error = future.exception()
    except CancelledError as cancelled:
        error = cancelled
    return error if error is None else backend.loss_of(error) or error


def _wait_for_all(backend: Backend, futures: Iterable[Future[Any]]) -> None:
    """Wait until all futures are done, or their backend is lost and they may never be.

    If one was cancelled elsewhere, as by the restart of a Client, the others may never be done
    either.
    """
    left = awaited = list(futures)
    while not backend.is_lost and (left := [future for future in left if not future.done()]):
        if any(future.cancelled() for future in awaited):
            return
        wait_uninterrupted(left, WORKER_CHECK_SECONDS)


def _earliest(
    pending: dict[Future[Any], tuple[int, Any]], count: int
) -> dict[Future[Any], tuple[int, Any]]:
    """Return the first `count` tasks, the running ones, and cancel the others."""
    first = dict(sorted(pending.items(), key=lambda entry: entry[1][0])[:count])
    for future in pending.keys() - first.keys():
        future.cancel()
    return first


def _first_failure(
    backend: Backend, pending: dict[Future[Any], tuple[int, Any]], span: Span
) -> tuple[int, BaseException]:
    """Return number and error of the first item that fails, after all before it have ended."""
    failed = [f for f in pending if f.done() and _error_of(backend, f) is not None]
    lowest = min(pending[future][0] for future in failed)
    for future, (number, _) in pending.items():
        if number > lowest:
            future.cancel()
    before = [future for future, (number, _) in pending.items() if number < lowest]
    _wait_for_all(backend, before)
    failed += [future for future in before if _error_of(backend, future) is not None]
    first = min(failed, key=lambda future: pending[future][0])
    error = _error_of(backend, first)
    assert error is not None
    number, item = pending[first]
    start, stop = span(item)
    if isinstance(error, WorkerDied):
        error = WorkerDied(error.deaths, error.causes, start, stop)
    elif isinstance(error, WorkerTimeout):
        error = WorkerTimeout(error.timeout, start, stop)
    elif deaths := backend.deaths_of(error):
        error = WorkerDied(deaths, (), start, stop)
    return number, error


def _drain(backend: Backend, pending: dict[Future[Any], tuple[int, Any]]) -> None:
    """Wait for the running tasks; a second Ctrl-C abandons them."""
    running = [future for future in pending if not future.cancel()]
    try:
        _wait_for_all(backend, running)
    except KeyboardInterrupt:
        backend.kill()
        raise
