"""Who hears of a run that is stopped: Python by default, else the command line."""

from __future__ import annotations

from contextvars import ContextVar


class Host:
    """What a writer tells when SIGINT or SIGTERM comes. The command line has one of its own."""

    def noticed(self, number: int) -> None:
        """Hear of a signal, in its handler; after the first one, what runs is let end."""

    def resume(self, place: str) -> str:
        """Return the line that goes on."""
        return f"mz.write(ds, {place!r})"


host: ContextVar[Host] = ContextVar("host", default=Host())  # noqa: B039  # it has no state
"""The one of this process."""
