"""Checks of the arguments of `simulate` that determine the variables of a path."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np

from montezarr.core.checks import (
    check_choice,
    check_int,
    did_you_mean,
    plain_items,
    show,
    type_error,
    value_error,
)
from montezarr.core.errors import ArgumentTypeError
from montezarr.samplers.schema import PATH, TIME

DTYPES = ("float64", "float32", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32")

ARGUMENTS = (
    "process", "n_paths", "T", "x0", "dt", "times", "seed", "stream", "dtype", "chunks", "keep",
    "labels", "dims", "coords", "vary", "noise", "max_events", "on_overflow", "until",
    "after_stop", "on_error", "on_nonfinite", "retries", "legacy_global_rng",
)  # fmt: skip
"""Names of the arguments of `simulate`, with which unknown ones are compared."""

ADDED = (
    "stream", "dims", "coords", "vary", "noise", "max_events", "on_overflow", "until", "after_stop"
)  # fmt: skip
"""Arguments of later versions: samplers from before may have parameters of these names."""


def unknown_argument(name: str, value: Any, or_of: str = "") -> ArgumentTypeError:
    """Return the error for an argument that neither `simulate` nor the sampler has."""
    hint = did_you_mean(name, ARGUMENTS, quoted=False)
    return ArgumentTypeError(
        f"{name}: expected an argument of simulate{or_of}, got {show(value)}"
        f" under an unknown name.{' ' + hint if hint else ''}"
    )


def check_dtypes(dtype: Any) -> str | dict[str, str] | None:
    """Return the name of a state dtype, or a mapping of variables to such names."""
    if not isinstance(dtype, Mapping):
        return check_dtype(dtype)
    return {str(name): check_dtype(one) or "float64" for name, one in dtype.items()}


def check_dtype(dtype: Any) -> str | None:
    """Return the name of a state dtype."""
    if dtype is None:
        return None
    try:
        name = np.dtype(dtype).name
    except (TypeError, ValueError, SyntaxError) as error:  # NumPy raises any of these
        raise type_error("dtype", f"one of {', '.join(DTYPES)}", dtype) from error
    return check_choice("dtype", name, DTYPES)


def check_labels(labels: Any) -> tuple[str | int, ...] | None:
    """Return distinct labels as a tuple."""
    if labels is None:
        return None
    expected = "a sequence of distinct str or int"
    plain = tuple(plain_items("labels", labels, expected))
    for label in plain:
        if isinstance(label, bool) or not isinstance(label, (str, int)):
            raise type_error("labels", expected, label)
    if not plain or len(set(plain)) != len(plain):
        raise value_error("labels", expected, labels)
    return plain


def check_keep(keep: Any, T: int) -> tuple[int, ...] | None:
    """Return the kept positions of a grid of T steps."""
    if keep is None:
        return None
    expected = f"a positive step, or increasing positions of the grid from {-T - 1} to {T}"
    if isinstance(keep, Integral) or not hasattr(keep, "__len__") or isinstance(keep, str):
        step = check_int("keep", keep, minimum=1, maximum=max(T, 1))
        if step == 1:
            return None
        return tuple(range(0, T + 1, step))
    positions = np.asarray(plain_items("keep", keep, expected))
    if positions.ndim != 1 or positions.size == 0 or positions.dtype.kind not in "iu":
        raise type_error("keep", expected, keep)
    absolute = np.where(positions < 0, positions + T + 1, positions)
    if absolute.min() < 0 or absolute.max() > T or (np.diff(absolute) <= 0).any():
        raise value_error("keep", expected, keep)
    return tuple(int(position) for position in absolute)


def check_dims(dims: Any) -> dict[str, tuple[str, ...]]:
    """Return dimensions by variable as tuples of names."""
    if dims is None:
        return {}
    expected = "a mapping of variables to names of dimensions, such as {'x': ('time', 'asset')}"
    if not isinstance(dims, Mapping):
        raise type_error("dims", expected, dims)
    found = {}
    for name, entry in dims.items():
        names = (entry,) if isinstance(entry, str) else tuple(plain_items("dims", entry, expected))
        if not all(isinstance(dim, str) and dim for dim in names):
            raise type_error("dims", expected, entry)
        found[str(name)] = names
    return found


def check_coords(coords: Any) -> dict[str, tuple[Any, ...]]:
    """Return labels by dimension, as Python numbers or text."""
    if coords is None:
        return {}
    expected = "a mapping of dimensions to numbers or text, such as {'asset': ['A', 'B']}"
    if not isinstance(coords, Mapping):
        raise type_error("coords", expected, coords)
    found = {}
    for dim, labels in coords.items():
        if dim in (PATH, TIME):
            raise value_error(
                "coords", "dimensions other than 'path' and 'time'", dim,
                "T, dt and times= say what the times are.",
            )  # fmt: skip
        plain = tuple(plain_items("coords", labels, expected))
        kinds = {str if isinstance(label, str) else float for label in plain}
        if len(kinds) != 1 or not all(isinstance(x, (str, bool, int, float)) for x in plain):
            raise type_error("coords", expected, labels)
        found[str(dim)] = plain
    return found
