"""Encode rows as the bytes of a chunk, or of a shard of chunks."""

from __future__ import annotations

import gzip
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import google_crc32c
import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from montezarr.core.tunables.memory import FILLED_PIECE_BYTES
from montezarr.store._digest import file_digest
from montezarr.store.format._bounded import bounded
from montezarr.store.format._layout import StoredArray, as_json
from montezarr.store.format._storage import Storage

Encoded = tuple[Sequence[Any], int, str]
"""Pieces of a file, its size and its digest."""


def encode_chunk(array: StoredArray, chunk: int, storage: Storage, values: NDArray[Any]) -> Encoded:
    """Encode a chunk file.

    Parameters
    ----------
    values : array (other dimensions ..., paths)
        All paths of the chunk, or fewer at the end of a run; the rest is padded.
    """
    kind = np.dtype(array.dtype).newbyteorder("<")
    inner = array.inner_shape(chunk, storage)
    if storage.compression is None and values.shape[-1] < chunk:
        rows = storage.apply(values, kind)
        if inner is not None:
            shard = FilledUpShard(array, rows, chunk, storage)
            return shard, *file_digest(shard)
        filled = FilledUp(rows, chunk, array.fill)
        return filled, chunk * array.path_bytes + 4, _digest_of(filled.checksum())
    encode = _encoder(array, inner or array.with_paths(chunk), storage)
    if inner is None:
        rows = storage.apply(values, kind)
        pieces = encode(padded(rows, (*array.shape, chunk), array.fill))
        if storage.compression is None:
            return pieces, chunk * array.path_bytes + 4, _digest_of(pieces[1])
        return pieces, *file_digest(pieces)
    pieces, sizes = [], []
    shape = paths_last(array, inner)
    # Part by part, so that no other copy of the whole is made.
    for place in array.inner_slices(chunk, storage):
        rows = storage.apply(values[place], kind)
        part = encode(padded(rows, shape, array.fill))
        pieces += part
        sizes.append(sum(memoryview(piece).nbytes for piece in part))
    pieces += with_checksum(shard_index(sizes))
    return pieces, *file_digest(pieces)


def _digest_of(crc: bytes) -> str:
    """Return what `file_digest` does of a file that ends with its own checksum."""
    return f"{int.from_bytes(crc, 'little'):08x}{crc.hex()}"


