"""The fence of an object store: late requests of a writer that lost its lock change nothing."""

from __future__ import annotations

from typing import Any

from montezarr.core.errors import StoreError
from montezarr.core.tunables.stores import FENCE_TRIES
from montezarr.store.locations._conditions import ChangedError
from montezarr.store.locations._location import LOCK
from montezarr.store.locations._remote_store import RemoteStore
from montezarr.store.locations._staging import error_of_ended


class Fence:
    """Writes for one holder of the lock, from its driver and its workers, which may outlive it.

    The keys of a store are fixed, and nothing is renamed. So an object is written on the condition
    that there is none, or over a known version; if the condition fails, the object is read. If it
    has the same bytes, an earlier writer wrote them, or a request was answered twice. If it has
    other bytes, the lock is checked: while it is held by this writer, the object is not committed,
    or is to grow, and exactly that version is replaced. A task that outlives its writer finds the
    lock of another one, or none. If it checked just before, the next writer has replaced the object
    since, and the version that the task read is gone.

    Parameters
    ----------
    objects : RemoteStore
        The objects of the store.
    record : bytes
        The record in the lock of this writer.
    is_sure : bool
        Whether the store is known to enforce conditions.
    """

    def __init__(self, objects: RemoteStore, record: bytes, is_sure: bool):
        self._objects, self._record, self._is_sure = objects, record, is_sure
        self._known: dict[str, Any] = {}

    def told(self) -> tuple[bytes, bool]:
        """Return the arguments to make this fence in a worker."""
        return self._record, self._is_sure

    def check(self) -> None:
        """Raise unless the lock is still held by this writer.

        Raises
        ------
        StoreError
            If it is not.
        """
        if self._objects.get(LOCK) != self._record:
            raise error_of_ended(self._objects.name)

    def put(self, key: str, data: bytes, *, again: bool = False) -> None:
        """Write an object.

        Parameters
        ----------
        again : bool
            Whether it will be written again, so that its version is kept.

        Raises
        ------
        StoreError
            If the lock was lost, or another program repeatedly writes the object.
        """
        self.check()
        over = self._known.pop(key, None)
        for _ in range(FENCE_TRIES):
            try:
                tag = self._objects.exchange(key, data, over, self._is_sure)
            except ChangedError:
                found = self._objects.read(key)
                if found is None:
                    over = None
                    continue
                tag = over = found.tag
                if found.data != data:
                    self.check()
                    continue
            if again and tag is not None:
                self._known[key] = tag
            return
        raise StoreError(
            f"path: expected to write {key} alone, got another writer: {self._objects.name}."
        )

    def add(self, key: str, data: bytes) -> None:
        """Create an object; accept an existing one with the same bytes.

        Raises
        ------
        StoreError
            If there is one with other bytes.
        """
        self.check()
        try:
            self._objects.exchange(key, data, None, self._is_sure)
        except ChangedError:
            if self._objects.get(key) != data:
                raise error_of_ended(self._objects.name) from None
