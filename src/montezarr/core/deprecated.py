"""Deprecated names: they still work, with a warning that gives the new name."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from montezarr.core.checks import type_error

P = ParamSpec("P")
R = TypeVar("R")


def renamed_argument(old: str, new: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator: the function accepts a keyword under its old name too, with a warning.

    Parameters
    ----------
    old, new : str
        The deprecated name, and the one in the signature.

    Notes
    -----
    The decorated function raises ArgumentTypeError if both names are given.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def with_earlier_name(*args: P.args, **options: P.kwargs) -> R:
            if old in options:
                if new in options:
                    raise type_error(old, f"{new} alone, which is its new name", options[old])
                warn_renamed(f"{old}=", f"{new}=", stacklevel=3)
                options[new] = options.pop(old)
            return function(*args, **options)

        return with_earlier_name

    return decorate


def warn_renamed(old: str, new: str, stacklevel: int = 2) -> None:
    """Warn that a name will be removed, and give the new one."""
    message = f"{old} is called {new} now; the old name will go in a later version"
    warnings.warn(message, DeprecationWarning, stacklevel=stacklevel)
