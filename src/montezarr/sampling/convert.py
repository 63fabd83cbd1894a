"""From what samplers return to arrays: paths as objects, mappings or sequences; labels to codes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr._checks import is_frame, plain_array, show
from montezarr.errors import ArgumentValueError
from montezarr.sampling._base import Sampling, Variable

NUMBERS = {int, float, bool, np.float64}
"""Types of most of what lists hold."""

FLOAT_MAX = float(np.finfo(np.float64).max)


def parts_of(value: Any) -> Mapping[Any, Any]:
    """Return what a path holds by the names of its variables, as it was returned."""
    if hasattr(value, "states") and hasattr(value, "times"):
        value = value.states
    if value is None:
        raise ArgumentValueError("returned None, expected a path.")
    if is_frame(value):
        return {name: value.iloc[:, i] for i, name in enumerate(value.columns)}
    return value if isinstance(value, Mapping) else {"x": value}


def unpack(value: Any) -> tuple[dict[str, NDArray[Any]], NDArray[Any] | None]:
    """Return the variables of one path by name, each one-dimensional, and its own times if any.

    A path may be an object with ``times`` and ``states``, a mapping from names to arrays, a table
    with a column for each variable, a sequence of states, or one number (a path of a single time).
    """
    times = None
    if hasattr(value, "states") and hasattr(value, "times"):
        times = plain_array("times", value.times).astype(np.float64)
    parts = parts_of(value)
    out = {str(name): np.atleast_1d(_array(str(name), part)) for name, part in parts.items()}
    lengths = {part.shape for part in out.values()}
    if len(lengths) != 1 or len(next(iter(lengths))) != 1:
        raise ArgumentValueError(
            f"returned shapes {sorted(lengths)}, expected one state per time, (T+1,). For several"
            " variables return a mapping from names to such arrays."
        )
    if times is not None and times.shape not in lengths:
        raise ArgumentValueError(f"returned times {times.shape} for states {lengths.pop()}.")
    return out, times


def _array(name: str, part: Any) -> NDArray[Any]:
    """Return what NumPy makes of a part, integers as such: of large ones it would make floats."""
    if type(part) not in (list, tuple):
        return plain_array(name, part)
    kinds = set(map(type, part))
    # Of numbers alone nothing is masked: what there is to look at is looked at once.
    array = np.asarray(part) if kinds <= NUMBERS else plain_array(name, part)
    is_whole = kinds <= {int, bool} and array.dtype == np.float64 and array.size > 0
    return np.array(part, object) if is_whole else array


def plain_numbers(array: NDArray[Any]) -> NDArray[Any] | None:
    """Return an array of numbers as it is, one of Python numbers as numbers, else None."""
    if array.dtype.kind in "iuf":
        return array
    if array.dtype.kind == "b":
        return array.astype(np.int64)
    if array.dtype.kind == "O":
        kinds = {type(item) for item in array.ravel().tolist()}
        if kinds <= {int, bool}:
            return _whole_numbers(array)
        if kinds and all(issubclass(kind, (int, float, np.number)) for kind in kinds):
            return _real_numbers(array)
    return None


def _whole_numbers(array: NDArray[Any]) -> NDArray[Any]:
    """Return Python integers in the type that holds them, or as they are if there is none."""
    low, high = int(array.min(initial=0)), int(array.max(initial=0))
    for kind in (np.int64, np.uint64):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return array.astype(kind)
    return array


def _real_numbers(array: NDArray[Any]) -> NDArray[np.float64]:
    """Return Python numbers as float64: an integer beyond all floats is infinite, as 1e400 is."""
    try:
        return array.astype(np.float64)
    except OverflowError:
        pass
    ends = (-math.inf, math.inf)
    items = [ends[x > 0] if abs(x) > FLOAT_MAX else float(x) for x in array.ravel()]
    return np.array(items).reshape(array.shape)


def cast(array: NDArray[Any], dtype: Any) -> NDArray[Any] | None:
    """Return numbers in another dtype of their kind, or None where they are of another kind.

    In a real dtype they are rounded, and infinite where too large; in an integer one they must fit.
    """
    kind = np.dtype(dtype)
    if array.dtype == kind:
        return array
    if array.dtype.kind == "O":  # integers beyond 64 bits
        if kind.kind != "f":
            return None
        array = _real_numbers(array)
    if not np.can_cast(array.dtype, kind, "same_kind"):
        return None
    with np.errstate(over="ignore"):
        out = array.astype(kind)
    if kind.kind in "iu" and not ((out == array) & ((out < 0) == (array < 0))).all():
        return None
    return out


def encode(
    sampling: Sampling, variable: Variable, array: NDArray[Any], path: int, x0: Any
) -> NDArray[Any]:
    """Return the states of a variable as numbers of its dtype: labels become their codes."""
    if variable.labels is not None:
        return _codes(sampling, variable, array, path, x0)
    numbers = plain_numbers(array)
    if numbers is None:
        message = f"{variable.name}: expected numbers as in the first path, got {show(array)}."
        raise sampling.failure(path, x0, message)
    converted = cast(numbers, variable.dtype)
    if converted is None:
        message = (
            f"{variable.name}: expected {variable.dtype} as in the first path, got"
            f" {_kind(numbers)}{_span(numbers)}. Pass a dtype= that holds all states, such as"
            " dtype=float."
        )
        raise sampling.failure(path + _first_unfit(numbers, variable.dtype), x0, message)
    # Integers next to real variables share their array on the way to the Dataset.
    if sampling.dtype.kind == "f" and converted.dtype.kind in "iu":
        limit = 2 ** (np.finfo(sampling.dtype).nmant + 1)
        if converted.max() > limit or converted.min() < -limit:
            message = f"{variable.name}: expected integers within ±{limit}, got{_span(converted)}."
            raise sampling.failure(path, x0, message)
    check_no_mask(sampling, variable, converted, path, x0)
    return converted


def check_no_mask(
    sampling: Sampling, variable: Variable, numbers: NDArray[Any], path: int | None, x0: Any
) -> None:
    """Fail a path with the number that stands for a masked one: nobody could tell it from that.

    Parameters
    ----------
    numbers : array
        Of a path; or of several, along the first axis where `path` is that of the first one.
    """
    if numbers.dtype.kind not in "iu" or not sampling.may_mask:
        return
    taken = numbers == variable.masked
    if taken.any():
        if path is not None and numbers.ndim > 1:
            path += int(np.argwhere(taken)[0, 0])
        message = (
            f"{variable.name}: expected {variable.dtype} other than {variable.masked}, which stands"
            " for a masked path, got it. Pass a dtype= that has more numbers, such as dtype=float."
        )
        raise sampling.failure(path, x0, message)


def _codes(
    sampling: Sampling, variable: Variable, array: NDArray[Any], path: int, x0: Any
) -> NDArray[Any]:
    labels = variable.labels or ()
    codes = {label: code for code, label in enumerate(labels)}
    items = array.ravel().tolist()
    try:
        coded = [codes[label] for label in items]
    except (KeyError, TypeError):  # TypeError: not even hashable
        position = next(k for k, label in enumerate(items) if not _is_key(label, codes))
        row, step = divmod(position, array.shape[-1])  # a block holds a path per row
        message = (
            f"label {show(items[position])} at step {step} is none of {show(labels)}."
            " Name all labels with labels=."
        )
        raise sampling.failure(path + row, x0, message) from None
    return np.array(coded, variable.dtype).reshape(array.shape)


def _is_key(label: Any, codes: Mapping[Any, int]) -> bool:
    try:
        return label in codes
    except TypeError:
        return False


def _first_unfit(numbers: NDArray[Any], dtype: Any) -> int:
    """Return the first row of a block that cannot be cast; of a path alone it is 0."""
    if numbers.ndim < 2:
        return 0
    rows = (plain_numbers(row) for row in numbers)
    return next((i for i, row in enumerate(rows) if row is None or cast(row, dtype) is None), 0)


def _kind(numbers: NDArray[Any]) -> str:
    return "integers" if numbers.dtype.kind == "O" else numbers.dtype.name


def _span(numbers: NDArray[Any]) -> str:
    if numbers.dtype.kind not in "iuO":
        return ""
    low, high = (show(int(number), 40) for number in (numbers.min(), numbers.max()))
    return f" from {low} to {high}"
