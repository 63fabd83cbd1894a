"""The code behind a function or class: its source, its names, and whether it is the user's own."""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import sys
import textwrap
import types
from typing import Any

import numpy as np

from montezarr.core.fork import ForkLock
from montezarr.core.public_ids import PACKAGE, is_public
from montezarr.core.tunables.scheduling import SOURCE_PARSING_TRIES
from montezarr.samplers.interfaces import compiled_from

PLAIN = (bool, int, float, complex, str, bytes, tuple, np.ndarray)
"""Types of class attributes that count; caches and registries, which change, do not."""

_FOUNDATIONS = (
    "builtins", "abc", "collections", "enum", "typing", "dask", "pandas", "xarray", PACKAGE,
)  # fmt: skip
"""Packages whose classes only hold numbers of a model, so that their code is not part of it."""


_parsing = ForkLock()

_CACHE = type(functools.lru_cache(abs))
"""The class of functions with a cache."""


def is_foundation(kind: type) -> bool:
    """Return whether a class belongs to a library whose code is not part of a model."""
    if kind.__module__.partition(".")[0] not in _FOUNDATIONS:
        return False
    home = sys.modules.get(kind.__module__)
    return is_public(kind) or getattr(home, kind.__name__, None) is kind


def is_user_defined(value: Any) -> bool:
    """Return whether a function or class is the user's own, not a library's."""
    thing = value if isinstance(value, type) else function_in(value)
    package = (getattr(thing, "__module__", None) or "builtins").partition(".")[0]
    if package in _FOUNDATIONS or package in sys.stdlib_module_names - {"__main__"}:
        return False
    file = getattr(sys.modules.get(package), "__file__", None) or ""
    return "site-packages" not in file and "dist-packages" not in file


def function_in(value: Any) -> Any:
    """Return the Python function behind a function, method, property or cache, or None."""
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    elif isinstance(value, property):
        value = value.fget
    elif isinstance(value, functools.cached_property):
        value = value.func
    if isinstance(value, _CACHE):
        value = value.__wrapped__
    value = compiled_from(value)
    is_one = isinstance(value, (types.FunctionType, types.MethodType))
    return value if is_one and hasattr(value, "__code__") else None  # no method of a class


def names_in(code: types.CodeType) -> set[str]:
    """Return the names that code uses, including the functions inside it."""
    nested = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*(names_in(constant) for constant in nested))


def _parsed(thing: Any) -> ast.Module:
    """Return the syntax tree of the source of a function or class.

    The parser of Python 3.11 counts its depth for all threads in one number, and raises
    SystemError if another thread parses at the same time (python/cpython#106905): it is retried,
    since a digest must not depend on that.
    """
    for _ in range(SOURCE_PARSING_TRIES):
        with _parsing, contextlib.suppress(SystemError):
            return ast.parse(textwrap.dedent(inspect.getsource(thing)))
    return ast.parse(textwrap.dedent(inspect.getsource(thing)))


def tree_of(thing: Any) -> str | None:
    """Return the syntax tree of a function or class, without positions, comments and blanks.

    For a lambda, the tree is that of the lambda alone, not of its line.
    """
    code = getattr(thing, "__code__", None)
    if code is not None and code.co_filename == "<string>":
        return None  # under `python -c`, Python 3.13 may find the source of other code
    try:
        tree = _parsed(thing)
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    if getattr(thing, "__name__", "") == "<lambda>":
        found = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
        return ast.dump(found[0]) if len(found) == 1 else None
    return ast.dump(tree)
