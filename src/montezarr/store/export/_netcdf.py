"""NetCDF 4: the arrays with their attributes, chunk by chunk."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from dask.callbacks import Callback

from montezarr.core.optional import import_optional
from montezarr.execute.synchronous import Synchronous
from montezarr.run.execution import OnProgress
from montezarr.store.export._part import MASKED, Selected, masked_values


def require() -> None:
    """Raise unless h5netcdf is installed, and h5py, which it needs to write."""
    import_optional("h5netcdf", extra="export", purpose="NetCDF")
    import_optional("h5py", extra="export", purpose="NetCDF")


def write(part: Selected, file: Path, on_progress: OnProgress) -> None:
    """Write paths as netCDF, a Dask chunk at a time, so that no more is in memory."""
    ds = prepared(part.ds)
    # Coordinates have no missing values.
    encoding: dict[Any, dict[str, Any]] = {name: {"_FillValue": None} for name in ds.coords}
    for name, masked in masked_values(part.ds).items():
        encoding[name] = {"_FillValue": ds[name].dtype.type(masked)}
    # HDF5 writes serially anyway; and after an error another thread could reopen the file that is
    # being deleted.
    with _ProgressCallback(part.n_paths, on_progress), Synchronous():
        ds.to_netcdf(file, engine="h5netcdf", format="NETCDF4", encoding=encoding)


def prepared(ds: xr.Dataset) -> xr.Dataset:
    """Return a Dataset in the types of netCDF: attributes of text and numbers, no half precision.

    The attribute ``masked_value`` becomes ``_FillValue``, with the same number.
    """
    out, masked = ds.drop_encoding(), masked_values(ds)
    for name, variable in out.variables.items():
        if variable.dtype == np.float16:
            out[name] = out[name].astype(np.float32)
        kind = variable.dtype
        attrs = variable.attrs
        if name in masked:
            attrs = {k: v for k, v in attrs.items() if k != MASKED}
        out[name].attrs = {k: _attribute(k, v, kind) for k, v in attrs.items()}
    out.attrs = {k: _attribute(k, v, None) for k, v in ds.attrs.items()}
    return out


def _attribute(name: Any, value: Any, kind: Any) -> Any:
    if name == "flag_values":  # CF requires the dtype of the variable
        return np.asarray(value, kind)
    if isinstance(value, str):
        return value.replace("\0", "")  # HDF5 has no NUL in text
    plain = isinstance(value, (int, float, np.ndarray, np.number))
    if plain and not isinstance(value, bool):
        return value
    if isinstance(value, list) and value and all(type(x) in (int, float) for x in value):
        return np.asarray(value)
    return json.dumps(value)


class _ProgressCallback(Callback):
    """Reports the progress of Dask tasks in this thread as paths."""

    def __init__(self, n_paths: int, on_progress: OnProgress):
        super().__init__()  # type: ignore[no-untyped-call]
        self.n_paths, self.on_progress = n_paths, on_progress
        self.thread = threading.get_ident()

    def _posttask(self, key: Any, result: Any, dsk: Any, state: Any, worker_id: Any) -> None:
        if threading.get_ident() != self.thread:  # Dask calls it for the tasks of all threads
            return
        done, waiting = len(state["finished"]), len(state["waiting"])
        total = done + waiting + len(state["ready"]) + len(state["running"])
        self.on_progress(self.n_paths * done // max(total, 1), self.n_paths, 0)
