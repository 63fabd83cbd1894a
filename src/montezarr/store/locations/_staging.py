"""Where the files of a writer are made, before they are renamed into place."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path

from montezarr.core.errors import StoreError

OWN = "montezarr"
"""The group of a store that holds what is about the store itself."""

TEMPORARY = f"{OWN}/tmp"


class Staging:
    """The directory of one session of a writer.

    Whoever writes next takes the directories of earlier sessions away, before it reads what is
    committed. So a task that outlives its writer finds none to write in, and nothing to rename:
    what it drew cannot come into a store that has grown since, or another store at the same path.

    Parameters
    ----------
    root : Path
        The directory of the store.
    """

    def __init__(self, root: Path):
        self.root, self.folder = root, root / TEMPORARY / secrets.token_hex(8)

    def begin(self) -> None:
        """Take earlier ones away, and make this one; only under the lock."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)
        with contextlib.suppress(FileExistsError):
            self.folder.parent.mkdir()
        self.folder.mkdir()

    def new_file(self) -> Path:
        """Return the name of a file that is not there yet."""
        return self.folder / secrets.token_hex(8)

    def move(self, file: Path, target: Path) -> None:
        """Rename a file into its place, in a directory that is made if need be.

        Raises
        ------
        StoreError
            If this session has ended, or a directory is in the way.
        """
        try:
            try:
                os.replace(file, target)
            except FileNotFoundError as error:
                if not file.exists():  # else directories of a store that was moved away came back
                    raise self.ended() from error
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(file, target)
        except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
            raise StoreError(
                f"path: expected files and directories as a writer makes them, got"
                f" {error.strerror}: {target}. Take away what is there, and call it again."
            ) from error

    def empty(self) -> None:
        """Remove what is half done."""
        with contextlib.suppress(OSError):
            for file in self.folder.iterdir():
                file.unlink(missing_ok=True)

    def end(self) -> None:
        """Remove the directory, and that of all of them if it was the last one."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.parent.rmdir()

    def ended(self) -> StoreError:
        """Return the error of a task whose session is over."""
        return error_of_ended(self.root)


def error_of_ended(where: object) -> StoreError:
    """Return the error of a writer, or a task of it, whose session is over."""
    return StoreError(
        f"path: expected the store as this writer left it, got another, or none: {where}."
        " It was moved, removed or taken over while it was written. What this task drew is not"
        " in it; what was committed before is, wherever the store is now."
    )
