"""What is put off until the first run of a process, so that an import stays quick."""

from __future__ import annotations

from collections.abc import Callable

_waiting: list[Callable[[], None]] = []


def before_first_run(function: Callable[[], None]) -> None:
    """Have a function called once, before the first run, or the first use of a cluster."""
    _waiting.append(function)


def run_begins() -> None:
    """Call what waits for the first run."""
    while _waiting:
        _waiting.pop()()
