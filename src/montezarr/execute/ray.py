"""The backend ``ray``: tasks of Ray behind the Executor protocol.

`ray.util.dask` is not imported: it needs pyarrow, and changes `dask.persist` in the whole process.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, final

import numpy as np

from montezarr.core import worker
from montezarr.core.checks import check_bool, value_error
from montezarr.core.errors import BackendError
from montezarr.core.optional import import_optional
from montezarr.core.tunables.scheduling import TASK_RETRIES
from montezarr.core.tunables.waiting import RAY_SESSION_CHECK_SECONDS
from montezarr.execute._base import ProcessBackend
from montezarr.execute._lost import ray_full, ray_lost
from montezarr.execute._ray_session import (
    join_session,
    leave_session,
    no_session_unasked,
    session_of,
)
from montezarr.execute._shared_objects import SharedObjects
from montezarr.execute._supervisor import Pool


class _RaySharedObjects(SharedObjects):
    """Shared objects in Ray's object store, one copy per machine."""

    def __init__(self, pool: _RayPool):
        super().__init__()
        self._pool = pool

    def store(self, key: str, data: bytes) -> Any:
        """Put the bytes into the object store as an array, which workers read without a copy."""
        with self._pool.reaching():
            return self._pool.ray.put(np.frombuffer(data, np.uint8))

    def remove(self, place: Any) -> None:
        """Do nothing: Ray counts references."""


class _RayPool(Pool):
    shares_fate = False
    poll = 0.5

    def __init__(self, workers: int, check_allowed: Callable[[], None]):
        self.ray = import_optional("ray", extra="ray", purpose="The backend 'ray'")
        exceptions = self.ray.exceptions
        self.deaths = (
            exceptions.WorkerCrashedError,
            exceptions.OutOfMemoryError,
            exceptions.NodeDiedError,
        )
        self._full = (exceptions.ObjectStoreFullError, exceptions.OutOfDiskError)
        self._references: dict[Future[Any], Any] = {}
        self._looked = time.monotonic()
        self._session = join_session(self.ray, workers, check_allowed)
        try:
            with self.reaching():
                # The supervisor repeats lost tasks, as on every other backend.
                self._remote = self.ray.remote(max_retries=0, num_cpus=1)(worker.call_with)
                self._ready = self.ray.remote(max_retries=0, num_cpus=1)(worker.ready)
        except BaseException:
            leave_session(self.ray, self._session)
            raise

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Call Ray in our session only: without one, Ray would start another."""
        with no_session_unasked():
            self.check()
            try:
                yield
            except self.deaths:
                raise
            except Exception as error:
                lost = self.loss_of(error)
                if lost is None:
                    raise
                raise lost from error

    @property
    def _is_there(self) -> bool:
        return self._session is not None and session_of(self.ray) == self._session

    def check(self) -> None:
        """Raise if the session has ended: its futures are never done.

        The same holds if all its machines are gone: tasks wait for another one to join.
        """
        if not self._is_there:
            raise ray_lost()
        if time.monotonic() - self._looked > RAY_SESSION_CHECK_SECONDS:
            self._looked = time.monotonic()
            if not self._has_machines():
                raise ray_lost(RuntimeError("no machine of it is alive"))

    def _has_machines(self) -> bool:
        with no_session_unasked(), suppress(Exception):
            return any(node["Alive"] for node in self.ray.nodes())
        return True  # unknown

    def loss_of(self, error: BaseException) -> BackendError | None:
        """Return the error for a failure of Ray itself."""
        if isinstance(error, BackendError):
            return None
        if not self._is_there:
            return ray_lost()
        if isinstance(error, self._full):
            return ray_full(error)
        return ray_lost(error) if isinstance(error, self.ray.exceptions.RayError) else None

    def endings(self, error: BaseException | None = None) -> tuple[str, ...]:
        """Return how the worker ended, as Ray reports."""
        if isinstance(error, self.ray.exceptions.OutOfMemoryError):
            return ("killed by Ray, as the memory of its machine ran out",)
        return ()

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Start a task."""
        with self.reaching():
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
            with suppress(BackendError), self.reaching():
                self.ray.cancel(reference, force=True)

    def kill(self) -> None:
        """Kill the workers of all tasks."""
        for future in list(self._references):
            self.stop(future)
        self.close()

    def close(self) -> None:
        """Shut Ray down if it was started here and no other pool uses it."""
        session, self._session = self._session, None
        leave_session(self.ray, session)

    def shared_objects(self) -> SharedObjects:
        """Return the store of shared objects."""
        return _RaySharedObjects(self)


@final
class Ray(ProcessBackend):
    """Workers of Ray: of an existing session (`ray.init`), else of one of our own.

    Parameters
    ----------
    n_jobs : int
        Workers of a session of our own.
    allow_network : bool
        Whether a session may be started: Ray listens on all network interfaces, which cannot be
        changed, and runs what is sent to its ports.
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
        retries: int = TASK_RETRIES,
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
        return _RayPool(self.workers, self.check_allowed)
