"""`open`: the committed paths of a store as a lazy Dataset. A store is data and runs nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import xarray as xr
import zarr

from montezarr.dataset import ATTRIBUTE
from montezarr.errors import StoreError, StoreExistsError, StoreNotFoundError
from montezarr.store import _format


def open_store(path: Any) -> xr.Dataset:
    """Open a store that `write` has completed, lazily, one Dask chunk per stored chunk.

    Nothing that the store names is imported or run. Every chunk is checked against its checksum
    when it is read.

    Parameters
    ----------
    path : str or path
        Directory of the store.

    Returns
    -------
    Dataset
        As `simulate` returned it: variables (path, time), the coordinate time, and the recipe in
        ``attrs["montezarr"]``, so that `replay` works.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `path` is not a local path.
    StoreNotFoundError
        If no store is there, or one that `write` has not completed.
    StoreError
        If files are missing, or not of the format that `write` makes.
    """
    target = _format.check_path(path)
    try:
        state = _format.read_root(target)
    except StoreExistsError as error:
        raise StoreNotFoundError(f"path: expected a montezarr store, got {target}.") from error
    if state is None:
        raise StoreNotFoundError(f"path: expected a montezarr store, got nothing at {target}.")
    info = state[_format.STORE_ATTRIBUTE]
    if info["status"] != _format.COMPLETE:
        raise StoreNotFoundError(
            f"path: expected a complete store, got one that is still being written: {target}."
            " Call montezarr.write with the same Dataset again; it goes on where it stopped."
        )
    return _as_dataset(target, state)


def _as_dataset(target: Path, state: dict[str, Any]) -> xr.Dataset:
    recipe = json.loads(state[ATTRIBUTE])
    info = state[_format.STORE_ATTRIBUTE]
    names = [variable["name"] for variable in recipe["variables"]]
    root = zarr.open_group(target, mode="r")
    _format.check_arrays(root, [*names, "time"], target)
    n_chunks = -(-info["n_paths"] // info["chunk"])
    sizes = _format.chunk_sizes(root, names)
    lost = next(_format.missing_chunks(target, sizes, n_chunks), None)
    if lost is not None:
        raise StoreError(
            f"path: expected {n_chunks:,} chunks, got none for paths from {lost * info['chunk']:,}"
            f" on: {target}. Call montezarr.write with the same Dataset to draw them again."
        )
    ds: xr.Dataset = xr.open_zarr(target, consolidated=False, chunks={})
    ds = ds[names]  # in the order of the process, which a directory does not keep
    ds.attrs = {ATTRIBUTE: state[ATTRIBUTE]}
    for variable in ds.data_vars.values():
        if "masked_value" in variable.attrs:  # see `montezarr.dataset.masked_attribute`
            variable.encoding["masked_value"] = variable.attrs["masked_value"]
    return ds
