"""Parameters that are one number per path: which may be, their checks, their arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_real, did_you_mean, plain_array, type_error, value_error
from montezarr.core.errors import ArgumentValueError


def number_fields(process: Any) -> tuple[str, ...]:
    """Return the parameters of a process that are one number: its fields of the type float."""
    return tuple(entry.name for entry in fields(process) if entry.type in (float, "float"))


def unknown_parameter(kind: str, name: str, known: Iterable[str]) -> ArgumentValueError:
    """Return the error for the name of a parameter that a process does not have."""
    names = sorted(known)
    parts = [f"{kind}: unknown parameter {name!r}.", did_you_mean(name, names)]
    return ArgumentValueError(
        " ".join(filter(None, [*parts, f"Known: {', '.join(names) or 'none'}."]))
    )


def checked_numbers(
    name: str, values: Any, check: Callable[[str, float], Any] = check_real
) -> NDArray[np.float64]:
    """Return the values of a parameter, one per path, as float64.

    A parameter's range is an interval, so that its smallest and its largest value stand for all.

    Parameters
    ----------
    name : str
        Name of the parameter.
    values : array (n,)
        Its values.
    check : function (name, value)
        The check of one value, which raises. The name that it gets shows the path.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If values are no numbers, or not in one dimension; for the first value that is not finite,
        or the smallest or largest one if it is out of range, with its position.
    """
    raw = plain_array(name, values)
    if raw.dtype.kind not in "iuf":
        raise type_error(name, "numbers, one per path", values)
    if raw.ndim != 1 or raw.size == 0:
        raise value_error(name, "one number per path, in one dimension", raw.shape)
    array = raw.astype(np.float64)
    finite = np.isfinite(array)
    places = [array.argmin(), array.argmax()] if finite.all() else [finite.argmin()]
    for place in places:
        check(f"{name}[{place}]", float(array[place]))
    return array


def check_lengths(arrays: Mapping[str, NDArray[np.float64]], n: int) -> None:
    """Raise unless each parameter with one number per path has those of the `n` paths drawn."""
    for name, array in arrays.items():
        if array.shape != (n,):
            raise value_error(name, f"one number for each of {n} paths", array.shape)


def square(value: Any) -> Any:
    """Return ``value**2`` as Python computes it, also for an array of numbers per path.

    Python calls the power function of C, which differs from a product, and so from the square of an
    array in NumPy, in the last bit of about one number in a thousand. A path with a parameter of
    its own must be that of a process with this number alone.
    """
    if not isinstance(value, np.ndarray):
        return value**2
    return np.array([number**2 for number in value.ravel().tolist()]).reshape(value.shape)
