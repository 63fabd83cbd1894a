"""A task that says who ran it, and for how long."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any


class Timed:
    """A function that returns (its result, (name of the worker, seconds)).

    Parameters
    ----------
    function : callable
        Takes one item. Its name, under which Dask shows it, is kept.
    """

    def __init__(self, function: Callable[[Any], Any]):
        self.function = function
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self._driver = os.getpid()

    def __call__(self, item: Any) -> tuple[Any, tuple[str, float]]:
        """Run the function on an item."""
        began = time.perf_counter()
        result = self.function(item)
        return result, (worker_name(self._driver), time.perf_counter() - began)


def worker_name(driver: int) -> str:
    """Return the name of what runs here: a worker of Dask, a process, or a thread of the driver.

    Parameters
    ----------
    driver : int
        Process id of the driver.
    """
    worker = sys.modules.get("distributed.worker")
    if worker is not None:
        try:
            return f"worker {worker.get_worker().name}"
        except Exception:  # not in a task of Dask, or another version of it
            pass
    return f"process {os.getpid()}" if os.getpid() != driver else threading.current_thread().name
