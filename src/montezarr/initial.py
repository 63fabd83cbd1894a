"""Initial states that differ from path to path: arrays in memory or lazy ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from montezarr._checks import check_unmasked, is_frame, plain_array, type_error, value_error
from montezarr.core.compat.dask import meta_of
from montezarr.digests import digest_of
from montezarr.processes import Process

PATH = "path"


def plain_scalars(x0: Any) -> Any:
    """Return an initial state with what has no dimension, also a lazy array, as a plain scalar."""
    if isinstance(x0, Mapping):
        return {name: plain_scalars(part) for name, part in x0.items()}
    if isinstance(x0, tuple):
        return tuple(plain_scalars(part) for part in x0)
    return plain_array("x0", x0)[()] if getattr(x0, "ndim", None) == 0 else x0


def per_path(process: Any, x0: Any, n_paths: int) -> tuple[str | None, Any, bool]:
    """Return (digest, Dask array, is lazy) of initial states by path, else (None, None, False).

    The array is (n_paths,), or (variables, n_paths) for a process of several variables. Of a
    mapping for a sampler that declares no variables it has a field for each name.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If there is not one entry per path, or entries are neither numbers nor labels, or masked.
    """
    names: Sequence[str] = ("x",)
    offered = getattr(process, "variables", None)
    if isinstance(process, Process):
        names = process.variables
    elif (isinstance(x0, Mapping) or is_frame(x0)) and isinstance(offered, (list, tuple)):
        names = offered  # an array is that of the paths, whatever variables there are
    if is_frame(x0):
        x0 = _by_column(x0, names)
    if len(names) > 1:
        parts = _parts(names, x0, n_paths)
        if parts is None:
            return None, None, False
        columns = [da.broadcast_to(_column(part, n_paths), (n_paths,)) for part in parts]
        array = da.stack(columns).rechunk({0: -1})
    elif isinstance(x0, Mapping) and not isinstance(process, Process):
        if callable(getattr(process, "sample", None)):  # which gets the array itself
            return per_path(process, x0["x"], n_paths) if set(x0) == {"x"} else (None, None, False)
        return _records(x0, n_paths)
    else:
        parts = [_data(x0)]
        if not getattr(parts[0], "ndim", 0):
            return None, None, False
        array = _column(parts[0], n_paths)
    digest = digest_of([part.name if isinstance(part, da.Array) else part for part in parts], "x0")
    return digest, array, any(isinstance(part, da.Array) for part in parts)


def _by_column(frame: Any, names: Sequence[str]) -> Any:
    """Return a table as its columns by name, or its only column."""
    if len(names) > 1:
        if sorted(map(str, frame.columns)) != sorted(names):
            expected = f"a table with the columns {', '.join(names)}"
            raise value_error("x0", expected, list(frame.columns))
        return {str(name): frame.iloc[:, i] for i, name in enumerate(frame.columns)}
    if len(frame.columns) != 1:
        raise value_error(
            "x0", "a table of one column", f"{len(frame.columns)} columns",
            "x0=dict(table) gives each path its entry of every column.",
        )  # fmt: skip
    return frame.iloc[:, 0]


def _parts(names: Sequence[str], x0: Any, n_paths: int) -> list[Any] | None:
    """Return the initial states of each variable, None where no path has one of its own.

    Raises
    ------
    ArgumentValueError
        For lists or arrays that are not one entry per path: where they went into all blocks alike,
        the number of paths in a block would be part of what a path is.
    """
    if isinstance(x0, xr.DataArray):
        x0 = (x0.transpose(..., PATH) if PATH in x0.dims else x0).data
    if isinstance(x0, Mapping):
        x0 = [x0[name] for name in names] if set(x0) == set(names) else None
    elif hasattr(x0, "ndim"):
        check_unmasked("x0", x0)
        if len(x0.shape) == 2 and x0.shape[0] != len(names):
            expected = f"shape ({len(names)}, {n_paths}), the variables {', '.join(names)} first"
            raise value_error("x0", expected, x0.shape)
        x0 = [x0[i] for i in range(len(x0))]
    if not isinstance(x0, (list, tuple)) or len(x0) != len(names):
        return None
    parts = [_data(part) for part in x0]
    shapes = {part.shape for part in parts if getattr(part, "ndim", 0)}
    if not shapes or (shapes == {(1,)} and n_paths > 1):  # one for all, each in a list
        return None
    return parts


def _records(x0: Mapping[Any, Any], n_paths: int) -> tuple[str | None, Any, bool]:
    """Return the initial states of a mapping with arrays: a field for each name, its own type.

    Lists stay what they are: one value, of all paths.
    """
    parts = {name: _data(part) if hasattr(part, "ndim") else part for name, part in x0.items()}
    if not any(getattr(part, "ndim", 0) for part in parts.values()):
        return None, None, False
    if not all(isinstance(name, str) and name for name in parts):
        raise type_error("x0", "names as the keys of a mapping with arrays", list(parts))
    hint = "An array in a mapping has an entry for each path; a list or tuple is one value of all."
    fields: dict[str, Any] = {}
    for name, part in parts.items():
        is_array = bool(getattr(part, "ndim", 0))
        fields[name] = _column(part, n_paths, f"x0[{name!r}]", hint) if is_array else _one(part)
    dtype = [(name, _held(field.dtype)) for name, field in fields.items()]
    columns = {name: field for name, field in fields.items() if field.ndim}
    common = {name: field for name, field in fields.items() if not field.ndim}
    is_lazy = {name: isinstance(parts[name], da.Array) for name in columns}
    first = max(columns, key=lambda name: is_lazy[name])
    array = da.map_blocks(
        _joined, *(c.rechunk(columns[first].chunks) for c in columns.values()),
        names=tuple(columns), common=common, fields=dtype,
        dtype=np.dtype(dtype), meta=np.empty(0, dtype),
    )  # fmt: skip
    lazy = any(is_lazy.values())
    if not lazy:  # nothing to compute again
        array = da.from_array(array.compute(scheduler="synchronous"), chunks=-1)
    told = {name: part.name if isinstance(part, da.Array) else part for name, part in parts.items()}
    return digest_of(told, "x0"), array, lazy


def _one(value: Any) -> Any:
    """Return a value of all paths as an array without dimensions: as it is, if not a number."""
    if isinstance(value, (bool, float, str, np.generic)) or type(value) is int:
        array = np.asarray(value)
        if array.dtype.kind in "iufbU":
            return array
    out = np.empty((), object)
    out[()] = value
    return out


def _held(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(object) if dtype.kind == "T" else dtype  # which no field can have


def _joined(*columns: Any, names: Sequence[str], common: Mapping[str, Any], fields: Any) -> Any:
    out = np.empty(columns[0].shape, fields)
    for name, values in [*zip(names, columns, strict=True), *common.items()]:
        out[name] = values
    return out


def _data(part: Any) -> Any:
    """Return the array in an initial state: a copy where it is in memory and could change."""
    _check_path_labels(part)
    if isinstance(part, xr.DataArray):
        part = part.data
    if isinstance(part, da.Array):
        if isinstance(meta_of(part), np.ma.MaskedArray):
            raise type_error(
                "x0", "an initial state for every path", part,
                "Masked ones are none: fill them, by dask.array.ma.filled(x0, value).",
            )  # fmt: skip
        return part
    if not (isinstance(part, (list, tuple, range)) or hasattr(part, "ndim")):
        return part
    try:
        array = np.array(plain_array("x0", part))
    except ValueError as error:  # rows of unequal length
        if "masked" in str(error):
            raise
        raise value_error("x0", "one number or label per path", part) from error
    is_text = array.dtype.kind in "US" and isinstance(part, (list, tuple))
    if is_text and not all(isinstance(item, str) for item in part):
        return np.array(part, dtype=object)  # labels of several types, which NumPy made text of
    return array


def _check_path_labels(part: Any) -> None:
    """Raise where entries are labelled with paths, other ones than those that they would go to."""
    labels: Any = None
    if isinstance(part, xr.DataArray) and PATH in part.coords and part[PATH].ndim == 1:
        labels = part[PATH].values
    elif getattr(getattr(part, "index", None), "name", None) == PATH:
        labels = np.asarray(part.index)
    if labels is not None and not np.array_equal(labels, np.arange(len(labels))):
        raise value_error(
            "x0", "entries of the paths 0, 1, 2 and so on, by their labels", labels,
            "Entries are taken in order. Sort them, or drop the labels.",
        )  # fmt: skip


def _column(data: Any, n_paths: int, name: str = "x0", hint: str = "") -> da.Array:
    if not isinstance(data, da.Array):
        data = np.asarray(data)
    if data.dtype.kind not in "iufOUT":
        raise type_error(name, "numbers or labels", data)
    if data.ndim > 1 or (data.ndim and data.shape[0] != n_paths):
        raise value_error(name, f"one entry per path ({n_paths},)", data.shape, hint)
    in_memory = not isinstance(data, da.Array)
    column: da.Array = (
        da.from_array(data, chunks=-1)
        if in_memory
        else da.map_blocks(_whole, data, dtype=data.dtype, meta=meta_of(data))
    )
    return column


def _whole(block: Any) -> Any:
    """Return a block, or raise if something in it is masked, which its array did not tell."""
    check_unmasked("x0", block)
    return np.asarray(block)
