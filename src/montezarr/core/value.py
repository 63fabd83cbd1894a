"""Base of classes that users configure: frozen parameters, checked once, with a JSON form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np

from montezarr.core.added_fields import counted_fields
from montezarr.core.checks import did_you_mean, value_error
from montezarr.core.compat.dataclasses import entries_of
from montezarr.core.errors import ArgumentValueError

_CHECK = "montezarr: check"

_Check = Callable[[str, Any], Any]
"""Function of a parameter's name and value that returns the value to store, or raises."""


def checked(check: Callable[..., Any], *args: Any, optional: bool = False, **options: Any) -> Any:
    """Return the metadata of a field that sets the check of its values.

    ``sigma: float = field(metadata=checked(check_real, minimum=0.0))`` stores the value that
    ``check_real("sigma", value, minimum=0.0)`` returns.

    Parameters
    ----------
    check : function (name, value, ...)
        Returns the value to store, or raises.
    optional : bool
        Whether None is accepted without a check.
    """

    def run(name: str, value: Any) -> Any:
        return None if optional and value is None else check(name, value, *args, **options)

    return {_CHECK: run}


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """Base of processes, statistics, schemes, grids and storage: frozen dataclasses with checks.

    The class has no ``__post_init__``: the ``__init__`` that `dataclass` generates would call it in
    users' classes too, and digests of these cover its bytecode. A class with checks defines its own
    ``__post_init__`` that calls `check_fields`.
    """

    is_named: ClassVar[bool] = True
    """Whether the JSON form holds the name of the class, to choose among several classes."""

    def check_fields(self) -> None:
        """Check each parameter by the metadata of its field, and store the result.

        A subclass that redefines a field, for another default, keeps the check.
        """
        kind: Any = type(self)
        for name, check in checks_of(kind).items():
            self.set_field(name, check(name, getattr(self, name)))

    def set_field(self, name: str, value: Any) -> None:
        """Store a checked parameter; only for ``__post_init__``, since instances are frozen."""
        object.__setattr__(self, name, value)

    def to_dict(self) -> dict[str, Any]:
        """Return the parameters as JSON: ``{"name": class name, parameter: value, ...}``."""
        values = {entry.name: _plain(getattr(self, entry.name)) for entry in counted_fields(self)}
        return {"name": type(self).__name__, **values} if self.is_named else values

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the value that `to_dict` wrote.

        Raises
        ------
        ArgumentValueError
            If `data` is of another class, or lacks a parameter or has an unknown one.
        """
        check_parameter_names(cls, data)
        return cls(**{name: value for name, value in data.items() if name != "name"})


def check_parameter_names(kind: type[Value], data: Mapping[str, Any]) -> None:
    """Check that a description names this class and has only its parameters.

    Raises
    ------
    ArgumentValueError
        If it names another class, or has an unknown parameter.
    """
    name = data.get("name", kind.__name__) if kind.is_named else kind.__name__
    if name != kind.__name__:
        raise value_error("name", repr(kind.__name__), name)
    known = {entry.name for entry in fields(kind)}
    unknown = sorted(set(data) - known - ({"name"} if kind.is_named else set()))
    if unknown:
        text = f"{kind.__name__}: unknown parameter {unknown[0]!r}."
        hint = did_you_mean(str(unknown[0]), known)
        listed = f"Known: {', '.join(sorted(known)) or 'none'}."
        raise ArgumentValueError(" ".join(part for part in (text, hint, listed) if part))


@lru_cache(maxsize=256)
def checks_of(kind: type) -> dict[str, _Check]:
    """Return the checks of a class's parameters, by name; see `checked`."""
    found = {}
    for parent in reversed(kind.__mro__):
        for name, entry in entries_of(parent).items():
            if _CHECK in entry.metadata:
                found[name] = entry.metadata[_CHECK]
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Value):
        return value.to_dict()
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value
