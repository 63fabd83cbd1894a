"""Digests of values and of the source code that they run; montezarr's own classes go by name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from montezarr.core.checks import type_error
from montezarr.run.digests._source import is_user_defined
from montezarr.run.digests._values import Opaque, digest_value

__all__ = ["digest_of", "digest_of_code"]


def digest_of(value: Any, name: str = "process") -> str:
    """Return a digest of a value and of the source code that it runs.

    Two functions with the same name and other source differ, which pickling by reference would not
    see. What a function uses counts too: closures, defaults, and of its module's names those that
    are numbers, text, arrays, containers, or functions and classes that are not a library's.
    The classes of montezarr itself count by name: the format stands for their code. A public one
    has one name for good, in whichever module it is.

    Raises
    ------
    ArgumentTypeError
        If a part of the value cannot be told from another one, such as a lock or an open file.
    """
    try:
        return digest_value(value)
    except Opaque as error:
        raise type_error(
            name,
            "values that can be pickled, since a fingerprint covers all that a path depends on",
            error.part,
            "Leave it out in a __getstate__ if no path depends on it.",
        ) from error


def digest_of_code(functions: Iterable[Any]) -> str:
    """Return a digest of those among some functions that are the user's own, by their source."""
    found = set()
    for function in functions:
        if is_user_defined(function):
            try:
                found.add(digest_value(function))
            except Opaque:  # by its name alone
                found.add(f"{function.__module__}.{function.__qualname__}")
    return hashlib.sha256("".join(sorted(found)).encode()).hexdigest()[:32]
