"""JSON that others wrote: bounded before it is parsed, and one kind of error."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

MOST_BYTES = 2**26
"""Bytes that a document may have."""

MOST_MEMORY = 2**29
"""Bytes that what a document says may take in memory, as far as its text tells."""

CONTAINER, TEXT, VALUE = 72, 64, 32
"""Bytes of an empty list or object, of a string, and of a number in a list."""


def parse_json(text: bytes | str, parse_constant: Callable[[str], Any] | None = None) -> Any:
    """Return what a document says.

    Raises
    ------
    ValueError
        If it is none, is nested too deep, or would take too much memory: an empty list is two
        bytes of text and takes seventy.
    """
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogatepass")
    if len(text) > MOST_BYTES:
        raise ValueError(f"{len(text):,} bytes, more than {MOST_BYTES:,}")
    if len(text) * CONTAINER > MOST_MEMORY:
        count = text.count
        memory = len(text) + CONTAINER * (count(b"[") + count(b"{"))
        memory += TEXT * (count(b'"') // 2) + VALUE * count(b",")
        if memory > MOST_MEMORY:
            raise ValueError(f"more values than fit into {MOST_MEMORY:,} bytes")
    try:
        return json.loads(text, parse_constant=parse_constant)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
