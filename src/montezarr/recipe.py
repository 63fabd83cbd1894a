"""Digests of values and of the source code that they run, for the recipe of a run."""

from __future__ import annotations

import ast
import copyreg
import functools
import hashlib
import inspect
import itertools
import sys
import textwrap
import types
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import cloudpickle
import numpy as np
from numpy.typing import NDArray

from montezarr._checks import type_error
from montezarr.sampling.scalar import compiled_from, signature


def digest_of(value: Any, name: str = "process") -> str:
    """Return a digest of a value and of the source code that it runs.

    Two functions with the same name and other source differ, which pickling by reference would not
    see. What a function uses counts too: closures, defaults, and of its module's names those that
    are numbers, text, arrays, containers, or functions and classes that are not a library's.
    The classes of montezarr itself count by name: the format stands for their code.

    Raises
    ------
    ArgumentTypeError
        If a part of the value cannot be told from another one, such as a lock or an open file.
    """
    try:
        return _digest(value, frozenset())
    except _Opaque as error:
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
        if _is_users(function):
            try:
                found.add(_digest(function, frozenset()))
            except _Opaque:  # by its name alone
                found.add(f"{function.__module__}.{function.__qualname__}")
    return hashlib.sha256("".join(sorted(found)).encode()).hexdigest()[:32]


class _Opaque(Exception):
    def __init__(self, part: Any):
        super().__init__(part)
        self.part = part


def _digest(value: Any, seen: frozenset[int]) -> str:
    hasher = hashlib.sha256()
    _feed(hasher, value, seen)
    return hasher.hexdigest()[:32]


def _feed(hasher: Any, value: Any, seen: frozenset[int]) -> None:
    """Hash `value` by structure: type first, so that 1, 1.0 and "1" differ.

    `seen` are the ids of the objects that `value` is a part of: a cycle is not followed again. What
    cannot be looked into counts by its type and the bytes that pickling makes of it.
    """
    hasher.update(f"\x00{type(value).__module__}.{type(value).__qualname__}\x00".encode())
    try:
        _feed_parts(hasher, value, seen)
    except _Opaque:
        raise
    except RecursionError as error:  # how deep it came depends on who called
        raise _Opaque(value) from error
    except Exception as error:
        try:
            hasher.update(cloudpickle.dumps(value, protocol=4))
        except Exception:
            raise _Opaque(value) from error


def _feed_parts(hasher: Any, value: Any, seen: frozenset[int]) -> None:
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        hasher.update(repr(value).encode())
        return
    if isinstance(value, type):
        _feed_class(hasher, value, seen)
        return
    if id(value) in seen:
        return
    seen = seen | {id(value)}
    if isinstance(value, np.ndarray):
        _feed_array(hasher, value, seen)
    elif isinstance(value, (Mapping, set, frozenset)):
        # In the order of the digests: that of a set, and of its repr, differs between processes.
        items = value.items() if isinstance(value, Mapping) else value
        hasher.update("".join(sorted(_digest(item, seen) for item in items)).encode())
    elif isinstance(value, (list, tuple)):
        for item in value:
            _feed(hasher, item, seen)
    elif isinstance(value, types.ModuleType):
        hasher.update(value.__name__.encode())
    elif (function := _function_in(value)) is not None:
        _feed_function(hasher, function, seen)
    elif isinstance(value, types.MethodType):  # of a class, as SimPy has them, or another callable
        _feed(hasher, value.__self__, seen)
        _feed(hasher, value.__func__, seen)
    elif is_dataclass(value):
        _feed_class(hasher, type(value), seen)
        for field in fields(value):
            hasher.update(field.name.encode())
            _feed(hasher, getattr(value, field.name), seen)
    elif isinstance(value, np.generic):
        hasher.update(repr(value).encode())
    else:
        _feed_object(hasher, value, seen)


def _feed_array(hasher: Any, array: NDArray[Any], seen: frozenset[int]) -> None:
    hasher.update(f"{array.dtype}{array.dtype.str}{array.shape}".encode())
    if isinstance(array, np.ma.MaskedArray):
        _feed(hasher, np.ma.getmaskarray(array), seen)
        array = array.data
    if array.dtype.hasobject or array.dtype.kind == "T":  # of which the bytes are addresses
        _feed(hasher, array.tolist(), seen)
    else:
        hasher.update(np.ascontiguousarray(array).tobytes())


def _feed_object(hasher: Any, value: Any, seen: frozenset[int]) -> None:
    _feed_class(hasher, type(value), seen)
    try:
        reducer = copyreg.dispatch_table.get(type(value))
        reduced = reducer(value) if reducer is not None else value.__reduce_ex__(4)
    except Exception as error:
        if type(value) is not itertools.count:
            raise _Opaque(value) from error
        # As it was pickled until Python 3.14: a simulation of SimPy counts its events with one.
        reduced = itertools.count, ast.literal_eval(f"({repr(value)[6:-1]},)")
    # (function, arguments, state, items, pairs): what pickling would store, walked instead.
    if isinstance(reduced, str):
        hasher.update(reduced.encode())
        return
    for part in reduced[1:3]:
        _feed(hasher, part, seen)
    for items in reduced[3:5]:
        _feed(hasher, None if items is None else list(items), seen)


