"""SIGINT and SIGTERM while a store is written: what runs ends first, and is committed."""

from __future__ import annotations

import signal
import threading
from typing import Any, Protocol, Self

from montezarr.core.context import ContextManager
from montezarr.store._interrupt_listener import interrupt_listener


class LeaveAtOnce(BaseException):
    """A second signal came. It is no KeyboardInterrupt, on which what runs is waited for."""


class Resumable(Protocol):
    """What can go on later."""

    def say_resume(self) -> None:
        """Print the line that goes on, where anything is left to do."""


class InterruptHandler(ContextManager):
    """Inside of it SIGINT and SIGTERM are noted; with a second one, nothing is waited for any more.

    Afterwards they do what they would have done: when what ran is committed, and all is in order.
    """

    def __init__(self) -> None:
        self.caught: list[int] = []
        self.writer: Resumable | None = None
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        """Return whether to stop."""
        return bool(self.caught)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # A handler that was not set from Python cannot be set again.
                if signal.getsignal(number) is not None:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def _end_block(self, error: BaseException | None) -> None:
        self._restore()
        if isinstance(error, LeaveAtOnce):
            signal.raise_signal(self.caught[-1])
            raise KeyboardInterrupt from error  # the program has other plans with that signal
        if self.caught:
            if self.writer is not None:
                self.writer.say_resume()
            signal.raise_signal(self.caught[0])

    def _handle(self, number: int, frame: Any) -> None:
        self.caught.append(number)
        interrupt_listener.get().noticed(number, first=len(self.caught) == 1)
        if len(self.caught) > 1:
            self._restore()
            raise LeaveAtOnce

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
