"""The parts of a function that count: its source, globals, defaults and closure."""

from __future__ import annotations

import types
from typing import Any

from montezarr.run.digests._pieces import DigestPart, DigestParts
from montezarr.run.digests._source import PLAIN, is_user_defined, names_in, tree_of
from montezarr.samplers.interfaces import signature


def function_pieces(function: Any, seen: frozenset[int]) -> DigestParts:
    """Yield the parts of a function: owner, parameters, source, globals, defaults, closure."""
    owner = getattr(function, "__self__", None)
    if owner is not None and not isinstance(owner, types.ModuleType):
        yield DigestPart(owner, seen)
    yield f"{function.__qualname__}{list(signature(function).parameters)}".encode()
    tree = tree_of(function)
    if tree is not None:
        yield tree.encode()
    else:  # typed at a prompt, or several on one line: take the bytecode instead of the source
        yield from _code_pieces(function.__code__, seen)
    yield from _global_pieces(function, seen)
    yield DigestPart(function.__defaults__, seen)
    yield DigestPart(function.__kwdefaults__, seen)
    for cell in function.__closure__ or ():
        try:
            content = cell.cell_contents
        except ValueError:  # an empty cell: the enclosing name is not bound yet
            content = None
        yield DigestPart(content, seen)


def _global_pieces(function: Any, seen: frozenset[int]) -> DigestParts:
    """Yield the globals that a function uses: numbers, arrays, containers, users' code."""
    for name in sorted(names_in(function.__code__)):
        value = function.__globals__.get(name)
        if isinstance(value, (*PLAIN, list, dict, set, frozenset)) or is_user_defined(value):
            yield name.encode()
            yield DigestPart(value, seen)


def _code_pieces(code: types.CodeType, seen: frozenset[int]) -> DigestParts:
    yield code.co_code
    yield DigestPart(code.co_names, seen)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _code_pieces(constant, seen)
        else:
            yield DigestPart(constant, seen)
