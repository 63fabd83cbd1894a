"""Conditional writes of objects: If-None-Match and If-Match, or the nearest equivalent."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import dataclass
from typing import Any

from zarr.abc.store import Store
from zarr.buffer import default_buffer_prototype
from zarr.storage import FsspecStore, ObjectStore

from montezarr.core.compat.fsspec import object_info, pipe_file

LARGEST_PUT = 5 * 2**30
"""Bytes that one request can write; only such a request can have a condition."""

Tag = Any
"""Identifies a version of an object."""


class ChangedError(Exception):
    """Raised if an object is not the version that was to be replaced."""


@dataclass(frozen=True, slots=True)
class VersionedObject:
    """An object with its version."""

    data: bytes
    tag: Tag


async def read_versioned(store: Store, key: str) -> VersionedObject | None:
    """Return an object with its version, or None if there is none."""
    if isinstance(store, ObjectStore):
        return await _read_by_obstore(store, key)
    # Read the version first: if the object is replaced in between, the conditional write fails.
    tag = await _s3_tag(store, key) if _is_s3(store) else None
    data = await _data(store, key)
    return None if data is None else VersionedObject(data, tag or _digest(data))


async def write_versioned(store: Store, key: str, data: bytes, over: Tag, is_sure: bool) -> Tag:
    """Create an object (`over` is None), or replace one version of it; return the new version.

    Parameters
    ----------
    is_sure : bool
        Whether the store is known to enforce conditions. If it is not, the object is read and
        compared before the write, which leaves a race only between these two.

    Raises
    ------
    ChangedError
        If the version is another one.
    """
    if is_sure and len(data) <= LARGEST_PUT:
        try:
            if isinstance(store, ObjectStore):
                return await write_by_obstore(store, key, data, over)
            if isinstance(store, FsspecStore) and (over is None or _is_s3(store)):
                return await _write_by_fsspec(store, key, data, over)
        except (NotImplementedError, TypeError):
            pass  # the store has no such condition
    found = await read_versioned(store, key)
    if (None if found is None else found.tag) != over:
        raise ChangedError
    await store.set(key, default_buffer_prototype().buffer.from_bytes(data))
    return None


async def _data(store: Store, key: str) -> bytes | None:
    found = await store.get(key, prototype=default_buffer_prototype())
    return None if found is None else found.to_bytes()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def _read_by_obstore(store: ObjectStore[Any], key: str) -> VersionedObject | None:
    import obstore

    try:
        found = await obstore.get_async(store.store, key)
        data = bytes(await found.bytes_async())
    except FileNotFoundError:
        return None
    meta = found.meta
    known = {name: meta[name] for name in ("e_tag", "version") if meta.get(name) is not None}
    return VersionedObject(data, known or _digest(data))


async def write_by_obstore(store: ObjectStore[Any], key: str, data: bytes, over: Tag) -> Tag:
    """Do as `write_versioned` does; NotImplementedError where the store has no such condition."""
    import obstore
    from obstore.exceptions import AlreadyExistsError, PreconditionError

    if isinstance(over, str):
        raise NotImplementedError  # a store without versions
    mode: Any = "create" if over is None else over
    try:
        done = await obstore.put_async(store.store, key, data, mode=mode)
    except (AlreadyExistsError, PreconditionError, FileNotFoundError) as error:
        raise ChangedError from error
    return {name: value for name, value in done.items() if value is not None} or None


def _is_s3(store: Store) -> bool:
    if not isinstance(store, FsspecStore):
        return False
    found = store.fs.protocol
    return "s3" in ((found,) if isinstance(found, str) else found)


def _path(store: FsspecStore, key: str) -> str:
    return f"{store.path.rstrip('/')}/{key}"


async def _s3_tag(store: Any, key: str) -> Tag:
    try:
        return (await object_info(store.fs, _path(store, key), refresh=True)).get("ETag")
    except FileNotFoundError:
        return None


async def _write_by_fsspec(store: FsspecStore, key: str, data: bytes, over: Tag) -> Tag:
    options: dict[str, Any] = {"mode": "create"} if over is None else {"IfMatch": over}
    if _is_s3(store):
        options["chunksize"] = len(data) + 1  # in one request
    try:
        done = await pipe_file(store.fs, _path(store, key), data, **options)
    except (FileExistsError, FileNotFoundError) as error:
        raise ChangedError from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # s3fs raises this if a condition does not hold
            raise ChangedError from error
        raise
    return done.get("ETag") if isinstance(done, dict) else None
