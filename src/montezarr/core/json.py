"""Parse JSON from untrusted files: sizes are bounded first, and errors are of one kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from montezarr.core.errors import StoreError
from montezarr.core.tunables.limits import DOCUMENT_MAX_BYTES, DOCUMENT_MAX_MEMORY_BYTES

CONTAINER, TEXT, VALUE = 72, 64, 32
"""Bytes in memory of an empty list or object, of a string, and of a number in a list."""


def parse_json(
    text: bytes | str,
    parse_constant: Callable[[str], Any] | None = None,
    most: int | None = DOCUMENT_MAX_BYTES,
) -> Any:
    """Return the value of a document.

    Parameters
    ----------
    text : bytes or str
        The document.
    parse_constant : callable, optional
        Called with NaN and infinities; returns the values in their place.
    most : int or None
        Bytes of the document, at most; None for trusted text.

    Raises
    ------
    ValueError
        If it is no JSON, is nested too deep, or would take too much memory: an empty list is two
        bytes of text and seventy in memory.
    """
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogatepass")
    if most is not None:
        _check_size(text, most)
    try:
        return json.loads(text, parse_constant=parse_constant)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def load_object(
    text: bytes | str | None,
    where: object,
    *,
    expected: str = "JSON",
    remedy: str = "",
    parse_constant: Callable[[str], Any] | None = None,
    most: int = DOCUMENT_MAX_BYTES,
) -> dict[str, Any]:
    """Return the JSON object in a file; errors name the file and what is wrong with it.

    Parameters
    ----------
    text : bytes, str or None
        Content of the file; None if it does not exist.
    where : object
        The file, as messages show it.
    expected, remedy : str
        What the file should hold, and what to do.
    parse_constant, most
        As for `parse_json`.

    Raises
    ------
    StoreError
        If it is no JSON object, or is too large or nested too deep.
    """
    wrong = "no file"
    if text is not None:
        try:
            found = parse_json(text, parse_constant, most)
        except ValueError as error:
            raise StoreError(f"path: expected {expected}, got {error}: {where}.{remedy}") from error
        if isinstance(found, dict):
            return found
        wrong = "something else than an object"
    raise StoreError(f"path: expected {expected}, got {wrong}: {where}.{remedy}")


def _check_size(text: bytes, most: int) -> None:
    if len(text) > most:
        raise ValueError(f"{len(text):,} bytes, more than {most:,}")
    if len(text) * CONTAINER > DOCUMENT_MAX_MEMORY_BYTES:
        count = text.count
        memory = len(text) + CONTAINER * (count(b"[") + count(b"{"))
        memory += TEXT * (count(b'"') // 2) + VALUE * count(b",")
        if memory > DOCUMENT_MAX_MEMORY_BYTES:
            raise ValueError(f"more values than fit into {DOCUMENT_MAX_MEMORY_BYTES:,} bytes")
