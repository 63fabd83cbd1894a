"""The backends ``joblib`` (loky), ``joblib-multiprocessing`` and ``joblib-threading``."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, final

from montezarr.core.compat.joblib import loky, pool_class
from montezarr.core.errors import MissingDependencyError
from montezarr.core.optional import import_optional
from montezarr.core.spawn import worker_environment
from montezarr.execute._base import ProcessBackend, ThreadBackend
from montezarr.execute._supervisor import Pool
from montezarr.execute.multiprocessing import MonitoredPool
from montezarr.execute.processes import ExecutorPool

REQUIRES = ("joblib", "joblib")


def _joblib() -> Any:
    return import_optional("joblib", extra="joblib", purpose="The backend 'joblib'")


def _loky() -> Any:
    _joblib()
    try:
        return loky()
    except ImportError as error:  # another version of joblib
        raise MissingDependencyError(
            "The backend 'joblib' needs joblib's copy of loky, or the package loky: pip install"
            ' loky. Or take the backend "processes".'
        ) from error


class _LokyPool(ExecutorPool):
    def __init__(self, workers: int):
        super().__init__(workers)
        self._loky = _loky()
        self.deaths = (self._loky.process_executor.BrokenProcessPool,)

    def make(self, **set_up: Any) -> Executor:
        """Make an executor."""
        executor: Executor = self._loky.ProcessPoolExecutor(
            self.workers, env=worker_environment(), **set_up
        )
        return executor

    def kill_workers(self, executor: Any) -> None:
        """Kill all workers."""
        executor.shutdown(wait=True, kill_workers=True)
        multiprocessing.active_children()  # joins dead workers, which hold a semaphore each


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
    """Local processes in a pool as of joblib's "multiprocessing", spawned and monitored.

    joblib's `MemmappingPool` would add files for large arguments, which our tasks do not have.
    """

    name = "joblib-multiprocessing"
    requires = REQUIRES

    def make_pool(self) -> Pool:
        """Return the pool."""
        _joblib()
        return MonitoredPool(self.workers, pool_class())


@final
class JoblibThreading(ThreadBackend):
    """joblib's "threading": an ordinary pool of threads."""

    name = "joblib-threading"
    requires = REQUIRES

    def make_executor(self) -> Executor:
        """Return a pool of threads."""
        _joblib()
        return ThreadPoolExecutor(self.workers, "montezarr")
