"""Notices on standard error that never raise.

Standard error may be closed, full, or None. A log that fills the disk must not cost the results
that the program has computed.
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
"""Exceptions of writing to a stream that is full or closed, or cannot encode the text."""


def print_notice(text: str, out: TextIO | None = None) -> None:
    """Print a line to `out`, or to standard error."""
    stream = sys.stderr if out is None else out
    if stream is not None:  # sys.stderr may be None; print would then use standard output
        with suppress(*UNREADABLE):
            print(text, file=stream, flush=True)


def say_at_once(text: str) -> None:
    """Write to the descriptor of standard error without Python's buffers, for signal handlers."""
    with suppress(OSError):
        os.write(2, text.encode("ascii", "replace"))


def warn(message: Any, category: type[Warning] | None = None, stacklevel: int = 2) -> None:
    """Issue a warning as `warnings.warn` does, but ignore failures of standard error.

    A warning that filters turn into an error is raised.
    """
    try:
        warnings.warn(message, category, stacklevel + 1)
    except UNREADABLE as error:
        if isinstance(error, Warning):
            raise


def level_outside(*packages: str) -> int:
    """Return the stack level, from the caller, of the first frame outside these packages."""
    level, here = 1, inspect.currentframe()
    frame = None if here is None else here.f_back
    while frame is not None and frame.f_back is not None and _package(frame.f_globals) in packages:
        frame, level = frame.f_back, level + 1
    return level


def _package(names: dict[str, Any]) -> str:
    return str(names.get("__name__", "")).partition(".")[0]


def log_warning(message: str, *args: Any) -> None:
    """Log a warning; it goes to standard error if the program has set no log handler."""
    with suppress(*UNREADABLE):
        log.warning(message, *args)
