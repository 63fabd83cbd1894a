"""From what samplers return to arrays: paths as objects, mappings or sequences; labels to codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr._checks import show
from montezarr.errors import ArgumentValueError
from montezarr.sampling._base import Sampling, Variable


def unpack(value: Any) -> tuple[dict[str, NDArray[Any]], NDArray[Any] | None]:
    """Return the variables of one path by name, each one-dimensional, and its own times if any.

    A path may be an object with ``times`` and ``states``, a mapping from names to arrays, a
    sequence of states, or one number (a path of a single time).
    """
    times = None
    if hasattr(value, "states") and hasattr(value, "times"):
        times = np.asarray(value.times, dtype=np.float64)
        value = value.states
    if value is None:
        raise ArgumentValueError("returned None, expected a path.")
    parts = value if isinstance(value, Mapping) else {"x": value}
    out = {str(name): np.atleast_1d(np.asarray(part)) for name, part in parts.items()}
    lengths = {part.shape for part in out.values()}
    if len(lengths) != 1 or len(next(iter(lengths))) != 1:
        raise ArgumentValueError(
            f"returned shapes {sorted(lengths)}, expected one state per time, (T+1,). For several"
            " variables return a mapping from names to such arrays."
        )
    if times is not None and times.shape not in lengths:
        raise ArgumentValueError(f"returned times {times.shape} for states {lengths.pop()}.")
    return out, times


def plain_numbers(array: NDArray[Any]) -> NDArray[Any] | None:
    """Return an array of numbers as it is, one of Python numbers as numbers, else None."""
    if array.dtype.kind in "iuf":
        return array
    if array.dtype.kind == "b":
        return array.astype(np.int64)
    if array.dtype.kind == "O":
        kinds = {type(item) for item in array.ravel().tolist()}
        if kinds <= {int, bool}:
            return array.astype(np.int64)
        if kinds and all(issubclass(kind, (int, float, np.number)) for kind in kinds):
            return array.astype(np.float64)
    return None


def cast(array: NDArray[Any], dtype: Any) -> NDArray[Any] | None:
    """Return numbers in another dtype of their kind, or None where they are of another kind.

    In a real dtype they are rounded, and infinite where too large; in an integer one they must fit.
    """
    kind = np.dtype(dtype)
    if array.dtype == kind:
        return array
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
        codes = {label: code for code, label in enumerate(variable.labels)}
        items = array.ravel().tolist()
        try:
            coded = [codes[label] for label in items]
        except (KeyError, TypeError):  # TypeError: not even hashable
            position = next(k for k, label in enumerate(items) if not _is_key(label, codes))
            row, step = divmod(position, array.shape[-1])  # a block holds a path per row
            message = (
                f"label {show(items[position])} at step {step} is none of"
                f" {show(variable.labels)}. Name all labels with labels=."
            )
            raise sampling.failure(path + row, x0, message) from None
        return np.array(coded, variable.dtype).reshape(array.shape)
    numbers = plain_numbers(array)
    if numbers is None:
        message = f"{variable.name}: expected numbers as in the first path, got {show(array)}."
        raise sampling.failure(path, x0, message)
    converted = cast(numbers, variable.dtype)
    if converted is None:
        message = (
            f"{variable.name}: expected {variable.dtype} as in the first path, got"
            f" {numbers.dtype}{_span(numbers)}. Pass a dtype= that holds all states."
        )
        raise sampling.failure(path, x0, message)
    # Integers next to real variables share their array on the way to the Dataset.
    if sampling.dtype.kind == "f" and converted.dtype.kind in "iu":
        limit = 2 ** (np.finfo(sampling.dtype).nmant + 1)
        if converted.max() > limit or converted.min() < -limit:
            message = f"{variable.name}: expected integers within ±{limit}, got{_span(converted)}."
            raise sampling.failure(path, x0, message)
    return converted


def _is_key(label: Any, codes: Mapping[Any, int]) -> bool:
    try:
        return label in codes
    except TypeError:
        return False


def _span(numbers: NDArray[Any]) -> str:
    return f" from {numbers.min()} to {numbers.max()}" if numbers.dtype.kind in "iu" else ""
