"""`open`: the committed paths of a store as a lazy Dataset. A store is data and runs nothing."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from montezarr._checks import check_choice
from montezarr.dataset import ATTRIBUTE
from montezarr.errors import StoreError, StoreExistsError, StoreNotFoundError
from montezarr.store._ledger import Ledger
from montezarr.store._manifest import STATUS_ATTRIBUTE, STORE_ATTRIBUTE
from montezarr.store._place import Place
from montezarr.store._results import ORDER, RESULTS
from montezarr.store._safe import check_document
from montezarr.store._virtual import VirtualStore
from montezarr.store._where import place_of, read_root


def open_store(
    path: Any, group: str | None = None, *, storage_options: Mapping[str, Any] | None = None
) -> xr.Dataset:
    """Open a store lazily, one Dask chunk per stored chunk: what is committed, and no more.

    Also while `write` or `extend` runs: then these are the first paths, up to where one is missing,
    and ``attrs["montezarr_status"]`` says how far the writer is, such as ``"incomplete, 37 %"``.
    Call it again to see more.

    Nothing that the store names is imported or run, and nothing is unpickled. Every chunk is
    checked against its checksum when it is read.

    Parameters
    ----------
    path : str, path or Zarr store
        Directory of the store, its URL, any Zarr store that holds it; or the JSON file of a
        `VirtualStore`.
    group : {"statistics"}, optional
        Open the statistics that were taken while the paths were written, in place of these.
    storage_options : dict, optional
        For a URL, what fsspec takes.

    Returns
    -------
    Dataset
        As `simulate` returned it: variables (path, time), the coordinate time, and the recipe in
        ``attrs["montezarr"]``, so that `replay` works. A store of a range of paths has its first
        one in ``attrs["montezarr_first_path"]``.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `path` is no place.
    StoreNotFoundError
        If no store is there.
    StoreError
        If it is damaged, or not of the format that `write` makes.

    Examples
    --------
    >>> import montezarr as mz, tempfile
    >>> path = tempfile.mkdtemp() + "/paths.zarr"
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=5000, T=10, seed=1)
    >>> _ = mz.write(ds, path, statistics=["mean", "std"])
    >>> mz.open(path).x.shape
    (5000, 11)
    >>> mz.open(path, "statistics").x_mean.shape
    (11,)
    """
    if group is not None:
        check_choice("group", group, (RESULTS,))
    virtual = _virtual(path)
    if virtual is not None:
        return virtual
    place = place_of(path, storage_options)
    return open_place(place) if group is None else _results(place)


def open_place(place: Place) -> xr.Dataset:
    """Open what is committed at a place."""
    state = _state(place)
    info = state[STORE_ATTRIBUTE]
    document = _document(place, "zarr.json")
    nodes = document.get("consolidated_metadata", {}).get("metadata", {})
    for name, node in nodes.items():
        check_document(name, node, place)
        own = _document(place, f"{name}/zarr.json")
        # A writer may have published more paths meanwhile; nothing else may differ.
        if {**own, "shape": None} != {**node, "shape": None}:
            raise StoreError(
                f"path: expected the metadata of {name!r} as the root has them, got others:"
                f" {place}. Call montezarr.repair."
            )
    _check_files(place, nodes, info)
    # By the metadata in the root: those of all variables change with one rename.
    ds: xr.Dataset = xr.open_zarr(
        place.target(), consolidated=True, chunks={}, zarr_format=3, decode_timedelta=False
    )
    names = _names(place, state, [str(name) for name in ds.data_vars])
    ds = ds[names]  # in the order of the process, which a directory does not keep
    attrs = {ATTRIBUTE: state[ATTRIBUTE]}
    if STATUS_ATTRIBUTE in state:
        attrs[STATUS_ATTRIBUTE] = str(state[STATUS_ATTRIBUTE])
    if info["first_path"]:
        attrs["montezarr_first_path"] = info["first_path"]
    ds.attrs = attrs
    for variable in ds.data_vars.values():
        if "masked_value" in variable.attrs:  # see `montezarr.dataset.masked_attribute`
            variable.encoding["masked_value"] = variable.attrs["masked_value"]
    return ds


def _state(place: Place) -> dict[str, Any]:
    try:
        state = read_root(place)
    except StoreExistsError as error:
        raise StoreNotFoundError(f"path: expected a montezarr store, got {place}.") from error
    if state is None:
        raise StoreNotFoundError(f"path: expected a montezarr store, got nothing at {place}.")
    return state


def _document(place: Place, key: str) -> dict[str, Any]:
    try:
        document = json.loads(place.get(key) or b"")
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise StoreError(f"path: expected metadata as JSON, got something else: {place}/{key}.")
    return document


def _names(place: Place, state: Mapping[str, Any], found: list[str]) -> list[str]:
    """Return the variables in the order of the process, others as they come."""
    recipe = json.loads(state[ATTRIBUTE])
    first = [v["name"] for v in recipe["variables"] if v["name"] in found]
    return [*first, *(name for name in found if name not in first)]


def _check_files(place: Place, nodes: Mapping[str, Any], info: Mapping[str, Any]) -> None:
    """Raise if a chunk is not there, or of another size than all are: it would read as nothing."""
    n_chunks = -(-info["n_paths"] // info["chunk"])
    for name, node in nodes.items():
        names = node.get("dimension_names") or []
        if "path" not in names:
            continue
        size = _plain_size(node)
        parts = [name, "c", *("{}" if dim == "path" else "0" for dim in names)]
        keys = ["/".join(parts).format(chunk) for chunk in range(n_chunks)]
        sizes = place.sizes(keys)
        for chunk, key in enumerate(keys):
            if key not in sizes or (size is not None and sizes[key] != size):
                raise StoreError(
                    f"path: expected {n_chunks:,} chunks of {name!r}, got none for paths from"
                    f" {chunk * info['chunk']:,} on: {place}. Call montezarr.repair, or write with"
                    " the same Dataset, to draw them again."
                )


def _plain_size(node: Mapping[str, Any]) -> int | None:
    """Return the bytes of a chunk file: its numbers and 4 for the checksum; None if compressed."""
    names = [codec["name"] for codec in node["codecs"]]
    if not set(names) <= {"transpose", "bytes", "crc32c"}:
        return None
    shape = node["chunk_grid"]["configuration"]["chunk_shape"]
    return int(math.prod(shape)) * int(np.dtype(node["data_type"]).itemsize) + 4


def _results(place: Place) -> xr.Dataset:
    """Open the results of the statistics, in memory: they are small."""
    _state(place)
    ledger = Ledger.read(place)
    if ledger is None or ledger.statistics is None:
        raise StoreNotFoundError(f"path: expected a store with statistics, got none in {place}.")
    for key in ledger.statistics:
        if key.endswith("/zarr.json") and key != f"{RESULTS}/zarr.json":
            name = key.removesuffix("/zarr.json").removeprefix(f"{RESULTS}/")
            check_document(name, _document(place, key), place)
    ds: xr.Dataset = xr.open_zarr(
        place.target(), group=RESULTS, consolidated=False, chunks=None, zarr_format=3
    )
    ds = ds[[name for name in ds.attrs.pop(ORDER, ()) if name in ds]]
    return _with_labels(ds.load())


def _with_labels(ds: xr.Dataset) -> xr.Dataset:
    """Return results with labels in the place of the codes that a store holds."""
    for name, coordinate in ds.coords.items():
        if "flag_meanings" in coordinate.attrs:
            words = np.array(str(coordinate.attrs["flag_meanings"]).split())
            ds = ds.assign_coords({name: (coordinate.dims, words[coordinate.values])})
    return ds


def _virtual(path: Any) -> xr.Dataset | None:
    """Return the paths of a store without a disk, or None if `path` is no such thing."""
    if isinstance(path, VirtualStore):
        return path.to_dataset()
    if not isinstance(path, (str, os.PathLike)) or not os.path.isfile(path):
        return None
    return VirtualStore.load(path).to_dataset()
