"""Ctrl-C, which asks the first time and insists the second time."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def interrupt_calls(function: Callable[[], None]) -> Iterator[None]:
    """Have the first Ctrl-C call a function, in the main thread; the next raises, as ever.

    Where somebody has put a handler of their own, that stays.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def first(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        function()

    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        # Who leaves a loop in the middle may have it ended by the garbage collector, anywhere.
        with contextlib.suppress(ValueError):
            if signal.getsignal(signal.SIGINT) is first:
                signal.signal(signal.SIGINT, signal.default_int_handler)
