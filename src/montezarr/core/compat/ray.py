"""A private name of Ray: whether it starts a session by itself."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["set_starts_unasked", "starts_unasked"]

_HOOK = "ray._private.auto_init_hook"


def starts_unasked() -> bool:
    """Return whether Ray starts a session at its next call where there is none."""
    hook: Any = sys.modules.get(_HOOK)
    return bool(getattr(hook, "enable_auto_connect", True))


def set_starts_unasked(value: bool) -> None:
    """Have Ray start a session at its next call where there is none, or not."""
    hook: Any = sys.modules.get(_HOOK)
    if hook is not None and hasattr(hook, "enable_auto_connect"):
        hook.enable_auto_connect = value
