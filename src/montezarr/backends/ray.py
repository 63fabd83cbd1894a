"""The backend ``ray``: tasks of Ray behind the Executor protocol.

`ray.util.dask` is not imported: it needs pyarrow, and changes `dask.persist` for everyone.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, final

import numpy as np

from montezarr import _worker
from montezarr._checks import check_bool, value_error
from montezarr._optional import import_optional
from montezarr._spawn import worker_environment
from montezarr.backends._base import RETRIES, ProcessBackend
from montezarr.backends._ship import Shelf
from montezarr.backends._supervisor import Pool


class _RayShelf(Shelf):
    """Keeps shared objects in Ray's object store, one copy per machine."""

    def __init__(self, pool: _RayPool):
        super().__init__()
        self._pool = pool

    def store(self, key: str, data: bytes) -> Any:
        """Put the bytes into the store, as an array, which workers read without a copy."""
        return self._pool.ray.put(np.frombuffer(data, np.uint8))

    def remove(self, place: Any) -> None:
        """Do nothing: Ray forgets what nobody refers to."""


class _RayPool(Pool):
    shares_fate = False

    def __init__(self, workers: int):
        self.ray = import_optional("ray", extra="ray", purpose="The backend 'ray'")
        exceptions = self.ray.exceptions
        self.deaths = (exceptions.WorkerCrashedError, exceptions.OutOfMemoryError)
        self._references: dict[Future[Any], Any] = {}
        self._is_ours = not self.ray.is_initialized()
        if self._is_ours:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
            self.ray.init(
                address="local",
                num_cpus=workers,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"env_vars": {**worker_environment(), "PYTHONPATH": _import_path()}},
            )
        # What is lost is repeated by the supervisor, as on every other backend.
        self._remote = self.ray.remote(max_retries=0, num_cpus=1)(_worker.call_with)
        self._ready = self.ray.remote(max_retries=0, num_cpus=1)(_worker.ready)

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Start a task."""
        if not args:
            future: Future[Any] = self._ready.remote().future()
            return future
        payload, shared = args
        reference = self._remote.remote(function, payload, tuple(shared), *shared.values())
        future = reference.future()
        self._references[future] = reference
        future.add_done_callback(lambda done: self._references.pop(done, None))
        return future

    def stop(self, future: Future[Any]) -> None:
        """Kill the worker of a task."""
        reference = self._references.pop(future, None)
        if reference is not None:
            self.ray.cancel(reference, force=True)

    def kill(self) -> None:
        """Kill the workers of all tasks."""
        for future in list(self._references):
            self.stop(future)
        self.close()

    def close(self) -> None:
        """End Ray, if it was started here."""
        if self._is_ours and self.ray.is_initialized():
            self.ray.shutdown()

    def shelf(self) -> Shelf:
        """Return the place of shared objects."""
        return _RayShelf(self)


def _import_path() -> str:
    """Return where we import from, so that workers find the same modules."""
    return os.pathsep.join(entry or os.getcwd() for entry in sys.path)


@final
class Ray(ProcessBackend):
    """Workers of Ray: those of a session that is there (`ray.init`), else of one of our own.

    Parameters
    ----------
    n_jobs : int
        Workers of a session of our own.
    allow_network : bool
        Whether to start one: Ray listens on all network interfaces, lets nobody change that, and
        runs what is sent to its ports.
    timeout, retries, reason
        As for other backends.
    """

    name = "ray"
    requires = ("ray", "ray")

    def __init__(
        self,
        n_jobs: int = -1,
        *,
        allow_network: bool = False,
        timeout: float | None = None,
        retries: int = RETRIES,
        reason: str = "asked for",
    ):
        super().__init__(n_jobs, timeout=timeout, retries=retries, reason=reason)
        self.allow_network = check_bool("allow_network", allow_network)

    def check_allowed(self) -> None:
        """Raise unless Ray runs already, or may be started."""
        ray = sys.modules.get("ray")
        if self.allow_network or (ray is not None and ray.is_initialized()):
            return
        raise value_error(
            "allow_network",
            "True, since Ray would listen on all network interfaces and run what is sent to it",
            False,
            "Where you trust the network, pass montezarr.backend('ray', allow_network=True); or"
            " start Ray as you like, by ray.init, before.",
        )

    def make_pool(self) -> Pool:
        """Return the pool."""
        self.check_installed()
        self.check_allowed()
        return _RayPool(self.workers)
