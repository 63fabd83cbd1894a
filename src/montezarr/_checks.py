"""Validators. Each names the argument, what was expected, what was got, and returns the value."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.errors import ArgumentTypeError, ArgumentValueError

MAX_INDEX = 2**63 - 1

_NO_NUMBERS = (bool, np.bool_, np.timedelta64)
"""What Python or NumPy count among the integers, and no one means as a number."""


def show(value: object, limit: int = 80) -> str:
    """Return a repr of `value` that fits into a message, in one line, also of one that has none."""
    try:
        text = repr(value)
    except Exception:  # an integer of over 4300 digits, or a class with a faulty __repr__
        text = f"<{type(value).__name__}>"
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


def type_error(name: str, expected: str, value: object, hint: str = "") -> ArgumentTypeError:
    """Return the error for an argument of a type that is not accepted."""
    got = f"{show(value)} of type {type(value).__name__}"
    return ArgumentTypeError(f"{name}: expected {expected}, got {got}.{' ' + hint if hint else ''}")


def value_error(name: str, expected: str, value: object, hint: str = "") -> ArgumentValueError:
    """Return the error for an argument whose value is not accepted."""
    return ArgumentValueError(
        f"{name}: expected {expected}, got {show(value)}.{' ' + hint if hint else ''}"
    )


def did_you_mean(name: str, known: Iterable[str], *, quoted: bool = True) -> str:
    """Return the question whether one of `known` was meant, or nothing if none is near."""
    close = difflib.get_close_matches(name.lower(), list(known), 1)
    if not close:
        return ""
    return f"Did you mean {repr(close[0]) if quoted else close[0]}?"


def check_int(
    name: str, value: Any, *, minimum: int = 0, maximum: int = MAX_INDEX, hint: str = ""
) -> int:
    """Return `value` as an int within [minimum, maximum]; bools and floats are refused."""
    expected = f"an integer from {minimum} to {maximum}"
    if maximum == MAX_INDEX:
        expected = f"an integer >= {minimum}" + (" and < 2**63" if minimum >= 0 else "")
    if isinstance(value, _NO_NUMBERS) or not isinstance(value, Integral):
        raise type_error(name, expected, value, hint)
    if not minimum <= int(value) <= maximum:
        raise value_error(name, expected, value, hint)
    return int(value)


def check_real(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    hint: str = "",
) -> float:
    """Return `value` as a finite float, > `above`, >= `minimum`, <= `maximum`."""
    bounds = [f"> {above:g}"] if above is not None else []
    bounds += [f">= {minimum:g}"] if minimum is not None else []
    bounds += [f"<= {maximum:g}"] if maximum is not None else []
    expected = " ".join(["a finite number", " and ".join(bounds)]).strip()
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, _NO_NUMBERS) or not isinstance(value, Real):
        raise type_error(name, expected, value, hint)
    try:
        number = float(value)
    except OverflowError:  # an integer beyond the range of floats
        number = math.inf
    inside = math.isfinite(number)
    inside = inside and (above is None or number > above)
    inside = inside and (minimum is None or number >= minimum)
    inside = inside and (maximum is None or number <= maximum)
    if not inside:
        raise value_error(name, expected, value, hint)
    return number


def check_bool(name: str, value: Any) -> bool:
    """Return `value` if it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise type_error(name, "True or False", value)
    return bool(value)


def check_choice(name: str, value: Any, choices: Collection[str]) -> str:
    """Return `value` if it is one of `choices`."""
    expected = "one of " + ", ".join(repr(choice) for choice in choices)
    if not isinstance(value, str):
        raise type_error(name, expected, value)
    if value not in choices:
        raise value_error(name, expected, value)
    return value


def check_callable(name: str, value: Any, signature: str) -> Callable[..., Any]:
    """Return `value` if it can be called."""
    if not callable(value):
        raise type_error(name, f"a function {signature}", value)
    return value  # type: ignore[no-any-return]


def check_array(
    name: str, value: Any, *, ndim: int | Sequence[int], hint: str = ""
) -> NDArray[np.float64]:
    """Return `value` as a finite float64 array of `ndim` dimensions, a copy that cannot change."""
    wanted = (ndim,) if isinstance(ndim, int) else tuple(ndim)
    expected = f"finite numbers in {' or '.join(str(d) for d in wanted)} dimension(s)"
    try:
        raw = np.asarray(value)
    except ValueError as error:  # rows of unequal length
        raise value_error(name, expected, value, hint) from error
    if raw.dtype.kind not in "iuf":
        raise type_error(name, expected, value, hint)
    array = raw.astype(np.float64)
    if array.ndim not in wanted or array.size == 0 or not np.isfinite(array).all():
        raise value_error(name, f"{expected}, not empty", value, hint)
    array.setflags(write=False)
    return array
