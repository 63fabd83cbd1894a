"""A file that is there whole or not at all: written under another name beside, then renamed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from montezarr.core.checks import local_path
from montezarr.core.errors import MontezarrError, StoreError
from montezarr.core.owner import owned_name, remove_orphans

REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE)
"""What the system says of a full disk, of a limit of files, or of descriptors."""


@contextmanager
def written_beside(file: Path, *, durable: bool = False) -> Iterator[Path]:
    """Give a name beside a file to write to; what is there afterwards takes its place.

    What a process that was killed left there is removed first.

    Parameters
    ----------
    file : Path
        The file.
    durable : bool
        Whether its content is to be on the disk before it has its name.
    """
    with unfinished(file) as temporary:
        yield temporary
        if durable:
            with temporary.open("rb") as handle:
                os.fsync(handle.fileno())
        os.replace(temporary, file)


@contextmanager
def unfinished(file: Path) -> Iterator[Path]:
    """Give a name beside a file; whatever has that name at the end is removed.

    Raises
    ------
    ArgumentValueError
        If that name is too long for the system.
    StoreError
        If there is no room.
    """
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
