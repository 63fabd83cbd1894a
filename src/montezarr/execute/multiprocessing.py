"""The backend ``multiprocessing``: `multiprocessing.Pool` with its children monitored.

By itself, a Pool replaces a child that died and waits for its task for ever
(https://bugs.python.org/issue22393).
"""

from __future__ import annotations

import multiprocessing.connection
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing import pool as pools
from typing import Any, final

from montezarr.core import worker
from montezarr.core.compat.multiprocessing import dismantle
from montezarr.core.spawn import Context
from montezarr.core.tunables.waiting import QUEUE_LOCK_SECONDS
from montezarr.execute._base import ProcessBackend
from montezarr.execute._supervisor import Pool


class ChildDied(Exception):
    """A child of a Pool ended, and its task with it."""


class MonitoredPool(Pool):
    """A `multiprocessing.Pool` of any kind that is replaced as a whole when a child dies.

    Parameters
    ----------
    workers : int
        Number of children.
    kind : class
        `multiprocessing.pool.Pool`, or a subclass.
    """

    deaths = (ChildDied,)

    def __init__(self, workers: int, kind: Any = pools.Pool):
        self._workers, self._kind = workers, kind
        self._context = Context()
        self._pool: Any = None
        self._pending: set[Future[Any]] = set()
        self._lock = threading.Lock()
        self._is_broken = False
        self._wake: tuple[Any, Any] | None = None
        self._monitor: threading.Thread | None = None
        self._endings: tuple[str, ...] = ()

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Start a task."""
        if self._pool is None:
            self._open()
        future: Future[Any] = Future()
        with self._lock:
            if self._is_broken:  # just now: the watcher would miss this task
                raise ChildDied(*self._endings)
            self._pending.add(future)

        def succeed(value: Any) -> None:
            if self._take(future):
                future.set_result(value)

        def fail(error: BaseException) -> None:
            if self._take(future):
                future.set_exception(error)

        self._pool.apply_async(function, args, callback=succeed, error_callback=fail)
        return future

    def endings(self, error: BaseException | None = None) -> tuple[str, ...]:
        """Return how a child ended."""
        return self._endings

    def kill(self) -> None:
        """Kill all children."""
        self._stop_monitoring()
        pool, self._pool = self._pool, None
        if pool is not None:
            dismantle(pool, self._context.kill, QUEUE_LOCK_SECONDS)
            self._pending.clear()

    def close(self) -> None:
        """End the children."""
        self._stop_monitoring()
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()
            pool.join()
            pool.terminate()

    def _take(self, future: Future[Any]) -> bool:
        """Remove a future from the pending ones; return whether it was one."""
        with self._lock:
            known = future in self._pending
            self._pending.discard(future)
            return known

    def _open(self) -> None:
        self._context, self._endings, self._is_broken = Context(), (), False
        self._pool = self._kind(
            self._workers,
            initializer=worker.set_up,
            initargs=(os.getpid(),),
            context=self._context,
        )
        self._wake = multiprocessing.Pipe(duplex=False)
        children = list(self._context.made)  # a copy: the Pool adds replacements of dead children
        self._monitor = threading.Thread(
            target=self._monitor_children, args=(children, self._wake[0]), daemon=True
        )
        self._monitor.start()

    def _monitor_children(self, children: list[Any], wake: Any) -> None:
        """Wait for the unexpected end of a child; then fail all pending tasks."""
        try:
            ended = multiprocessing.connection.wait([*(c.sentinel for c in children), wake])
            if wake in ended:
                return
            self._endings = tuple(self._context.endings())
        except BaseException:
            self._lose_all()
            raise
        self._lose_all()

    def _lose_all(self) -> None:
        with self._lock:
            self._is_broken = True
            lost = list(self._pending)
            self._pending.clear()
        for future in lost:
            future.set_exception(ChildDied(*self._endings))

    def _stop_monitoring(self) -> None:
        if self._wake is None or self._monitor is None:
            return
        reader, writer = self._wake
        writer.send_bytes(b"stop")
        self._monitor.join()
        reader.close()
        writer.close()
        self._wake = self._monitor = None


@final
class Multiprocessing(ProcessBackend):
    """Local processes in a `multiprocessing.Pool`."""

    name = "multiprocessing"

    def make_pool(self) -> Pool:
        """Return the pool."""
        return MonitoredPool(self.workers)
