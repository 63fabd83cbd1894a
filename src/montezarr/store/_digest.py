"""The digest of a file in the commit log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import google_crc32c
import numpy as np


def file_digest(pieces: Iterable[Any]) -> tuple[int, str]:
    """Return the size and the digest of a file.

    The digest is the CRC-32C of all but the last four bytes, followed by these four. In a file that
    ends with its own checksum, as chunks do, the two agree; a CRC of all bytes would be the same
    for every intact file.
    """
    size, crc, tail = 0, 0, b""
    for piece in pieces:
        view = memoryview(piece).cast("B")
        size += len(view)
        if len(view) < 4:
            joined = tail + bytes(view)
            crc, tail = google_crc32c.extend(crc, joined[:-4]), joined[-4:]
            continue
        crc = google_crc32c.extend(crc, tail)
        crc, tail = _extend(crc, view[:-4]), bytes(view[-4:])
    return size, f"{crc:08x}{tail.hex()}"


def _extend(crc: int, view: memoryview) -> int:
    return int(google_crc32c.extend(crc, np.frombuffer(view, np.uint8)) if len(view) else crc)
