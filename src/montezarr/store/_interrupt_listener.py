"""Messages of a stopped run: those for Python by default, or of the command line."""

from __future__ import annotations

from contextvars import ContextVar

from montezarr.core.notices import say_at_once


class InterruptListener:
    """Prints what happens on SIGINT or SIGTERM. The command line has its own listener."""

    def noticed(self, number: int, *, first: bool) -> None:
        """Report a signal, in its handler; after the first one, running tasks finish."""
        if first:  # not print: another message may be half printed
            say_at_once("\nmontezarr: finishing what runs; once more, to leave at once\n")

    def resume(self, call: str) -> str:
        """Return the line that resumes; in Python `call`."""
        return call


interrupt_listener: ContextVar[InterruptListener] = ContextVar("host", default=InterruptListener())  # noqa: B039  # it has no state
"""The listener of this process."""
