"""The built-in statistics by name."""

from __future__ import annotations

from functools import cache

from montezarr import statistics
from montezarr.core.lazy import public_names
from montezarr.statistics._base import Statistic


@cache
def built_in_statistics() -> dict[str, type[Statistic]]:
    """Return every built-in statistic by name; saved states may name only these."""
    names = [name for name in public_names(statistics.__name__) if name[0].isupper()]
    found = {name: getattr(statistics, name) for name in names}
    return {
        name: kind
        for name, kind in found.items()
        if isinstance(kind, type) and issubclass(kind, Statistic) and kind is not Statistic
    }
