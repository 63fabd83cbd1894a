"""Compiled code that moves what a compiled function returned into path arrays.

`put` has one version for each type of value: numbers, arrays, and tuples of these. What has no
version is refused by Numba when it compiles, and such a function is called from Python.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numba import njit, types
from numba.core.errors import TypingError
from numba.extending import overload

PLAIN_MAX = 2**53
"""Whole numbers up to here are exact in float64."""


def put(value: Any, row: Any, shape: Any) -> Any:
    """Write a value into the row of its path; return False if Python has to look at it.

    Parameters
    ----------
    value : number, array or tuple
        What the function returned for one variable.
    row : array (n,)
        Place of the flat values, of the dtype of the variable.
    shape : tuple of int
        Shape of the variable.
    """
    raise NotImplementedError  # compiled code has the versions below


@overload(put)
def _put(value: Any, row: Any, shape: Any) -> Any:
    if isinstance(value, types.BaseNamedTuple):
        return _named(value)
    if isinstance(value, types.BaseTuple):
        parts: list[Any] = list(cast(Any, value))
        if all(isinstance(part, (types.Number, types.Boolean)) for part in parts):
            return _numbers(parts, row)
        if isinstance(value, types.UniTuple) and isinstance(value.dtype, types.Array):
            return _arrays
    if isinstance(value, types.Array) and value.ndim == len(shape):
        return _array(value, row)
    if isinstance(value, (types.Number, types.Boolean)) and len(shape) <= 1:
        return _number(value, row)
    raise TypingError(f"no way to read {value}")


def no_value(value: Any) -> None:
    """Refuse to compile code around a function that fills `out`, and returns something too."""
    raise NotImplementedError  # compiled code has the version below


@overload(no_value)
def _no_value(value: Any) -> Any:
    if value is not types.none:
        raise TypingError("a function that fills out, and returns something else too")

    def nothing(value: Any) -> Any:
        return None

    return nothing


def _named(value: Any) -> Any:
    if tuple(value.fields) != ("x",):
        raise TypingError("a NamedTuple of other fields than the variable")

    def one(value: Any, row: Any, shape: Any) -> Any:
        return put(value.x, row, shape)

    return one


def _number(value: Any, row: Any) -> Any:
    store = store_of(value, row)
    is_whole = not isinstance(value, types.Float) and row.dtype == types.float64

    def one(value: Any, row: Any, shape: Any) -> Any:
        if is_whole and not -PLAIN_MAX <= value <= PLAIN_MAX:
            return False
        return len(row) == 1 and store(value, row, 0)

    return one


def _numbers(parts: list[Any], row: Any) -> Any:
    """Return the version for a tuple of numbers, which NumPy makes an array of a common dtype."""
    if any(isinstance(part, types.Float) for part in parts):
        common: Any = types.float64
    elif all(part in (types.int64, types.boolean) for part in parts):
        common = types.int64
    else:
        raise TypingError("whole numbers that int64 may not hold")
    store = store_of(common, row)
    count = len(parts)

    def several(value: Any, row: Any, shape: Any) -> Any:
        if len(shape) != 1 or shape[0] != count:
            return False
        array = np.array(value, common)
        for k in range(count):  # noqa: SIM110 (Numba has no `all`)
            if not store(array[k], row, k):
                return False
        return True

    return several


def _array(value: Any, row: Any) -> Any:
    store = store_of(value.dtype, row)
    is_flat = value.ndim == 1

    def flat(value: Any, row: Any, shape: Any) -> Any:
        if value.shape != shape:
            return False
        for k in range(len(value)):  # noqa: SIM110 (Numba has no `all`)
            if not store(value[k], row, k):
                return False
        return True

    def no_axis(value: Any, row: Any, shape: Any) -> Any:
        return put(value[()], row, shape)

    def of_c(value: Any, row: Any, shape: Any) -> Any:
        return value.shape == shape and put(value.reshape(-1), row, (len(row),))

    def of_any(value: Any, row: Any, shape: Any) -> Any:
        return value.shape == shape and put(np.ascontiguousarray(value), row, shape)

    if is_flat:
        return flat
    if value.layout == "C" and value.ndim:
        return of_c
    if value.ndim == 0:
        return no_axis
    return of_any


def _arrays(value: Any, row: Any, shape: Any) -> Any:
    step = len(row) // len(value)
    if len(value) != shape[0]:
        return False
    for k in range(len(value)):  # noqa: SIM110 (Numba has no `all`)
        if not put(value[k], row[k * step : (k + 1) * step], shape[1:]):
            return False
    return True


def store_of(source: Any, row: Any) -> Any:
    """Return the function that writes a number of one dtype into another, if NumPy may cast it."""
    kinds = {types.Float: "f", types.Boolean: "b", types.Integer: "i"}
    kind = next((k for known, k in kinds.items() if isinstance(source, known)), "")
    target = row.dtype
    if not kind or not isinstance(target, (types.Float, types.Integer)):
        raise TypingError(f"no cast from {source} to {target}")
    if isinstance(target, types.Float):
        return _store
    signed = kind == "b" or (kind == "i" and bool(source.signed))
    if kind == "f" or (signed and not cast(Any, target).signed):
        raise TypingError(f"no cast from {source} to {target}")
    return _store if source == target else _store_whole


@njit(inline="always")
def _store(value: Any, row: Any, k: int) -> bool:
    row[k] = value
    return True


@njit
def _store_whole(value: Any, row: Any, k: int) -> bool:
    row[k] = value
    return bool(row[k] == value and (row[k] < 0) == (value < 0))
