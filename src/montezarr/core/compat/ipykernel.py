"""Private names of ipykernel: how messages of widgets are handled while a cell runs."""

from __future__ import annotations

import contextlib
from typing import Any


def has_subshells(kernel: Any) -> bool:
    """Return whether the kernel handles messages of widgets while a cell runs."""
    return bool(getattr(kernel, "_supports_kernel_subshells", False))


def answer_anywhere(widget: Any) -> None:
    """Let any thread handle the messages of a widget, not only the cell that made it.

    ipykernel 7.4 sends the messages of a widget to the subshell that made it, for code that draws
    with pyplot; that subshell is busy with the running cell.
    """
    with contextlib.suppress(AttributeError):
        delattr(widget.comm, "_reply_subshell_id")
