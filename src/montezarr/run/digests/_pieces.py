"""The parts of a digest: bytes, and values that are split into parts in turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple


class DigestPart(NamedTuple):
    """A value whose parts all go into a digest.

    Attributes
    ----------
    value : object
        The value.
    seen : frozenset of int
        Ids of the enclosing objects: a cycle is followed only once.
    """

    value: Any
    seen: frozenset[int]


DigestParts = Iterator[bytes | DigestPart]
