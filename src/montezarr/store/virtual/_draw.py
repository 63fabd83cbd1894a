"""Chunks that are drawn when they are read: only the paths that a range of bytes needs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest

from montezarr.core import buffers
from montezarr.core.checks import type_error
from montezarr.core.errors import MemoryBudgetError
from montezarr.core.memory import memory_limit
from montezarr.core.text import show_bytes
from montezarr.core.tunables.memory import CHUNK_WORKING_COPIES, VIRTUAL_WAITING_MAX_BYTES
from montezarr.reduction.accumulate import Arrays
from montezarr.store._values import ChunkValues
from montezarr.store.format import encode_chunk, padded, paths_last, shard_index, with_checksum
from montezarr.store.virtual._scenarios import Numbers, ScenarioValues

Data = NDArray[np.uint8]


class Once:
    """Computes a value once for all threads that request it at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[Hashable, Future[Any]] = {}

    def __call__(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return the result of `make`, called here or in the thread that was first."""
        with self._lock:
            future = self._running.get(key)
            is_first = future is None
            if future is None:
                future = self._running[key] = Future()
        if not is_first:
            return future.result()
        try:
            value = make()
        except BaseException as error:
            future.set_exception(error)
            raise
        else:
            future.set_result(value)
            return value
        finally:
            with self._lock:
                del self._running[key]


class Recent:
    """A cache of the most recently used entries, limited in bytes."""

    def __init__(self, limit: int) -> None:
        self.limit, self.bytes = limit, 0
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable) -> Any:
        """Return an entry, and mark it as used, or None."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key][0]

    def put(self, key: Hashable, value: Any, size: int) -> None:
        """Keep an entry, evicting others; one that is too large is not kept."""
        self.drop(key)
        if size > self.limit:
            return
        with self._lock:
            self._entries[key] = value, size
            self.bytes += size
            while self.bytes > self.limit:
                _, (_, freed) = self._entries.popitem(last=False)
                self.bytes -= freed

    def drop(self, key: Hashable) -> None:
        """Remove an entry, if it exists."""
        with self._lock:
            self.bytes -= self._entries.pop(key, (None, 0))[1]


class VirtualChunks:
    """The chunk files of a virtual store.

    Parameters
    ----------
    values : ChunkValues
        Draws the chunks, and has their format.
    n_paths : int
        Number of paths.
    x0 : dask array (..., n_paths) or None
        Initial states, if they differ from path to path.
    cache_bytes : int
        Bytes of files to cache.
    """

    def __init__(self, values: ChunkValues, n_paths: int, x0: Any, cache_bytes: int) -> None:
        self.values, self.manifest = values, values.manifest
        self._scenarios = ScenarioValues(values)
        self.n_paths, self.x0 = n_paths, x0
        storage, chunk = self.manifest.storage, self.manifest.chunk
        arrays = self.manifest.arrays
        shards = [array.inner_shape(chunk, storage) is not None for array in arrays]
        # Parts of a shard of known size can be made alone.
        plain = storage.compression is None
        self._splits = [plain and is_shard for is_shard in shards]
        self._unit: int = (storage.inner_chunk or chunk) if plain else chunk
        shared = not plain and any(shards)
        self._files = Recent(max(cache_bytes, self._largest() if shared else 0))
        waiting = max(VIRTUAL_WAITING_MAX_BYTES, 2 * self.manifest.chunk_bytes)
        # A draw serves requests for several variables.
        self._draws = Recent(waiting if self._served(None) > 1 else 0)
        self._once, self._counting = Once(), threading.Lock()

    def is_ready(self, i: int, byte_range: Any) -> bool:
        """Return whether bytes need no draw: those of the index of a shard."""
        if not self._splits[i]:
            return False
        low, _ = request_bounds(byte_range, self._size(i))
        return low >= self._part_bytes(i) * self._parts(i)

    def get(self, i: int, chunk: int, byte_range: Any = None) -> Data:
        """Return bytes of a chunk of variable number `i`."""
        if not self._splits[i]:
            whole = self._made(i, chunk, 0, 1)
            low, high = request_bounds(byte_range, len(whole))
            return whole[low:high]
        low, high = request_bounds(byte_range, self._size(i))
        part, count = self._part_bytes(i), self._parts(i)
        body = part * count
        pieces = []
        if low < min(high, body):
            first, last = low // part, min(-(-high // part), count)
            drawn = self._made(i, chunk, first, last)
            pieces.append(drawn[low - first * part : high - first * part])
        if high > body:
            index = joined_pieces(with_checksum(shard_index([part] * count)))
            pieces.append(index[max(low - body, 0) : high - body])
        return pieces[0] if len(pieces) == 1 else joined_pieces(pieces)

    def size(self, i: int, chunk: int) -> int:
        """Return the bytes of a chunk file; a compressed one is made for that."""
        known = self.manifest.chunk_file_bytes(self.manifest.arrays[i])
        return len(self.get(i, chunk)) if known is None else known

    def _parts(self, i: int) -> int:
        """Return the number of parts of a file that can be made alone."""
        return self.manifest.parts(self.manifest.arrays[i]) if self._splits[i] else 1

    def _part_bytes(self, i: int) -> int:
        return self.manifest.arrays[i].part_bytes(self.manifest.chunk, self.manifest.storage) + 4

    def _size(self, i: int) -> int:
        size = self.manifest.chunk_file_bytes(self.manifest.arrays[i])
        assert size is not None  # it is not compressed
        return size

    def _largest(self) -> int:
        chunk = self.manifest.chunk
        return max(
            VIRTUAL_WAITING_MAX_BYTES, *(2 * chunk * a.path_bytes for a in self.manifest.arrays)
        )

    def _made(self, i: int, chunk: int, first: int, last: int) -> Data:
        """Return parts of a chunk file: inner chunks of a shard, else the whole file."""
        key = (i, chunk, first, last)

        def make() -> Data:
            # Another thread may have put it into the cache meanwhile.
            data: Data | None = self._files.get(key)
            if data is None:
                data = joined_pieces(self._encoded(i, chunk, first, last))
                data.setflags(write=False)  # shared by several readers
                self._files.put(key, data, data.nbytes)
            return data

        made: Data = self._once(key, make)
        return made

    def _encoded(self, i: int, chunk: int, first: int, last: int) -> Iterable[Any]:
        array, manifest = self.manifest.arrays[i], self.manifest
        storage = manifest.storage
        if not self._splits[i]:
            whole = tuple(slice(0, size) for size in array.shape)
            numbers = self._scenarios.needed(i, [whole])
            values = self._drawn(chunk, 0, manifest.chunk // self._unit, numbers, 1)[i]
            return encode_chunk(array, manifest.chunk, storage, values)[0]
        # Before the places are listed, of which a shard may have millions.
        _check_fits(f"{last - first:,} inner chunks", (last - first) * self._part_bytes(i))
        places = list(array.inner_slices(manifest.chunk, storage, first, last))
        low = min(place[-1].start for place in places)
        high = max(place[-1].stop for place in places)
        numbers = self._scenarios.needed(i, places)
        units = low // self._unit, high // self._unit
        values = self._drawn(chunk, *units, numbers, last - first)[i]
        kind, out = np.dtype(array.dtype).newbyteorder("<"), []
        shape = paths_last(array, array.inner_shape(manifest.chunk, storage) or [])
        for *others, paths in places:
            place = (*others, slice(paths.start - low, paths.stop - low))
            part = self._scenarios.part(i, numbers, values, place)
            out += with_checksum(padded(storage.apply(part, kind), shape, array.fill))
        return out

    def _drawn(self, chunk: int, first: int, last: int, numbers: Numbers, served: int) -> Arrays:
        """Return the values of all variables, drawn now or for another request before.

        Parameters
        ----------
        numbers : tuple of int or None
            The scenarios to draw; None for all.
        served : int
            Number of parts of files that are made of them now.
        """
        key = (chunk, first, last, numbers)

        def make() -> Any:
            entry = self._draws.get(key)
            if entry is None:
                arrays = self._draw(chunk, first, last, numbers)
                entry = arrays, [self._served(numbers) * (last - first)]
                self._draws.put(key, entry, sum(array.nbytes for array in arrays))
            return entry

        arrays, left = self._once(key, make)
        with self._counting:
            left[0] -= served
        if left[0] <= 0:  # all of it was read
            self._draws.drop(key)
        return list(arrays)

    def _served(self, numbers: Numbers) -> int:
        """Return the parts of files, of as few paths as can be made alone, that a draw serves."""
        chunk, count = self.manifest.chunk, 0
        for i in range(len(self.manifest.arrays)):
            share = self._scenarios.share(i, numbers)
            count += round(self._parts(i) * self._unit // chunk * share)
        return count

    def _draw(self, chunk: int, first: int, last: int, numbers: Numbers) -> Arrays:
        start = chunk * self.manifest.chunk + first * self._unit
        stop = min(start + (last - first) * self._unit, self.n_paths)
        arrays = self.manifest.arrays
        if start >= stop:  # the end of the last shard, without paths
            return self._scenarios.none(numbers)
        shares = [self._scenarios.share(i, numbers) for i in range(len(arrays))]
        width = sum(share * array.path_bytes for share, array in zip(shares, arrays, strict=True))
        _check_fits(f"{stop - start:,} paths", int((stop - start) * width))
        x0 = self.x0
        if x0 is not None:
            x0 = np.asarray(x0[..., start:stop].compute(scheduler="synchronous"))
        return self._scenarios.of(numbers, start, stop, x0)


def _check_fits(what: str, size: int) -> None:
    """Raise for what does not fit into memory while it is drawn."""
    if size * CHUNK_WORKING_COPIES > memory_limit():
        raise MemoryBudgetError(
            f"key: expected a chunk that fits into memory, got {what} = {show_bytes(size)},"
            f" {CHUNK_WORKING_COPIES} times, with {show_bytes(memory_limit())} to use. Read fewer"
            " paths at once: whole inner chunks of a shard are drawn alone."
        )


def request_bounds(byte_range: Any, size: int) -> tuple[int, int]:
    """Return start and end of a byte request in an object of `size` bytes.

    Raises
    ------
    ArgumentTypeError
        If it is not a byte request.
    """
    if byte_range is None:
        return 0, size
    if isinstance(byte_range, RangeByteRequest):
        low, high = byte_range.start, byte_range.end
    elif isinstance(byte_range, OffsetByteRequest):
        low, high = byte_range.offset, size
    elif isinstance(byte_range, SuffixByteRequest):
        low, high = size - byte_range.suffix, size
    else:
        raise type_error("byte_range", "a byte request of Zarr, or None", byte_range)
    low = min(max(low, 0), size)
    return low, max(low, min(high, size))


def joined_pieces(pieces: Iterable[Any]) -> Data:
    """Join the pieces of a file in a recycled buffer."""
    parts = [np.frombuffer(piece, np.uint8) for piece in pieces if len(piece)]
    if len(parts) == 1:
        return parts[0]
    out: Data = buffers.recycled_empty((sum(part.nbytes for part in parts),), np.uint8)
    at = 0
    for part in parts:
        out[at : at + part.nbytes] = part
        at += part.nbytes
    return out
