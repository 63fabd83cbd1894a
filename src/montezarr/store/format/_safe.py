"""Checks of the metadata of a store that is opened: only numbers, in codecs that move bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from montezarr.core.errors import ArgumentValueError, StoreError
from montezarr.core.memory import memory_limit
from montezarr.core.parameters import MOST_DIMENSIONS
from montezarr.core.tunables.limits import GRAPH_CHUNKS_MAX
from montezarr.store.format._bounded import largest_file
from montezarr.store.format._layout import NUMBERS, PATH, TIME, check_name, dims_of

ALLOWED_CODECS = frozenset(
    {"bytes", "crc32c", "transpose", "zstd", "gzip", "blosc", "sharding_indexed"}
)
"""Codecs that only transform bytes; a store that names another one is not opened."""

FILLS = frozenset({"NaN", "Infinity", "-Infinity"})
"""Fill values that are not JSON numbers."""


def check_document(name: Any, document: Any, where: Any) -> None:
    """Raise unless metadata are those of an array of numbers, or of a group.

    Raises
    ------
    StoreError
        With what is not allowed.
    """
    try:
        if name != "montezarr":
            check_name(name)
        _check_attributes(document)
        kind = document["node_type"]
        if kind != "group" or document["zarr_format"] != 3:
            _check_array(document)
    except (ArgumentValueError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"path: expected arrays of numbers in codecs of {sorted(ALLOWED_CODECS)}, got"
            f" {name!r}: {error}: {where}."
        ) from error


def check_chunks(
    name: str, document: Mapping[str, Any], info: Mapping[str, Any], where: Any
) -> None:
    """Raise unless an array has paths and chunks of the root, and is not chunked otherwise.

    Raises
    ------
    StoreError
        If it has not.
    """
    dims, shape = dims_of(document), document["shape"]
    found = document["chunk_grid"]["configuration"]["chunk_shape"]
    alone = read_alone(document)
    chunk = [
        info["chunk"] if dim == PATH else _whole(dim, max(1, size), part)
        for dim, size, part in zip(dims, shape, alone, strict=True)
    ]
    for dim, room in info.get("rooms", {}).items():  # of which a chunk has a piece
        at = dims.index(dim) if dim in dims else None
        if at is not None and shape[at] == room and found[at] < room:
            chunk[at] = found[at]
    counts = [size for dim, size in zip(dims, shape, strict=True) if dim == PATH]
    if list(found) != chunk or counts not in ([], [info["n_paths"]]):
        raise StoreError(
            f"path: expected {info['n_paths']:,} paths in chunks of {info['chunk']:,} and nothing"
            f" else cut, as the root says, got the shape {shape} in chunks of {found} of {name!r}:"
            f" {where}. Call montezarr.repair."
        )


def _whole(dim: str, size: int, part: int) -> int:
    """Return the length of a chunk with all of a dimension: times are whole inner chunks."""
    return -(-size // part) * part if dim == TIME and part < size else size


def count_chunks(document: Mapping[str, Any]) -> int:
    """Return the number of chunks of an array that can be read alone: inner chunks of shards."""
    return _count(document["shape"], read_alone(document))


def read_alone(document: Mapping[str, Any]) -> list[int]:
    """Return the shape of what can be read alone: an inner chunk of a shard, else a chunk."""
    chunk: list[int] = document["chunk_grid"]["configuration"]["chunk_shape"]
    for codec in document["codecs"]:
        if codec["name"] == "sharding_indexed":
            chunk = codec["configuration"]["chunk_shape"]
    return chunk


def largest_chunk(document: Mapping[str, Any]) -> int:
    """Return an upper bound of the bytes of a chunk file; a shard has many parts."""
    shape = document["chunk_grid"]["configuration"]["chunk_shape"]
    plain = math.prod(shape) * np.dtype(document["data_type"]).itemsize
    parts = count_chunks({**document, "shape": shape})
    return min(largest_file(plain, parts), memory_limit())


def _check_attributes(document: Mapping[str, Any]) -> None:
    if not isinstance(document.get("attributes", {}), dict):
        raise ValueError("attributes that are none")  # noqa: TRY004


def _check_array(document: Mapping[str, Any]) -> None:
    if document["zarr_format"] != 3 or document["node_type"] != "array":
        raise ValueError("no node of Zarr format 3")
    if document["data_type"] not in NUMBERS:
        raise ValueError(f"the data type {document['data_type']!r}")
    shape = document["shape"]
    grid, keys = document["chunk_grid"], document["chunk_key_encoding"]
    if grid["name"] != "regular" or keys["name"] != "default":
        raise ValueError("another grid of chunks")
    if keys.get("configuration", {}).get("separator", "/") != "/":
        raise ValueError("other keys of chunks")
    chunk = grid["configuration"]["chunk_shape"]
    _check_sizes(shape, 0, len(shape))
    _check_sizes(chunk, 1, len(shape))
    if _count(shape, chunk) > GRAPH_CHUNKS_MAX:
        raise ValueError(f"more than {GRAPH_CHUNKS_MAX:,} chunks")
    _check_dimensions(document.get("dimension_names"), len(shape))
    fill = document["fill_value"]
    if not isinstance(fill, (bool, int, float)) and fill not in FILLS:
        raise ValueError(f"the fill value {fill!r}")
    if document.get("storage_transformers"):
        raise ValueError("storage transformers")
    _check_codecs(document["codecs"], chunk, 0)


def _check_sizes(sizes: Any, least: int, count: int) -> None:
    if not isinstance(sizes, list) or len(sizes) > MOST_DIMENSIONS or len(sizes) != count:
        raise ValueError("another number of dimensions")
    if not all(type(size) is int and least <= size < 2**63 for size in sizes):
        raise ValueError("sizes that are none")


def _check_dimensions(names: Any, count: int) -> None:
    if names is None and count == 0:
        return
    good = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not good or len(names) != count or len(set(names)) < count:
        raise ValueError(f"the names of dimensions {names!r}")


def _check_codecs(codecs: Any, chunk: Sequence[int], depth: int) -> None:
    for codec in codecs:
        name = codec["name"]
        if name not in ALLOWED_CODECS or (name == "sharding_indexed" and depth):
            raise ValueError(f"the codec {name!r}")
        if name == "sharding_indexed":
            configuration = codec["configuration"]
            inner = configuration["chunk_shape"]
            _check_sizes(inner, 1, len(chunk))
            if _count(chunk, inner) > GRAPH_CHUNKS_MAX:  # the index of a shard is read whole
                raise ValueError(f"more than {GRAPH_CHUNKS_MAX:,} chunks in a shard")
            _check_codecs(configuration["codecs"], inner, depth + 1)
            _check_codecs(configuration["index_codecs"], inner, depth + 1)


def _count(shape: Sequence[int], chunk: Sequence[int]) -> int:
    """Return the number of chunks of a grid."""
    return math.prod(-(-size // part) for size, part in zip(shape, chunk, strict=True))
