"""Convert returned values to the dtype of a variable; labels become codes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import show
from montezarr.samplers._base import Sampler
from montezarr.samplers.schema import Variable

FLOAT_MAX = float(np.finfo(np.float64).max)


def plain_numbers(array: NDArray[Any]) -> NDArray[Any] | None:
    """Return numbers as an array of a numeric dtype, also Python ones; None for other values."""
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
    """Return Python integers as int64 or uint64, or unchanged if neither holds them."""
    low, high = int(array.min(initial=0)), int(array.max(initial=0))
    for kind in (np.int64, np.uint64):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return array.astype(kind)
    return array


def _real_numbers(array: NDArray[Any]) -> NDArray[np.float64]:
    """Return Python numbers as float64; integers beyond its range become infinite, like 1e400."""
    try:
        return array.astype(np.float64)
    except OverflowError:
        pass
    ends = (-math.inf, math.inf)
    items = [ends[x > 0] if abs(x) > FLOAT_MAX else float(x) for x in array.ravel()]
    return np.array(items).reshape(array.shape)


def cast(array: NDArray[Any], dtype: Any) -> NDArray[Any] | None:
    """Return numbers in another dtype, or None if this is of another kind or cannot hold them.

    A real dtype rounds them, and too large ones become infinite; an integer dtype must hold them.
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
    sampler: Sampler, variable: Variable, array: NDArray[Any], path: int, x0: Any
) -> NDArray[Any]:
    """Return the states of a variable as numbers of its dtype; labels become their codes."""
    if variable.labels is not None:
        codes = _codes(sampler, variable, array, path, x0)
        check_no_mask(sampler, variable, codes, path, x0)
        return codes
    numbers = plain_numbers(array)
    if numbers is None:
        message = f"{variable.name}: expected numbers as in the first path, got {show(array)}."
        raise sampler.failure(path, x0, message)
    converted = cast(numbers, variable.dtype)
    if converted is None:
        message = (
            f"{variable.name}: expected {variable.dtype} as in the first path, got"
            f" {_kind(numbers)}{_span(numbers)}. Pass a dtype= that holds all states, such as"
            " dtype=float."
        )
        at = _first_unfit(numbers, variable) if numbers.ndim > len(variable.dims) else 0
        raise sampler.failure(path + at, x0, message)
    check_no_mask(sampler, variable, converted, path, x0)
    return converted


def check_no_mask(
    sampler: Sampler, variable: Variable, numbers: NDArray[Any], path: int | None, x0: Any
) -> None:
    """Raise if a path contains the number that stands for masked paths, which is ambiguous.

    Parameters
    ----------
    numbers : array
        Values of one path, or of several along the first axis, of which `path` is the first.
    """
    if numbers.dtype.kind not in "iu" or not (sampler.may_mask or variable.has_events):
        return
    taken = numbers == variable.masked
    if taken.any():
        if path is not None and numbers.ndim > len(variable.dims):
            path += int(np.argwhere(taken)[0, 0])
        stands_for = "no event" if variable.has_events else "a masked path"
        message = (
            f"{variable.name}: expected {variable.dtype} other than {variable.masked}, which stands"
            f" for {stands_for}, got it. Pass a dtype= that has more numbers, such as dtype=float."
        )
        raise sampler.failure(path, x0, message)


def _codes(
    sampler: Sampler, variable: Variable, array: NDArray[Any], path: int, x0: Any
) -> NDArray[Any]:
    labels = variable.labels or ()
    codes = {label: code for code, label in enumerate(labels)}
    items = array.ravel().tolist()
    try:
        coded = [codes[label] for label in items]
    except (KeyError, TypeError):  # TypeError: not hashable
        position = next(k for k, label in enumerate(items) if not _is_key(label, codes))
        place = np.unravel_index(position, array.shape)
        row = int(place[0]) if array.ndim > len(variable.dims) else 0  # a block: a path per row
        step = "" if not place else f" at step {int(place[-1])}"
        message = (
            f"label {show(items[position])}{step} is none of {show(labels)}."
            " Name all labels with labels=."
        )
        raise sampler.failure(path + row, x0, message) from None
    return np.array(coded, variable.dtype).reshape(array.shape)


def _is_key(label: Any, codes: Mapping[Any, int]) -> bool:
    try:
        return label in codes
    except TypeError:
        return False


def _first_unfit(numbers: NDArray[Any], variable: Variable) -> int:
    """Return the first path of a block that cannot be cast."""
    paths = (plain_numbers(path) for path in numbers)
    unfit = (path is None or cast(path, variable.dtype) is None for path in paths)
    return next((i for i, is_unfit in enumerate(unfit) if is_unfit), 0)


def _kind(numbers: NDArray[Any]) -> str:
    return "integers" if numbers.dtype.kind == "O" else numbers.dtype.name


def _span(numbers: NDArray[Any]) -> str:
    if numbers.dtype.kind not in "iuO":
        return ""
    low, high = (show(int(number), 40) for number in (numbers.min(), numbers.max()))
    return f" from {low} to {high}"
