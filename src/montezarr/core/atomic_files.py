"""Write files atomically: under a temporary name, then renamed.

All files of the package, those of stores included, are written by these functions. The content is
synced to disk before the file gets its name, and the name before the file is announced.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from montezarr.core.checks import local_path
from montezarr.core.errors import MontezarrError, StoreError
from montezarr.core.owner import owned_name, remove_orphans
from montezarr.core.regular_files import open_regular

REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE)
"""Error numbers of a full disk, of a limit on file size, and of a limit on descriptors."""

UNABLE = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
"""Error numbers of file systems that cannot sync a directory, such as network file systems."""


@contextmanager
def written_beside(file: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a temporary name beside a file to write to, then rename it to the file.

    The file is synced to disk, so that it survives a loss of power. Temporary files that killed
    processes left there are removed first.

    Parameters
    ----------
    file : Path
        The file.
    overwrite : bool
        Whether an existing file is replaced.

    Raises
    ------
    FileExistsError
        If the file exists, and `overwrite` is False.
    ArgumentValueError
        If the name is too long for the system.
    StoreError
        If the disk is full, or no descriptor is left.
    """
    with _unfinished(file) as temporary:
        yield temporary
        sync_file(temporary)
        if overwrite:
            os.replace(temporary, file)
        else:
            _put_new(temporary, file)
        sync_names(file, file.parent)


def write_pieces(file: Path, pieces: Iterable[Any], *, durable: bool) -> None:
    """Write a new file from bytes or arrays.

    Parameters
    ----------
    durable : bool
        Whether to sync the content to disk.
    """
    with file.open("xb", buffering=0) as handle:
        for piece in pieces:
            write_all(handle, piece)
        if durable:
            os.fsync(handle.fileno())


def write_all(handle: Any, piece: Any) -> None:
    """Write all bytes of a piece: one system call may write only a part of them."""
    rest = memoryview(piece).cast("B")
    while rest:
        rest = rest[handle.write(rest) :]


def sync_file(file: Path) -> None:
    """Sync the content of a file to disk, whichever process wrote it."""
    handle = open_regular(file)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_names(file: Path, top: Path) -> None:
    """Sync the name of a file to disk, and those of the directories from `top` down to it."""
    if os.name == "nt":  # Windows cannot open a directory
        return
    for parent in file.parents:
        handle = os.open(parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in UNABLE:
                raise
        finally:
            os.close(handle)
        if parent == top:
            break


def _put_new(temporary: Path, file: Path) -> None:
    """Rename, unless another process has made the file meanwhile."""
    try:
        os.link(temporary, file)  # unlike a rename, fails if the file exists
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        os.replace(temporary, file)


@contextmanager
def _unfinished(file: Path) -> Iterator[Path]:
    """Yield a temporary name beside a file; remove what is left under that name at the end."""
    # Systems limit the bytes of a name, not its characters, which take up to four bytes each.
    begin = os.fsencode(file.name)[:80].decode(errors="ignore")
    prefix = f".{begin}."
    remove_orphans(file.parent, prefix)
    temporary = file.with_name(f"{owned_name(prefix)}.partial")
    local_path("path", str(temporary))
    try:
        yield temporary
    except OSError as error:
        if isinstance(error, MontezarrError) or error.errno not in REFUSALS:
            raise
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StoreError(
            f"path: expected room for the file, and descriptors, got {reason}: {file}. There is no"
            " part of it left; make room and call it again."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
