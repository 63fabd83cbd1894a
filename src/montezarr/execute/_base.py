"""Base classes of backends: an executor for windowed submission and a scheduler for Dask."""

from __future__ import annotations

import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager
from functools import lru_cache, partial
from numbers import Integral
from typing import Any, ClassVar, Self

from dask.local import get_async

from montezarr.core.checks import check_int, check_real, type_error, value_error
from montezarr.core.compat.dask import count_cores
from montezarr.core.context import ContextManager
from montezarr.core.errors import BackendError
from montezarr.core.fork import after_fork
from montezarr.core.interrupts import wait_uninterrupted
from montezarr.core.optional import import_optional
from montezarr.core.tunables.scheduling import TASK_RETRIES, WORKERS_MAX
from montezarr.core.tunables.waiting import WORKER_CHECK_SECONDS
from montezarr.execute._in_force import come_into_force, go_out_of_force
from montezarr.execute._lost import no_start, stopped
from montezarr.execute._supervisor import Pool, Supervisor


def cores() -> int:
    """Return the processors that this process may use: by its affinity and its cgroup's quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    return _cores_of(None if affinity is None else frozenset(affinity(0)))


@lru_cache(maxsize=16)
def _cores_of(affinity: Any) -> int:
    """Cache the count: looking up the quota takes a tenth of the time of a small reduction."""
    return max(1, count_cores())


def check_jobs(n_jobs: Any) -> int:
    """Return a number of workers; -1 is all cores, -2 all but one, as in joblib.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If it is 0 or not an integer.
    """
    expected = "a number of workers, or -1 for all cores, -2 for all but one"
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, Integral):
        raise type_error("n_jobs", expected, n_jobs)
    count = int(n_jobs)
    if count == 0 or abs(count) > WORKERS_MAX:
        raise value_error("n_jobs", expected, n_jobs)
    return count if count > 0 else max(1, cores() + 1 + count)


class Backend(ContextManager, ABC):
    """Where tasks run; inside its ``with`` block it is in force.

    It has two faces: an `executor` for windowed submission, a few tasks at a time, and a
    `scheduler`, which Dask takes as ``scheduler=`` for lazy collections.

    Parameters
    ----------
    n_jobs : int
        Number of workers; -1 is one for each core that this process may use.
    timeout : float, optional
        Seconds that a task may take until its worker is killed; refused where `ends_tasks` is
        False.
    retries : int
        How often a task is repeated after the death of its worker.
    reason : str
        Why this backend is in force; `plan` shows it.

    Attributes
    ----------
    name : str
        Name of the backend.
    workers : int
        Tasks that run at the same time.
    in_processes : bool
        Whether tasks run in other processes, with their own GIL, memory and global state.
    runs_at_once : bool
        Whether a task runs in the thread that submits it, before `submit` returns.
    has_threads : bool
        Whether tasks run in this process at the same time.
    ends_tasks : bool
        Whether a task that takes longer than `timeout` can be ended.
    is_local : bool
        Whether its workers share the memory of this machine.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.RandomWalk(), n_paths=2000, T=10, seed=1)
    >>> with mz.backend("threads", n_jobs=2) as place:
    ...     print(place.name, place.workers, place.in_processes)
    ...     print(int(ds.x.max().compute()))
    threads 2 False
    10
    """

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    requires: ClassVar[tuple[str, str] | None] = None
    """The package that the backend needs, and the extra that installs it."""
    in_processes: ClassVar[bool] = True
    runs_at_once: ClassVar[bool] = False
    ends_tasks: ClassVar[bool] = False
    is_local: bool = True
    keeps_chunks: bool = True
    """Whether the chunks of a persisted collection are kept in this process."""
    cancels_waiting: ClassVar[bool] = True
    """Whether only waiting tasks can be cancelled: cancelling a running one fails."""

    def __init__(
        self,
        n_jobs: int = -1,
        *,
        timeout: float | None = None,
        retries: int = TASK_RETRIES,
        reason: str = "asked for",
    ):
        self.workers = check_jobs(n_jobs)
        if timeout is not None and not self.ends_tasks:
            raise value_error(
                "timeout", f"None, since the backend {self.name!r} cannot end a task", timeout,
                "Backends of local processes can, such as 'processes'.",
            )  # fmt: skip
        self.timeout = None if timeout is None else check_real("timeout", timeout, above=0)
        self.retries = check_int("retries", retries, maximum=1000)
        self.reason = reason
        self._executor: Executor | None = None
        self._lock = threading.RLock()
        self._users: Counter[int] = Counter()  # by thread
        self._blocks: list[tuple[int, Any]] = []
        _made.add(self)

    @classmethod
    def check_installed(cls) -> None:
        """Raise unless the package that the backend needs is installed.

        Raises
        ------
        MissingDependencyError
            With the line that installs it.
        """
        if cls.requires is not None:
            package, extra = cls.requires
            import_optional(package, extra=extra, purpose=f"The backend {cls.name!r}")

    def check_allowed(self) -> None:
        """Raise where the backend would start something that needs the user's permission."""

    @abstractmethod
    def make_executor(self) -> Executor:
        """Make an executor for the backend."""

    @property
    def has_threads(self) -> bool:
        """Whether tasks run at the same time in this process and share its global state."""
        return not self.in_processes and not self.runs_at_once

    @property
    def worker_bytes(self) -> int | None:
        """Smallest memory limit of a worker, per thread; None where workers have no limit."""
        return None

    @property
    def executor(self) -> Executor:
        """The executor, while the backend runs."""
        if self._executor is None:
            raise stopped(self.name)
        return self._executor

    @property
    def scheduler(self) -> Any:
        """The value for Dask's ``scheduler=``, while the backend runs."""
        return Scheduler(partial(get_async, self.executor.submit, self.workers))

    def submit(self, function: Callable[[Any], Any], item: Any) -> Future[Any]:
        """Start ``function(item)``; send the function once per worker where that is possible."""
        return self.executor.submit(function, item)

    def submit_all(self, function: Callable[[Any], Any], items: list[Any]) -> list[Future[Any]]:
        """Start ``function(item)`` for several items, in one message if that saves round trips."""
        return [self.submit(function, item) for item in items]

    def deaths_of(self, error: BaseException) -> int:
        """Return how many workers died on a task that failed with an error of the backend's own."""
        return 0

    def result_of(self, future: Future[Any]) -> Any:
        """Wait for a task, and return what it returned.

        Raises
        ------
        BackendError
            If the backend cannot go on.
        Exception
            What the task raised.
        """
        while not (future.done() or self.is_lost):  # a cancelled future may wake no waiter
            wait_uninterrupted([future], WORKER_CHECK_SECONDS)
        try:
            if not future.done():
                raise CancelledError  # noqa: TRY301  the error that Dask should have raised
            return future.result()
        except (Exception, CancelledError) as error:
            lost = self.loss_of(error)
            if lost is None:
                raise
            raise lost from error

    def loss_of(self, error: BaseException) -> BackendError | None:
        """Return the error for a failure of the backend itself; None for the error of a task."""
        return stopped(self.name) if isinstance(error, CancelledError) else None

    @property
    def is_lost(self) -> bool:
        """Whether the workers are gone, so that futures of running tasks may never be done."""
        return False

    @property
    def is_running(self) -> bool:
        """Whether the backend is started: it has an executor."""
        return self._executor is not None

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Keep the backend running; only the outermost user starts and ends it."""
        thread = threading.get_ident()
        with self._lock:
            if self._executor is None:  # also after a kill
                self._executor, self._users = self.make_executor(), Counter()
            self._users[thread] += 1
            mine = self._executor
        try:
            yield self
        finally:
            with self._lock:
                if self._executor is mine:  # else it was ended, and perhaps started again
                    self._users[thread] -= 1
                    if self._users.total() == 0:
                        self.stop()

    def stop(self) -> None:
        """End the workers after the running tasks have ended."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True, cancel_futures=True)

    def kill(self) -> None:
        """End the workers at once; threads cannot be ended and are abandoned."""
        executor, self._executor = self._executor, None
        if isinstance(executor, Supervisor):
            executor.kill()
        elif executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Self:
        with self._lock:
            block = self.running()
            block.__enter__()
            self._blocks.append((threading.get_ident(), block))
        come_into_force(self)
        return self

    def _end_block(self, error: BaseException | None) -> None:
        go_out_of_force(self)
        with self._lock:
            block = self._leave_block()
            # Even if an iterator that was abandoned half way still counts as a user in this thread.
            if not self._blocks and not self._is_used_elsewhere():
                if isinstance(error, KeyboardInterrupt):
                    self.kill()
                self.stop()
            block.__exit__(None, None, None)

    def _leave_block(self) -> Any:
        """Remove the last block of this thread, or of any thread if this one has none."""
        mine = [i for i, (thread, _) in enumerate(self._blocks) if thread == threading.get_ident()]
        return self._blocks.pop(mine[-1] if mine else -1)[1]

    def _is_used_elsewhere(self) -> bool:
        """Return whether another living thread still runs tasks on this backend."""
        others = {thread.ident for thread in threading.enumerate()} - {threading.get_ident()}
        return any(count > 0 and thread in others for thread, count in self._users.items())

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"

    def __repr__(self) -> str:
        state = "running" if self.is_running else "not running"
        return f"<montezarr backend {self.name!r}, {self.workers} workers, {state}>"


