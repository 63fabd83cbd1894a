"""An Executor on worker processes that survives their deaths and ends tasks that hang."""

from __future__ import annotations

import queue
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future, wait
from functools import lru_cache
from typing import Any

from montezarr.core import worker
from montezarr.core.compat.threading import before_executors_end
from montezarr.core.errors import BackendError, WorkerDied, WorkerTimeout
from montezarr.core.tunables.waiting import WORKER_START_SECONDS
from montezarr.execute._lost import no_start
from montezarr.execute._shared_objects import SharedObjects


class Pool(ABC):
    """Interface of worker processes to the supervisor; one file implements one kind of pool."""

    deaths: tuple[type[BaseException], ...] = ()
    """Errors of a future whose worker, or whole pool, died."""

    shares_fate: bool = True
    """Whether the death of one worker ends the pool and all its running tasks."""

    poll: float | None = None
    """Seconds between calls of `check`; None if futures fail when the pool is gone."""

    @abstractmethod
    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Start a task; start the workers if this is the first."""

    def endings(self, error: BaseException | None = None) -> tuple[str, ...]:
        """Return how the worker that just died with `error` ended, as far as known."""
        return ()

    def loss_of(self, error: BaseException) -> BackendError | None:
        """Return the error for a failure of the pool itself; None for the error of a task."""
        return None

    def check(self) -> None:  # noqa: B027
        """Raise if the pool is gone, so that futures of running tasks may never be done.

        Raises
        ------
        BackendError
            With the reason and the remedy.
        """

    @abstractmethod
    def kill(self) -> None:
        """Kill all workers at once; `submit` starts new ones."""

    @abstractmethod
    def close(self) -> None:
        """End the idle workers."""

    def stop(self, future: Future[Any]) -> None:
        """Kill the worker of one task; all workers if the pool `shares_fate`."""
        self.kill()

    def shared_objects(self) -> SharedObjects:
        """Return the store of shared objects."""
        return SharedObjects()


class _Task:
    __slots__ = ("causes", "deadline", "deaths", "future", "inner", "kept", "payload", "shared")

    def __init__(self, payload: bytes, shared: dict[str, Any], kept: list[Any]):
        self.payload, self.shared, self.kept = payload, shared, kept
        self.future: Future[Any] = Future()
        self.inner: Future[Any] | None = None
        self.deaths = 0
        self.causes: list[str] = []
        self.deadline = float("inf")


class Supervisor(Executor):
    """Executor that runs tasks on a `Pool`, at most one per worker at a time.

    When a worker dies, the tasks that ran in the pool are repeated one at a time, so that the next
    death identifies its task. A task whose workers die more than `retries` times gets `WorkerDied`.

    One thread owns all state and takes events from a queue.

    Parameters
    ----------
    pool : Pool
        The worker processes.
    workers : int
        Tasks at a time.
    timeout : float or None
        Seconds that a task may take, until its worker is killed and it gets `WorkerTimeout`.
    retries : int
        How often a task is repeated after the death of its worker.
    name : str
        Name of the backend, for errors.
    """

    def __init__(
        self,
        pool: Pool,
        workers: int,
        timeout: float | None,
        retries: int,
        name: str = "processes",
    ):
        self._pool, self._workers, self._name = pool, workers, name
        self._timeout, self._retries = timeout, retries
        self._shelf = pool.shared_objects()
        self._events: queue.SimpleQueue[tuple[str, Any, Any]] = queue.SimpleQueue()
        self._waiting: deque[_Task] = deque()
        self._suspects: deque[_Task] = deque()
        self._running: dict[int, _Task] = {}
        self._warm = timeout is None
        self._lock = threading.Lock()
        self._refusal = ""
        self._is_closing = self._is_killed = False
        self._thread = threading.Thread(target=self._run, name="montezarr-supervisor", daemon=True)
        self._thread.start()
        _end_at_exit()
        _alive.add(self)

    # --- interface for callers ----------------------------------------------------------------

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run ``fn(*args, **kwargs)`` in a worker process.

        Raises
        ------
        ArgumentTypeError
            If the function or an argument cannot be pickled.
        """
        task = _Task(*self._shelf.dumps((fn, args, kwargs)))
        with self._lock:  # no event may follow the one that ends the thread
            if self._refusal:
                raise BackendError(self._refusal)
            self._events.put(("submit", task, None))
        return task.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers when all tasks are done; `cancel_futures` drops those not begun."""
        self._close("close", cancel_futures)
        if wait and threading.current_thread() is not self._thread:
            self._thread.join()

    def kill(self) -> None:
        """End the workers at once; tasks that are not done are cancelled."""
        self._close("kill", None)
        self._thread.join()

    def __reduce__(self) -> Any:
        # Dask's configuration, which may hold this, travels to the workers of a new cluster.
        return str, ("synchronous",)

    def _close(self, event: str, subject: Any) -> None:
        with self._lock:
            if not self._refusal or event == "kill":
                self._refusal = (
                    self._refusal or "backend: cannot submit to a backend that was closed"
                )
                self._events.put((event, subject, None))

    # --- the supervisor's thread --------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._is_closing or self._waiting or self._suspects or self._running:
                self._dispatch()
                self._handle()
        except BaseException as fault:  # after a fault here, no caller may wait for ever
            error = self._named(fault)
            known = isinstance(error, BackendError)
            with self._lock:
                self._refusal = (
                    str(error) if known else f"backend: this backend has failed: {fault!r}"
                )
            while not self._events.empty():
                name, task, _ = self._events.get()
                if name == "submit":
                    self._waiting.append(task)
            self._fail_all(error)
            self._is_killed = True
        finally:
            try:
                self._pool.kill() if self._is_killed else self._pool.close()
            finally:
                self._shelf.clear()
                _alive.discard(self)

    def _named(self, error: BaseException) -> BaseException:
        """Return the `BackendError` for an error of the pool or the system, or the error itself."""
        lost = self._pool.loss_of(error)
        if lost is None and isinstance(error, OSError) and not isinstance(error, BackendError):
            lost = no_start(self._name, error)
        return lost or error

    def _dispatch(self) -> None:
        while self._suspects or self._waiting:
            limit = 1 if self._suspects else self._workers
            if len(self._running) >= limit:
                return
            task = (self._suspects or self._waiting).popleft()
            # The future of a repeated task is in the state "running" already.
            if not task.future.running() and not task.future.set_running_or_notify_cancel():
                continue
            self._start(task)

    def _start(self, task: _Task) -> None:
        self._running[id(task)] = task
        try:
            if not self._warm:  # the start of a worker does not count towards a task's timeout
                first = [self._pool.submit(worker.ready) for _ in range(self._workers)]
                wait(first, timeout=WORKER_START_SECONDS)
                self._warm = True
            inner = self._pool.submit(worker.call, task.payload, task.shared)
        except self._pool.deaths as error:
            self._events.put(("done", task, _failed(error)))
            return
        task.inner = inner
        if self._timeout is not None:
            task.deadline = time.monotonic() + self._timeout
        inner.add_done_callback(lambda done: self._events.put(("done", task, done)))

    def _handle(self) -> None:
        now = time.monotonic()
        nearest = min((task.deadline for task in self._running.values()), default=float("inf"))
        try:
            if self._running and self._pool.poll is not None:
                nearest = min(nearest, now + self._pool.poll)
            left = None if nearest == float("inf") else max(0.0, nearest - now)
            name, subject, extra = self._events.get(timeout=left)
        except queue.Empty:
            self._pool.check()
            self._end_late()
            return
        if name == "submit":
            self._waiting.append(subject)
        elif name == "done":
            # A repeated task has another inner future: ignore the event of the old one.
            if id(subject) in self._running and subject.inner in (None, extra):
                self._finish(subject, extra)
        elif name == "kill":
            self._is_closing = self._is_killed = True
            self._fail_all(None)
        else:
            self._is_closing = True
            if subject:  # cancel the tasks that have not begun
                for task in self._waiting:
                    _cancel(task.future)
                self._waiting.clear()

    def _finish(self, task: _Task, inner: Future[Any]) -> None:
        try:
            data = inner.result()
        except BaseException as error:
            if isinstance(error, (*self._pool.deaths, CancelledError)):
                self._survive(task, error)
            else:
                self._end(task, self._pool.loss_of(error) or error)
            return
        del self._running[id(task)]
        try:
            value = worker.unpack_result(data)
        except BaseException as error:
            task.future.set_exception(error)
        else:
            task.future.set_result(value)

    def _end(self, task: _Task, error: BaseException) -> None:
        self._running.pop(id(task), None)
        task.inner = None
        task.future.set_exception(error)

    def _survive(self, victim: _Task, error: BaseException) -> None:
        """Repeat the lost tasks one at a time, so that the next death identifies its task."""
        lost = list(self._running.values()) if self._pool.shares_fate else [victim]
        causes = self._pool.endings(error)
        if self._pool.shares_fate:
            self._warm = self._timeout is None
            self._pool.kill()
        for task in lost:
            self._running.pop(id(task), None)
            task.inner = None
            if len(lost) == 1:
                task.deaths += 1
                task.causes += [cause for cause in causes if cause not in task.causes]
        for task in reversed(lost):
            if task.deaths > self._retries:
                task.future.set_exception(WorkerDied(task.deaths, tuple(task.causes)))
            else:
                self._suspects.appendleft(task)

    def _end_late(self) -> None:
        now = time.monotonic()
        late = [task for task in self._running.values() if task.deadline <= now]
        if not late:
            return
        for task in late:
            if task.inner is not None:
                self._pool.stop(task.inner)
            self._end(task, WorkerTimeout(self._timeout or 0.0))
        if self._pool.shares_fate:
            self._warm = False
            innocent = list(self._running.values())
            for task in innocent:
                self._running.pop(id(task))
                task.inner = None
            self._waiting.extendleft(reversed(innocent))

    def _fail_all(self, error: BaseException | None) -> None:
        for task in (*self._running.values(), *self._suspects, *self._waiting):
            task.inner = None
            if error is None and _cancel(task.future):
                continue
            if not task.future.done():
                task.future.set_exception(error or CancelledError())
        self._running.clear()
        self._suspects.clear()
        self._waiting.clear()


def _cancel(future: Future[Any]) -> bool:
    """Cancel a future that has not begun, and notify its waiters."""
    return future.cancel() and not future.set_running_or_notify_cancel()


def _failed(error: BaseException) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future


_alive: weakref.WeakSet[Supervisor] = weakref.WeakSet()


def end_all() -> None:
    """End the workers of backends that were not closed."""
    for supervisor in list(_alive):
        supervisor.kill()


@lru_cache(maxsize=1)
def _end_at_exit() -> None:
    """Register `end_all` to run at exit, once."""
    before_executors_end(end_all)
