"""Functions deferred until the first run in this process, so that the import stays quick."""

from __future__ import annotations

from collections.abc import Callable

_waiting: list[Callable[[], None]] = []


def before_first_run(function: Callable[[], None]) -> None:
    """Register a function to be called once, before the first run or first use of a cluster."""
    _waiting.append(function)


def run_begins() -> None:
    """Call the functions registered by `before_first_run`."""
    while _waiting:
        _waiting.pop()()