class ProcessBackend(Backend):
    """Base of the backends on worker processes under a `Supervisor`; they differ in their pool."""

    ends_tasks = True

    @abstractmethod
    def make_pool(self) -> Pool:
        """Make the pool without starting it."""

    def make_executor(self) -> Executor:
        """Make an executor that survives the death of workers."""
        try:
            pool = self.make_pool()
        except BackendError:  # a subclass of OSError that needs no translation
            raise
        except OSError as error:
            raise no_start(self.name, error) from error
        return Supervisor(pool, self.workers, self.timeout, self.retries, self.name)


class ThreadBackend(Backend):
    """Base of the backends inside this process, where a task cannot be ended."""

    in_processes = False


class Scheduler:
    """A callable that computes a graph for Dask; pickled as the name of a scheduler."""

    def __init__(self, get: Callable[..., Any]):
        self._get = get

    def __call__(self, dsk: Any, keys: Any, **options: Any) -> Any:
        """Compute the keys of a graph."""
        options.pop("num_workers", None)  # the backend of the block sets the number
        return self._get(dsk, keys, **options)

    def __reduce__(self) -> Any:
        # Dask's configuration, which holds this, travels to the workers of a new cluster.
        return str, ("synchronous",)


_made: weakref.WeakSet[Backend] = weakref.WeakSet()
_of_the_parent: list[Any] = []
"""Executors that a forked child inherited: kept, so that the child does not end them."""


def _forget_executors() -> None:
    """Let a forked child make executors of its own: the threads of inherited ones do not exist."""
    for backend in list(_made):
        _of_the_parent.append(backend._executor)
        backend._executor, backend._users, backend._lock = None, Counter(), threading.RLock()


after_fork(_forget_executors)
