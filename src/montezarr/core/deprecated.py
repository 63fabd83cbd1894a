"""Names of earlier versions, which still work and say what they are called now."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from montezarr.core.checks import type_error

P = ParamSpec("P")
R = TypeVar("R")


def renamed_argument(old: str, new: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return what has a function take a keyword under its earlier name too, with a warning.

    Parameters
    ----------
    old, new : str
        The name that was, and the one in the signature.

    Notes
    -----
    The function then raises ArgumentTypeError where both names are given.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def with_earlier_name(*args: P.args, **options: P.kwargs) -> R:
            if old in options:
                if new in options:
                    raise type_error(old, f"{new} alone, which is its name now", options[old])
                warn_renamed(f"{old}=", f"{new}=", stacklevel=3)
                options[new] = options.pop(old)
            return function(*args, **options)

        return with_earlier_name

    return decorate


def warn_renamed(old: str, new: str, stacklevel: int = 2) -> None:
    """Say that a name will go, and which one takes its place."""
    message = f"{old} is called {new} now; the old name will go in a later version"
    warnings.warn(message, DeprecationWarning, stacklevel=stacklevel)
