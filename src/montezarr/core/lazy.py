"""Public names that are imported on first use (PEP 562).

The stub beside the ``__init__.py`` of a package is the one list of its public names: type checkers
read it, and so does `attach`. Scientific Python packages do so by SPEC 1 (lazy loading of
submodules and functions, https://scientific-python.org/specs/spec-0001).
"""

from __future__ import annotations

import ast
import pkgutil
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

from montezarr.core.deprecated import warn_renamed
from montezarr.core.fork import ForkLock


def _nothing() -> None: ...


def attach(
    package: str,
    renamed: Mapping[str, str] = MappingProxyType({}),
    *,
    then: Callable[[], None] = _nothing,
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` for the names in a package's stub.

    Parameters
    ----------
    package : str
        Name of the package. Its ``__init__.pyi`` imports each public name from the module that
        defines it, or ``*`` from a package with a stub of its own.
    renamed : mapping of str to str, optional
        Earlier public names and their new names; they still work, with a DeprecationWarning.
    then : function, optional
        Called after a name was imported.
    """
    homes = public_names(package)
    names = sorted(name for name in homes if not name.startswith("_"))
    # Threads that import parts of a graph of modules from several ends see some half imported. Only
    # the top package waits: its names are not used while modules are imported, those of others are.
    one_at_a_time: Any = ForkLock() if "." not in package else nullcontext()

    def __getattr__(name: str) -> Any:
        home, original = homes.get(name, (package, name))
        if home != package:
            with one_at_a_time:
                value = getattr(import_module(home), original)
                then()
            setattr(sys.modules[package], name, value)
            return value
        if name in renamed:
            warn_renamed(f"{package}.{name}", f"{package}.{renamed[name]}")
            return getattr(sys.modules[package], renamed[name])
        if name.isidentifier() and not name.startswith("_") and find_spec(f"{package}.{name}"):
            with one_at_a_time:
                return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name)

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *names})

    return __getattr__, __dir__, names


@cache
def public_names(package: str) -> dict[str, tuple[str, str]]:
    """Return for each public name of a package the module that defines it, and its name there."""
    source = pkgutil.get_data(package, "__init__.pyi")
    if source is None:
        raise ImportError(f"{package}: its __init__.pyi is missing: install montezarr again")
    homes: dict[str, tuple[str, str]] = {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        for alias in node.names:
            if alias.name == "*":
                homes |= public_names(node.module)
            else:
                homes[alias.asname or alias.name] = node.module, alias.name
    return homes


def public_subclasses(package: str, base: type) -> dict[str, Any]:
    """Return the public classes of a package that derive from a base, by name; it imports them."""
    module = import_module(package)
    found = {name: getattr(module, name) for name in public_names(package) if name[0].isupper()}
    return {
        name: kind
        for name, kind in found.items()
        if isinstance(kind, type) and issubclass(kind, base) and kind is not base
    }
