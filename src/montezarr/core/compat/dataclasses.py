"""Names of `dataclasses` that are not in its docs: what it notes in a class, and writes for it."""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

_OPTIONS = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")


def options_of(kind: type) -> dict[str, bool] | None:
    """Return the options that a class was made a dataclass with, itself and not a parent.

    None where it is no such class, or where that is not noted as it was.
    """
    noted = getattr(kind, "__dataclass_params__", None)
    is_own = "__dataclass_params__" in vars(kind)
    if not is_own or not all(hasattr(noted, name) for name in _OPTIONS):
        return None
    return {name: getattr(noted, name) for name in _OPTIONS}


def entries_of(kind: type) -> Mapping[str, Any]:
    """Return the fields of a dataclass by name, with arguments of ``__init__`` alone.

    Without the latter where they are not noted as they were; empty where it is no dataclass.
    """
    found = getattr(kind, "__dataclass_fields__", None)
    if isinstance(found, Mapping):
        return found
    return {entry.name: entry for entry in fields(kind)} if is_dataclass(kind) else {}


def is_generated(method: Any) -> bool:
    """Return whether a method was made of text by `dataclass`, also where it is wrapped.

    That is told by where the methods of a dataclass of ours say that they stand. False for all,
    where that could be anywhere.
    """
    if not isinstance(method, types.FunctionType):
        return False
    place = _place_of(method)
    return bool(_PLACE[1]) and place[0] == _PLACE[0] and place[1].startswith(_PLACE[1])


def _place_of(method: Any) -> tuple[str, str]:
    code: types.CodeType = inspect.unwrap(method).__code__
    return code.co_filename, code.co_qualname


@dataclass
class _Sample:
    value: int


def _place() -> tuple[str, str]:
    """Return file and function in which `dataclass` says that it writes methods."""
    file, name = _place_of(_Sample.__init__)
    around, _, _ = name.rpartition("__init__")
    return (file, around) if file != __file__ else (file, "")


_PLACE = _place()
