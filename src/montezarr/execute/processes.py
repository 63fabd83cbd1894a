"""The backend ``processes``: `concurrent.futures.ProcessPoolExecutor`, spawned."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, final

from montezarr.core import worker
from montezarr.core.compat.concurrent_futures import start_all_at_once
from montezarr.core.spawn import Context
from montezarr.execute._base import ProcessBackend
from montezarr.execute._supervisor import Pool


class ExecutorPool(Pool):
    """A pool on a `concurrent.futures.Executor`, which breaks when one worker dies.

    Parameters
    ----------
    workers : int
        Number of workers.
    """

    def __init__(self, workers: int):
        self.workers = workers
        self._executor: Executor | None = None

    @abstractmethod
    def make(self, **set_up: Any) -> Executor:
        """Make an executor whose workers are set up with these options."""

    @abstractmethod
    def kill_workers(self, executor: Executor) -> None:
        """Kill all workers at once, and release the executor."""

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Start a task."""
        if self._executor is None:
            self._executor = self.make(initializer=worker.set_up, initargs=(os.getpid(),))
        return self._executor.submit(function, *args)

    def kill(self) -> None:
        """Kill all workers."""
        executor, self._executor = self._executor, None
        if executor is not None:
            self.kill_workers(executor)

    def close(self) -> None:
        """End the workers."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True)


class _SpawnedPool(ExecutorPool):
    deaths = (BrokenProcessPool,)

    def __init__(self, workers: int):
        super().__init__(workers)
        self._context = Context()

    def make(self, **set_up: Any) -> Executor:
        """Make an executor."""
        self._context = Context()
        executor = ProcessPoolExecutor(self.workers, mp_context=self._context, **set_up)
        start_all_at_once(executor)
        return executor

    def endings(self, error: BaseException | None = None) -> tuple[str, ...]:
        """Return how a worker ended."""
        return tuple(self._context.endings())

    def kill_workers(self, executor: Executor) -> None:
        """Kill all workers."""
        self._context.kill()
        executor.shutdown(wait=True, cancel_futures=True)


@final
class Processes(ProcessBackend):
    """Local processes of the standard library; the default for samplers written in Python."""

    name = "processes"
    aliases = ("stdlib",)

    def make_pool(self) -> Pool:
        """Return the pool."""
        return _SpawnedPool(self.workers)
