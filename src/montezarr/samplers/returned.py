"""Read the values that samplers return: objects, mappings, tables, xarray objects, sequences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import is_frame, plain_array, show
from montezarr.core.errors import ArgumentValueError
from montezarr.samplers.schema import PATH, TIME

NUMBERS = {int, float, bool, np.float64}
"""Usual types of the entries of lists."""


class ReturnedVariable(NamedTuple):
    """A variable as a sampler returned it.

    Attributes
    ----------
    array : array
        Its values.
    dims : tuple of str or None
        Its dimensions, if it names them.
    is_plain : bool
        Whether it is a Python number, which may be an integer by chance and so declares no dtype.
    counts : array (n,) or None
        Of a block, the number of events of each path; the rest of its row is padding.
    """

    array: NDArray[Any]
    dims: tuple[str, ...] | None
    is_plain: bool
    counts: NDArray[np.int64] | None = None

    @property
    def longest(self) -> int:
        """Largest number of events of a path of a block; at least 1."""
        return 1 if self.counts is None else max(1, int(self.counts.max(initial=0)))

    def rows(self, low: int, high: int) -> ReturnedVariable:
        """Return the paths from position `low` to `high` of a block."""
        counts = None if self.counts is None else self.counts[low:high]
        return self._replace(array=self.array[low:high], counts=counts)

    def row(self, position: int) -> ReturnedVariable:
        """Return one path of a block."""
        array = self.array[position]
        if self.counts is not None:
            array = array[: self.counts[position]]
        return self._replace(array=array, counts=None)


ReturnedVariables = dict[str, ReturnedVariable]
"""The variables of a path, or of a block, by name."""


def is_xarray(value: Any) -> bool:
    """Return whether a value is a Dataset or DataArray, without importing xarray."""
    return type(value).__module__.partition(".")[0] == "xarray" and hasattr(value, "coords")


def parts_of(value: Any) -> Mapping[Any, Any]:
    """Return the variables in a returned value by name, not converted."""
    if is_xarray(value):
        if hasattr(value, "data_vars"):
            return dict(value.data_vars)
        return {"x" if value.name is None else value.name: value}
    if hasattr(value, "states") and hasattr(value, "times"):
        value = value.states
    if value is None:
        raise ArgumentValueError("returned None, expected a path.")
    if is_frame(value):
        names = list(map(str, value.columns))
        if len(set(names)) != len(names):
            raise ArgumentValueError(f"returned columns {names}, expected names that differ.")
        return {name: value.iloc[:, i] for i, name in enumerate(names)}
    if isinstance(value, tuple) and hasattr(value, "_fields"):  # a NamedTuple
        return dict(zip(value._fields, value, strict=True))
    return value if isinstance(value, Mapping) else {"x": value}


def unpack_returned(
    value: Any, names: tuple[str, ...] = (), has_rows: bool = False
) -> tuple[dict[str, ReturnedVariable], NDArray[np.float64] | None]:
    """Return the variables of one path or block by name, and its own times or None.

    If a run has the single variable `x`, a DataArray or NamedTuple is that variable, whatever its
    names: earlier versions ignored the names of these. With `has_rows` a list of arrays of any
    length is one row for each path.
    """
    parts = parts_of(value)
    if names == ("x",) and "x" not in parts and _is_one(value):
        parts = {"x": value}
    if not parts:
        raise ArgumentValueError("returned no variables, expected a path.")
    read = _rows_or_part if has_rows else _part
    out = {str(name): read(str(name), part) for name, part in parts.items()}
    if len(out) != len(parts):
        raise ArgumentValueError(f"returned {list(parts)}, expected names that differ as text.")
    times = _times_of(value, parts)
    if times is not None and not is_xarray(value):
        lengths = {part.array.shape for part in out.values() if part.dims is None}
        if lengths - {times.shape}:
            raise ArgumentValueError(f"returned times {times.shape} for states {lengths.pop()}.")
    return out, times


def _is_one(value: Any) -> bool:
    is_array = is_xarray(value) and not hasattr(value, "data_vars")
    return is_array or (isinstance(value, tuple) and hasattr(value, "_fields"))


def coords_of(value: Any) -> dict[str, tuple[Any, ...]]:
    """Return the labels along the dimensions of a returned value, other than path and time."""
    found: dict[str, tuple[Any, ...]] = {}
    for part in (value, *parts_of(value).values()):
        for name in part.dims if is_xarray(part) else ():
            if str(name) in (TIME, PATH) or name not in part.coords:
                continue
            labels = part.coords[name].values
            if labels.dtype.kind not in "iufbU" and not _are_text(labels):
                raise ArgumentValueError(
                    f"returned labels of {str(name)!r} of type {labels.dtype}, expected numbers or"
                    " text."
                )
            plain = tuple(labels.tolist())
            if found.setdefault(str(name), plain) != plain:
                raise ArgumentValueError(
                    f"returned two labels of {str(name)!r}: {show(found[str(name)])} and"
                    f" {show(plain)}."
                )
    return found


def _are_text(labels: NDArray[Any]) -> bool:
    return labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels.ravel())


def attributes_of(value: Any) -> dict[str, dict[str, Any]]:
    """Return the attributes of the returned variables that are xarray objects."""
    parts = parts_of(value).items()
    return {str(name): dict(part.attrs) for name, part in parts if is_xarray(part)}


def _part(name: str, part: Any) -> ReturnedVariable:
    is_plain = isinstance(part, (int, float)) and not isinstance(part, np.generic)
    dims = tuple(map(str, part.dims)) if is_xarray(part) else None
    return ReturnedVariable(_array(name, part), dims, is_plain)


def _rows_or_part(name: str, part: Any) -> ReturnedVariable:
    """Return a list of arrays of any length as rows of the longest, with their lengths."""
    is_list = isinstance(part, (list, tuple)) or getattr(part, "dtype", 0) == np.dtype(object)
    if not is_list or not all(np.ndim(row) for row in part):
        return _part(name, part)
    rows = [_array(name, row) for row in part]
    counts = np.array([len(row) for row in rows], np.int64)
    first = max(rows, key=len, default=np.empty(0))
    kind = np.result_type(*{row.dtype for row in rows if row.size} or {first.dtype})
    array = np.zeros((len(rows), counts.max(initial=0), *first.shape[1:]), kind)
    for i, row in enumerate(rows):
        array[i, : len(row)] = row
    return ReturnedVariable(array, None, False, counts)


def _times_of(value: Any, parts: Mapping[Any, Any]) -> NDArray[np.float64] | None:
    if not is_xarray(value) and hasattr(value, "states") and hasattr(value, "times"):
        return plain_array("times", value.times).astype(np.float64)
    found: NDArray[np.float64] | None = None
    for part in (value, *parts.values()):
        if not is_xarray(part) or TIME not in part.coords or part.coords[TIME].dims != (TIME,):
            continue
        times = part.coords[TIME].values
        if times.dtype.kind not in "iuf":  # dates: the run has its own times
            continue
        numbers = np.asarray(times, np.float64)
        if found is not None and not np.array_equal(found, numbers):
            raise ArgumentValueError(f"returned two times: {show(found)} and {show(numbers)}.")
        found = numbers
    return found


def _array(name: str, part: Any) -> NDArray[Any]:
    """Return a part as an array; large integers stay integers, which NumPy would make floats."""
    if type(part) not in (list, tuple):
        return plain_array(name, part)
    kinds = set(map(type, part))
    # Lists of plain numbers have no masked entries, so they skip the check of each entry.
    array = np.asarray(part) if kinds <= NUMBERS else plain_array(name, part)
    is_whole = kinds <= {int, bool} and array.dtype == np.float64 and array.size > 0
    return np.array(part, object) if is_whole else array
