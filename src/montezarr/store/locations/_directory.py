"""A directory as a Zarr store: only regular files, and none larger than expected."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.buffer import default_buffer_prototype
from zarr.storage import LocalStore

from montezarr.core.checks import too_long
from montezarr.core.errors import StoreError
from montezarr.core.regular_files import NotRegularError, TooLargeError, opened
from montezarr.core.tunables.limits import DOCUMENT_MAX_BYTES


class Directory(LocalStore):
    """Zarr's store of a directory, restricted: that one opens any file and reads all of it.

    Parameters
    ----------
    root : Path
        The directory.
    read_only : bool
        Whether writing is refused.
    largest : dict of str to int, optional
        Upper bound of the bytes of a file of a variable, by its name; other files are metadata.
        Without it the reader has checked the sizes.
    links : bool
        Whether to follow links, which may lead out of the directory.
    """

    def __init__(
        self,
        root: Path | str,
        *,
        read_only: bool = False,
        largest: Mapping[str, int] | None = None,
        links: bool = True,
    ):
        super().__init__(root, read_only=read_only)
        self._links = links
        self._largest = None if largest is None else dict(largest)

    def get_sync(self, key: str, *, prototype: Any = None, byte_range: Any = None) -> Any:
        """Return the bytes of a regular file, or None."""
        chosen = default_buffer_prototype() if prototype is None else prototype
        data = self._read(key, byte_range)
        return None if data is None else chosen.buffer.from_bytes(data)

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """Return the bytes of a regular file, or None."""
        return await asyncio.to_thread(
            self.get_sync, key, prototype=prototype, byte_range=byte_range
        )

    async def get_partial_values(
        self, prototype: Any, key_ranges: Iterable[tuple[str, Any]]
    ) -> list[Any]:
        """Return parts of files."""
        gets = (self.get(key, prototype, byte_range) for key, byte_range in key_ranges)
        return list(await asyncio.gather(*gets))

    def _most(self, key: str) -> int:
        if self._largest is None:
            return sys.maxsize
        name, _, rest = key.partition("/")
        return (
            self._largest.get(name, DOCUMENT_MAX_BYTES) if rest[:1] == "c" else DOCUMENT_MAX_BYTES
        )

    def _read(self, key: str, byte_range: Any) -> bytes | None:
        most = self._most(key)
        path = self.root / key if self._links else without_links(self.root, key)
        try:
            with opened(path, most) as file:
                size = os.fstat(file.fileno()).st_size
                low, high = _range(byte_range, size)
                file.seek(low)
                return file.read(max(0, high - low))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, NotRegularError):
            return None
        except TooLargeError as error:
            raise StoreError(
                f"path: expected at most {most:,} bytes, got {error.strerror}: {self.root}/{key}."
                " Call montezarr.repair."
            ) from error


def without_links(root: Path, key: str) -> Path:
    """Return the file of a key; refuse links, which might lead out of the store.

    Raises
    ------
    ArgumentValueError
        If a name is too long for the system.
    StoreError
        If there is a link.
    """
    file = root
    for part in key.split("/"):
        file = file / part
        try:
            is_link = file.is_symlink()
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            raise too_long("path", file) from error
        if is_link:
            raise StoreError(f"path: expected no links in a store, got one: {file}.")
    return file


def _range(byte_range: Any, size: int) -> tuple[int, int]:
    """Return start and end of a part of a file of `size` bytes."""
    if byte_range is None:
        return 0, size
    if isinstance(byte_range, RangeByteRequest):
        return min(byte_range.start, size), min(byte_range.end, size)
    if isinstance(byte_range, OffsetByteRequest):
        return min(byte_range.offset, size), size
    if isinstance(byte_range, SuffixByteRequest):
        return max(0, size - byte_range.suffix), size
    raise TypeError(f"byte_range: expected one of Zarr's requests, got {byte_range!r}.")
