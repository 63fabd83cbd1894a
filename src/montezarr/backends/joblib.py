"""The backends of joblib: ``joblib`` (loky), and its other two flavours."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, final

from montezarr import _worker
from montezarr._optional import import_optional
from montezarr._spawn import worker_environment
from montezarr.backends._base import ProcessBackend, ThreadBackend
from montezarr.backends._supervisor import Pool
from montezarr.backends.multiprocessing import WatchedPool

REQUIRES = ("joblib", "joblib")


def _joblib(module: str) -> Any:
    return import_optional(f"joblib.{module}", extra="joblib", purpose="The backend 'joblib'")


class _LokyPool(Pool):
    def __init__(self, workers: int):
        self._loky = _joblib("externals.loky")
        self.deaths = (self._loky.process_executor.BrokenProcessPool,)
        self._workers = workers
        self._executor: Any = None

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Start a task."""
        if self._executor is None:
            self._executor = self._loky.ProcessPoolExecutor(
                self._workers,
                env=worker_environment(),
                initializer=_worker.set_up,
                initargs=(os.getpid(),),
            )
        future: Future[Any] = self._executor.submit(function, *args)
        return future

    def kill(self) -> None:
        """Kill all workers."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True, kill_workers=True)

    def close(self) -> None:
        """End the workers."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True)


@final
class Joblib(ProcessBackend):
    """Local processes of loky, joblib's own executor."""

    name = "joblib"
    aliases = ("joblib-loky", "loky")
    requires = REQUIRES

    def make_pool(self) -> Pool:
        """Return the pool."""
        return _LokyPool(self.workers)


@final
class JoblibMultiprocessing(ProcessBackend):
    """Local processes in the Pool of joblib's flavour "multiprocessing", spawned and watched.

    Its `MemmappingPool` would add files for large arguments, which our tasks do not have.
    """

    name = "joblib-multiprocessing"
    requires = REQUIRES

    def make_pool(self) -> Pool:
        """Return the pool."""
        return WatchedPool(self.workers, _joblib("pool").PicklingPool)


@final
class JoblibThreading(ThreadBackend):
    """joblib's flavour "threading", which is a pool of threads as any other."""

    name = "joblib-threading"
    requires = REQUIRES

    def make_executor(self) -> Executor:
        """Return a pool of threads."""
        _joblib("parallel")
        return ThreadPoolExecutor(self.workers, "montezarr")
