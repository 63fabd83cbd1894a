"""What the first path of a run took when its arguments were checked: kept for the process.

Runs that differ in their seed alone share it, so that their chunks are alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from montezarr.core.tunables.keeping import COSTS_KEPT
from montezarr.core.tunables.scheduling import SLOW_PATH_SECONDS
from montezarr.run._recipe import fingerprint

_kept: dict[str, float] = {}


def keep_seconds(recipe: Mapping[str, Any], seconds: float) -> float:
    """Keep the seconds of a slow path, and return those that were kept first."""
    if seconds < SLOW_PATH_SECONDS:
        return seconds
    key = _key(recipe)
    found = _kept.setdefault(key, seconds)
    while len(_kept) > COSTS_KEPT:
        _kept.pop(next(iter(_kept)))
    return found


def kept_seconds(recipe: Mapping[str, Any]) -> float | None:
    """Return the seconds that are kept; None for a path that was not slow, or not drawn here."""
    return _kept.get(_key(recipe)) if _kept else None


def _key(recipe: Mapping[str, Any]) -> str:
    return fingerprint({**recipe, "seed": None})
