"""The Zarr store that `open` passes to xarray: each chunk is checked when it is read."""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.base import normalize_token
from zarr.abc.store import Store, SuffixByteRequest
from zarr.buffer import default_buffer_prototype
from zarr.storage import WrapperStore

from montezarr.core.compat.zarr import RemadeWrapper
from montezarr.core.errors import StoreError
from montezarr.core.secrets import cause_of, is_clean
from montezarr.store.format import COMMIT_LOG, PATH, count_chunks, dims_of, largest_chunk
from montezarr.store.format._commit_log import read_records
from montezarr.store.locations import Directory, LocalLocation, ReadableLocation
from montezarr.store.locations._remote import RemoteLocation
from montezarr.store.locations._remote_store import is_of_system, told_size

LEFT_OUT = 2**64 - 1
"""Entry in the index of a shard for an inner chunk that is not there."""

REMEDY = "Call montezarr.repair, or write with the same Dataset, to draw it again."


@dataclass(frozen=True, slots=True)
class Chunks:
    """Expected properties of the chunk files of a variable.

    Attributes
    ----------
    axis : int
        Position of the chunk number in the key of a file.
    first_path, paths : int
        The first path of the store, and the number of paths of a chunk.
    size : int or None
        Bytes of each file; None if compressed.
    largest : int
        Upper bound of the bytes of a file.
    parts : int
        Number of inner chunks of a shard; 0 if files are no shards.
    events : int or None
        Position in the key of the number of a piece along the events, if these have grown.
    """

    axis: int
    first_path: int
    paths: int
    size: int | None
    largest: int
    parts: int = 0
    events: int | None = None

    @classmethod
    def of(cls, node: Mapping[str, Any], info: Mapping[str, Any]) -> Chunks:
        """Return the properties by the metadata document of an array and the root of the store."""
        shape = node["chunk_grid"]["configuration"]["chunk_shape"]
        axis = dims_of(node).index(PATH)
        size = plain_size(node, shape)
        is_shard = any(codec["name"] == "sharding_indexed" for codec in node["codecs"])
        parts = count_chunks({**node, "shape": shape}) if is_shard else 0
        grown = [i for i, dim in enumerate(dims_of(node)) if dim in info.get("rooms", {})]
        return cls(
            axis, info["first_path"], info["chunk"], size, largest_chunk(node), parts,
            grown[0] if grown else None,
        )  # fmt: skip

    def wrong(self, size: int | None, is_whole: bool) -> str | None:
        """Return what is wrong with a file of which `size` bytes were read, or None."""
        if size is None:
            return "none"
        if not is_whole:
            return None if size else "an empty or a cut file"
        if self.size is not None and size != self.size:
            return f"{size:,} bytes in place of {self.size:,}"
        if not 0 < size <= self.largest:
            return f"{size:,} bytes"
        return None

    def lacks_parts(self, data: Any, byte_range: Any) -> bool:
        """Return whether an index that was read says that an inner chunk is left out.

        Zarr reads such a one as fill values, and leaves it out when it writes only these.
        """
        size = 16 * self.parts + 4
        is_index = isinstance(byte_range, SuffixByteRequest) and byte_range.suffix == size
        if not self.parts or len(data) < size or not (byte_range is None or is_index):
            return False
        entries = data.as_numpy_array().view(np.uint8)[-size:-4].tobytes()
        return bool((np.frombuffer(entries, "<u8") == LEFT_OUT).any())

    def is_later_piece(self, key: str) -> bool:
        """Return whether a key is that of a piece that a chunk may be without."""
        return self.events is not None and key.split("/")[2 + self.events] != "0"

    def first_piece(self, key: str) -> str:
        """Return the key of the first piece of the same chunk."""
        parts = key.split("/")
        if self.events is not None:
            parts[2 + self.events] = "0"
        return "/".join(parts)

    def paths_of(self, key: str) -> str:
        """Return the paths in the file of a key, as text."""
        number = int(key.split("/")[2 + self.axis])
        return f" for paths from {self.first_path + number * self.paths:,} on"


