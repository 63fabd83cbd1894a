"""The Zarr store that `open` hands to xarray: each chunk is looked at when it is read."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.base import normalize_token
from zarr.abc.store import Store
from zarr.buffer import default_buffer_prototype
from zarr.storage import WrapperStore

from montezarr.core.compat.zarr import RemadeWrapper
from montezarr.core.errors import StoreError
from montezarr.core.secrets import cause_of, is_clean
from montezarr.store.format import PATH, dims_of, largest_chunk
from montezarr.store.locations import Directory, LocalLocation, ReadableLocation
from montezarr.store.locations._remote_store import is_of_system, told_size

REMEDY = "Call montezarr.repair, or write with the same Dataset, to draw it again."


@dataclass(frozen=True, slots=True)
class Chunks:
    """What is known of the chunk files of a variable before one of them is read.

    Attributes
    ----------
    axis : int
        Where the number of the chunk stands in the key of its file.
    first_path, paths : int
        The first path of all, and the paths of a chunk.
    size : int or None
        Bytes of each file; None where they are compressed.
    largest : int
        Bytes that a file may have.
    """

    axis: int
    first_path: int
    paths: int
    size: int | None
    largest: int

    @classmethod
    def of(cls, node: Mapping[str, Any], info: Mapping[str, Any]) -> Chunks:
        """Return it for the document of an array, and what the root says of the store."""
        shape = node["chunk_grid"]["configuration"]["chunk_shape"]
        axis = dims_of(node).index(PATH)
        size = plain_size(node, shape)
        return cls(axis, info["first_path"], info["chunk"], size, largest_chunk(node))

    def wrong(self, size: int | None, is_whole: bool) -> str | None:
        """Return what is wrong with a file of which so many bytes were read, None if nothing is."""
        if size is None:
            return "none"
        if not is_whole:
            return None if size else "an empty or a cut file"
        if self.size is not None and size != self.size:
            return f"{size:,} bytes in place of {self.size:,}"
        if not 0 < size <= self.largest:
            return f"{size:,} bytes"
        return None

    def paths_of(self, key: str) -> str:
        """Return the paths that the file of a key has, as words."""
        number = int(key.split("/")[2 + self.axis])
        return f" for paths from {self.first_path + number * self.paths:,} on"


class ChunkReader(RemadeWrapper, WrapperStore[Store]):
    """A store as it is read: by the root that was checked, and never without a chunk.

    Zarr takes a chunk that is gone for one of fill values, which may be paths like any others. So a
    chunk that is not there, or has another size than it must have, is an error here, when it is
    read: to look for all of them before takes a call of the system for each.

    Parameters
    ----------
    store : Store
        What is read.
    chunks : dict of str to Chunks
        What is known of the files of each variable that has paths.
    root : bytes or None
        What is read as the root; None once all metadata have been.
    token : object
        What tells Dask whether two of these are the same.
    """

    def __init__(
        self,
        store: Store,
        chunks: Mapping[str, Chunks],
        root: bytes | None = None,
        token: Any = None,
    ):
        super().__init__(store)
        self._held, self._chunks, self._root, self._token = store, chunks, root, token

    @classmethod
    def of(
        cls,
        location: ReadableLocation,
        text: bytes,
        root: bytes,
        arrays: Mapping[str, Any],
        info: Any,
    ) -> ChunkReader:
        """Return the store of a place whose root is `text`, and is read as `root`."""
        chunks = {k: Chunks.of(v, info) for k, v in arrays.items() if PATH in dims_of(v)}
        largest = {name: largest_chunk(node) for name, node in arrays.items()}
        digest = hashlib.sha256(text).hexdigest()
        if not isinstance(location, LocalLocation):
            store = location.target()
            if isinstance(store, Directory):
                store = Directory(store.root, read_only=True, largest=largest)
            return cls(store, chunks, root, (normalize_token(store), digest))
        # As xarray has it of a directory: another time, other Dask tasks.
        changed = os.stat(location.path).st_mtime_ns
        token = (str(location.path), changed, digest)
        store = Directory(location.path, read_only=True, largest=largest, links=False)
        return cls(store, chunks, root, token)

    def __dask_tokenize__(self) -> Any:
        return ("montezarr.open", self._token)

    def __reduce__(self) -> Any:
        # Arrays that are open have their metadata, so that no task carries those of all.
        return type(self), (self._held, self._chunks, None, self._token)

    def remade(self, store: Any) -> ChunkReader:
        """Return the same of another store."""
        return type(self)(store, self._chunks, self._root, self._token)

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        if self._is_root(key, byte_range):
            return self._root_as(prototype)
        chosen = default_buffer_prototype() if prototype is None else prototype
        chunks = self._chunks_of(key) if byte_range is None else None
        try:
            size = None if chunks is None else await told_size(self._held, key)
            is_large = chunks is not None and size is not None and size > chunks.largest
            # What is too large is not read, or it would fill the memory.
            data = None if is_large else await self._held.get(key, chosen, byte_range)
        except Exception as error:
            if isinstance(error, OSError) and is_of_system(error) and is_clean(error):
                raise
            raise StoreError(
                f"path: expected a chunk that can be read, got {type(error).__name__}: {error}:"
                f" {key}."
            ) from cause_of(error)
        if is_large:
            raise self._error(key, f"{size:,} bytes")
        return self._there(key, data, byte_range)

    def get_sync(self, key: str, *, prototype: Any = None, byte_range: Any = None) -> Any:
        if self._is_root(key, byte_range):
            return self._root_as(prototype)
        store: Any = self._held  # Zarr asks whether it can do so
        data = store.get_sync(key, prototype=prototype, byte_range=byte_range)
        return self._there(key, data, byte_range)

    def _is_root(self, key: str, byte_range: Any) -> bool:
        return key == "zarr.json" and byte_range is None and self._root is not None

    def _root_as(self, prototype: Any) -> Any:
        chosen = default_buffer_prototype() if prototype is None else prototype
        return chosen.buffer.from_bytes(self._root or b"")

    def _there(self, key: str, data: Any, byte_range: Any) -> Any:
        if not _is_chunk(key):
            return data
        chunks, size = self._chunks_of(key), None if data is None else len(data)
        if chunks is not None:
            wrong = chunks.wrong(size, byte_range is None)
        else:  # of a coordinate, at which `open` has looked
            wrong = "none" if size is None else None
        if wrong is not None:
            raise self._error(key, wrong)
        return data

    def _chunks_of(self, key: str) -> Chunks | None:
        return self._chunks.get(key.partition("/")[0]) if _is_chunk(key) else None

    def _error(self, key: str, wrong: str) -> StoreError:
        chunks = self._chunks_of(key)
        which = "" if chunks is None else chunks.paths_of(key)
        return StoreError(
            f"path: expected the chunk of {key.partition('/')[0]!r} as it was written, got"
            f" {wrong}{which}: {self._held}/{key}. {REMEDY}"
        )


def _is_chunk(key: str) -> bool:
    return key.split("/", 2)[1:2] == ["c"]


def plain_size(node: Mapping[str, Any], shape: list[int]) -> int | None:
    """Return the bytes of a chunk file: its numbers and 4 for the checksum; None if compressed."""
    names = [codec["name"] for codec in node["codecs"]]
    if not set(names) <= {"transpose", "bytes", "crc32c"}:
        return None
    return int(math.prod(shape)) * int(np.dtype(node["data_type"]).itemsize) + 4
