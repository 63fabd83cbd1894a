"""Named points at which a test kills or fails a run, to check what is left on disk.

The variable MONTEZARR_FAULT of the environment has the form ``name@number=action``: at the point
`name`, for the chunk `number` (or the publication of that number, or -1 for a file that is no
chunk), where ``*`` is any, do `action`: a process id is killed by SIGKILL, an error name such as
ENOSPC is raised as OSError. If the variable is unset, a point costs nothing.
"""

from __future__ import annotations

import errno
import os
import re
import signal
from typing import Final

POINTS: Final = (
    "create.before",
    "create.parameters",
    "create.journal",
    "create.after",
    "chunk.before_write",
    "chunk.mid_write",
    "chunk.after_write",
    "chunk.after_rename",
    "commit.before",
    "commit.torn",
    "commit.after",
    "publish.before",
    "publish.arrays",
    "publish.after",
    "finish.before",
    "finish.statistics",
    "finish.journal",
    "finish.after",
)
"""All points, in the order in which a run reaches them."""

_VARIABLE = "MONTEZARR_FAULT"
_fault = os.environ.get(_VARIABLE)


def reach(name: str, number: int = 0) -> None:
    """Act on a fault at the point that a run has reached, if one is set there."""
    if _fault is not None:
        _act(name, number)


def is_armed(name: str, number: int = 0) -> bool:
    """Return whether a fault is set at a point."""
    if _fault is None:
        return False
    where, _, which = _fault.partition("=")[0].partition("@")
    return where == name and which in ("*", str(number))


def faulty_chunk(line: bytes) -> int:
    """Return the chunk of a line of the commit log; -1 for other lines, or without a fault."""
    found = None if _fault is None else re.search(rb'"chunk":(\d+)', line)
    return -1 if found is None else int(found[1])


def _act(name: str, number: int) -> None:
    if not is_armed(name, number):
        return
    assert _fault is not None
    action = _fault.partition("=")[2]
    if action.isdigit():
        os.kill(int(action), signal.SIGKILL)
        signal.pause()  # the killed process may be this one or its parent
    code = getattr(errno, action)
    raise OSError(code, os.strerror(code))
