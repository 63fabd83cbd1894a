"""Names of Numba that are not in its docs: with which options a function was compiled."""

from __future__ import annotations

from typing import Any


def releases_gil(function: Any) -> bool:
    """Return whether a compiled function lets other threads run; False where that is not known."""
    options = getattr(function, "targetoptions", None)
    return bool(options.get("nogil", False)) if isinstance(options, dict) else False
