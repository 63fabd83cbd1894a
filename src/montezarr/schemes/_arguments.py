"""Arguments of coefficients beyond (t, x): which ones a function asks for, and giving them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from montezarr.core.errors import ArgumentValueError


class Asked(NamedTuple):
    """The arguments after (t, x) that a function takes by name."""

    names: tuple[str, ...]
    required: tuple[str, ...]
    """Those without a default."""
    takes_any: bool
    """Whether it has ``**`` parameters."""


def asked_of(function: Callable[..., Any]) -> Asked:
    """Return the arguments that a function asks for; none for one without a signature."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # written in C, or a ufunc of Numba
        return Asked((), (), False)
    in_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    placed = [p for p in parameters if p.kind in in_place][:2]
    others = [p for p in parameters if p not in placed and p.kind in by_name]
    return Asked(
        tuple(p.name for p in others),
        tuple(p.name for p in others if p.default is inspect.Parameter.empty),
        any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters),
    )


def is_compiled(function: Any) -> bool:
    """Return whether Numba compiled a function."""
    return type(function).__module__.startswith("numba.")


class BoundCoefficient:
    """A function f(t, x, ...) with its further arguments, called as f(t, x).

    Attributes
    ----------
    function : function
        The function as it was given.
    arguments : dict
        Its further arguments by name.
    """

    __slots__ = ("arguments", "function")

    def __init__(self, function: Callable[..., Any], arguments: Mapping[str, Any]):
        self.function = function
        # Compiled code is typed by its arguments: floats, and arrays that it could write into.
        own = _for_compiled if is_compiled(function) else _for_python
        self.arguments = {name: own(value) for name, value in arguments.items()}

    def __call__(self, t: float, x: Any) -> Any:
        return self.function(t, x, **self.arguments)


def bind_arguments(
    function: Callable[..., Any], values: Mapping[str, Any]
) -> BoundCoefficient | Callable[..., Any]:
    """Return a function of (t, x) that gives `function` those of `values` it asks for.

    A function that gets none is returned as it is.
    """
    asked = asked_of(function)
    given = {n: v for n, v in values.items() if asked.takes_any or n in asked.names}
    return BoundCoefficient(function, given) if given else function


def check_complete(functions: Mapping[str, Callable[..., Any]], names: Iterable[str]) -> None:
    """Raise if a function has an argument without a default that is not among `names`.

    Raises
    ------
    ArgumentValueError
        Names the function, the missing arguments, and how to give them.
    """
    known = set(names)
    for name, function in functions.items():
        missing = [asked for asked in asked_of(function).required if asked not in known]
        if missing:
            values = ", ".join(f"{each}=..." for each in missing)
            raise ArgumentValueError(
                f"{name}: expected a value for each of its arguments after (t, x), got none for"
                f" {', '.join(missing)}. Give them by with_parameters({values}), or a default."
            )


def _for_compiled(value: Any) -> Any:
    return np.array(value) if np.ndim(value) else float(value)


def _for_python(value: Any) -> Any:
    # A number as an array without axes: `sigma**2` then rounds as it does for an array of paths.
    shown = np.asarray(value).view()
    shown.flags.writeable = False
    return shown
