"""Make one checked array of initial states that differ from path to path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from montezarr.core.checks import check_unmasked, plain_array, type_error, value_error
from montezarr.core.compat.dask import meta_of
from montezarr.samplers.schema import PATH


def one_of_all(value: Any) -> Any:
    """Return the common value of all paths as an array without dimensions.

    Numbers and text keep their dtype; any other value is stored as an object.
    """
    if isinstance(value, (bool, float, str, np.generic)) or type(value) is int:
        array = np.asarray(value)
        if array.dtype.kind in "iufbU":
            return array
    out = np.empty((), object)
    out[()] = value
    return out


def field_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of a field of such entries."""
    return np.dtype(object) if dtype.kind == "T" else dtype  # no field can have that dtype


def join_fields(*columns: Any, names: Sequence[str], common: Mapping[str, Any], fields: Any) -> Any:
    """Join arrays, and common values of all paths, as the fields of one array."""
    out = np.empty(columns[0].shape, fields)
    for name, values in [*zip(names, columns, strict=True), *common.items()]:
        out[name] = values
    return out


def data_of(part: Any, name: str = "x0") -> Any:
    """Return the array of an argument by path; copy one in memory, which could change later."""
    _check_path_labels(part, name)
    if isinstance(part, xr.DataArray):
        part = part.data
    if isinstance(part, da.Array):
        if isinstance(meta_of(part), np.ma.MaskedArray):
            raise type_error(
                name, f"{'an initial state' if name == 'x0' else 'a value'} for every path", part,
                f"Masked ones are none: fill them, by dask.array.ma.filled({name}, value).",
            )  # fmt: skip
        return part
    if not (isinstance(part, (list, tuple, range)) or hasattr(part, "ndim")):
        return part
    try:
        array = np.array(plain_array(name, part))
    except ValueError as error:  # rows of unequal length
        if "masked" in str(error):
            raise
        raise value_error(name, "one number or label per path", part) from error
    is_text = array.dtype.kind in "US" and isinstance(part, (list, tuple))
    if is_text and not all(isinstance(item, str) for item in part):
        return np.array(part, dtype=object)  # labels of several types, which NumPy made text
    return array


def _check_path_labels(part: Any, name: str) -> None:
    """Raise if the entries have path labels other than the paths that they would go to."""
    labels: Any = None
    if isinstance(part, xr.DataArray) and PATH in part.coords and part[PATH].ndim == 1:
        labels = part[PATH].values
    elif getattr(getattr(part, "index", None), "name", None) == PATH:
        labels = np.asarray(part.index)
    if labels is not None and not np.array_equal(labels, np.arange(len(labels))):
        raise value_error(
            name, "entries of the paths 0, 1, 2 and so on, by their labels", labels,
            "Entries are taken in order. Sort them, or drop the labels.",
        )  # fmt: skip


def initial_states_of(data: Any, n_paths: int | None, name: str = "x0", hint: str = "") -> da.Array:
    """Return the initial states of the paths, or the common one of all, as a Dask array."""
    if not isinstance(data, da.Array):
        data = np.asarray(data)
    if data.dtype.kind not in "iufOUT":
        raise type_error(name, "numbers or labels", data)
    if data.ndim and n_paths is None:
        expected = "one initial state of all paths, since there is no number of them"
        raise value_error(name, expected, data.shape, hint)
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
    """Return a block, or raise if a value is masked: the lazy array did not show that."""
    check_unmasked("x0", block)
    return np.asarray(block)
