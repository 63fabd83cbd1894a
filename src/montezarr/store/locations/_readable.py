"""Locations for readers: objects by key."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from montezarr.core.tunables.limits import DOCUMENT_MAX_BYTES
from montezarr.store._digest import file_digest


class ReadableLocation(ABC):
    """A location with the objects of one store, read-only."""

    name: str
    """Name of the location in messages."""

    is_local: bool = False

    @abstractmethod
    def get(self, key: str, most: int = DOCUMENT_MAX_BYTES) -> bytes | None:
        """Return an object, or None if there is none of at most `most` bytes."""

    def intact(self, key: str, checksum: tuple[int, str]) -> bytes | None:
        """Return an object if it has this size and digest, else None."""
        data = self.get(key, checksum[0])
        return data if data is not None and file_digest([data]) == checksum else None

    @abstractmethod
    def pieces(self, key: str) -> Iterator[bytes]:
        """Yield an object piece by piece; nothing if there is none."""

    @abstractmethod
    def size(self, key: str) -> int | None:
        """Return the bytes of an object, or None if there is none."""

    @abstractmethod
    def read_log(self, key: str) -> bytes | None:
        """Return the whole content of a log."""

    @abstractmethod
    def objects(self) -> Iterator[str]:
        """Yield the keys of all objects."""

    @abstractmethod
    def sizes(self, keys: Iterable[str]) -> dict[str, int]:
        """Return the bytes of the objects that exist."""

    @abstractmethod
    def free_bytes(self) -> int | None:
        """Return the free bytes, or None if unknown."""

    @abstractmethod
    def target(self) -> Any:
        """Return what Zarr and xarray open to read the store."""

    def finder(self) -> Callable[[], ReadableLocation | None]:
        """Return a function that returns this location, or None once a store in memory is gone."""
        return lambda: self

    def __str__(self) -> str:
        return self.name
