"""A Zarr store called from synchronous code: the operations that a `RemoteLocation` needs."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from zarr.abc.store import Store
from zarr.buffer import default_buffer_prototype
from zarr.storage import FsspecStore, LocalStore, MemoryStore, ObjectStore, WrapperStore, ZipStore

from montezarr.core.compat.fsspec import list_objects, pipe_file, unwrapped_path
from montezarr.core.compat.zarr import ensure_open, run_in_zarr_loop, wrap, wrapped
from montezarr.core.errors import StoreError
from montezarr.core.regular_files import NotRegularError, check_regular
from montezarr.core.secrets import cause_of, is_clean
from montezarr.core.tunables.stores import REQUESTS_AT_ONCE, SIZES_ASKED_SINGLY_MAX
from montezarr.store.locations._conditions import (
    ChangedError,
    Tag,
    VersionedObject,
    read_versioned,
    write_by_obstore,
    write_versioned,
)
from montezarr.store.locations._directory import Directory

T = TypeVar("T")


class RemoteStore:
    """The objects of a Zarr store; its methods may be called from any thread.

    Parameters
    ----------
    store : zarr.abc.store.Store
        The Zarr store.
    name : str
        Name of the store in messages.
    """

    def __init__(self, store: Store, name: str):
        self.store, self.name = store, name

    def get(self, key: str) -> bytes | None:
        """Return an object, or None if there is none."""
        return self._run(self._get(key))

    def get_all(self, keys: Iterable[str]) -> list[bytes | None]:
        """Return objects, in order."""
        return self._run(_gather(self._get, keys))

    def set(self, key: str, data: bytes) -> None:
        """Write an object."""
        self._run(self.store.set(key, _buffer(data)))

    def create(self, key: str, data: bytes) -> bool:
        """Create an object unless it exists; return whether the store is known to enforce that."""
        return self._run(self._create(key, data))

    def read(self, key: str) -> VersionedObject | None:
        """Return an object with its version, or None if there is none."""
        return self._run(read_versioned(self.store, key))

    def exchange(self, key: str, data: bytes, over: Tag, is_sure: bool) -> Tag:
        """Write an object over a version of it, or where there is none; see `write_versioned`.

        Raises
        ------
        ChangedError
            If there is another one.
        """
        return self._run(write_versioned(self.store, key, data, over, is_sure))

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects that exist, in any order."""
        self._run(_gather(self._delete, keys))

    def size(self, key: str) -> int | None:
        """Return the bytes of an object, or None if there is none."""
        return self._run(self._size(key))

    def sizes(self, keys: Iterable[str]) -> dict[str, int]:
        """Return the bytes of the objects that exist."""
        return self._run(self._sizes(list(keys)))

    def below(self, prefix: str) -> list[str]:
        """Return the keys with a prefix that ends in a slash."""
        return self._run(self._below(prefix))

    def keys(self) -> Iterator[str]:
        """Yield all keys, in any order."""
        self._forget()
        listing = self.store.list()
        while keys := self._run(_take(listing, 1000)):
            yield from (key for key in keys if key and not key.endswith("/"))

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine, and return its result.

        Errors of a store become a StoreError, which handlers of OSError catch and which, unlike
        those of some stores, can be pickled from a worker process.
        """
        try:
            return run_in_zarr_loop(self._when_open(coroutine))
        except ChangedError:
            raise
        except OSError as error:
            if is_of_system(error) and is_clean(error):
                raise
            raise self._as_store_error(error) from None
        except Exception as error:
            raise self._as_store_error(error) from cause_of(error)

    def _as_store_error(self, error: Exception) -> StoreError:
        return StoreError(
            f"path: expected an answer of {self.name}, got {type(error).__name__}: {error}"
        )

    async def _when_open(self, coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            await ensure_open(self.store)
        except BaseException:
            coroutine.close()
            raise
        return await coroutine

    def _forget(self) -> None:
        """Clear the listing cache of fsspec, which does not know what others have written since."""
        if isinstance(self.store, FsspecStore):
            self.store.fs.invalidate_cache()

    async def _get(self, key: str) -> bytes | None:
        found = await self.store.get(key, prototype=default_buffer_prototype())
        return None if found is None else found.to_bytes()

    async def _delete(self, key: str) -> None:
        self._forget()
        await self.store.delete(key)

    async def _size(self, key: str) -> int | None:
        self._forget()
        try:
            return await _of_sizes(self.store).getsize(key)
        except FileNotFoundError:
            return None

    async def _sizes(self, keys: list[str]) -> dict[str, int]:
        listed = None if len(keys) <= SIZES_ASKED_SINGLY_MAX else await self._listed()
        if listed is not None:
            return {key: listed[key] for key in keys if key in listed}
        found = zip(keys, await _gather(self._size, keys), strict=True)
        return {key: size for key, size in found if size is not None}

    async def _listed(self) -> dict[str, int] | None:
        """Return the bytes of all objects, or None if Zarr cannot list them."""
        if isinstance(self.store, ObjectStore):
            import obstore

            listing = obstore.list(self.store.store)
            return {meta["path"]: meta["size"] async for metas in listing for meta in metas}
        if isinstance(self.store, FsspecStore):
            self._forget()
            found = await list_objects(self.store.fs, self.store.path)
            if found is None:
                return None
            root = self.store.path.rstrip("/") + "/"
            return {name.removeprefix(root): int(info["size"]) for name, info in found.items()}
        return None

    async def _below(self, prefix: str) -> list[str]:
        self._forget()
        try:
            return [key async for key in self.store.list_prefix(prefix) if key.startswith(prefix)]
        except FileNotFoundError:
            return []

    async def _create(self, key: str, data: bytes) -> bool:
        if isinstance(self.store, FsspecStore):
            return await self._create_by_fsspec(key, data)
        if isinstance(self.store, ObjectStore):
            return await self._create_by_obstore(key, data)
        await self.store.set_if_not_exists(key, _buffer(data))
        return isinstance(self.store, (MemoryStore, LocalStore))

    async def _create_by_obstore(self, key: str, data: bytes) -> bool:
        """Create an object unless it exists, and test that a second try is refused."""
        assert isinstance(self.store, ObjectStore)
        try:
            for _ in range(2):
                await write_by_obstore(self.store, key, data, None)
        except ChangedError:
            return True
        except NotImplementedError:  # conditions are switched off or not supported
            if await self._get(key) is None:
                await self.store.set(key, _buffer(data))
        return False

    async def _create_by_fsspec(self, key: str, data: bytes) -> bool:
        """Create an object unless it exists, atomically: Zarr would check first and then write.

        A server may ignore the condition (S3 supports it since 2024, others may not), so the
        request is repeated: it must then be refused.
        """
        assert isinstance(self.store, FsspecStore)
        path = f"{self.store.path.rstrip('/')}/{key}"
        try:
            for _ in range(2):
                await pipe_file(self.store.fs, path, data, mode="create")
        except FileExistsError:
            return True
        except (TypeError, NotImplementedError):  # a file system without conditions
            await self.store.set_if_not_exists(key, _buffer(data))
        return False


def is_of_system(error: OSError) -> bool:
    """Return whether an error comes from the operating system or a file system.

    Errors of a damaged zip do not: EINVAL for an offset outside of it, and an error without errno
    for invalid compressed data.
    """
    return error.errno != errno.EINVAL and not (type(error) is OSError and error.errno is None)


def is_in_memory(store: Any) -> bool:
    """Return whether a store is in memory, so that another process would have its own copy."""
    if isinstance(store, WrapperStore):
        inner = wrapped(store)
        return inner is None or is_in_memory(inner)
    if isinstance(store, FsspecStore):
        file_system = getattr(store.fs, "sync_fs", store.fs)
        return "memory" in _protocols(file_system)
    if isinstance(store, ObjectStore):
        return type(store.store).__name__ == "MemoryStore"
    return isinstance(store, MemoryStore)


def keeps_its_objects(store: Any) -> bool:
    """Return whether the objects of a store are in its memory, and end with it."""
    if isinstance(store, WrapperStore):
        inner = wrapped(store)
        return inner is not None and keeps_its_objects(inner)
    return not isinstance(store, FsspecStore) and is_in_memory(store)


def _of_sizes(store: Store) -> Store:
    """Return the store to ask for sizes: a plain wrapper would read the whole object."""
    while (
        isinstance(store, WrapperStore)
        and type(store).getsize is Store.getsize
        and type(store).get is WrapperStore.get
        and (inner := wrapped(store)) is not None
    ):
        store = inner
    return store


async def told_size(store: Store, key: str) -> int | None:
    """Return the bytes of an object if the store knows them without reading it, else None."""
    inner = _of_sizes(store)
    if not isinstance(inner, (FsspecStore, ObjectStore)):
        return None
    try:
        return await inner.getsize(key)
    except FileNotFoundError:
        return None


def regular_only(store: Store) -> Store:
    """Return a store that opens only regular files, if its objects are files.

    A wrapper stays the same object, since it may count or cache requests; only the store inside is
    replaced by one that does not block on a pipe.

    Raises
    ------
    StoreError
        For a zip that is not a regular file.
    """
    if isinstance(store, WrapperStore):
        held = wrapped(store)
        inner = held if held is None else regular_only(held)
        if inner is not held:
            wrap(store, inner)
        return store
    if isinstance(store, ZipStore):
        _check_zip(store)
        return store
    root = _root_of(store)
    return store if root is None else Directory(root, read_only=store.read_only)


def _root_of(store: Store) -> Path | None:
    """Return the directory whose files are the objects of a store; None for other stores."""
    if type(store) is LocalStore:
        return store.root
    if isinstance(store, FsspecStore):
        return _directory_of(getattr(store.fs, "sync_fs", store.fs), store.path)
    if isinstance(store, ObjectStore) and type(store.store).__name__ == "LocalStore":
        # Without a prefix keys are paths from the root.
        return Path(getattr(store.store, "prefix", None) or os.path.abspath(os.sep))
    return None


def _directory_of(file_system: Any, path: str) -> Path | None:
    """Return the local directory of a path in a file system of fsspec, if it is local."""
    kind = f"{type(file_system).__module__}.{type(file_system).__name__}"
    if kind == "fsspec.implementations.dirfs.DirFileSystem":
        inner = getattr(file_system.fs, "sync_fs", file_system.fs)
        below = unwrapped_path(file_system, path.strip("/"))
        return None if below is None else _directory_of(inner, below)
    if kind == "fsspec.implementations.local.LocalFileSystem":
        return Path(file_system.unstrip_protocol(path).removeprefix("file://"))
    return None


def _check_zip(store: ZipStore) -> None:
    """Raise if a zip to open is a pipe, a device or a socket."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        try:
            check_regular(os.stat(store.path), store.path)
        except NotRegularError as error:
            raise StoreError(
                f"path: expected a zip, got {error.strerror}: {store.path}. Choose another path."
            ) from error


