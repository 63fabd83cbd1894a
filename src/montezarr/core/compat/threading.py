"""Private names of `threading`: what is called at exit before threads are waited for."""

from __future__ import annotations

import atexit
import concurrent.futures.process  # noqa: F401  # registers its own end first
import threading
from collections.abc import Callable
from typing import Any


def before_executors_end(function: Callable[[], Any]) -> None:
    """Call a function at exit before executors of the standard library wait for their tasks.

    They do so before `atexit` has its turn. What is registered last is called first.
    """
    register = getattr(threading, "_register_atexit", None) or atexit.register
    register(function)
