"""Validators. Each names the argument, what was expected, what was got, and returns the value."""

from __future__ import annotations

import difflib
import errno
import math
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.errors import ArgumentTypeError, ArgumentValueError
from montezarr.core.secrets import redacted

MAX_INDEX = 2**63 - 1

_NO_NUMBERS = (bool, np.bool_, np.timedelta64)
"""Types that Python or NumPy count as integers, but that are refused as numbers."""


def show(value: object, limit: int = 80) -> str:
    """Return a repr of `value` for a message: one line of at most `limit` characters."""
    try:
        text = repr(value)
    except Exception:  # an integer of over 4300 digits, or a class with a faulty __repr__
        text = f"<{type(value).__name__}>"
    # Redact before the text is cut, since the cut may remove what marks a secret. Of a very long
    # text only the beginning is searched.
    text = redacted(" ".join(text[: 64 * limit].split()))
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


def local_path(name: str, text: str) -> Path:
    """Return the path that a text names, with ``~`` expanded; the file need not exist.

    Raises
    ------
    ArgumentValueError
        If the path is too long, names an unknown home, or has characters that the system refuses.
    """
    try:
        path = Path(text).expanduser()
        os.lstat(path)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise too_long(name, path) from error
    except (RuntimeError, ValueError) as error:  # no such home; surrogates, or a NUL
        raise value_error(
            name, "a path that the system accepts", text, f"{str(error).rstrip('.')}."
        ) from error
    return path


def too_long(name: str, path: Path) -> ArgumentValueError:
    """Return the error for a path that is too long for the system, or has too long a name."""
    longest = max((len(os.fsencode(part)) for part in path.parts), default=0)
    return value_error(
        name, "a path that is not too long for the system", str(path),
        f"It has {len(os.fsencode(path)):,} bytes, and its longest name {longest:,}: most systems"
        " take 4,095 and 255.",
    )  # fmt: skip


def did_you_mean(name: str, known: Iterable[str], *, quoted: bool = True) -> str:
    """Return a question that names the closest of `known`, or an empty text if none is close."""
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


def plain_array(name: str, value: Any, hint: str = "") -> NDArray[Any]:
    """Return lists, arrays, pandas and xarray objects as a NumPy array; refuse masked entries.

    Raises
    ------
    ArgumentValueError
        If an entry is masked: the number under a mask is not part of the data.
    ValueError
        From NumPy, for rows of unequal length.
    """
    parts = [value]
    if type(value).__module__.partition(".")[0] in ("xarray", "dask"):
        data = getattr(value, "data", value) if hasattr(value, "dims") else value
        parts = [data.compute() if hasattr(data, "compute") else data]
        value = parts[0]
    elif isinstance(value, (list, tuple)):
        is_masked = any(issubclass(kind, np.ma.MaskedArray) for kind in set(map(type, value)))
        parts = list(value) if is_masked else []
    for part in parts:
        check_unmasked(name, part, hint)
    return np.asarray(value)


def check_unmasked(name: str, value: Any, hint: str = "") -> None:
    """Raise if a value is a masked array with masked entries."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        count = int(np.ma.getmaskarray(value).sum())
        remedy = hint or "Fill them, by .filled(value), or leave them out, by .compressed()."
        raise ArgumentValueError(
            f"{name}: expected entries of which none is masked, got {count} masked of"
            f" {value.size}. {remedy}"
        )


def without_mask(values: Any) -> NDArray[Any]:
    """Return computed values as an array with NaN for masked entries, as xarray does.

    Raises
    ------
    ArgumentValueError
        For masked integers, which have no NaN.
    """
    if not isinstance(values, np.ma.MaskedArray):
        return np.asarray(values)
    if values.dtype.kind != "f":
        check_unmasked("obj", values, "Take .astype(float) before, in which they become NaN.")
        return values.data
    return values.filled(np.nan)


def real_numbers(value: Any) -> NDArray[np.float64]:
    """Return numbers as float64, with NaN for masked entries."""
    if not isinstance(value, np.ma.MaskedArray):
        return np.asarray(value, np.float64)
    return np.where(np.ma.getmaskarray(value), np.nan, value.data.astype(np.float64))


def plain_items(name: str, value: Any, expected: str) -> list[Any]:
    """Return the entries of a sequence, NumPy scalars as Python ones.

    Lists, tuples, and one-dimensional arrays of NumPy, pandas and xarray are accepted.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If it is text, or is no sequence, or has a masked entry.
    """
    items: Any = value
    if hasattr(value, "ndim"):
        items = plain_array(name, value)
        items = items[:, 0] if is_frame(value) and items.shape[1:] == (1,) else items
    if isinstance(items, (str, bytes)) or not isinstance(items, (Sequence, np.ndarray)):
        raise type_error(name, expected, value)
    if getattr(items, "ndim", 1) != 1:
        raise type_error(name, expected, value)
    for item in items:
        check_unmasked(name, item)
    return [item.item() if isinstance(item, np.generic) else item for item in items]


def is_frame(value: Any) -> bool:
    """Return whether a value is a pandas DataFrame, or has the same interface."""
    return hasattr(value, "columns") and hasattr(value, "iloc")


def _table(name: str, value: Any, raw: NDArray[Any], is_matrix: bool) -> NDArray[Any]:
    """Return the numbers of a table: one column as a series, a matrix if rows match columns."""
    if not is_matrix:
        return raw[:, 0] if raw.shape[1:] == (1,) else raw
    rows, columns = list(value.index), list(value.columns)
    if rows != columns and set(rows) == set(columns):
        raise value_error(name, f"rows in the order of the columns, {show(columns)}", rows)
    return raw


def check_array(
    name: str, value: Any, *, ndim: int | Sequence[int], hint: str = ""
) -> NDArray[np.float64]:
    """Return `value` as a finite float64 array of `ndim` dimensions, a read-only copy.

    Lists, arrays, pandas and xarray objects are accepted, a table of one column as a series.
    Masked entries are refused.
    """
    wanted = (ndim,) if isinstance(ndim, int) else tuple(ndim)
    expected = f"finite numbers in {' or '.join(str(d) for d in wanted)} dimension(s)"
    try:
        raw = plain_array(name, value, hint)
    except ArgumentValueError:
        raise
    except ValueError as error:  # rows of unequal length
        raise value_error(name, expected, value, hint) from error
    if raw.dtype.kind not in "iuf":
        raise type_error(name, expected, value, hint)
    if is_frame(value):
        raw = _table(name, value, raw, 2 in wanted)
    array = raw.astype(np.float64)
    if array.ndim not in wanted or array.size == 0 or not np.isfinite(array).all():
        raise value_error(name, f"{expected}, not empty", value, hint)
    array.setflags(write=False)
    return array