def _feed_class(hasher: Any, kind: type, seen: frozenset[int]) -> None:
    hasher.update(f"{kind.__module__}.{kind.__qualname__}".encode())
    if id(kind) in seen:
        return
    seen = seen | {id(kind)}
    for parent in kind.__mro__:
        package = parent.__module__.partition(".")[0]
        home = sys.modules.get(parent.__module__)
        if package in _FOUNDATIONS and getattr(home, parent.__name__, None) is parent:
            continue
        source = _tree(parent)
        hasher.update((source or "").encode())
        for name, member in sorted(vars(parent).items()):
            function = _function_in(member)
            # The source does not show what a class in a function takes from around it.
            if function is not None and (not source or function.__closure__):
                hasher.update(name.encode())
                _feed_function(hasher, function, seen)
            elif not name.startswith("__") and isinstance(member, _PLAIN):
                hasher.update(name.encode())
                _feed(hasher, member, seen)


_PLAIN = (bool, int, float, complex, str, bytes, tuple, np.ndarray)
"""Types of class attributes that count; caches and registries, which change, do not."""


_FOUNDATIONS = (
    "builtins", "abc", "collections", "enum", "typing",
    "dask", "pandas", "xarray", __name__.partition(".")[0],
)  # fmt: skip
"""Packages of classes whose code is not part of anyone's model: containers of its numbers."""


def _function_in(value: Any) -> Any:
    """Return the Python function that a function, method, property or cache runs, if any."""
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    elif isinstance(value, property):
        value = value.fget
    elif isinstance(value, functools.cached_property):
        value = value.func
    if isinstance(value, functools._lru_cache_wrapper):
        value = value.__wrapped__
    value = compiled_from(value)
    is_one = isinstance(value, (types.FunctionType, types.MethodType))
    return value if is_one and hasattr(value, "__code__") else None  # no method of a class


def _feed_function(hasher: Any, function: Any, seen: frozenset[int]) -> None:
    owner = getattr(function, "__self__", None)
    if owner is not None and not isinstance(owner, types.ModuleType):
        _feed(hasher, owner, seen)
    hasher.update(f"{function.__qualname__}{list(signature(function).parameters)}".encode())
    tree = _tree(function)
    if tree is not None:
        hasher.update(tree.encode())
    else:  # typed at a prompt, or several on one line: the bytecode stands for the source
        _feed_code(hasher, function.__code__, seen)
    _feed_globals(hasher, function, seen)
    _feed(hasher, function.__defaults__, seen)
    _feed(hasher, function.__kwdefaults__, seen)
    for cell in function.__closure__ or ():
        try:
            content = cell.cell_contents
        except ValueError:  # empty: the name around the function is not bound yet
            content = None
        _feed(hasher, content, seen)


def _feed_globals(hasher: Any, function: Any, seen: frozenset[int]) -> None:
    """Hash what a function takes from its module: numbers, arrays, containers, code of the user."""
    for name in sorted(_names(function.__code__)):
        value = function.__globals__.get(name)
        if isinstance(value, (*_PLAIN, list, dict, set, frozenset)) or _is_users(value):
            hasher.update(name.encode())
            _feed(hasher, value, seen)


def _names(code: types.CodeType) -> set[str]:
    nested = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*(_names(constant) for constant in nested))


def _is_users(value: Any) -> bool:
    """Return whether a function or class is the user's own, not a library's."""
    thing = value if isinstance(value, type) else _function_in(value)
    package = (getattr(thing, "__module__", None) or "builtins").partition(".")[0]
    if package in _FOUNDATIONS or package in sys.stdlib_module_names - {"__main__"}:
        return False
    file = getattr(sys.modules.get(package), "__file__", None) or ""
    return "site-packages" not in file and "dist-packages" not in file


def _feed_code(hasher: Any, code: types.CodeType, seen: frozenset[int]) -> None:
    hasher.update(code.co_code)
    _feed(hasher, code.co_names, seen)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _feed_code(hasher, constant, seen)
        else:
            _feed(hasher, constant, seen)


def _tree(thing: Any) -> str | None:
    """Return the syntax tree of a function or class, without places, comments and blanks.

    It is the same on every version of Python, which bytecode is not. Of a lambda, the tree is that
    of the lambda and not of the line that it stands on.
    """
    code = getattr(thing, "__code__", None)
    if code is not None and code.co_filename == "<string>":
        return None  # from Python 3.13 on that may be found, but of other code: `python -c`
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(thing)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    if getattr(thing, "__name__", "") == "<lambda>":
        found = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
        return ast.dump(found[0]) if len(found) == 1 else None
    return ast.dump(tree)
