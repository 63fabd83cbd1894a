"""Windowed submission: a few tasks per worker in flight, never a queue of all."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from montezarr.core.errors import WorkerDied, WorkerTimeout
from montezarr.core.interrupts import wait_uninterrupted
from montezarr.core.timed_task import Timed
from montezarr.core.tunables.scheduling import TASKS_IN_FLIGHT_PER_WORKER
from montezarr.core.tunables.waiting import WORKER_CHECK_SECONDS
from montezarr.execute._base import Backend

Span = Callable[[Any], tuple[int, int]]
"""From an item to its range of paths (start, stop)."""


class TaskCallback(Protocol):
    """Who is told of tasks, to tell others: a `montezarr.execute.run_monitor.RunMonitor`."""

    def at_work(self, backend: Backend) -> AbstractContextManager[None]:
        """Return the context in which tasks run."""

    def task_done(self, worker: str, paths: int, seconds: float) -> None:
        """Count a task."""


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

    When a task fails, no further one is submitted, what is queued behind it is cancelled, and what
    is before it is waited for. So the error is always that of the first item that fails, on every
    backend. What is done is yielded first; where results come in order, as far as these go. On
    Ctrl-C, what runs is waited for; on a second one it is given up.

    Parameters
    ----------
    backend : Backend
        Where to run; it is running.
    function : callable
        What to run on each item.
    items : iterable
        What to run it on.
    span : callable
        Range of paths of an item.
    ordered : bool
        Whether results come in the order of the items; those that are early wait.
    window : int, optional
        Tasks in flight or waiting for their turn; by default a few per worker.
    stopping : callable, optional
        Returns whether enough is done: then what runs ends and is yielded, and no more begins.
        It is asked ten times a second, in this thread.
    settle : bool, optional
        Whether what runs is waited for also when there is an error, or nobody reads on; by default
        where there is `stopping`.
    monitor : RunMonitor, optional
        Is told which worker did how many paths in how many seconds.

    Raises
    ------
    WorkerDied, WorkerTimeout
        With the range of paths.
    BackendError
        If the backend cannot go on.
    Exception
        What the function raised, of the first item that failed.
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
    """The tasks in flight, and results that wait for their turn; see `windowed`."""

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
        self._early: dict[int, tuple[Any, Any]] = {}
        self._following = 0

    def results(self) -> Generator[tuple[Any, Any], None, None]:
        """Yield (item, result) until nothing is left, or an item fails."""
        try:
            while True:
                self._submit()
                if not self._pending:
                    return
                _check_not_stopped(self._backend, self._pending)
                done = wait_uninterrupted(self._pending, WORKER_CHECK_SECONDS, FIRST_COMPLETED)
                for future in sorted(done, key=lambda f: self._pending[f][0]):
                    yield from self._ended(future)
        except KeyboardInterrupt:
            _drain(self._backend, self._pending)
            raise
        except (Exception, GeneratorExit):
            if self._settle:  # nothing is to happen behind the back of who asked for this
                cancels = self._backend.cancels_waiting
                left = [f for f in self._pending if not (cancels and f.cancel())]
                _wait_for_all(self._backend, left)
            raise
        finally:
            for future in self._pending:
                future.cancel()

    def _submit(self) -> None:
        """Start tasks where there is room, unless enough is done."""
        backend = self._backend
        if self._stopping is not None and self._stopping():
            if backend.cancels_waiting:
                self._pending = {f: entry for f, entry in self._pending.items() if not f.cancel()}
            elif not self._settle:
                self._pending = _earliest(self._pending, backend.workers)
            return
        # Asked again each time: workers of a cluster come and go.
        limit = (
            TASKS_IN_FLIGHT_PER_WORKER * backend.workers
            if self._window is None
            else max(1, self._window)
        )
        # Half of it at a time: a scheduler takes many tasks as fast as one, and remembers each
        # time that it got some.
        room = limit - len(self._pending) - len(self._early)
        if room >= max(1, limit // 2):
            entries = list(itertools.islice(self._source, room))
            futures = backend.submit_all(self._function, [item for _, item in entries])
            self._pending.update(zip(futures, entries, strict=True))

    def _ended(self, future: Future[Any]) -> Iterator[tuple[Any, Any]]:
        """Yield what can be told once a task has ended, or raise where it has failed."""
        error = _error_of(self._backend, future)
        if error is not None and self._backend.deaths_of(error):
            future = self._repeated(future)
            error = _error_of(self._backend, future)
        if error is None:
            number, item = self._pending.pop(future)
            yield from self._in_turn({number: (item, future.result())})
            return
        failed, error = _first_failure(self._backend, self._pending, self._span)
        # What is done is not lost, and whoever has enough before sees no error.
        yield from self._in_turn(
            {
                number: (item, f.result())
                for f, (number, item) in self._pending.items()
                if _is_good(f) and (not self._ordered or number < failed)
            }
        )
        raise error

    def _repeated(self, future: Future[Any]) -> Future[Any]:
        """Return a task again that died, alone: those beside the killer of a worker die with it."""
        _wait_for_all(self._backend, self._pending)
        repeated = self._backend.submit(self._function, self._pending[future][1])
        self._pending[repeated] = self._pending.pop(future)
        _wait_for_all(self._backend, [repeated])
        return repeated

    def _in_turn(self, results: dict[int, tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
        """Yield results by number, or where these are to be in order, those whose turn it is."""
        self._early |= results
        while self._following in self._early if self._ordered else self._early:
            yield self._early.pop(self._following if self._ordered else min(self._early))
            self._following += 1


def _is_good(future: Future[Any]) -> bool:
    """Return whether a task has ended, and well."""
    return future.done() and not future.cancelled() and future.exception() is None


def _check_not_stopped(backend: Backend, pending: Iterable[Future[Any]]) -> None:
    """Raise where somebody else has cancelled what we wait for: nobody would wake us."""
    if backend.is_lost or any(future.cancelled() for future in pending):
        raise backend.loss_of(CancelledError()) or CancelledError()


def _error_of(backend: Backend, future: Future[Any]) -> BaseException | None:
    """Return what a task has raised; where it was its backend that failed, what that is called."""
    try:
        error = future.exception()
    except CancelledError as cancelled:
        error = cancelled
    return error if error is None else backend.loss_of(error) or error


def _wait_for_all(backend: Backend, futures: Iterable[Future[Any]]) -> None:
    """Wait until all have ended, or their backend has: then nobody is ever told of them.

    Where somebody else cancelled one of them, as the restart of a Client does, the others may stay
    open for ever too.
    """
    left = awaited = list(futures)
    while not backend.is_lost and (left := [future for future in left if not future.done()]):
        if any(future.cancelled() for future in awaited):
            return
        wait_uninterrupted(left, WORKER_CHECK_SECONDS)


def _earliest(
    pending: dict[Future[Any], tuple[int, Any]], count: int
) -> dict[Future[Any], tuple[int, Any]]:
    """Return the first `count` tasks, which are those that run, and cancel the others."""
    first = dict(sorted(pending.items(), key=lambda entry: entry[1][0])[:count])
    for future in pending.keys() - first.keys():
        future.cancel()
    return first


def _first_failure(
    backend: Backend, pending: dict[Future[Any], tuple[int, Any]], span: Span
) -> tuple[int, BaseException]:
    """Return the number and error of the first item that fails, once all before it have ended."""
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
    """Wait for what runs; a second Ctrl-C gives it up."""
    running = [future for future in pending if not future.cancel()]
    try:
        _wait_for_all(backend, running)
    except KeyboardInterrupt:
        backend.kill()
        raise
