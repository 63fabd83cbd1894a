"""A file that is there whole or not at all: written under another name, then renamed.

All files of ours are made by these functions, those of a store included: its content reaches the
disk before it has its name, and its name before anybody is told that it is there.
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
"""What the system says of a full disk, of a limit of files, or of descriptors."""

UNABLE = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
"""What file systems say that cannot write a directory to the disk, such as those of a network."""


@contextmanager
def written_beside(file: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Give a name beside a file to write to; what is there afterwards takes its place.

    It is on the disk then, and outlives a loss of power. What a process that was killed left there
    is removed first.

    Parameters
    ----------
    file : Path
        The file.
    overwrite : bool
        Whether another file that is there by then is replaced.

    Raises
    ------
    FileExistsError
        If one is, and is not to be.
    ArgumentValueError, StoreError
        If the name is too long for the system, or there is no room.
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
    """Write a file that is not there yet: bytes, or arrays whose bytes they are.

    Parameters
    ----------
    durable : bool
        Whether its content is on the disk afterwards.
    """
    with file.open("xb", buffering=0) as handle:
        for piece in pieces:
            write_all(handle, piece)
        if durable:
            os.fsync(handle.fileno())


def write_all(handle: Any, piece: Any) -> None:
    """Write all of a piece: the system may take a part of it at once."""
    rest = memoryview(piece).cast("B")
    while rest:
        rest = rest[handle.write(rest) :]


def sync_file(file: Path) -> None:
    """Have the content of a file on the disk, whoever wrote it."""
    handle = open_regular(file)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_names(file: Path, top: Path) -> None:
    """Have the name of a file on the disk, and those of the directories from `top` down to it."""
    if os.name == "nt":  # no directory can be opened there
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
    """Rename, unless a file has come to be there meanwhile."""
    try:
        os.link(temporary, file)  # which, unlike a rename, fails then
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        os.replace(temporary, file)


@contextmanager
def _unfinished(file: Path) -> Iterator[Path]:
    """Give a name beside a file; whatever has that name at the end is removed."""
    # A name may have so many bytes, not letters; those of others are two to four.
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