def paths_last(array: StoredArray, shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of an (inner) chunk with the paths last, as values are drawn."""
    others = [size for i, size in enumerate(shape) if i != array.axis]
    return (*others, shape[array.axis])


def padded(rows: NDArray[Any], shape: tuple[int, ...], fill: float) -> NDArray[Any]:
    """Return rows padded to a shape, contiguous; unchanged if they are both."""
    if rows.shape == shape:
        return np.ascontiguousarray(rows)
    out = np.full(shape, fill, rows.dtype)
    out[tuple(map(slice, rows.shape))] = rows
    return out


class FilledUp(Sequence[Any]):
    """The pieces of the file of an incomplete chunk, each made when it is accessed.

    So a few long paths do not take the memory of a whole chunk.

    Parameters
    ----------
    rows : array (other dimensions ..., paths)
        The paths of the chunk.
    chunk : int
        Number of paths of a whole chunk.
    fill : float
        Value of the other paths.
    """

    def __init__(self, rows: NDArray[Any], chunk: int, fill: float):
        self._rows = rows.reshape(math.prod(rows.shape[:-1]), rows.shape[-1])
        self._chunk, self._fill = chunk, fill
        self._step = max(1, FILLED_PIECE_BYTES // (chunk * rows.itemsize))
        self._sum: bytes | None = None

    def __len__(self) -> int:
        return -(-len(self._rows) // self._step) + 1

    def __getitem__(self, i: Any) -> Any:
        if not 0 <= i < len(self):
            raise IndexError(i)
        return self._part(i) if i < len(self) - 1 else self.checksum()

    def _part(self, i: int) -> NDArray[np.uint8]:
        rows = self._rows[i * self._step : (i + 1) * self._step]
        return padded(rows, (len(rows), self._chunk), self._fill).reshape(-1).view(np.uint8)

    def checksum(self) -> bytes:
        """Return the checksum at the end of the file."""
        if self._sum is None:
            crc = 0
            for i in range(len(self) - 1):
                crc = google_crc32c.extend(crc, self._part(i))
            self._sum = int(crc).to_bytes(4, "little")
        return self._sum


class FilledUpShard(Sequence[Any]):
    """The pieces of an incomplete shard: its inner chunks, and the index behind them.

    Parameters
    ----------
    array : StoredArray
        The variable.
    rows : array (other dimensions ..., paths)
        The paths of the chunk, as they are stored.
    chunk, storage
        As for `encode_chunk`.
    """

    def __init__(self, array: StoredArray, rows: NDArray[Any], chunk: int, storage: Storage):
        *others, inner = paths_last(array, array.inner_shape(chunk, storage) or [])
        self._parts: list[FilledUp] = []
        blank = None  # shared by all inner chunks without paths
        for place in array.inner_slices(chunk, storage):
            part = rows[place]
            part = padded(part, (*others, part.shape[-1]), array.fill)
            if part.shape[-1]:
                self._parts.append(FilledUp(part, inner, array.fill))
                continue
            blank = FilledUp(part, inner, array.fill) if blank is None else blank
            self._parts.append(blank)
        self._each = len(self._parts[0])
        size = array.part_bytes(chunk, storage) + 4
        self._index = with_checksum(shard_index([size] * len(self._parts)))

    def __len__(self) -> int:
        return len(self._parts) * self._each + len(self._index)

    def __getitem__(self, i: Any) -> Any:
        if not 0 <= i < len(self):
            raise IndexError(i)
        part, piece = divmod(i, self._each)
        return self._parts[part][piece] if part < len(self._parts) else self._index[piece]


def with_checksum(rows: NDArray[Any]) -> list[Any]:
    """Return the bytes of rows and their checksum."""
    # As bytes, since NumPy has no buffers of some dtypes.
    data = rows.reshape(-1).view(np.uint8)
    return [data, int(google_crc32c.value(data)).to_bytes(4, "little")]


def shard_index(sizes: Sequence[int]) -> NDArray[np.uint64]:
    """Return the index of a shard, (offset, bytes) of each inner chunk, given their sizes."""
    ends = np.cumsum(sizes, dtype="<u8")
    return np.stack([ends - np.asarray(sizes, "<u8"), np.asarray(sizes, "<u8")], axis=1)


def _encoder(
    array: StoredArray, shape: list[int], storage: Storage
) -> Callable[[NDArray[Any]], list[Any]]:
    """Return the function from the rows of an (inner) chunk of a shape to the pieces of it."""
    if storage.compression is None:
        return with_checksum
    if storage.compression == "gzip":
        # Zarr writes the time into the header, so that files of the same values would differ. All
        # other bytes are those of Zarr.
        return lambda rows: with_checksum(_gzipped(rows, storage.level))
    objects: dict[str, Any] = {"zarr.json": buffer_of(as_json(array.part_metadata(shape, storage)))}
    target: Any = zarr.open_array(MemoryStore(objects), mode="r+", zarr_format=3)
    # Chunks of fill values are written too.
    target = target.with_config({"write_empty_chunks": True})
    key = array.key(0).removeprefix(f"{array.name}/")

    def by_zarr(rows: NDArray[Any]) -> list[Any]:
        target[...] = np.moveaxis(rows, -1, array.axis)
        return [bytes(objects.pop(key).to_bytes())]

    return by_zarr


def _gzipped(rows: NDArray[Any], level: int | None) -> NDArray[np.uint8]:
    out = io.BytesIO()
    data: Any = rows.reshape(-1).view(np.uint8)
    with gzip.GzipFile(
        fileobj=out, mode="wb", compresslevel=5 if level is None else level, mtime=0
    ) as file:
        file.write(data)
    return np.frombuffer(out.getbuffer(), np.uint8)


def decode(array: StoredArray, chunk: int, storage: Storage, data: bytes) -> NDArray[Any]:
    """Return all rows of a chunk file, (other dimensions ..., paths).

    Raises
    ------
    ValueError
        If the file is damaged.
    """
    key = array.key(0).removeprefix(f"{array.name}/")
    piece = replace(array, grown=None)  # each has the shape that the first one has
    document = as_json(bounded(piece.metadata(chunk, chunk, storage)))
    objects = {"zarr.json": buffer_of(document), key: buffer_of(data)}
    source: Any = zarr.open_array(MemoryStore(objects), mode="r", zarr_format=3)
    return np.moveaxis(np.asarray(source[...]), array.axis, -1)


def buffer_of(data: bytes) -> Any:
    """Return bytes as a buffer of Zarr."""
    return default_buffer_prototype().buffer.from_bytes(data)
