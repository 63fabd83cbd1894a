"""Object stores: locations in any Zarr store.

Objects are replaced whole, and cannot be appended to. So a log is a base object, and one more
object for each append, a part:

``key``
    The base, with the content of a log file. If no writer runs, and none was killed, there is
    nothing else.
``key.parts/<digest>.<number>``
    The parts, in the order of the numbers. `digest` is that of the base at the time: a part counts
    only with the base that it was written after. So replacing the base switches the log from one
    state to the next, and a part that outlives it, because a writer was killed or a request came
    late, is void.
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self, final

from zarr.abc.store import Store
from zarr.storage import FsspecStore

from montezarr.core.checks import type_error, value_error
from montezarr.core.errors import ArgumentTypeError, MissingDependencyError, StoreError
from montezarr.core.secrets import cause_of, redacted, remember_environment, remember_secrets
from montezarr.core.tunables.limits import COMMIT_LOG_MAX_BYTES, DOCUMENT_MAX_BYTES
from montezarr.core.tunables.stores import LOG_OBJECTS_MAX, LOG_READ_TRIES
from montezarr.store import _faults
from montezarr.store.locations._location import Location, Pieces, check_key
from montezarr.store.locations._remote_fence import Fence
from montezarr.store.locations._remote_lock import RemoteLock
from montezarr.store.locations._remote_store import (
    RemoteStore,
    is_in_memory,
    keeps_its_objects,
    regular_only,
    sign_in_options,
    store_name,
)

BUCKETS = frozenset({"s3", "s3a", "gs", "gcs", "oss", "oci"})
"""Schemes whose URLs have no user."""


@dataclass
class _Log:
    """A log as read or written: its base, the parts and the last of their numbers."""

    digest: str
    content: bytes
    count: int = 0
    number: int = 0


@final
class RemoteLocation(Location):
    """A location in a Zarr store of any kind, whose objects are set atomically.

    Parameters
    ----------
    store : zarr.abc.store.Store
        The Zarr store.
    name : str, optional
        Name of the location in messages.
    """

    def __init__(self, store: Store, name: str | None = None):
        self.store, self.name = regular_only(store), redacted(name or store_name(store))
        self._start()

    @classmethod
    def at(cls, url: str, storage_options: Mapping[str, Any] | None = None) -> Self:
        """Return the location with a URL, through fsspec.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If fsspec does not know the URL.
        MissingDependencyError
            If the package for it is not installed.
        """
        if storage_options is not None and not isinstance(storage_options, Mapping):
            # The value is not shown: it may be a secret.
            raise ArgumentTypeError(
                "storage_options: expected a dict of what fsspec takes, got a"
                f" {type(storage_options).__name__!r}."
            )
        remember_secrets(storage_options)
        remember_environment()
        _check_user(url)
        name = redacted(url.partition("?")[0].partition("#")[0].rstrip("/"))
        try:
            store = FsspecStore.from_url(url, storage_options=dict(storage_options or {}))
        except ImportError as error:
            raise MissingDependencyError(
                f'path: {name} needs another package: {error}. For S3: pip install "montezarr[s3]"'
            ) from cause_of(error)
        except ValueError as error:
            expected = "a directory, or a URL that fsspec knows"
            hint = f"fsspec says: {error}."
            raise value_error("path", expected, name, hint) from cause_of(error)
        return cls(store, name)

    def get(self, key: str, most: int = DOCUMENT_MAX_BYTES) -> bytes | None:
        """Return the content of an object, once its size is known."""
        size = self._objects.size(check_key(key))
        return None if size is None or size > most else self._objects.get(key)

    def pieces(self, key: str) -> Iterator[bytes]:
        """Yield the content of an object, as one piece."""
        data = self._objects.get(check_key(key))
        if data is not None:
            yield data

    def put(self, key: str, pieces: Pieces, *, durable: bool = False, number: int = 0) -> None:
        """Set an object, in one piece; it is durable once the store has answered."""
        data = b"".join(memoryview(piece).cast("B") for piece in pieces)
        _faults.reach("chunk.before_write", number)
        # Metadata are written repeatedly, chunks once.
        self._set(check_key(key), data, again=number < 0)
        _faults.reach("chunk.after_write", number)
        _faults.reach("chunk.after_rename", number)

    def size(self, key: str) -> int | None:
        """Return the bytes of an object."""
        return self._objects.size(check_key(key))

    def delete(self, key: str) -> None:
        """Delete an object."""
        if self._fence is not None:
            self._fence.check()
        self._objects.delete([check_key(key)])

    def append(self, key: str, data: bytes, *, durable: bool = False) -> None:
        """Append to a log by setting one more part."""
        if key not in self._logs:
            self.read_log(key)
        # Set again at the end: after a failure it is not known whether the part exists.
        log = self._logs.pop(key, None) or _Log(_digest(b""), b"")
        if log.count >= LOG_OBJECTS_MAX:
            self.put_log(key, log.content + data)
            return
        part = f"{check_key(key)}.parts/{log.digest}.{log.number + 1:08d}"
        if self._fence is None:
            self._objects.set(part, data)
        else:
            self._fence.add(part, data)
        self._logs[key] = _Log(log.digest, log.content + data, log.count + 1, log.number + 1)

    def read_log(self, key: str) -> bytes | None:
        """Return the base and its parts, joined.

        The parts are listed before the base is read. They are deleted only after the base was
        replaced, so the base that is read is that of the listed parts, or a later one.
        """
        for _ in range(LOG_READ_TRIES):
            listed = self._parts(key)
            base = self.get(key, COMMIT_LOG_MAX_BYTES)
            digest = _digest(base or b"")
            mine = [part for part in listed if _digest_in(part) == digest]
            if mine and sum(self._objects.sizes(mine).values()) > COMMIT_LOG_MAX_BYTES:
                raise StoreError(
                    f"path: expected at most {COMMIT_LOG_MAX_BYTES:,} bytes in {self}/{key}."
                )
            parts = [part for part in self._objects.get_all(mine) if part is not None]
            if len(parts) == len(mine):
                break
        else:
            raise StoreError(f"path: expected the parts of a log that are listed: {self}/{key}.")
        if self._is_locked:
            self._objects.delete(part for part in listed if part not in mine)
        content = b"".join([base or b"", *parts])
        self._logs[key] = _Log(digest, content, len(mine), _number_in(mine[-1]) if mine else 0)
        return None if base is None and not mine else content

    def put_log(self, key: str, data: bytes, *, durable: bool = False) -> None:
        """Set the base, which makes all parts void, and delete the parts."""
        self._logs.pop(key, None)
        digest, listed = _digest(data), self._parts(key)
        mine = [part for part in listed if _digest_in(part) == digest]
        if self.get(key, len(data)) == data:
            # These parts still count. Delete the last one first: what is left is an earlier state.
            for part in reversed(mine):
                self._objects.delete([part])
        else:
            # Left from a time when the base was the same. They must not count again.
            self._objects.delete(mine)
            self._set(check_key(key), data, again=True)
        self._objects.delete(part for part in listed if part not in mine)
        self._logs[key] = _Log(digest, data)

    def objects(self) -> Iterator[str]:
        """Yield the keys of all objects."""
        return self._objects.keys()

    def sizes(self, keys: Iterable[str]) -> dict[str, int]:
        """Return the bytes of objects, by one listing if there are many."""
        return self._objects.sizes(keys)

    def free_bytes(self) -> int | None:
        """Return None: object stores have no limit."""
        return None

    def target(self) -> Store:
        """Return the Zarr store."""
        return self.store

    def finder(self) -> Callable[[], Location | None]:
        """Return a function that returns this location without keeping it alive."""
        name, store = self.name, self.store
        found = weakref.ref(store) if keeps_its_objects(store) else lambda: store

        def find() -> RemoteLocation | None:
            there = found()
            return None if there is None else RemoteLocation(there, name)

        return find

    def lock(self) -> RemoteLock:
        """Return the lock, an object with the record of its owner."""
        return RemoteLock(self._objects, self._begin, self._end)

    def clean(self) -> None:
        """Do nothing: there are no temporary objects, and void parts are deleted with the log."""

    def __getstate__(self) -> dict[str, Any]:
        if is_in_memory(self.store):
            raise type_error(
                "path", "a store that other processes can write to", self.name,
                "This one is in the memory of this process: choose mz.backend('threads').",
            )  # fmt: skip
        told = None if self._fence is None else self._fence.told()
        return {"store": self.store, "name": self.name, "fence": told}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.store, self.name = state["store"], state["name"]
        self._start(state["fence"])

    def _start(self, told: tuple[bytes, bool] | None = None) -> None:
        remember_secrets(sign_in_options(self.store))  # in a worker process, too
        self._objects = RemoteStore(self.store, self.name)
        self._logs: dict[str, _Log] = {}
        self._is_locked = False
        # The fence stays after the lock is released, so that threads that still run are refused.
        self._fence = None if told is None else Fence(self._objects, *told)

    def _begin(self, record: bytes, is_sure: bool) -> None:
        """Forget what was read before the lock, since another writer may have run."""
        self._logs.clear()
        self._is_locked = True
        self._fence = Fence(self._objects, record, is_sure)

    def _set(self, key: str, data: bytes, *, again: bool) -> None:
        """Write an object; under a lock, only as long as that is held."""
        if self._fence is None:
            self._objects.set(key, data)
        else:
            self._fence.put(key, data, again=again)

    def _end(self, is_mine: bool) -> None:
        """Rewrite logs as one object each, and void the parts of late requests."""
        logs, self._logs, self._is_locked = self._logs, {}, False
        for key, log in logs.items():
            if is_mine and log.count:
                self.put_log(key, log.content)
        self._logs.clear()

    def _parts(self, key: str) -> list[str]:
        """Return the parts of a log, of all its bases, in order."""
        return sorted(self._objects.below(f"{check_key(key)}.parts/"), key=_number_in)


def _digest(base: bytes) -> str:
    return hashlib.sha256(base).hexdigest()[:24]


def _digest_in(part: str) -> str:
    return part.rpartition("/")[2].partition(".")[0]


def _number_in(part: str) -> int:
    text = part.rpartition(".")[2]
    return int(text) if text.isdecimal() else 0


def _check_user(url: str) -> None:
    """Raise if the URL of a bucket contains a key, which would be sent as part of its name.

    Raises
    ------
    ArgumentValueError
        With the way to pass keys.
    """
    scheme, _, rest = url.partition("://")
    interrupt_listener = rest.partition("/")[0]
    if scheme.casefold() in BUCKETS and (
        "@" in interrupt_listener or (":" in interrupt_listener and "@" in rest)
    ):
        raise value_error(
            "path", f"{scheme}://bucket/path", redacted(url),
            "No key is a part of a URL: pass storage_options={'key': ..., 'secret': ...}.",
        )  # fmt: skip
