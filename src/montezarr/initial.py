"""Initial states that differ from path to path: arrays in memory or lazy ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from montezarr._checks import type_error, value_error
from montezarr.processes import Process
from montezarr.recipe import digest_of


def per_path(process: Any, x0: Any, n_paths: int) -> tuple[str | None, Any]:
    """Return (digest, Dask array) of initial states that differ by path, else (None, None).

    The array is (n_paths,), or (variables, n_paths) for a process of several variables.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If there is not one entry per path, or entries are neither numbers nor labels.
    """
    names = process.variables if isinstance(process, Process) else ("x",)
    if len(names) > 1:
        parts = x0
        if isinstance(x0, Mapping):
            parts = [x0[name] for name in names] if set(x0) == set(names) else None
        if not isinstance(parts, (list, tuple)) or not any(getattr(p, "ndim", 0) for p in parts):
            return None, None
        columns = [da.broadcast_to(_column(part, n_paths), (n_paths,)) for part in parts]
        stacked = da.stack(columns).rechunk({0: -1})
        return _digest([_data(part) for part in parts]), stacked
    if isinstance(x0, (list, tuple)):
        x0 = np.asarray(x0)
    if not getattr(x0, "ndim", 0):
        return None, None
    return _digest([_data(x0)]), _column(x0, n_paths)


def _data(part: Any) -> Any:
    return part.data if isinstance(part, xr.DataArray) else part


def _column(part: Any, n_paths: int) -> da.Array:
    data = _data(part)
    if not isinstance(data, da.Array):
        data = np.asarray(data)
    if data.dtype.kind not in "iufOUT":
        raise type_error("x0", "numbers or labels", part)
    if data.ndim > 1 or (data.ndim and data.shape[0] != n_paths):
        raise value_error("x0", f"one entry per path ({n_paths},)", data.shape)
    return data if isinstance(data, da.Array) else da.from_array(data, chunks=-1)


def _digest(parts: list[Any]) -> str:
    """Return what tells these states from others: content in memory, the name of a lazy array."""
    return digest_of([part.name if isinstance(part, da.Array) else part for part in parts])
