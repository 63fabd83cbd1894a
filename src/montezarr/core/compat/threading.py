"""Private names of `threading`: functions called at exit before threads are joined."""

from __future__ import annotations

import atexit
import concurrent.futures.process  # noqa: F401  # registers its own exit function first
import threading
from collections.abc import Callable
from typing import Any


def before_executors_end(function: Callable[[], Any]) -> None:
    """Call a function at exit before executors of the standard library wait for their tasks.

    The executors wait before `atexit` functions run. The function registered last runs first.
    """
    register = getattr(threading, "_register_atexit", None) or atexit.register
    register(function)
