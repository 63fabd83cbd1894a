"""SIGINT and SIGTERM while a store is written: running tasks finish and are committed first."""

from __future__ import annotations

import signal
import threading
from typing import Any, Protocol, Self

from montezarr.core.context import ContextManager
from montezarr.store._interrupt_listener import interrupt_listener


class LeaveAtOnce(BaseException):
    """Raised by a second signal. Not a KeyboardInterrupt, on which running tasks are waited for."""


class Resumable(Protocol):
    """A writer that can be resumed."""

    def say_resume(self) -> None:
        """Print the call that resumes, if anything is left to do."""


class InterruptHandler(ContextManager):
    """Context in which SIGINT and SIGTERM request a stop; a second signal leaves at once.

    At the end, when running tasks are committed and the store is in order, the signal takes its
    usual effect.
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
            raise KeyboardInterrupt from error  # the program handles that signal itself
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
