"""The built-in statistics by name."""

from __future__ import annotations

from functools import cache

from montezarr import statistics
from montezarr.core.lazy import public_subclasses
from montezarr.statistics._base import Statistic


@cache
def built_in_statistics() -> dict[str, type[Statistic]]:
    """Return every built-in statistic by name; saved states may name only these."""
    return public_subclasses(statistics.__name__, Statistic)
