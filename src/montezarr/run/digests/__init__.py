"""Digests of values and of the source code that they run; montezarr's classes count by name."""

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

    Functions with the same name and different source differ, unlike in pickling by reference. What
    a function uses counts too: closures, defaults, and the globals that are numbers, text, arrays,
    containers, or functions and classes that are not a library's. Classes of montezarr itself
    count by name: the recipe's format stands for their code. A public class keeps its name for
    good, in any module.

    Raises
    ------
    ArgumentTypeError
        If a part of the value has no digest, such as a lock or an open file.
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
    """Return a digest of the source of those functions that are the user's own."""
    found = set()
    for function in functions:
        if is_user_defined(function):
            try:
                found.add(digest_value(function))
            except Opaque:  # count its name only
                found.add(f"{function.__module__}.{function.__qualname__}")
    return hashlib.sha256("".join(sorted(found)).encode()).hexdigest()[:32]
