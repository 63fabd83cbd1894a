"""Locations for a writer: objects by key, each written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, final

from montezarr.core.atomic_files import sync_file, sync_names, write_all, write_pieces
from montezarr.core.checks import local_path
from montezarr.core.errors import StoreError
from montezarr.core.regular_files import (
    NotRegularError,
    TooLargeError,
    open_regular,
    pieces_of,
    read_regular,
    read_written,
)
from montezarr.core.tunables.limits import COMMIT_LOG_MAX_BYTES, DOCUMENT_MAX_BYTES
from montezarr.store import _faults
from montezarr.store._digest import file_digest
from montezarr.store.locations._directory import without_links
from montezarr.store.locations._lock import FileLock
from montezarr.store.locations._readable import ReadableLocation
from montezarr.store.locations._staging import OWN, Staging

LOCK = f"{OWN}/lock"


MOST_NAME, MOST_KEY = 255, 1024
"""Bytes of a part of a key, as file systems have it, and of a key, as object stores do."""

HOLE = b"\x00\n"
"""Bytes of a log in place of a hole in the file: an invalid line."""

Pieces = Sequence[Any]
"""The content of an object: bytes, or arrays of bytes, in order."""


class Location(ReadableLocation):
    """A location with the objects of one store, for its writer."""

    @abstractmethod
    def put(self, key: str, pieces: Pieces, *, durable: bool = False, number: int = 0) -> None:
        """Write an object atomically: readers see it whole or not at all."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Delete an object, if it exists."""

    @abstractmethod
    def append(self, key: str, data: bytes, *, durable: bool = False) -> None:
        """Append to a log."""

    @abstractmethod
    def put_log(self, key: str, data: bytes, *, durable: bool = False) -> None:
        """Replace a log; later calls of `append` add to it."""

    @abstractmethod
    def lock(self) -> Any:
        """Return a context manager in which this is the only writer.

        Raises
        ------
        StoreLockedError
            If there is another one; with its owner.
        """

    def take(
        self,
        key: str,
        source: ReadableLocation,
        source_key: str,
        *,
        durable: bool = False,
        checksum: tuple[int, str] | None = None,
    ) -> None:
        """Copy or link an object of another location; check what is read against `checksum`.

        Raises
        ------
        StoreError
            If it is missing, or does not have that size and digest.
        """
        data = source.get(source_key, sys.maxsize if checksum is None else checksum[0])
        if data is None or (checksum is not None and file_digest([data]) != checksum):
            found = "no file" if data is None else "a damaged file"
            raise StoreError(
                f"path: expected {source_key} as it was written, got {found}: {source}."
                " Call montezarr.repair."
            )
        self.put(key, [data], durable=durable)

    @abstractmethod
    def clean(self) -> None:
        """Delete temporary files of a killed writer; only under the lock."""

    def check_key_fits(self, key: str) -> None:
        """Raise if the name of an object with this key is too long.

        Raises
        ------
        ArgumentValueError
            If it is.
        """


