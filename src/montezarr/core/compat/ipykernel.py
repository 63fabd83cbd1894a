"""Private names of ipykernel: whether a button works while a cell runs."""

from __future__ import annotations

import contextlib
from typing import Any


def has_subshells(kernel: Any) -> bool:
    """Return whether messages of widgets are taken while a cell runs."""
    return bool(getattr(kernel, "_supports_kernel_subshells", False))


def answer_anywhere(widget: Any) -> None:
    """Have the messages of a widget taken in any thread, not in the cell where it was made.

    ipykernel 7.4 sends what a widget says to where it was made, which is the cell that runs, for
    the sake of those that draw with pyplot.
    """
    with contextlib.suppress(AttributeError):
        delattr(widget.comm, "_reply_subshell_id")
