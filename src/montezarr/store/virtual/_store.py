"""`VirtualStore`: a store without a disk, with all files that `write` would make."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import xarray as xr
from zarr.abc.store import Store
from zarr.buffer import default_buffer_prototype

from montezarr.core.checks import check_bool, check_int, value_error
from montezarr.core.parameters import know, with_parameters
from montezarr.core.tunables.scheduling import LISTED_KEYS_PER_TURN
from montezarr.core.tunables.stores import VIRTUAL_CHUNKS_MAX, VIRTUAL_TASKS_MAX
from montezarr.execute import cores
from montezarr.run._attributes import ATTRIBUTE
from montezarr.run._dataset import to_dataset
from montezarr.run._origins import remember_origin
from montezarr.run._run import Run
from montezarr.store._codes import with_text
from montezarr.store.format import Storage
from montezarr.store.format._parameters import key_of
from montezarr.store.virtual._draw import VirtualChunks, request_bounds
from montezarr.store.virtual._file import file_at, loaded
from montezarr.store.virtual._layout import chunks_of


class VirtualStore(Store):
    """A Zarr store of any size that takes no space: its chunks are simulated when they are read.

    Its keys and bytes are exactly those of the store that ``montezarr.write(ds, path,
    storage=storage)`` makes, so every reader of Zarr in Python can read it, such as
    ``xarray.open_zarr(store)`` and ``zarr.open(store)``. It is read-only, made at once and can be
    pickled; `save` writes it to a small file for `montezarr.open`: some hundred bytes, and all
    numbers of the process as JSON.

    A read draws whole chunks; for an uncompressed shard, only the inner chunks that it needs, so of
    a grid only its scenarios. Scenarios that are read at once share their draws: all of them in one
    read take less time than one by one. Parameters of paths need no path.

    xarray makes a Dask chunk of each (inner) chunk, and opens two million of them in half a second.
    So chunks are larger if there would be more, and a few paths of 10**12 take a second or two: to
    read them in milliseconds pass smaller ``chunks`` here, and ``chunks=None`` to xarray.

    Parameters
    ----------
    recipe : Dataset, dict or str
        From `simulate`, or computed from it lazily as for `write`; or a recipe,
        ``ds.attrs["montezarr"]``: no array of all paths is made, however many there are.
    n_paths : int, optional
        Number of paths: required with a recipe; by default that of the Dataset. Another number is
        possible if the Dataset is as `simulate` returned it and x0 is common.
    chunks : int, optional
        Paths per chunk, rounded up to whole blocks of 1024. By default that of the Dataset; with a
        recipe about 8 MiB, or more if there would be over two million chunks, up to 1 GiB.
    storage : Storage, optional
        As for `write`. A compressed shard is drawn whole for any part of it.
    process : object, optional
        The sampler, if it is your own code and not alive in this process.
    cache_bytes : int
        Bytes of recently read chunks to cache. Threads that read a chunk at the same time draw it
        once in any case, and one draw serves all variables.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `recipe` is none of these, or cannot be stored.
    ReplayError
        If its sampler is not at hand.
    MemoryBudgetError
        If a block of paths does not fit into memory; later, if a chunk that is read does not.

    Examples
    --------
    >>> import montezarr as mz, xarray as xr
    >>> ds = mz.simulate(mz.RandomWalk(), n_paths=5000, T=4, seed=1)
    >>> store = mz.VirtualStore(ds.attrs["montezarr"], n_paths=10**12)
    >>> paths = xr.open_zarr(store, chunks=None)
    >>> paths.x[987_654_321_000].values
    array([ 0, -1,  0, -1,  0])
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(
        self,
        recipe: Any,
        n_paths: int | None = None,
        *,
        chunks: int | None = None,
        storage: Storage | None = None,
        process: Any = None,
        cache_bytes: int = 0,
    ) -> None:
        super().__init__(read_only=True)
        size = check_int("cache_bytes", cache_bytes)
        self._set(chunks_of(recipe, n_paths, chunks, storage, process, size), size)

    def _set(self, chunks: VirtualChunks, cache_bytes: int) -> None:
        self._chunks, self._cache_bytes = chunks, cache_bytes
        n = chunks.n_paths
        manifest = chunks.manifest
        know(manifest.parameters)
        self._documents: dict[str, bytes | memoryview] = {**manifest.files(n, n, n, complete=True)}
        for reference in manifest.references:
            values: Any = manifest.parameters[reference.sha256]
            self._documents[key_of(reference)] = memoryview(values).cast("B")
        self._pool: ThreadPoolExecutor | None = None
        self._pool_of = 0

    # --- what it is --------------------------------------------------------------------------

    @property
    def n_paths(self) -> int:
        """Number of paths."""
        return self._chunks.n_paths

    @property
    def chunk(self) -> int:
        """Paths per chunk."""
        return self._chunks.manifest.chunk

    def __repr__(self) -> str:
        name = self._chunks.values.name
        return f"<montezarr.VirtualStore of {self.n_paths:,} paths of {name}>"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VirtualStore) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def __dask_tokenize__(self) -> Any:
        return ("montezarr.VirtualStore", self._identity())

    def _identity(self) -> str:
        """Return a digest of what determines every byte of a chunk."""
        told = self._chunks.manifest.to_dict()
        del told["environment"]
        text = json.dumps([self.n_paths, told], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def __getstate__(self) -> Any:
        chunks = self._chunks
        return self._is_open, chunks.values, chunks.n_paths, chunks.x0, self._cache_bytes

    def __setstate__(self, state: Any) -> None:
        is_open, task, n_paths, x0, cache_bytes = state
        super().__init__(read_only=True)
        self._is_open = is_open
        self._set(VirtualChunks(task, n_paths, x0, cache_bytes), cache_bytes)

    def with_read_only(self, read_only: bool = False) -> VirtualStore:
        """Return the store itself; a writable one is refused."""
        if not check_bool("read_only", read_only):
            raise value_error("read_only", "True: a VirtualStore cannot be written", read_only)
        again = type(self).__new__(type(self))
        again.__setstate__((False, *self.__getstate__()[1:]))
        return again

    # --- the file ----------------------------------------------------------------------------

    def save(self, path: Any) -> None:
        """Write a small file, the recipe with all its numbers, for `montezarr.open` and `load`.

        Parameters
        ----------
        path : str or path
            The file, such as "paths.json". Only another file of this kind is replaced.

        Raises
        ------
        ArgumentValueError
            If a recipe cannot restore the store: with derived variables, an x0 of each path, or
            options of the sampler.
        StoreExistsError
            If there is something else at `path`.
        StoreError
            If it cannot be written.
        """
        # Imported here, since opening and reading a store must not import code that writes.
        from montezarr.store.virtual._save import document_of, put_document

        put_document(file_at(path), document_of(self._chunks))

    @classmethod
    def load(cls, path: Any, process: Any = None, *, cache_bytes: int = 0) -> VirtualStore:
        """Return the store that `save` wrote to a file; nothing that it names is imported.

        Parameters
        ----------
        path : str or path
            The file.
        process : object, optional
            The sampler, if it is your own code.
        cache_bytes : int
            As for the class.

        Raises
        ------
        StoreNotFoundError
            If there is no such file.
        StoreError
            If it is not what `save` writes, or its sampler is not at hand.
        """
        size = check_int("cache_bytes", cache_bytes)
        store = cls.__new__(cls)
        super(VirtualStore, store).__init__(read_only=True)
        store._set(loaded(path, process, size), size)
        return store

    def to_dataset(self) -> xr.Dataset:
        """Return all paths as a lazy Dataset, as `montezarr.open` does.

        Up to 100,000 chunks it is what `simulate` returns. Beyond, each Dask chunk covers several
        chunks of the store, so that there are at most a million: select before you compute.
        """
        chunks = self._chunks
        manifest, drawn = chunks.manifest, chunks.values.drawn
        exact = manifest.storage.dtype is None and manifest.storage.keep_bits is None
        count = manifest.chunk_count(self.n_paths)
        recipe = manifest.recipe_dict
        if exact and drawn.chunk_function is None and count <= VIRTUAL_TASKS_MAX:
            run = Run(
                drawn.sampler, self.n_paths, manifest.chunk, with_parameters(recipe), chunks.x0
            )
            return to_dataset(run)
        many = -(-count // VIRTUAL_CHUNKS_MAX) * manifest.chunk
        ds: xr.Dataset = xr.open_zarr(self, chunks={"path": many}, decode_timedelta=False)
        ds = with_text(ds[[array.name for array in manifest.arrays]])
        ds.attrs = {ATTRIBUTE: manifest.recipe}
        remember_origin(ds, recipe)
        return ds

    # --- reading -----------------------------------------------------------------------------

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """Return a file, or bytes of it: a chunk is drawn, in a thread."""
        found = self._find(key)
        if found is None or self._is_ready(found, byte_range):
            return self.get_sync(key, prototype=prototype, byte_range=byte_range)
        loop = asyncio.get_running_loop()
        data = await loop.run_in_executor(self._threads(), self._chunks.get, *found, byte_range)
        return _as_buffer(data, prototype)

    def get_sync(self, key: str, *, prototype: Any = None, byte_range: Any = None) -> Any:
        """Return a file, or bytes of it, drawn in this thread."""
        document = self._documents.get(key)
        if document is not None:
            low, high = request_bounds(byte_range, len(document))
            return _as_buffer(document[low:high], prototype)
        found = self._find(key)
        return (
            None if found is None else _as_buffer(self._chunks.get(*found, byte_range), prototype)
        )

    async def get_partial_values(
        self, prototype: Any, key_ranges: Iterable[tuple[str, Any]]
    ) -> list[Any]:
        """Return several files, or bytes of them."""
        gets = [self.get(key, prototype, byte_range) for key, byte_range in key_ranges]
        return list(await asyncio.gather(*gets))

    async def get_ranges(
        self, key: str, byte_ranges: Sequence[Any], *, prototype: Any, **limits: Any
    ) -> AsyncIterator[Sequence[tuple[int, Any]]]:
        """Yield ranges of a file; errors are raised as they are, not in an exception group."""
        gets = [self.get(key, prototype, byte_range) for byte_range in byte_ranges]
        for i, data in enumerate(await asyncio.gather(*gets)):
            if data is None:
                raise FileNotFoundError(key)
            yield [(i, data)]

    async def exists(self, key: str) -> bool:
        """Return whether there is a file of that name."""
        return key in self._documents or self._find(key) is not None

    async def getsize(self, key: str) -> int:
        """Return the bytes of a file; a compressed chunk is drawn for that."""
        found = self._find(key)
        if found is not None:
            return await asyncio.to_thread(self._chunks.size, *found)
        if key not in self._documents:
            raise FileNotFoundError(key)
        return len(self._documents[key])

    def _is_ready(self, found: tuple[int, int], byte_range: Any) -> bool:
        return self._chunks.is_ready(found[0], byte_range)

    def _find(self, key: str) -> tuple[int, int] | None:
        """Return variable and chunk of a key, or None if it is not the key of a chunk."""
        for i, array in enumerate(self._chunks.manifest.arrays):
            if not key.startswith(f"{array.name}/c/"):
                continue
            parts = key.split("/")[2:]
            number = parts[array.axis] if len(parts) == len(array.dims) else ""
            if not (number.isascii() and number.isdecimal() and len(number) < 20):
                return None
            chunk = int(number)
            good = chunk < self._count and key == array.key(chunk)
            return (i, chunk) if good else None
        return None

    @property
    def _count(self) -> int:
        return self._chunks.manifest.chunk_count(self.n_paths)

    def _threads(self) -> ThreadPoolExecutor:
        """Return the thread pool of this store: a draw that reads another store cannot deadlock.

        It has as many threads as cores: more would only take more memory. A forked child makes its
        own.
        """
        if self._pool is None or self._pool_of != os.getpid():
            self._pool = ThreadPoolExecutor(cores(), thread_name_prefix="montezarr-virtual")
            self._pool_of = os.getpid()
        return self._pool

    # --- listing -----------------------------------------------------------------------------

    async def list(self) -> AsyncIterator[str]:
        """Yield all keys, of which there may be very many."""
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield the keys with this prefix."""
        for key in self._documents:
            if key.startswith(prefix):
                yield key
        for array in self._chunks.manifest.arrays:
            start = f"{array.name}/c/"
            if not (prefix.startswith(start) or start.startswith(prefix)):
                continue
            for chunk in range(self._count):
                if array.key(chunk).startswith(prefix):
                    yield array.key(chunk)
                if chunk % LISTED_KEYS_PER_TURN == 0:
                    await asyncio.sleep(0)

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names in a directory."""
        within = prefix.strip("/")
        start = f"{within}/" if within else ""
        seen = dict.fromkeys(
            key.removeprefix(start).partition("/")[0]
            for key in self._documents
            if key.startswith(start)
        )
        for name in seen:
            yield name
        for name in self._chunk_names(within):
            if name not in seen:
                yield name

    def _chunk_names(self, within: str) -> Iterator[str]:
        """Yield the names in a directory of chunks, such as x/c or x/c/7."""
        parts = within.split("/")
        array = next((a for a in self._chunks.manifest.arrays if a.name == parts[0]), None)
        if array is None or len(parts) > len(array.dims) + 1:
            return
        if len(parts) == 1:
            yield "c"
            return
        places = parts[2:]
        if array.axis == len(places) and parts[1] == "c" and set(places) <= {"0"}:
            yield from (str(chunk) for chunk in range(self._count))
            return
        if len(places) < len(array.dims):
            number = places[array.axis] if array.axis < len(places) else "0"
            key = "/".join([*parts, *["0"] * (len(array.dims) - len(places))])
            if number and self._find(key) is not None:
                yield "0"

    # --- no writing --------------------------------------------------------------------------

    def _refuse(self) -> None:
        raise ValueError("store was opened in read-only mode and does not support writing")

    async def set(self, key: str, value: Any) -> None:
        """Refuse to write."""
        self._refuse()

    async def delete(self, key: str) -> None:
        """Refuse to write."""
        self._refuse()

    def set_sync(self, key: str, value: Any) -> None:
        """Refuse to write."""
        self._refuse()

    def delete_sync(self, key: str) -> None:
        """Refuse to write."""
        self._refuse()


def _as_buffer(data: Any, prototype: Any) -> Any:
    chosen = default_buffer_prototype() if prototype is None else prototype
    return chosen.buffer.from_bytes(data)
