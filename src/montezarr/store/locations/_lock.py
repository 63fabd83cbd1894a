"""One writer at a time: a lock that the system takes from the dead, with a record of its owner."""

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
    """An flock on a file, taken at once or not at all; it ends with the process, however that ends.

    No clock tells anything here: the system knows who lives.
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
        """Take it, or return False where another writer has just ended and taken the file away."""
        try:
            for parent in reversed([self.file.parent, *self.file.parent.parents]):
                with contextlib.suppress(FileExistsError):
                    parent.mkdir()
                    self._made.append(parent)
            handle = open(self.file, "a+b", opener=_without_links)  # noqa: SIM115
        except FileNotFoundError:  # it took the directory away, too
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
        if handle is None:  # a forked child has let go of it
            return
        if self._is_mine(handle):  # else the store was moved away, and this may be another's lock
            self.file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # what could not be written is tried again here
            handle.close()
        self._remove_made()

    @property
    def is_taken(self) -> bool:
        """Whether this process took it and has not released it."""
        return self._handle is not None

    @property
    def is_held(self) -> bool:
        """Whether the lock is held, and still lies where it was taken."""
        return self._handle is not None and self._is_mine(self._handle)

    def check_writable(self, make: Callable[[], None]) -> None:
        """Make something beside the lock.

        Raises
        ------
        StoreError
            If nothing can be made there.
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
        """In a forked child: close its copy, so that the lock ends with the parent that took it."""
        handle, self._handle = self._handle, None
        if handle is not None:
            with contextlib.suppress(OSError):
                handle.close()

    def _remove_made(self) -> None:
        """Take away what was made for the lock alone, when nothing came of it."""
        with contextlib.suppress(OSError):
            for parent in reversed(self._made):
                parent.rmdir()

    def _read_owner(self, handle: IO[bytes]) -> str | None:
        """Return who holds the lock, as words; None where it has just ended.

        Who has only just got it may not have said so yet, and what is there is of one before.
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
