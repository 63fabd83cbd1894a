"""Fields added to a public class after its first release, without a change to older recipes."""

from __future__ import annotations

from dataclasses import Field, field, fields
from typing import Any

_ADDED = "montezarr: added"


def added(default: Any) -> Any:
    """Return a keyword-only field, added to a public dataclass after its first release.

    A field that has its default is left out of recipes, digests and stores, so that these equal
    those of versions without the field. Hence the default must never change.

    Parameters
    ----------
    default : object
        An immutable value that gives the same paths as versions without the field;
        ``__post_init__`` leaves it as it is.
    """
    return field(default=default, kw_only=True, metadata={_ADDED: True})


def was_added(entry: Field[Any]) -> bool:
    """Return whether a field was added after the first release of its class."""
    return _ADDED in entry.metadata


def counted_fields(value: Any) -> list[Field[Any]]:
    """Return the fields of a dataclass instance, without added ones that have their default."""
    return [
        entry
        for entry in fields(value)
        if not (was_added(entry) and _is_same(getattr(value, entry.name), entry.default))
    ]


def _is_same(value: Any, default: Any) -> bool:
    """Return whether a value equals a default exactly: 1 differs from 1.0, and 0.0 from -0.0."""
    if value is default:
        return True
    try:
        return type(value) is type(default) and repr(value) == repr(default) and value == default
    except Exception:  # an array has no single truth value: count the field
        return False