class ChunkReader(RemadeWrapper, WrapperStore[Store]):
    """A read-only store with the checked root, in which a missing chunk is an error.

    Zarr reads a missing chunk as fill values, which may be valid paths. Here a missing chunk, or
    one of the wrong size, is an error when it is read: checking all of them at `open` would take a
    system call for each.

    Parameters
    ----------
    store : Store
        The store to read.
    chunks : dict of str to Chunks
        Expected properties of the files of each variable that has paths.
    root : bytes or None
        What is read as the root; None once all metadata have been read.
    token : object
        Identity of the store for Dask.
    """

    def __init__(
        self,
        store: Store,
        chunks: Mapping[str, Chunks],
        root: bytes | None = None,
        token: Any = None,
    ):
        super().__init__(store)
        self._inner, self._chunks, self._root, self._token = store, chunks, root, token
        self._known: frozenset[str] | None = None

    @classmethod
    def of(
        cls,
        location: ReadableLocation,
        text: bytes,
        root: bytes,
        arrays: Mapping[str, Any],
        info: Any,
    ) -> ChunkReader:
        """Return the reader of a location whose root is `text`, and is read as `root`."""
        chunks = {k: Chunks.of(v, info) for k, v in arrays.items() if PATH in dims_of(v)}
        largest = {name: largest_chunk(node) for name, node in arrays.items()}
        digest = hashlib.sha256(text).hexdigest()
        if not isinstance(location, LocalLocation):
            store = location.target()
            if isinstance(store, Directory):
                store = Directory(store.root, read_only=True, largest=largest)
            return cls(store, chunks, root, (normalize_token(store), digest))
        # As xarray does for a directory: another modification time gives other Dask tasks.
        changed = os.stat(location.path).st_mtime_ns
        token = (str(location.path), changed, digest)
        store = Directory(location.path, read_only=True, largest=largest, links=False)
        return cls(store, chunks, root, token)

    def __dask_tokenize__(self) -> Any:
        return ("montezarr.open", self._token)

    def __reduce__(self) -> Any:
        # Open arrays have their metadata, so tasks need not carry the root.
        return type(self), (self._inner, self._chunks, None, self._token)

    def remade(self, store: Any) -> ChunkReader:
        """Return the same reader of another store."""
        return type(self)(store, self._chunks, self._root, self._token)

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        if self._is_root(key, byte_range):
            return self._root_as(prototype)
        chosen = default_buffer_prototype() if prototype is None else prototype
        chunks = self._chunks_of(key) if byte_range is None else None
        try:
            size = None if chunks is None else await told_size(self._inner, key)
            is_large = chunks is not None and size is not None and size > chunks.largest
            # An object that is too large is not read: it would fill the memory.
            data = None if is_large else await self._inner.get(key, chosen, byte_range)
        except Exception as error:
            if isinstance(error, OSError) and is_of_system(error) and is_clean(error):
                raise
            raise StoreError(
                f"path: expected a chunk that can be read, got {type(error).__name__}: {error}:"
                f" {key}."
            ) from cause_of(error)
        if is_large:
            raise self._error(key, f"{size:,} bytes")
        # In a thread of its own: reading the log may wait for this loop.
        may_be = data is None and self._may_be_left_out(key)
        if may_be and await asyncio.to_thread(self._is_left_out, key):
            return None
        return self._there(key, data, byte_range)

    def get_sync(self, key: str, *, prototype: Any = None, byte_range: Any = None) -> Any:
        if self._is_root(key, byte_range):
            return self._root_as(prototype)
        store: Any = self._inner  # Zarr checks whether the store has this method
        data = store.get_sync(key, prototype=prototype, byte_range=byte_range)
        if data is None and self._may_be_left_out(key) and self._is_left_out(key):
            return None
        return self._there(key, data, byte_range)

    async def get_partial_values(
        self, prototype: Any, key_ranges: Iterable[tuple[str, Any]]
    ) -> list[Any]:
        # A wrapper would ask the store inside, past the checks of `get`.
        gets = [self.get(key, prototype, byte_range) for key, byte_range in key_ranges]
        return list(await asyncio.gather(*gets))

    if hasattr(Store, "get_ranges"):  # Zarr from 3.4 on reads parts of a shard by it

        async def get_ranges(
            self, key: str, byte_ranges: Sequence[Any], *, prototype: Any, **limits: Any
        ) -> AsyncIterator[Sequence[tuple[int, Any]]]:
            # Not the wrapper's, for the same reason: this one joins ranges, and calls `get`.
            told = {name: limit for name, limit in limits.items() if limit is not None}
            joined: Any = Store
            try:
                async for group in joined.get_ranges(
                    self, key, byte_ranges, prototype=prototype, **told
                ):
                    yield group
            except BaseExceptionGroup as errors:
                raise _first_of(errors) from None

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
            if wrong is None and chunks.lacks_parts(data, byte_range):
                wrong = "one without all of its parts"
        else:  # a chunk of a coordinate, which `open` has checked
            wrong = "none" if size is None else None
        if wrong is not None:
            raise self._error(key, wrong)
        return data

    def _may_be_left_out(self, key: str) -> bool:
        chunks = self._chunks_of(key)
        return chunks is not None and chunks.is_later_piece(key)

    def _is_left_out(self, key: str) -> bool:
        """Return whether a piece was never written, since there was no room for it at the time.

        Then it is padding, which is the fill value. The commit log tells it from one that is lost.
        """
        if self._known is None:
            log = RemoteLocation(self._inner).read_log(COMMIT_LOG)
            records, _, _ = read_records(log or b"")
            self._known = frozenset(file for record in records for file in record.get("files", ()))
        chunks = self._chunks_of(key)
        assert chunks is not None
        return key not in self._known and chunks.first_piece(key) in self._known

    def _chunks_of(self, key: str) -> Chunks | None:
        return self._chunks.get(key.partition("/")[0]) if _is_chunk(key) else None

    def _error(self, key: str, wrong: str) -> StoreError:
        chunks = self._chunks_of(key)
        which = "" if chunks is None else chunks.paths_of(key)
        return StoreError(
            f"path: expected the chunk of {key.partition('/')[0]!r} as it was written, got"
            f" {wrong}{which}: {self._inner}/{key}. {REMEDY}"
        )


def _first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error in a group, one of this package if there is one."""
    own = errors.subgroup(StoreError)
    first: BaseException = errors if own is None else own
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


def _is_chunk(key: str) -> bool:
    return key.split("/", 2)[1:2] == ["c"]


def plain_size(node: Mapping[str, Any], shape: list[int]) -> int | None:
    """Return the bytes of a chunk file, with 4 for the checksum; None if compressed."""
    names = [codec["name"] for codec in node["codecs"]]
    if not set(names) <= {"transpose", "bytes", "crc32c"}:
        return None
    return int(math.prod(shape)) * int(np.dtype(node["data_type"]).itemsize) + 4
