"""Encode rows as the bytes of a chunk, or of a shard of chunks."""

from __future__ import annotations

import gzip
import io
import math
from collections.abc import Iterator, Sequence
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
    rows = storage.apply(values, kind)
    if storage.compression == "gzip":
        pieces = _with_gzip(padded(rows, chunk, array.fill), storage)
        return pieces, *file_digest(pieces)
    if storage.compression is not None:
        pieces = [_by_zarr(array, chunk, storage, padded(rows, chunk, array.fill))]
        return pieces, *file_digest(pieces)
    if rows.shape[-1] < chunk:
        if storage.inner_chunk is not None:
            shard = FilledUpShard(rows, chunk, array.fill, storage.inner_chunk)
            return shard, *file_digest(shard)
        filled = FilledUp(rows, chunk, array.fill)
        return filled, chunk * array.path_bytes + 4, _digest_of(filled.checksum())
    if storage.inner_chunk is None:
        pieces = with_checksum(np.ascontiguousarray(rows))
        return pieces, rows.nbytes + 4, _digest_of(pieces[1])
    pieces = [piece for part in _inner(rows, storage.inner_chunk) for piece in with_checksum(part)]
    size = storage.inner_chunk * array.path_bytes + 4
    pieces += with_checksum(shard_index([size] * (chunk // storage.inner_chunk)))
    return pieces, *file_digest(pieces)


def _digest_of(crc: bytes) -> str:
    """Return what `file_digest` does of a file that ends with its own checksum."""
    return f"{int.from_bytes(crc, 'little'):08x}{crc.hex()}"


def padded(rows: NDArray[Any], chunk: int, fill: float) -> NDArray[Any]:
    """Return rows padded to a whole chunk, contiguous; unchanged if they are both."""
    n = rows.shape[-1]
    if n == chunk:
        return np.ascontiguousarray(rows)
    out = np.full((*rows.shape[:-1], chunk), fill, rows.dtype)
    out[..., :n] = rows
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
        return padded(rows, self._chunk, self._fill).reshape(-1).view(np.uint8)

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
    rows, chunk, fill
        As for `FilledUp`.
    inner : int
        Number of paths of an inner chunk.
    """

    def __init__(self, rows: NDArray[Any], chunk: int, fill: float, inner: int):
        n = rows.shape[-1]
        starts = range(0, n, inner)
        self._parts = [FilledUp(rows[..., low : low + inner], inner, fill) for low in starts]
        blank = FilledUp(rows[..., n:], inner, fill)  # shared by all inner chunks without paths
        self._parts += [blank] * (chunk // inner - len(self._parts))
        self._each = len(blank)
        size = inner * math.prod(rows.shape[:-1]) * rows.itemsize + 4
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


def _inner(rows: NDArray[Any], size: int) -> Iterator[NDArray[Any]]:
    for low in range(0, rows.shape[-1], size):
        yield np.ascontiguousarray(rows[..., low : low + size])


def _with_gzip(rows: NDArray[Any], storage: Storage) -> list[Any]:
    """Return the pieces of a chunk or shard compressed by gzip.

    Zarr writes the time into the header, so that files of the same values would differ. All other
    bytes are those of Zarr.
    """
    inner = storage.inner_chunk
    parts = [rows] if inner is None else list(_inner(rows, inner))
    pieces = [piece for part in parts for piece in with_checksum(_gzipped(part, storage.level))]
    if inner is not None:
        sizes = [len(data) + len(crc) for data, crc in zip(pieces[::2], pieces[1::2], strict=True)]
        pieces += with_checksum(shard_index(sizes))
    return pieces


def _gzipped(rows: NDArray[Any], level: int | None) -> NDArray[np.uint8]:
    out = io.BytesIO()
    data: Any = rows.reshape(-1).view(np.uint8)
    with gzip.GzipFile(
        fileobj=out, mode="wb", compresslevel=5 if level is None else level, mtime=0
    ) as file:
        file.write(data)
    return np.frombuffer(out.getbuffer(), np.uint8)


def _by_zarr(array: StoredArray, chunk: int, storage: Storage, rows: NDArray[Any]) -> bytes:
    """Return the object that Zarr encodes a chunk to, in memory."""
    document = as_json(array.metadata(chunk, chunk, storage))
    objects: dict[str, Any] = {"zarr.json": buffer_of(document)}
    target: Any = zarr.open_array(MemoryStore(objects), mode="r+", zarr_format=3)
    # Chunks of fill values are written too.
    target = target.with_config({"write_empty_chunks": True})
    target[...] = np.moveaxis(rows, -1, array.axis)
    key = array.key(0).removeprefix(f"{array.name}/")
    return bytes(objects[key].to_bytes())


def decode(array: StoredArray, chunk: int, storage: Storage, data: bytes) -> NDArray[Any]:
    """Return all rows of a chunk file, (other dimensions ..., paths).

    Raises
    ------
    ValueError
        If the file is damaged.
    """
    key = array.key(0).removeprefix(f"{array.name}/")
    document = as_json(bounded(array.metadata(chunk, chunk, storage)))
    objects = {"zarr.json": buffer_of(document), key: buffer_of(data)}
    source: Any = zarr.open_array(MemoryStore(objects), mode="r", zarr_format=3)
    return np.moveaxis(np.asarray(source[...]), array.axis, -1)


def buffer_of(data: bytes) -> Any:
    """Return bytes as a buffer of Zarr."""
    return default_buffer_prototype().buffer.from_bytes(data)
