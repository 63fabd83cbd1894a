"""A private name of Ray: the switch for starting a session automatically."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["set_starts_unasked", "starts_unasked"]

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
