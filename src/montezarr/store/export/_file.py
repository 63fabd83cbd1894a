"""Write a file whole or not at all, and replace an existing one only if requested."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from montezarr.core.atomic_files import written_beside
from montezarr.core.checks import local_path, type_error, value_error
from montezarr.core.errors import StoreError, StoreExistsError
from montezarr.core.text import show_bytes


def file_of(out: Any) -> Path:
    """Return the argument `out` as a path.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If it cannot be a file.
    """
    if not isinstance(out, (str, os.PathLike)):
        raise type_error("out", "the path of a file", out)
    text = os.fspath(out)
    if not isinstance(text, str) or not text or "\x00" in text or "://" in text:
        raise value_error("out", "the path of a file on this machine", out)
    return local_path("out", text).absolute()


def check_free(file: Path, store: Any, overwrite: bool) -> None:
    """Raise unless the file may be written: not over an existing one, and not inside the store.

    Raises
    ------
    ArgumentValueError, StoreExistsError
        With the file or directory in the way.
    """
    if not file.parent.is_dir():
        raise value_error("out", "a file in a directory that is there", str(file))
    if store is not None:
        whole = Path(os.path.realpath(store))
        if whole == (real := Path(os.path.realpath(file))) or whole in real.parents:
            raise value_error("out", "a file outside of the store", str(file))
    if os.path.lexists(file):
        if not file.is_file():
            raise StoreExistsError(f"out: expected no file yet, got something else: {file}.")
        if not overwrite:
            raise StoreExistsError(
                f"out: expected no file yet, got one: {file}. It is left as it is; choose another"
                " name, or pass overwrite (--overwrite)."
            )


def check_file_room(file: Path, needed: int) -> None:
    """Raise if a file does not fit.

    Raises
    ------
    StoreError
        With the bytes needed.
    """
    free = shutil.disk_usage(file.parent).free
    if needed > free:
        raise StoreError(
            f"out: expected room for {show_bytes(needed)}, got {show_bytes(free)} free at {file}."
            " Export fewer paths, times or variables, or choose another disk."
        )


@contextlib.contextmanager
def written_anew(file: Path, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary name beside a file; rename what was written there to the file."""
    try:
        with written_beside(file, overwrite=overwrite) as temporary:
            yield temporary
    except FileExistsError as error:
        raise StoreExistsError(f"out: expected no file yet, got one meanwhile: {file}.") from error
