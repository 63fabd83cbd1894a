"""Notices on standard error: where nobody can read them, they cost nothing.

Standard error may be closed, full, or None: a disk that is full of the log of a program is no
reason to lose what the program has computed.
"""

from __future__ import annotations

import inspect
import logging
import os
import sys
import warnings
from contextlib import suppress
from typing import Any, TextIO

log = logging.getLogger("montezarr")

UNREADABLE = (OSError, ValueError)
"""What writing to a stream raises: it is full, or closed, or cannot encode what it gets."""


def print_notice(text: str, out: TextIO | None = None) -> None:
    """Print a line on standard error, or where else it is to go."""
    stream = sys.stderr if out is None else out
    if stream is not None:  # a program may have none; then print would take standard output
        with suppress(*UNREADABLE):
            print(text, file=stream, flush=True)


def say_at_once(text: str) -> None:
    """Write to standard error past Python, as the handler of a signal must."""
    with suppress(OSError):
        os.write(2, text.encode("ascii", "replace"))


def warn(message: Any, category: type[Warning] | None = None, stacklevel: int = 2) -> None:
    """Issue a warning as `warnings.warn` does; one that filters make an error is raised."""
    try:
        warnings.warn(message, category, stacklevel + 1)
    except UNREADABLE as error:
        if isinstance(error, Warning):
            raise


def level_outside(*packages: str) -> int:
    """Return the level of the stack, seen from who calls this, of the first code of no package."""
    level, here = 1, inspect.currentframe()
    frame = None if here is None else here.f_back
    while frame is not None and frame.f_back is not None and _package(frame.f_globals) in packages:
        frame, level = frame.f_back, level + 1
    return level


def _package(names: dict[str, Any]) -> str:
    return str(names.get("__name__", "")).partition(".")[0]


def log_warning(message: str, *args: Any) -> None:
    """Log a warning; without a handler of the program's it goes to standard error."""
    with suppress(*UNREADABLE):
        log.warning(message, *args)
