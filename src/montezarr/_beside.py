"""A file that is there whole or not at all: written under another name beside, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from montezarr._checks import local_path
from montezarr._owner import owned_name, remove_orphans


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
    """
    # A name may have so many bytes, not letters; those of others are two to four.
    begin = os.fsencode(file.name)[:80].decode(errors="ignore")
    prefix = f".{begin}."
    remove_orphans(file.parent, prefix)
    temporary = file.with_name(f"{owned_name(prefix)}.partial")
    local_path("path", str(temporary))
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
