"""Private names of Ray: the switch for starting a session unasked, the node that did not start."""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from typing import Any

__all__ = ["end_failed_start", "set_starts_unasked", "starts_unasked"]

_HOOK = "ray._private.auto_init_hook"


def starts_unasked() -> bool:
    """Return whether the next call of Ray starts a session if none is running."""
    hook: Any = sys.modules.get(_HOOK)
    return bool(getattr(hook, "enable_auto_connect", True))


def set_starts_unasked(value: bool) -> None:
    """Set whether the next call of Ray starts a session if none is running."""
    hook: Any = sys.modules.get(_HOOK)
    if hook is not None and hasattr(hook, "enable_auto_connect"):
        hook.enable_auto_connect = value


def end_failed_start(error: BaseException) -> None:
    """End the processes of a session that did not start: `ray.shutdown` does not know them.

    Ray forgets the node whose start failed, and the processes that it had started run on.
    """
    node_class: Any = getattr(sys.modules.get("ray._private.node"), "Node", None)
    for frame, _ in traceback.walk_tb(error.__traceback__):
        node = frame.f_locals.get("self")
        if node_class is not None and isinstance(node, node_class):
            with suppress(Exception):
                node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
