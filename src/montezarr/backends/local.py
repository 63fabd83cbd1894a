"""Backends inside this process: threads, and one task after the other."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import dask

from montezarr.backends._base import Backend


class SerialExecutor(Executor):
    """Runs each task at once in the caller's thread: for debugging, and as the reference."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run the task and return its finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def cores() -> int:
    """Return the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads(reason: str) -> Backend:
    """Return the backend of one thread per core."""
    n = int(dask.config.get("num_workers", None) or cores())
    return Backend("threads", n, reason, lambda: ThreadPoolExecutor(n, "montezarr"))


def synchronous(reason: str) -> Backend:
    """Return the backend that runs in the caller's thread."""
    return Backend("synchronous", 1, reason, SerialExecutor)
