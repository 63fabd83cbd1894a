"""Undocumented names of Numba: the options with which a function was compiled."""

from __future__ import annotations

from typing import Any


def releases_gil(function: Any) -> bool:
    """Return whether a compiled function releases the GIL; False where this is unknown."""
    options = getattr(function, "targetoptions", None)
    return bool(options.get("nogil", False)) if isinstance(options, dict) else False


def changes_rounding(function: Any) -> bool:
    """Return whether a function was compiled with options by which its last bits may change."""
    options = getattr(function, "targetoptions", None)
    if not isinstance(options, dict):
        return True
    return bool(options.get("fastmath", False)) or bool(options.get("parallel", False))
