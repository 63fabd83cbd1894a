"""The lock of a directory: released by the system when its owner dies; with an owner record."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import IO, Self

from montezarr.core.context import ContextManager
from montezarr.core.errors import StoreError, StoreLockedError
from montezarr.core.json import parse_json
from montezarr.core.owner import describe_owner, is_dead, this_owner
from montezarr.core.regular_files import check_regular
from montezarr.core.tunables.limits import LOCK_RECORD_MAX_BYTES
from montezarr.core.tunables.stores import LOCK_TRIES

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class FileLock(ContextManager):
    """A non-blocking flock on a file; it ends with the process, however that ends.

    No clocks or timeouts are used: the system knows which processes are alive.
    """

    def __init__(self, file: Path):
        self.file = file
        self._handle: IO[bytes] | None = None
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        if fcntl is None:
            raise StoreError(
                "path: expected a POSIX system to write on, got Windows. Write from WSL."
            )
        try:
            for _ in range(LOCK_TRIES):
                if self._take():
                    return self
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        except OSError as error:
            self._remove_made()
            if isinstance(error, StoreError):
                raise
            raise self._refusal(error) from error

    def _take(self) -> bool:
        """Take the lock; return False if another writer has just ended and deleted the file."""
        try:
            for parent in reversed([self.file.parent, *self.file.parent.parents]):
                with contextlib.suppress(FileExistsError):
                    parent.mkdir()
                    self._made.append(parent)
            handle = open(self.file, "a+b", opener=_without_links)  # noqa: SIM115
        except FileNotFoundError:  # the other writer deleted the directory too
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = self._read_owner(handle)
            if owner is None:
                return False
            raise StoreLockedError(
                f"path: expected a store that nobody writes to, got {self.file.parent.parent},"
                f" which {owner} is writing. Wait for it, or end it."
            ) from error
        except OSError:
            handle.close()
            if self.file.parent in self._made:
                self.file.unlink(missing_ok=True)
            raise
        if not self._is_mine(handle):
            handle.close()
            return False
        self._handle = handle
        _locks.add(self)
        try:
            handle.truncate(0)
            handle.write(json.dumps(this_owner()).encode())
            handle.flush()
        except OSError:  # a full disk
            self._end_block(None)
            raise
        return True

    def _end_block(self, error: BaseException | None) -> None:
        handle, self._handle = self._handle, None
        if handle is None:  # a forked child has released it
            return
        if self._is_mine(handle):  # else the store was moved, and this may be the lock of another
            self.file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # close retries what could not be written
            handle.close()
        self._remove_made()

    @property
    def is_taken(self) -> bool:
        """Whether this process took the lock and has not released it."""
        return self._handle is not None

    @property
    def is_held(self) -> bool:
        """Whether the lock is held, and its file is still where it was taken."""
        return self._handle is not None and self._is_mine(self._handle)

    def check_writable(self, make: Callable[[], None]) -> None:
        """Call `make`, which creates something beside the lock.

        Raises
        ------
        StoreError
            If nothing can be created there.
        """
        try:
            make()
        except OSError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: OSError) -> StoreError:
        return StoreError(
            f"path: expected a directory that can be written to, got {error.strerror}:"
            f" {self.file.parent.parent}."
        )

    def let_go(self) -> None:
        """Close the copy in a forked child, so that the lock ends with the parent."""
        handle, self._handle = self._handle, None
        if handle is not None:
            with contextlib.suppress(OSError):
                handle.close()

    def _remove_made(self) -> None:
        """Delete directories that were created only for the lock, if they are empty."""
        with contextlib.suppress(OSError):
            for parent in reversed(self._made):
                parent.rmdir()

    def _read_owner(self, handle: IO[bytes]) -> str | None:
        """Describe who holds the lock; None if it was just released.

        A new owner may not have written its record yet: the content may be of the one before.
        """
        with handle:
            for _ in range(50):
                if not self._is_mine(handle):
                    return None
                handle.seek(0)
                text = handle.read(LOCK_RECORD_MAX_BYTES)
                with contextlib.suppress(ValueError):
                    if not is_dead(parse_json(text)):
                        break
                time.sleep(0.01)
            return describe_owner(text)

    def _is_mine(self, handle: IO[bytes]) -> bool:
        try:
            return os.path.samestat(os.fstat(handle.fileno()), os.stat(self.file))
        except (FileNotFoundError, NotADirectoryError):
            return False


_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _let_go_of_all() -> None:
    for lock in list(_locks):
        lock.let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_of_all)


def _without_links(file: str, flags: int) -> int:
    handle = os.open(file, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    try:
        check_regular(os.fstat(handle), file)
    except BaseException:
        os.close(handle)
        raise
    return handle
