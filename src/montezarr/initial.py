"""Initial states that differ from path to path: arrays in memory or lazy ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from montezarr._checks import type_error, value_error
from montezarr.processes import Process
from montezarr.recipe import digest_of


def plain_scalars(x0: Any) -> Any:
    """Return an initial state with what has no dimension, also a lazy array, as a plain scalar."""
    if isinstance(x0, Mapping):
        return {name: plain_scalars(part) for name, part in x0.items()}
    if isinstance(x0, tuple):
        return tuple(plain_scalars(part) for part in x0)
    return np.asarray(x0)[()] if getattr(x0, "ndim", None) == 0 else x0


def per_path(process: Any, x0: Any, n_paths: int) -> tuple[str | None, Any, bool]:
    """Return (digest, Dask array, is lazy) of initial states by path, else (None, None, False).

    The array is (n_paths,), or (variables, n_paths) for a process of several variables.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If there is not one entry per path, or entries are neither numbers nor labels.
    """
    names: Sequence[str] = ("x",)
    if isinstance(process, Process):
        names = process.variables
    elif isinstance(x0, Mapping) and isinstance(getattr(process, "variables", None), (list, tuple)):
        names = process.variables  # an array is that of the paths, whatever variables there are
    if len(names) > 1:
        if isinstance(x0, Mapping):
            x0 = [x0[name] for name in names] if set(x0) == set(names) else None
        if not isinstance(x0, (list, tuple)) or not any(getattr(p, "ndim", 0) for p in x0):
            return None, None, False
        parts = [_data(part) for part in x0]
        columns = [da.broadcast_to(_column(part, n_paths), (n_paths,)) for part in parts]
        array = da.stack(columns).rechunk({0: -1})
    else:
        parts = [_data(x0)]
        if not getattr(parts[0], "ndim", 0):
            return None, None, False
        array = _column(parts[0], n_paths)
    digest = digest_of([part.name if isinstance(part, da.Array) else part for part in parts], "x0")
    return digest, array, any(isinstance(part, da.Array) for part in parts)


def _data(part: Any) -> Any:
    """Return the array in an initial state: a copy where it is in memory and could change."""
    if isinstance(part, xr.DataArray):
        part = part.data
    if isinstance(part, da.Array) or not (isinstance(part, (list, tuple)) or hasattr(part, "ndim")):
        return part
    try:
        array = np.array(part)
    except ValueError as error:  # rows of unequal length
        raise value_error("x0", "one number or label per path", part) from error
    is_text = array.dtype.kind in "US" and isinstance(part, (list, tuple))
    if is_text and not all(isinstance(item, str) for item in part):
        return np.array(part, dtype=object)  # labels of several types, which NumPy made text of
    return array


def _column(data: Any, n_paths: int) -> da.Array:
    if not isinstance(data, da.Array):
        data = np.asarray(data)
    if data.dtype.kind not in "iufOUT":
        raise type_error("x0", "numbers or labels", data)
    if data.ndim > 1 or (data.ndim and data.shape[0] != n_paths):
        raise value_error("x0", f"one entry per path ({n_paths},)", data.shape)
    return data if isinstance(data, da.Array) else da.from_array(data, chunks=-1)
