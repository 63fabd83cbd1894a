"""Handler of Ctrl-C: the first calls a function, the second raises."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def interrupt_calls(function: Callable[[], None]) -> Iterator[None]:
    """Make the first Ctrl-C in the main thread call a function; the next one raises as usual.

    A handler that the user has installed is kept.
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
        # A loop that is left early may be ended by the garbage collector, in any thread.
        with contextlib.suppress(ValueError):
            if signal.getsignal(signal.SIGINT) is first:
                signal.signal(signal.SIGINT, signal.default_int_handler)
