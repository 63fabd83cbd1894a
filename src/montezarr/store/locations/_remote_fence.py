"""What comes late changes nothing: a session of a writer writes as long as its lock is its own."""

from __future__ import annotations

from typing import Any

from montezarr.core.errors import StoreError
from montezarr.core.tunables.stores import FENCE_TRIES
from montezarr.store.locations._conditions import ChangedError
from montezarr.store.locations._location import LOCK
from montezarr.store.locations._remote_store import RemoteStore
from montezarr.store.locations._staging import error_of_ended


class Fence:
    """Writes for one session, from its driver and from its workers, which may outlive it.

    The keys of a store are fixed, and nothing is renamed. So an object is written where there is
    none, or over the version that was there; and where that is not so, it is looked at. If it has
    the very bytes, an earlier session wrote it, or a request was answered twice. If it has others,
    the lock is looked at: as long as it is this session's, what is there is not committed, or is to
    grow, and is replaced, that very version. A task that outlives its writer finds the lock of
    another, or none. If it looked just before that, the next writer has replaced the object since,
    and the version that it looked at is gone.

    Parameters
    ----------
    objects : RemoteStore
        Where.
    record : bytes
        The lock of this session.
    is_sure : bool
        Whether the store is known to keep to conditions.
    """

    def __init__(self, objects: RemoteStore, record: bytes, is_sure: bool):
        self._objects, self._record, self._is_sure = objects, record, is_sure
        self._known: dict[str, Any] = {}

    def told(self) -> tuple[bytes, bool]:
        """Return what a worker needs to know."""
        return self._record, self._is_sure

    def check(self) -> None:
        """Raise unless the lock is still that of this session.

        Raises
        ------
        StoreError
            Then.
        """
        if self._objects.get(LOCK) != self._record:
            raise error_of_ended(self._objects.name)

    def put(self, key: str, data: bytes, *, again: bool = False) -> None:
        """Write an object.

        Parameters
        ----------
        again : bool
            Whether it will be written again, so that its version is worth to be known.

        Raises
        ------
        StoreError
            If this session is over, or somebody else writes the object again and again.
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
        """Write an object that nobody has written, unless it was with these bytes.

        Raises
        ------
        StoreError
            If there is another one.
        """
        self.check()
        try:
            self._objects.exchange(key, data, None, self._is_sure)
        except ChangedError:
            if self._objects.get(key) != data:
                raise error_of_ended(self._objects.name) from None
