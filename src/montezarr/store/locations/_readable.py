"""Where a store lies, for whoever reads it: objects by key."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from montezarr.core.tunables.limits import DOCUMENT_MAX_BYTES
from montezarr.store._digest import file_digest


class ReadableLocation(ABC):
    """A place with the objects of one store; nothing here changes any of them."""

    name: str
    """As messages have it."""

    is_local: bool = False

    @abstractmethod
    def get(self, key: str, most: int = DOCUMENT_MAX_BYTES) -> bytes | None:
        """Return an object, or None where there is none of at most so many bytes."""

    def intact(self, key: str, checksum: tuple[int, str]) -> bytes | None:
        """Return an object as it was written, by its size and digest, or None where it is not."""
        data = self.get(key, checksum[0])
        return data if data is not None and file_digest([data]) == checksum else None

    @abstractmethod
    def pieces(self, key: str) -> Iterator[bytes]:
        """Yield an object piece by piece, nothing where there is none."""

    @abstractmethod
    def size(self, key: str) -> int | None:
        """Return the bytes of an object, or None where there is none."""

    @abstractmethod
    def read_log(self, key: str) -> bytes | None:
        """Return a log, all that was added to it."""

    @abstractmethod
    def objects(self) -> Iterator[str]:
        """Yield the keys of all objects."""

    @abstractmethod
    def sizes(self, keys: Iterable[str]) -> dict[str, int]:
        """Return the bytes of those objects that are there."""

    @abstractmethod
    def free_bytes(self) -> int | None:
        """Return the room that is left, or None where nobody knows."""

    @abstractmethod
    def target(self) -> Any:
        """Return what Zarr and xarray open to read it."""

    def finder(self) -> Callable[[], ReadableLocation | None]:
        """Return what gives this place again, and None once a store in memory is gone."""
        return lambda: self

    def __str__(self) -> str:
        return self.name
