"""Fields that a class gets in a later version: what was written of it before stays the same."""

from __future__ import annotations

from dataclasses import Field, field, fields
from typing import Any

_ADDED = "montezarr: added"


def added(default: Any) -> Any:
    """Return a field that a public dataclass gets after its first release, by keyword only.

    While it has this default, the recipes, digests and stores are those of versions without the
    field. The default never changes after that, since what they leave out is this value.

    Parameters
    ----------
    default : object
        A value that gives the paths that there were without the field: it cannot be changed in
        place, and ``__post_init__`` leaves it as it is.
    """
    return field(default=default, kw_only=True, metadata={_ADDED: True})


def was_added(entry: Field[Any]) -> bool:
    """Return whether a field came later than its class."""
    return _ADDED in entry.metadata


def counted_fields(value: Any) -> list[Field[Any]]:
    """Return the fields of a dataclass instance, without added ones that have their default."""
    return [
        entry
        for entry in fields(value)
        if not (was_added(entry) and _is_same(getattr(value, entry.name), entry.default))
    ]


def _is_same(value: Any, default: Any) -> bool:
    """Return whether a value is a default itself: 1 and 1.0 differ, and so do 0.0 and -0.0."""
    if value is default:
        return True
    try:
        return type(value) is type(default) and repr(value) == repr(default) and value == default
    except Exception:  # of an array, which is not one truth value; it counts then
        return False
