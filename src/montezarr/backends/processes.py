"""The backend ``processes``: `concurrent.futures.ProcessPoolExecutor`, spawned."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, final

from montezarr import _worker
from montezarr._spawn import Context
from montezarr.backends._base import ProcessBackend
from montezarr.backends._supervisor import Pool


class _ExecutorPool(Pool):
    deaths = (BrokenProcessPool,)

    def __init__(self, workers: int):
        self._workers = workers
        self._executor: ProcessPoolExecutor | None = None
        self._context = Context()

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Start a task."""
        if self._executor is None:
            self._context = Context()
            self._executor = ProcessPoolExecutor(
                self._workers,
                mp_context=self._context,
                initializer=_worker.set_up,
                initargs=(os.getpid(),),
            )
            # All workers at once: a pool that breaks while it adds one to its table may fail to
            # tell its futures (Python 3.11).
            self._executor._safe_to_dynamically_spawn_children = False  # type: ignore[attr-defined]
        return self._executor.submit(function, *args)

    def endings(self) -> tuple[str, ...]:
        """Return how a worker ended."""
        return tuple(self._context.endings())

    def kill(self) -> None:
        """Kill all workers."""
        executor, self._executor = self._executor, None
        self._context.kill()
        if executor is not None:
            executor.shutdown(wait=True, cancel_futures=True)

    def close(self) -> None:
        """End the workers."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True)


@final
class Processes(ProcessBackend):
    """Local processes of the standard library; the default for samplers written in Python."""

    name = "processes"
    aliases = ("stdlib",)

    def make_pool(self) -> Pool:
        """Return the pool."""
        return _ExecutorPool(self.workers)