def store_name(store: Store) -> str:
    """Return the name of a store for messages, without credentials."""
    if isinstance(store, FsspecStore):
        file_system = getattr(store.fs, "sync_fs", store.fs)
        return f"{_protocols(file_system)[0]}://{store.path.lstrip('/')}"
    if isinstance(store, ObjectStore):
        return repr(store.store)
    return str(store)


def sign_in_options(store: Any) -> Any:
    """Return the options with credentials of a store, as far as they are accessible."""
    if isinstance(store, WrapperStore):
        return sign_in_options(wrapped(store))
    if isinstance(store, FsspecStore):
        return getattr(getattr(store.fs, "sync_fs", store.fs), "storage_options", None)
    return getattr(store.store, "config", None) if isinstance(store, ObjectStore) else None


def _protocols(file_system: Any) -> tuple[str, ...]:
    found = file_system.protocol
    return (found,) if isinstance(found, str) else tuple(found)


def _buffer(data: bytes) -> Any:
    return default_buffer_prototype().buffer.from_bytes(data)


async def _gather(function: Callable[[str], Awaitable[T]], keys: Iterable[str]) -> list[T]:
    """Call the function for each key, a limited number at once."""
    room = asyncio.Semaphore(REQUESTS_AT_ONCE)

    async def one(key: str) -> T:
        async with room:
            return await function(key)

    return list(await asyncio.gather(*map(one, keys)))


async def _take(listing: Any, count: int) -> list[str]:
    out: list[str] = []
    try:
        while len(out) < count:
            out.append(await anext(listing))
    except (StopAsyncIteration, FileNotFoundError):
        pass
    return out
