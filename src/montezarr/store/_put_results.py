"""Statistics that are taken while paths are written: merge their states, write the results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from zarr.codecs import Crc32cCodec
from zarr.storage import MemoryStore

from montezarr.core.errors import StoreError
from montezarr.reduction.accumulate import PartialState, dump_states
from montezarr.reduction.passes import Layout
from montezarr.store._codes import code_attributes
from montezarr.store._digest import file_digest
from montezarr.store._results import ORDER, RESULTS, load_states
from montezarr.store.format import STATES, Checksum, CommitState
from montezarr.store.locations import Location


def merge_states(
    location: Location, commits: CommitState, layout: Layout, durable: bool
) -> xr.Dataset:
    """Merge the states of all chunks, and return the results.

    The states of whole chunks are merged into one file, from which `extend` continues; the state of
    an incomplete last chunk stays in its own file, since `extend` draws that chunk again.
    """
    accumulator, chunk = layout.accumulator, commits.manifest.chunk
    merged = commits.states[0] if commits.states is not None else 0
    total = PartialState()
    if commits.states is not None:
        total = load_states(location, commits.merged_key, commits.states[1:], accumulator)
    last: PartialState | None = None
    whole = merged
    for i in range(merged, commits.n_chunks):
        record = commits.chunks[i]
        if record.state is None:
            raise StoreError(f"path: expected the states of chunk {i}, got none: {location}.")
        partial_state = load_states(location, f"{STATES}/{i}", record.state, accumulator)
        if record.n == chunk:
            accumulator.join(total, partial_state)
            whole = i + 1
        else:
            last = partial_state
    if whole > merged:
        put_merged(location, commits, total, whole, durable)
    for i in range(whole):
        commits.chunks[i] = replace(commits.chunks[i], state=None)
    out = total.copy()
    if last is not None:
        accumulator.join(out, last)
    layout.warn(out, 6)
    return layout.dataset(out)


def put_results(location: Location, ds: xr.Dataset, durable: bool) -> dict[str, Checksum]:
    """Write the results, and return their checksums for the commit log."""
    files: dict[str, Checksum] = {}
    for key, data in results_of(ds).items():
        location.put(key, [data], durable=durable, number=-1)
        files[key] = file_digest([data])
    return files


def put_merged(
    location: Location, commits: CommitState, total: PartialState, whole: int, durable: bool
) -> None:
    """Write the merged states of a number of chunks, and record them in the commit state."""
    data = dump_states({}, total)
    commits.states = (whole, *file_digest([data]))
    location.put(commits.merged_key, [data], durable=durable, number=-1)


def results_of(ds: xr.Dataset) -> dict[str, bytes]:
    """Encode a Dataset in memory as the objects of a Zarr group, by key."""
    objects: dict[str, Any] = {}
    for name, coordinate in ds.coords.items():
        if coordinate.dtype.kind in "UO":  # a store holds no text
            labels = coordinate.values.ravel().tolist()
            codes = np.arange(len(labels)).reshape(coordinate.shape)
            attributes = code_attributes(labels, in_full=False)
            ds = ds.assign_coords({name: (coordinate.dims, codes, attributes)})
    # A directory has no order.
    ds = ds.assign_attrs({ORDER: [str(name) for name in ds.data_vars]})
    encoding: Any = {name: {"compressors": [Crc32cCodec()]} for name in ds.variables}
    ds.to_zarr(MemoryStore(objects), zarr_format=3, consolidated=False, encoding=encoding)
    return {f"{RESULTS}/{key}": bytes(data.to_bytes()) for key, data in sorted(objects.items())}
