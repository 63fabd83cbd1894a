"""A task that reports which worker ran it, and for how long."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any


class Timed:
    """Wrapper of a function that returns (its result, (name of the worker, seconds)).

    Parameters
    ----------
    function : callable
        Takes one item. The wrapper has its name, which Dask shows.
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
    """Return the name of the Dask worker, process, or thread of the driver that runs this code.

    Parameters
    ----------
    driver : int
        Process id of the driver.
    """
    worker = sys.modules.get("distributed.worker")
    if worker is not None:
        try:
            return f"worker {worker.get_worker().name}"
        except Exception:  # outside a task of Dask, or another version of Dask
            pass
    return f"process {os.getpid()}" if os.getpid() != driver else threading.current_thread().name
