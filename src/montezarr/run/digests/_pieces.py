"""What a digest is made of: bytes, and values that are taken apart in turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple


class DigestPart(NamedTuple):
    """A value that goes into a digest with all of its parts.

    Attributes
    ----------
    value : object
        The value.
    seen : frozenset of int
        Ids of the objects that it is a part of: a cycle is not followed again.
    """

    value: Any
    seen: frozenset[int]


DigestParts = Iterator[bytes | DigestPart]
