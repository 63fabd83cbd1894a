"""Undocumented names of Numba: the options with which a function was compiled."""

from __future__ import annotations

from typing import Any


def _options(function: Any) -> dict[str, Any]:
    options = getattr(function, "targetoptions", None)
    return options if isinstance(options, dict) else {}


def releases_gil(function: Any) -> bool:
    """Return whether a compiled function releases the GIL; False where this is unknown."""
    return bool(_options(function).get("nogil", False))


def may_run_in_a_loop(function: Any) -> bool:
    """Return whether compiled code may call a function from several threads, with the same bits.

    False for one that starts threads of its own, whose operations may be reordered, which runs in
    Python, and where this is unknown.
    """
    options = getattr(function, "targetoptions", None)
    refused = ("parallel", "fastmath", "forceobj", "debug")
    return isinstance(options, dict) and not any(options.get(name) for name in refused)


def changes_rounding(function: Any) -> bool:
    """Return whether a function was compiled with options by which its last bits may change."""
    options = getattr(function, "targetoptions", None)
    return not isinstance(options, dict) or any(options.get(o) for o in ("fastmath", "parallel"))
