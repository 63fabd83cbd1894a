"""Deprecated names: they still work, with a warning that gives the new name."""

from __future__ import annotations

import warnings
from typing import TypeVar

from montezarr.core.checks import type_error
from montezarr.core.notices import level_outside

T = TypeVar("T")


def renamed_argument(old: str, earlier: T | None, new: str, value: T | None) -> T | None:
    """Return the value of an argument of a public function that had another name.

    Parameters
    ----------
    old, new : str
        The name that was, and the one that is.
    earlier, value : object or None
        What the caller gave under each.

    Raises
    ------
    ArgumentTypeError
        If both are given.
    """
    if earlier is None:
        return value
    if value is not None:
        raise type_error(old, f"{new} alone, which is its name now", earlier)
    warn_renamed(f"{old}=", f"{new}=")
    return earlier


def warn_renamed(old: str, new: str) -> None:
    """Warn whoever called this package that a name will go, and say which one takes its place."""
    message = f"{old} is called {new} now; the old name will go in a later version"
    warnings.warn(message, DeprecationWarning, stacklevel=level_outside("montezarr"))
