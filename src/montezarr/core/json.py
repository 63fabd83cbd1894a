"""JSON that others wrote: bounded before it is parsed, and one kind of error."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from montezarr.core.errors import StoreError
from montezarr.core.tunables.limits import DOCUMENT_MAX_BYTES, DOCUMENT_MAX_MEMORY_BYTES

CONTAINER, TEXT, VALUE = 72, 64, 32
"""Bytes of an empty list or object, of a string, and of a number in a list."""


def parse_json(
    text: bytes | str,
    parse_constant: Callable[[str], Any] | None = None,
    most: int | None = DOCUMENT_MAX_BYTES,
) -> Any:
    """Return what a document says.

    Parameters
    ----------
    text : bytes or str
        The document.
    parse_constant : callable, optional
        What is made of NaN and infinities.
    most : int or None
        Bytes that it may have; None for a text that this process made, or was given as such.

    Raises
    ------
    ValueError
        If it is none, is nested too deep, or would take too much memory: an empty list is two
        bytes of text and takes seventy.
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
    """Return the object that a file says; an error says what is wrong with which one.

    Parameters
    ----------
    text : bytes, str or None
        What was read of it; None where there is no such file.
    where : object
        The file, as messages have it.
    expected, remedy : str
        What should be there, and what to do.
    parse_constant, most
        As for `parse_json`.

    Raises
    ------
    StoreError
        If it is no object of JSON, or one that is too large or nested too deep.
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
