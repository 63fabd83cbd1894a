"""The lock of an object store: an object with a record of its owner, which outlives a dead one."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable
from typing import Any, Self

from montezarr.core.context import ContextManager
from montezarr.core.errors import MontezarrWarning, StoreError, StoreLockedError
from montezarr.core.json import parse_json
from montezarr.core.notices import warn
from montezarr.core.owner import describe_owner, is_dead, is_here, this_owner
from montezarr.core.tunables.waiting import LOCK_SETTLE_SECONDS
from montezarr.store.locations._location import LOCK
from montezarr.store.locations._remote_store import RemoteStore

_held: set[str] = set()
"""Nonces of the locks that this process holds, or is about to take."""


class RemoteLock(ContextManager):
    """The object ``montezarr/lock``, with a record of its owner.

    If the store supports it, the lock is written on the condition that there is none: then exactly
    one of two racing writers gets it. If not, and if the lock of a dead owner is taken over, the
    record is read again after a second: of two that race within this second, one continues.

    Parameters
    ----------
    objects : RemoteStore
        Where.
    begin : callable
        Called when the lock is taken, with its record and whether the store enforces conditions.
    end : callable
        Called before the lock is released, with whether it is still held.
    """

    def __init__(
        self,
        objects: RemoteStore,
        begin: Callable[[bytes, bool], None],
        end: Callable[[bool], None],
    ):
        self._objects, self._begin, self._end = objects, begin, end
        self._nonce = secrets.token_hex(8)
        self._record = json.dumps({**this_owner(), "nonce": self._nonce}).encode()

    def __enter__(self) -> Self:
        store = self._objects.store
        able = store.supports_writes and store.supports_deletes and store.supports_listing
        if store.read_only or not able:
            raise StoreError(
                "path: expected a store in which objects can be written, listed and deleted, got"
                f" {self._objects.name}."
            )
        _held.add(self._nonce)
        try:
            is_sure = self._take()
        except BaseException:
            _held.discard(self._nonce)
            raise
        self._begin(self._record, is_sure)
        return self

    def _end_block(self, error: BaseException | None) -> None:
        # An error of the block matters more than one of deleting the lock.
        with contextlib.suppress(*(() if error is None else (OSError,))):
            try:
                is_mine = self._objects.get(LOCK) == self._record
                self._end(is_mine)
                if is_mine:
                    self._objects.delete([LOCK])
            finally:
                _held.discard(self._nonce)
            if not is_mine and error is None:
                warn(
                    f"The lock of {self._objects.name} was taken away while it was written. What"
                    " this process wrote is there; another one may have written the same.",
                    MontezarrWarning,
                    stacklevel=4,
                )

    def _take(self) -> bool:
        """Take the lock, and return whether the store enforces the condition that there is none."""
        found = self._objects.get(LOCK)
        if found is not None:
            if not _is_gone(found):
                raise self._refusal(found)
            self._objects.delete([LOCK])
        is_sure = self._objects.create(LOCK, self._record)
        if found is not None or not is_sure:
            time.sleep(LOCK_SETTLE_SECONDS)
        found = self._objects.get(LOCK)
        if found != self._record:
            raise self._refusal(found)
        return is_sure

    def _refusal(self, found: bytes | None) -> StoreLockedError:
        name = self._objects.name
        hint = "Wait for it, or end it."
        if not is_here(_parse(found)):
            hint += (
                " Nothing can tell from here whether it still runs; if it does not, delete the"
                f" object {LOCK} there."
            )
        return StoreLockedError(
            f"path: expected a store that nobody writes to, got {name}, which"
            f" {describe_owner(found)} is writing. {hint}"
        )


def _is_gone(found: bytes) -> bool:
    """Return whether the owner in a record is certainly dead, or has abandoned the lock."""
    owner = _parse(found)
    if is_dead(owner):
        return True
    mine = this_owner()
    try:
        return {**owner, **mine} == owner and owner["nonce"] not in _held
    except (TypeError, KeyError):
        return False


def _parse(found: bytes | None) -> Any:
    try:
        return parse_json(found or b"")
    except ValueError:
        return None
