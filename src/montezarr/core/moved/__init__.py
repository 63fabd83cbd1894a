"""Modules that earlier versions had in other places, each a name of `montezarr` that still works.

`montezarr` looks for its modules here too. Each one hands out what is now elsewhere, with a
DeprecationWarning that says where.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any


def moved(old: str, new: str) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module that moved.

    Parameters
    ----------
    old, new : str
        Names of the module that was, and of the one that has its contents.
    """

    def __getattr__(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {old!r} has no attribute {name!r}", name=name)
        value = getattr(import_module(new), name)
        warnings.warn(
            f"{old} has moved: import {name} from {new}", DeprecationWarning, stacklevel=2
        )
        return value

    return __getattr__
