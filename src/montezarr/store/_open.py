"""`open`: the committed paths of a store as a lazy Dataset. A store is data: it runs nothing."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from montezarr.core.checks import check_choice
from montezarr.core.errors import MontezarrWarning
from montezarr.core.json import load_object
from montezarr.core.parameters import references
from montezarr.core.tunables.limits import GRAPH_CHUNKS_MAX
from montezarr.core.tunables.memory import GOOD_CHUNKS_MAX, SCENARIOS_READ_MIN_BYTES
from montezarr.run._attributes import ATTRIBUTE
from montezarr.run._origins import remember_origin
from montezarr.run._stored_states import remember_states
from montezarr.store._chunk_reader import ChunkReader
from montezarr.store._codes import know_labels, with_text
from montezarr.store._open_results import open_results
from montezarr.store._results import RESULTS
from montezarr.store._root import as_store_errors, check_rooms, checked_arrays, root_of
from montezarr.store._source import TIMEDELTAS
from montezarr.store._where import location_of
from montezarr.store.format import (
    PATH,
    STATUS_ATTRIBUTE,
    STORE_ATTRIBUTE,
    CommitState,
    _parameters,
    as_read,
    count_chunks,
    dims_of,
    read_alone,
)
from montezarr.store.locations import LocalLocation, ReadableLocation
from montezarr.store.virtual import VirtualStore


def open_store(
    path: Any, group: str | None = None, *, storage_options: Mapping[str, Any] | None = None
) -> xr.Dataset:
    """Open the committed paths of a store lazily, one Dask chunk per stored chunk.

    Scenarios of a grid are Dask chunks of their own, so that ``.sel(sigma=0.2)`` reads the bytes of
    that scenario alone; several are one Dask chunk where a scenario is less than 2 MiB of a stored
    chunk, or where there would be more than 20,000.

    While `write` or `extend` runs, these are the first paths, up to the first missing chunk, and
    ``attrs["montezarr_status"]`` has the progress of the writer, such as ``"incomplete, 37 %"``.
    Call `open` again to see more.

    Nothing that the store names is imported or run, and nothing is unpickled. `open` checks
    metadata, and the first and last chunk of each variable. Every other chunk is checked when it is
    read: a missing, truncated or damaged one is an error that names it, and never gives other
    values. `verify` checks all chunks.

    Parameters
    ----------
    path : str, path or Zarr store
        Directory of the store, its URL, any Zarr store that holds it; or the JSON file of a
        `VirtualStore`.
    group : {"statistics"}, optional
        Open the statistics that were taken while the paths were written, instead of the paths.
    storage_options : dict, optional
        For a URL, options of fsspec.

    Returns
    -------
    Dataset
        As `simulate` returned it: variables (path, time), the coordinate time, and the recipe in
        ``attrs["montezarr"]``, so that `replay` works. A store of a range of paths has the index of
        the first one in ``attrs["montezarr_first_path"]``.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `path` is not a location.
    StoreNotFoundError
        If there is no store.
    StoreError
        If the store is damaged, or not of the format that `write` makes; when a chunk is read,
        also if it is missing or has another size. A wrong checksum of a chunk may be a
        ValueError of Zarr.

    Warns
    -----
    MontezarrWarning
        If a large parameter is lost: the paths can be read, but `replay` needs ``process=``.

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
    location = location_of(path, storage_options)
    return open_location(location) if group is None else open_results(location)


def open_location(location: ReadableLocation) -> xr.Dataset:
    """Open the committed paths at a location."""
    text, document = root_of(location)
    state = document["attributes"]
    info = state[STORE_ATTRIBUTE]
    recipe = load_object(state[ATTRIBUTE], f"{location}/zarr.json")
    wrong = _parameters.locate_parameters(location, references(recipe))
    if wrong is not None:  # paths can be read without it
        warnings.warn(wrong, MontezarrWarning, stacklevel=3)
    arrays = checked_arrays(location, document, info)
    check_rooms(location, info, arrays)
    # Use the metadata in the root: those of all variables change with one rename.
    with as_store_errors(location):
        ds: xr.Dataset = xr.open_zarr(
            ChunkReader.of(location, text, as_read(document), arrays, info),
            consolidated=True,
            chunks=_dask_chunks(arrays.values(), info["chunk"]) | info.get("rooms", {}),
            zarr_format=3,
            decode_timedelta=TIMEDELTAS,
        )
        names = _names(recipe, [str(name) for name in ds.data_vars])
    ds = with_text(ds[names])  # in the order of the process; a directory has none
    if isinstance(location, LocalLocation):
        ds.encoding["source"] = str(location.path)
    attrs = {ATTRIBUTE: state[ATTRIBUTE]}
    if STATUS_ATTRIBUTE in state:
        attrs[STATUS_ATTRIBUTE] = str(state[STATUS_ATTRIBUTE])
    if info["first_path"]:
        attrs["montezarr_first_path"] = info["first_path"]
    ds.attrs = attrs
    know_labels(ds)
    remember_origin(ds, recipe, info["first_path"])
    remember_states(recipe, partial(_states_in, location.finder()))
    for variable in ds.data_vars.values():
        if "masked_value" in variable.attrs:  # see `montezarr.run._variables.masked_attribute`
            variable.encoding["masked_value"] = variable.attrs["masked_value"]
    return ds


def _dask_chunks(nodes: Iterable[Mapping[str, Any]], chunk: int) -> dict[str, int]:
    """Return the sizes of Dask chunks that are not the chunks that can be read alone.

    A Dask chunk has several scenarios where one is small, or where there would be too many tasks;
    the largest variable decides.
    """
    nodes = list(nodes)
    out = {PATH: chunk} if any(count_chunks(node) > GRAPH_CHUNKS_MAX for node in nodes) else {}
    if not nodes:
        return out
    largest = max(nodes, key=lambda node: math.prod(node["shape"]))
    alone, count = read_alone(largest), count_chunks(largest)
    size = math.prod(alone) * np.dtype(largest["data_type"]).itemsize
    together = max(-(-SCENARIOS_READ_MIN_BYTES // size), -(-count // GOOD_CHUNKS_MAX))
    sizes = zip(dims_of(largest), largest["shape"], alone, strict=True)
    for dim, whole, part in reversed(list(sizes)):
        parts = -(-whole // part)
        if dim != PATH and parts > 1 and together > 1:
            out[dim] = min(parts, together) * part
            together = -(-together // parts)
    return out


def _states_in(find: Callable[[], ReadableLocation | None]) -> Mapping[str, Any] | None:
    """Return the form of the initial states in a store; None if it has none."""
    location = find()
    commits = None if location is None else CommitState.read(location)
    return None if commits is None else commits.manifest.x0


def _names(recipe: Mapping[str, Any], found: list[str]) -> list[str]:
    """Return the variables in the order of the process, followed by others."""
    first = [v["name"] for v in recipe["variables"] if v["name"] in found]
    return [*first, *(name for name in found if name not in first)]


def _virtual(path: Any) -> xr.Dataset | None:
    """Return the paths of a virtual store, or None if `path` is not one."""
    if isinstance(path, VirtualStore):
        return path.to_dataset()
    if not isinstance(path, (str, os.PathLike)) or not os.path.isfile(path):
        return None
    return VirtualStore.load(path).to_dataset()
