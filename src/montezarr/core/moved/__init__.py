"""Modules that have moved since earlier versions, importable under their old names.

`montezarr` has this directory on its module search path. Each module here forwards attribute access
to the new module, with a DeprecationWarning that names it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any


def moved(old: str, new: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a module that moved.

    Parameters
    ----------
    old, new : str
        Old name of the module, and the name of the one that has its contents now.
    """

    def __dir__() -> list[str]:
        module = import_module(new)
        names = getattr(module, "__all__", vars(module))
        return sorted(name for name in names if not name.startswith("_"))

    def __getattr__(name: str) -> Any:
        if name == "__all__":
            return __dir__()
        if name.startswith("__"):
            raise AttributeError(f"module {old!r} has no attribute {name!r}", name=name)
        value = getattr(import_module(new), name)
        warnings.warn(
            f"{old} has moved: import {name} from {new}", DeprecationWarning, stacklevel=2
        )
        return value

    return __getattr__, __dir__
