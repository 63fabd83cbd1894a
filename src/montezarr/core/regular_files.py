"""Read untrusted files without blocking, and never more bytes than expected.

Opening a pipe may block forever, a device may yield bytes without end, and a sparse file of a few
bytes on disk may report a terabyte. So all files of unknown origin are read by these functions:
only regular files, opened without blocking, and checked again once they are open.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from montezarr.core.errors import StoreError
from montezarr.core.tunables.limits import FILE_PIECE_BYTES

KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


class NotRegularError(OSError):
    """The path names something other than a regular file."""


class TooLargeError(OSError):
    """A file is larger than the limit."""


HOW = ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY")
"""Flags for opening files, where the system has them: non-blocking, close-on-exec, binary."""


def open_regular(file: str | os.PathLike[str], flags: int = os.O_RDONLY) -> int:
    """Return a descriptor of a regular file.

    Raises
    ------
    NotRegularError
        If it is a directory, a pipe, a device or a socket; none of these is opened.
    StoreError
        If this process or the system has no descriptor left.
    OSError
        If it cannot be opened.
    """
    check_regular(os.stat(file), file)  # opening alone may rewind a tape
    for name in HOW:
        flags |= getattr(os, name, 0)
    try:
        handle = os.open(file, flags)
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        raise StoreError(
            f"path: expected a descriptor to read a file, got {error.strerror}: {file}. Nothing is"
            " lost: allow more open files (ulimit -n), or take fewer workers, and call it again."
        ) from error
    try:
        check_regular(os.fstat(handle), file)  # the file may have been replaced since the check
    except BaseException:
        os.close(handle)
        raise
    return handle


def is_regular(file: str | os.PathLike[str]) -> bool:
    """Return whether a path is a regular file, or a link to one."""
    try:
        return stat.S_ISREG(os.stat(file).st_mode)
    except (OSError, ValueError):
        return False


def opened(file: str | os.PathLike[str], most: int) -> IO[bytes]:
    """Open a regular file of at most `most` bytes for reading.

    Raises
    ------
    NotRegularError, TooLargeError, OSError
        As `read_regular` does.
    """
    handle = os.fdopen(open_regular(file), "rb")
    size = os.fstat(handle.fileno()).st_size
    if size > most:
        handle.close()
        raise TooLargeError(errno.EFBIG, f"{size:,} bytes, more than {most:,}", str(file))
    return handle


def read_regular(file: str | os.PathLike[str], most: int) -> bytes:
    """Return the content of a regular file of at most `most` bytes.

    Raises
    ------
    NotRegularError
        If it is no regular file.
    TooLargeError
        If it has more bytes.
    OSError
        If it cannot be read.
    """
    with opened(file, most) as handle:
        return handle.read(os.fstat(handle.fileno()).st_size)  # the file may grow meanwhile


def read_start(file: str | os.PathLike[str], most: int) -> bytes:
    """Return at most `most` bytes from the beginning of a regular file.

    Raises
    ------
    NotRegularError, OSError
        As `read_regular` does.
    """
    with os.fdopen(open_regular(file), "rb") as handle:
        return handle.read(most)


def pieces_of(file: str | os.PathLike[str]) -> Iterator[bytes]:
    """Yield the content of a regular file, of any size, in pieces.

    Raises
    ------
    NotRegularError, OSError
        As `read_regular` does.
    """
    with os.fdopen(open_regular(file), "rb", buffering=0) as handle:
        while piece := handle.read(FILE_PIECE_BYTES):
            yield piece


def read_written(file: str | os.PathLike[str], most: int, hole: bytes) -> bytes:
    r"""Return the written parts of a regular file, with `hole` in place of each hole.

    A log that is only appended to has no holes, so a file with holes was made to be costly to read:
    a hole may have any size and takes no space on disk.

    Raises
    ------
    TooLargeError
        If more than `most` bytes were written.
    NotRegularError, OSError
        As `read_regular` does.
    """
    out: list[bytes] = []
    with os.fdopen(open_regular(file), "rb", buffering=0) as handle:
        if not _has_holes(os.fstat(handle.fileno())):
            return read_regular(file, most)
        size, at, total = os.fstat(handle.fileno()).st_size, 0, 0
        while at < size:
            start = _seek(handle, at, os.SEEK_DATA, size)
            if start > at:
                out.append(hole)
            end = _seek(handle, start, os.SEEK_HOLE, size) if start < size else size
            total += end - start
            if total > most:
                raise TooLargeError(errno.EFBIG, f"more than {most:,} bytes", str(file))
            handle.seek(start)
            left = end - start
            while left and (piece := handle.read(left)):
                out.append(piece)
                left -= len(piece)
            at = end
    return b"".join(out)


def _has_holes(found: os.stat_result) -> bool:
    """Return whether a file has far more bytes than its blocks on disk hold.

    The margin is for files that another process is appending to: their last blocks may not be
    allocated yet.
    """
    written = 512 * getattr(found, "st_blocks", 0)
    return hasattr(os, "SEEK_DATA") and found.st_size - written > FILE_PIECE_BYTES


def _seek(handle: Any, at: int, whence: int, size: int) -> int:
    try:
        return min(int(os.lseek(handle.fileno(), at, whence)), size)
    except OSError as error:
        if error.errno == errno.ENXIO:  # no data after this point
            return size
        return at if whence == os.SEEK_DATA else size  # a file system without holes


def check_regular(found: os.stat_result, file: str | os.PathLike[str]) -> None:
    """Raise unless a stat result is that of a regular file.

    Raises
    ------
    NotRegularError
        Names the type of the file.
    """
    if stat.S_ISREG(found.st_mode):
        return
    kind = next((name for is_it, name in KINDS if is_it(found.st_mode)), "something else")
    raise NotRegularError(errno.EINVAL, f"{kind}, no regular file", str(Path(file)))
