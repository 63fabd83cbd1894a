"""Methods that `dataclass` writes: in users' classes they name the fields of parents too."""

from __future__ import annotations

import copy
import types
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, fields
from typing import Any

from montezarr.core.added_fields import was_added
from montezarr.core.compat.dataclasses import entries_of, is_generated, options_of


def methods_before(kind: Any) -> dict[str, types.FunctionType]:
    """Return the methods that a class would have of `dataclass` without fields that were added.

    They are functions made of text, so that their bytecode counts, and it names all fields, also
    those of a parent. Empty where no field was added to a parent, or the class is no dataclass
    of its own.
    """
    own, options = vars(kind), options_of(kind)
    if options is None:
        return {}
    entries = list(entries_of(kind).values())
    if not any(map(was_added, entries)):
        return {}
    names = {entry.name for entry in fields(kind)}
    before = [e for e in entries if e.name in names or _is_init_var(e)]
    twin = _dataclass_of(kind, [entry for entry in before if not was_added(entry)], options)
    return {
        name: _instead_of(own[name], method)
        for name, method in vars(twin).items()
        if is_generated(method) and is_generated(own.get(name))
    }


def _dataclass_of(kind: Any, entries: list[Any], options: Mapping[str, bool]) -> type:
    """Return a dataclass with some fields of another one, made with its options."""
    members: dict[str, Any] = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        # The methods do not depend on the types, and what is text is looked up in the module.
        "__annotations__": {
            entry.name: InitVar(object) if _is_init_var(entry) else object for entry in entries
        },
    }
    if hasattr(kind, "__post_init__"):
        members["__post_init__"] = kind.__post_init__
    for entry in entries:
        members[entry.name] = copy.copy(entry)
    return dataclass(**options)(type(kind.__name__, (), members))


def _is_init_var(entry: Any) -> bool:
    """Return whether an entry among the fields is an argument of ``__init__`` alone."""
    kind = entry.type
    return isinstance(kind, InitVar) or (isinstance(kind, str) and "InitVar[" in kind)


def _instead_of(method: Any, other: Any) -> types.FunctionType:
    """Return `other` as a method of the class of `method`: around it lies what lies around that."""
    around = dict(zip(method.__code__.co_freevars, method.__closure__ or (), strict=True))
    cells = []
    theirs = zip(other.__code__.co_freevars, other.__closure__ or (), strict=True)
    for name, cell in theirs:
        content = around[name].cell_contents
        if is_generated(content):
            content = _instead_of(content, cell.cell_contents)
        cells.append(types.CellType(content))
    made = types.FunctionType(
        other.__code__, method.__globals__, other.__name__, other.__defaults__, tuple(cells)
    )
    made.__kwdefaults__, made.__qualname__ = other.__kwdefaults__, method.__qualname__
    if hasattr(other, "__wrapped__"):
        made.__wrapped__ = _instead_of(method.__wrapped__, other.__wrapped__)  # type: ignore[attr-defined]
    return made
