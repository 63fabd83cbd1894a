"""Undocumented names of SciPy: what a frozen distribution is made of."""

from __future__ import annotations

from typing import Any


def frozen_parts(frozen: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any]] | None:
    """Return the distribution, and its arguments by place and by name; None if it is not frozen."""
    law = getattr(frozen, "dist", None)
    args, kwds = getattr(frozen, "args", None), getattr(frozen, "kwds", None)
    if law is None or not isinstance(args, tuple) or not isinstance(kwds, dict):
        return None
    return law, args, kwds
