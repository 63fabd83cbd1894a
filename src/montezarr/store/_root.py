"""Check the root of a store, and the metadata in it, before Zarr sees them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from montezarr.core.errors import MontezarrError, StoreError, StoreExistsError, StoreNotFoundError
from montezarr.core.json import load_object
from montezarr.store._chunk_reader import Chunks, plain_size
from montezarr.store._results import RESULTS
from montezarr.store._where import changed_by_another, read_root_document
from montezarr.store.format import (
    COMMIT_LOG,
    MANIFEST,
    PATH,
    check_chunks,
    check_document,
    chunk_key,
    dims_of,
)
from montezarr.store.locations import ReadableLocation

REPAIR = " Call montezarr.repair."


@contextlib.contextmanager
def as_store_errors(location: ReadableLocation) -> Iterator[None]:
    """Turn errors of Zarr and xarray about metadata into a StoreError; let those of the disk pass.

    Errors of the disk have an errno; Zarr's own, some of which are OSErrors too, have none.
    """
    try:
        yield
    except MontezarrError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise StoreError(
            f"path: expected metadata that montezarr writes, got some with"
            f" {type(error).__name__}: {error}: {location}. Call montezarr.repair."
        ) from error


def root_of(location: ReadableLocation) -> tuple[bytes, dict[str, Any]]:
    """Return the root of a store that must exist, as bytes and parsed.

    Raises
    ------
    StoreNotFoundError, StoreError
        If it does not exist, or is not of montezarr.
    """
    try:
        found = read_root_document(location)
    except StoreExistsError as error:
        raise StoreNotFoundError(f"path: expected a montezarr store, got {location}.") from error
    if found is None and any(location.size(key) is not None for key in (COMMIT_LOG, MANIFEST)):
        raise StoreNotFoundError(
            f"path: expected the root of a store, got nothing at {location}/zarr.json: its writer"
            " has only begun, or it is lost. Call montezarr.repair."
        )
    if found is None:
        raise StoreNotFoundError(f"path: expected a montezarr store, got nothing at {location}.")
    return found


def check_rooms(
    location: ReadableLocation, info: Mapping[str, Any], nodes: Mapping[str, Any]
) -> None:
    """Raise unless the room for events in a root is that of its arrays."""
    sizes = [dict(zip(dims_of(node), node["shape"], strict=True)) for node in nodes.values()]
    rooms = info.get("rooms", {})
    good = isinstance(rooms, dict) and PATH not in rooms
    if not good or any({s.get(dim, room) for s in sizes} != {room} for dim, room in rooms.items()):
        raise StoreError(
            f"path: expected arrays with the room for events that the root names, {rooms}, got"
            f" others: {location}. Call montezarr.repair."
        )


def validated_nodes(
    location: ReadableLocation, document: Mapping[str, Any], info: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the checked metadata of the nodes in a root: numbers, in the chunks of the root.

    Raises
    ------
    StoreError
        If they are not as expected.
    """
    consolidated = document.get("consolidated_metadata")
    nodes = consolidated.get("metadata") if isinstance(consolidated, dict) else None
    if not isinstance(nodes, dict):
        raise StoreError(
            f"path: expected the metadata of all variables in the root, got none: {location}."
            " Call montezarr.repair."
        )
    if RESULTS in nodes:  # zarr.consolidate_metadata adds it
        raise changed_by_another("metadata", location)
    for name, node in nodes.items():
        check_document(name, node, location)
        if node["node_type"] == "array":
            check_chunks(name, node, info, location)
    return nodes


def checked_arrays(
    location: ReadableLocation, document: Mapping[str, Any], info: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the metadata of the arrays in a root, once all of the root is checked."""
    nodes = validated_nodes(location, document, info)
    arrays = {name: node for name, node in nodes.items() if node["node_type"] == "array"}
    constants = {name: node for name, node in arrays.items() if PATH not in dims_of(node)}
    documents = {name: f"{name}/zarr.json" for name in nodes}
    keys = {name: chunk_key(name, dims_of(node)) for name, node in constants.items()}
    sizes = location.sizes(keys.values())
    for name, node in nodes.items():
        key = documents[name]
        own = load_object(
            location.get(key), f"{location}/{key}", expected="metadata as JSON", remedy=REPAIR
        )
        # A writer may have published more paths meanwhile; nothing else may differ.
        if {**own, "shape": None} != {**node, "shape": None}:
            raise StoreError(
                f"path: expected the metadata of {name!r} as the root has them, got others, damaged"
                f" or changed by another writer: {location}. Call montezarr.repair."
            )
    for name, node in constants.items():
        # An empty coordinate is a checksum only.
        if sizes.get(keys[name]) != plain_size(node, node["shape"]):
            raise StoreError(
                f"path: expected the values of {name!r}, got none, or others: {location}. Call"
                " montezarr.repair."
            )
    for name, node in arrays.items():
        if name not in constants:
            _check_ends(location, name, node, info)
    return arrays


def _check_ends(
    location: ReadableLocation, name: str, node: Mapping[str, Any], info: Mapping[str, Any]
) -> None:
    """Raise if the first or the last chunk is missing, so that the root is not true.

    All other chunks are checked when they are read. But Dask makes a task for each chunk in a root,
    and a forged root may name any number.
    """
    n_chunks = -(-info["n_paths"] // info["chunk"])
    chunks = Chunks.of(node, info)
    ends = {0, n_chunks - 1} if n_chunks else ()
    keys = {chunk: chunk_key(name, dims_of(node), chunk) for chunk in ends}
    sizes = location.sizes(keys.values())
    for chunk, key in sorted(keys.items()):
        if chunks.wrong(sizes.get(key), is_whole=True) is not None:
            raise StoreError(
                f"path: expected {n_chunks:,} chunks of {name!r}, got none for paths from"
                f" {info['first_path'] + chunk * info['chunk']:,} on: {location}. Call"
                " montezarr.repair, or write with the same Dataset, to draw them again."
            )
