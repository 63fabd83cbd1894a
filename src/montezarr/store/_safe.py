"""What may stand in the metadata of a store that is opened: numbers, in codecs that move bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from montezarr.errors import ArgumentValueError, StoreError
from montezarr.store._layout import NUMBERS, check_name

ALLOWED_CODECS = frozenset(
    {"bytes", "crc32c", "transpose", "zstd", "gzip", "blosc", "sharding_indexed"}
)
"""Codecs that only move bytes about; a store that names another one is not opened."""

MOST_DIMENSIONS = 32


def check_document(name: Any, document: Any, where: Any) -> None:
    """Raise unless a document of metadata is of an array of numbers, or of a group.

    Raises
    ------
    StoreError
        With what is not allowed.
    """
    try:
        if name != "montezarr":
            check_name(name)
        kind = document["node_type"]
        if kind != "group" or document["zarr_format"] != 3:
            _check_array(document)
    except (ArgumentValueError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"path: expected arrays of numbers in codecs of {sorted(ALLOWED_CODECS)}, got"
            f" {name!r}: {error}: {where}."
        ) from error


def _check_array(document: Mapping[str, Any]) -> None:
    if document["zarr_format"] != 3 or document["node_type"] != "array":
        raise ValueError("no node of Zarr format 3")
    if document["data_type"] not in NUMBERS:
        raise ValueError(f"the data type {document['data_type']!r}")
    shape = document["shape"]
    grid, keys = document["chunk_grid"], document["chunk_key_encoding"]
    if grid["name"] != "regular" or keys["name"] != "default":
        raise ValueError("another grid of chunks")
    chunk = grid["configuration"]["chunk_shape"]
    for sizes, least in ((shape, 0), (chunk, 1)):
        if len(sizes) > MOST_DIMENSIONS or len(sizes) != len(shape):
            raise ValueError("another number of dimensions")
        if not all(type(size) is int and least <= size < 2**63 for size in sizes):
            raise ValueError("sizes that are none")
    if document.get("storage_transformers"):
        raise ValueError("storage transformers")
    _check_codecs(document["codecs"], 0)


def _check_codecs(codecs: Any, depth: int) -> None:
    for codec in codecs:
        name = codec["name"]
        if name not in ALLOWED_CODECS or (name == "sharding_indexed" and depth):
            raise ValueError(f"the codec {name!r}")
        if name == "sharding_indexed":
            _check_codecs(codec["configuration"]["codecs"], depth + 1)
            _check_codecs(codec["configuration"]["index_codecs"], depth + 1)
