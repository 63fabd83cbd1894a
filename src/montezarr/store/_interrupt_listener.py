"""Who hears of a run that is stopped: Python by default, else the command line."""

from __future__ import annotations

from contextvars import ContextVar

from montezarr.core.notices import say_at_once


class InterruptListener:
    """What a writer tells when SIGINT or SIGTERM comes. The command line has one of its own."""

    def noticed(self, number: int, *, first: bool) -> None:
        """Hear of a signal, in its handler; after the first one, what runs is let end."""
        if first:  # not print: this may come in the middle of another message
            say_at_once("\nmontezarr: finishing what runs; once more, to leave at once\n")

    def resume(self, call: str) -> str:
        """Return the line that goes on; in Python that call."""
        return call


interrupt_listener: ContextVar[InterruptListener] = ContextVar("host", default=InterruptListener())  # noqa: B039  # it has no state
"""The one of this process."""
