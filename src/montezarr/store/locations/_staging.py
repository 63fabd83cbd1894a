"""The staging directory, in which a writer makes files before it renames them into place."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path

from montezarr.core.errors import StoreError

OWN = "montezarr"
"""The group of a store with files about the store itself."""

TEMPORARY = f"{OWN}/tmp"


class Staging:
    """The staging directory of one writer.

    The next writer deletes the directories of earlier ones before it reads what is committed. So a
    task that outlives its writer has no directory to write in, and nothing to rename: its chunk
    cannot get into a store that has grown since, or another store at the same path.

    Parameters
    ----------
    root : Path
        The directory of the store.
    """

    def __init__(self, root: Path):
        self.root, self.folder = root, root / TEMPORARY / secrets.token_hex(8)

    def begin(self) -> None:
        """Delete earlier staging directories, and create this one; only under the lock."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)
        with contextlib.suppress(FileExistsError):
            self.folder.parent.mkdir()
        self.folder.mkdir()

    def new_file(self) -> Path:
        """Return a new file name."""
        return self.folder / secrets.token_hex(8)

    def move(self, file: Path, target: Path) -> None:
        """Rename a file to its target, in a directory that is created if necessary.

        Raises
        ------
        StoreError
            If the writer has ended, or a directory is in the way.
        """
        try:
            try:
                os.replace(file, target)
            except FileNotFoundError as error:
                if not file.exists():  # else directories of a moved store would come back
                    raise self.ended() from error
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(file, target)
        except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
            raise StoreError(
                f"path: expected files and directories as a writer makes them, got"
                f" {error.strerror}: {target}. Take away what is there, and call it again."
            ) from error

    def empty(self) -> None:
        """Delete all files in it."""
        with contextlib.suppress(OSError):
            for file in self.folder.iterdir():
                file.unlink(missing_ok=True)

    def end(self) -> None:
        """Delete the directory, and its parent if it was the last one."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.parent.rmdir()

    def ended(self) -> StoreError:
        """Return the error of a task whose writer has ended."""
        return error_of_ended(self.root)


def error_of_ended(where: object) -> StoreError:
    """Return the error of a writer that lost its store, or of a task whose writer has ended."""
    return StoreError(
        f"path: expected the store as this writer left it, got another, or none: {where}."
        " It was moved, removed or taken over while it was written. What this task drew is not"
        " in it; what was committed before is, wherever the store is now."
    )