@final
class LocalLocation(Location):
    """A directory; files are written under a temporary name and renamed."""

    is_local = True

    def __init__(self, path: Path):
        self.path, self.name = path, str(path)
        self._staging = Staging(path)
        self._held: FileLock | None = None
        self._log: IO[bytes] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # A worker has only the staging directory; lock and log belong to the driver.
        return {**self.__dict__, "_held": None, "_log": None}

    def get(self, key: str, most: int = DOCUMENT_MAX_BYTES) -> bytes | None:
        """Return the content of a regular file."""
        try:
            return read_regular(self._file(key), most)
        except NO_FILE:
            return None

    def pieces(self, key: str) -> Iterator[bytes]:
        """Yield the content of a regular file."""
        with contextlib.suppress(*NO_FILE):
            yield from pieces_of(self._file(key))

    def put(self, key: str, pieces: Pieces, *, durable: bool = False, number: int = 0) -> None:
        """Write to the staging directory, which readers do not see, and rename."""
        temporary, target = self._staging.new_file(), self._file(key)
        _faults.reach("chunk.before_write", number)
        try:
            try:
                write_pieces(temporary, _reaching(pieces, number), durable=durable)
            except FileNotFoundError as error:
                raise self._staging.ended() from error
            _faults.reach("chunk.after_write", number)
            self._check_held()
            self._staging.move(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        if durable:
            sync_names(target, self.path)
        _faults.reach("chunk.after_rename", number)

    def check_key_fits(self, key: str) -> None:
        """Raise if the file would have a path or a name that is too long for the system."""
        for file in (self.path / key, self._staging.new_file()):
            local_path("path", str(file))

    def size(self, key: str) -> int | None:
        """Return the bytes of a regular file."""
        try:
            found = os.lstat(self._file(key))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return int(found.st_size) if stat.S_ISREG(found.st_mode) else None

    def delete(self, key: str) -> None:
        """Delete a file, and the directories that become empty."""
        file = self._file(key)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            file.unlink()
        with contextlib.suppress(OSError):
            for parent in file.parents:
                if parent == self.path:
                    break
                parent.rmdir()

    def append(self, key: str, data: bytes, *, durable: bool = False) -> None:
        """Append to the open log file of this writer, in one call."""
        self._check_held()
        file = self._opened_log(key)
        before = file.seek(0, os.SEEK_END)
        try:
            if _faults.is_armed("commit.torn", chunk := _faults.faulty_chunk(data)):
                write_all(file, data[: len(data) // 2])
                _faults.reach("commit.torn", chunk)
            write_all(file, data)
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(before)
            raise
        if durable:
            os.fsync(file.fileno())

    def read_log(self, key: str) -> bytes | None:
        """Return the content of a log: of the open one of this writer, if any."""
        if self._held is not None and self.size(key) is not None:
            self._opened_log(key)
        try:
            return read_written(self._file(key), COMMIT_LOG_MAX_BYTES, HOLE)
        except NO_FILE:
            return None

    def put_log(self, key: str, data: bytes, *, durable: bool = False) -> None:
        """Replace the file of a log."""
        self.put(key, [data], durable=durable, number=-1)
        self._close_log()
        if self._held is not None:
            self._opened_log(key)

    def objects(self) -> Iterator[str]:
        """Yield the files by their path relative to the root."""
        for parent, _, names in os.walk(self.path):
            for name in names:
                yield os.path.relpath(os.path.join(parent, name), self.path).replace(os.sep, "/")

    def sizes(self, keys: Iterable[str]) -> dict[str, int]:
        """Return the bytes of the files that exist."""
        found = ((key, self.size(key)) for key in keys)
        return {key: size for key, size in found if size is not None}

    def free_bytes(self) -> int | None:
        """Return the free bytes of the disk."""
        for location in (self.path, *self.path.parents):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                return int(shutil.disk_usage(location).free)
        return None

    def target(self) -> Path:
        """Return the directory."""
        return self.path

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Lock a file in the directory, which is created if necessary, and begin staging."""
        with FileLock(self._file(LOCK)) as held:
            try:
                held.check_writable(self._staging.begin)
                self._held = held
                yield
            finally:
                self._close_log()
                self._held = None
                if held.is_taken:  # not in a child that was forked inside the block
                    self._staging.end()

    def clean(self) -> None:
        """Delete temporary files of this writer."""
        if self._held is not None and self._held.is_taken:
            self._staging.empty()

    def take(
        self,
        key: str,
        source: ReadableLocation,
        source_key: str,
        *,
        durable: bool = False,
        checksum: tuple[int, str] | None = None,
    ) -> None:
        """Take an object of another location, by a link if the file system allows.

        A linked file is not read: its content is not compared with `checksum`.
        """
        if not isinstance(source, LocalLocation):
            super().take(key, source, source_key, durable=durable, checksum=checksum)
            return
        target, file = self._file(key), source._file(source_key)
        temporary = self._staging.new_file()
        try:
            try:
                os.link(file, temporary)
            except OSError:  # another file system, or one without hard links
                super().take(key, source, source_key, durable=durable, checksum=checksum)
                return
            if durable:
                sync_file(temporary)  # its writer may not have synced it
            self._check_held()
            self._staging.move(temporary, target)
        finally:
            # If both are links to the same file, renaming does nothing and leaves the temporary
            # one.
            with contextlib.suppress(OSError):
                temporary.unlink()
        if durable:
            sync_names(target, self.path)

    def _file(self, key: str) -> Path:
        """Return the file of a key."""
        return without_links(self.path, check_key(key))

    def _check_held(self) -> None:
        """Raise if the lock of this driver, and so its store, is not at this path any more."""
        if self._held is not None and not self._held.is_held:
            raise self._staging.ended()

    def _opened_log(self, key: str) -> IO[bytes]:
        """Return the log, kept open under the lock, so that no other file can replace it."""
        file = self._file(key)
        try:
            if self._log is None:
                handle = open_regular(file, os.O_WRONLY | os.O_APPEND)
                self._log = os.fdopen(handle, "ab", buffering=0)
            is_same = os.path.samestat(os.fstat(self._log.fileno()), os.lstat(file))
        except (FileNotFoundError, NotRegularError) as error:
            raise self._staging.ended() from error
        if not is_same:
            raise self._staging.ended()
        return self._log

    def _close_log(self) -> None:
        log, self._log = self._log, None
        if log is not None:
            log.close()


NO_FILE = (FileNotFoundError, NotADirectoryError, NotRegularError, TooLargeError)
"""Errors which mean that there is no file such as a writer makes."""


def check_key(key: str) -> str:
    """Check that a key stays inside its store, and return it.

    Raises
    ------
    ValueError
        If it is absolute, has empty parts, dots or a NUL, or is too long.
    """
    parts = key.split("/")
    is_bad = not key or "\x00" in key or "\\" in key or bool({"", ".", ".."} & set(parts))
    if is_bad or max(map(_bytes_of, parts)) > MOST_NAME or _bytes_of(key) > MOST_KEY:
        raise ValueError(f"key: expected one inside of the store, got {key!r}.")
    return key


def _bytes_of(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _reaching(pieces: Pieces, number: int) -> Iterator[Any]:
    """Yield pieces; reach the fault point once the first piece is written."""
    for i, piece in enumerate(pieces):
        yield piece
        if i == 0:
            _faults.reach("chunk.mid_write", number)
