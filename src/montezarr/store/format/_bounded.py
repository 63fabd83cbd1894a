"""Codecs of Zarr that decompress at most the size of a chunk.

Seventy kilobytes can declare that they decompress to gigabytes. Zarr's own codecs trust them; these
know the largest size from the metadata, and refuse more before they allocate memory.
Arrays are opened with them in place of Zarr's; metadata that are written name Zarr's own.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from typing import Any, Self

from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec
from zarr.registry import register_codec

from montezarr.core.compat.zarr import OwnDecoding
from montezarr.core.errors import StoreError
from montezarr.core.memory import memory_limit
from montezarr.core.tunables.limits import CODEC_SLACK_BYTES, GZIP_MEMBERS_MAX

PREFIX = "montezarr_bounded_"


LEAST_BLOCK, BLOCKS = 512, 4096
"""What a block of a zstd frame unpacks to, on average, and blocks that any frame may have."""

ZSTD = b"\x28\xb5\x2f\xfd"


def most_of(spec: Any) -> int:
    """Return the uncompressed bytes of a chunk.

    Raises
    ------
    StoreError
        If that exceeds the memory.
    """
    plain = int(math.prod(spec.shape)) * int(spec.dtype.to_native_dtype().itemsize)
    if plain > memory_limit():
        raise StoreError(
            f"path: expected a chunk that fits into the memory, got one of {plain:,} bytes."
        )
    return int(plain + plain // 8 + CODEC_SLACK_BYTES)


def largest_file(plain: int, count: int = 1) -> int:
    """Return the largest size of a file with `plain` bytes of values in `count` parts."""
    return plain + plain // 8 + CODEC_SLACK_BYTES + 1024 * count


def too_much(kind: str, size: int | None, most: int) -> StoreError:
    """Return the error of a chunk that decompresses to more than its size."""
    said = "does not say how many bytes it is" if size is None else f"is {size:,} bytes or more"
    return StoreError(
        f"path: expected a chunk of at most {most:,} bytes, got one of {kind} that {said}. Call"
        " montezarr.repair."
    )


class BoundedZstd(OwnDecoding, ZstdCodec):
    """Zstandard, for one frame that declares its size."""

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Return the codec of a metadata document."""
        return super().from_dict({**data, "name": "zstd"})

    def unpacked(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        """Raise if a chunk is too large."""
        most = most_of(chunk_spec)
        size = _zstd_size(memoryview(chunk_bytes.as_numpy_array()).cast("B"), most)
        if size is None or size > most:
            raise too_much("zstd", size, most)
        return None


class BoundedBlosc(OwnDecoding, BloscCodec):
    """Blosc, whose header declares the size."""

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Return the codec of a metadata document."""
        return super().from_dict({**data, "name": "blosc"})

    def unpacked(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        """Raise if a chunk is too large."""
        most = most_of(chunk_spec)
        head = chunk_bytes.as_numpy_array()[:16].tobytes()
        size = int.from_bytes(head[4:8], "little") if len(head) == 16 else None
        if size is None or size > most or int.from_bytes(head[12:16], "little") > len(chunk_bytes):
            raise too_much("blosc", size, most)
        return None


class BoundedGzip(OwnDecoding, GzipCodec):
    """gzip, decompressed up to the size of a chunk."""

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Return the codec of a metadata document."""
        return super().from_dict({**data, "name": "gzip"})

    def unpacked(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        """Return the decompressed chunk; raise if it is too large."""
        data = _gunzipped(chunk_bytes.as_numpy_array().tobytes(), most_of(chunk_spec))
        return chunk_spec.prototype.buffer.from_bytes(data)


BOUNDED = {"zstd": BoundedZstd, "blosc": BoundedBlosc, "gzip": BoundedGzip}
for _name, _codec in BOUNDED.items():
    register_codec(PREFIX + _name, _codec)


def bounded(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of an array with these codecs in place of Zarr's own."""
    if "codecs" not in document:
        return dict(document)
    return {**document, "codecs": [_bounded(codec) for codec in document["codecs"]]}


def as_read(document: Mapping[str, Any]) -> bytes:
    """Return the root of a store with these codecs in the metadata of its arrays."""
    consolidated = document["consolidated_metadata"]
    nodes = {name: bounded(node) for name, node in consolidated["metadata"].items()}
    found = {**document, "consolidated_metadata": {**consolidated, "metadata": nodes}}
    return json.dumps(found).encode()


def _bounded(codec: Mapping[str, Any]) -> dict[str, Any]:
    if codec["name"] in BOUNDED:
        return {**codec, "name": PREFIX + codec["name"]}
    if codec["name"] != "sharding_indexed":
        return dict(codec)
    configuration = dict(codec["configuration"])
    for key in ("codecs", "index_codecs"):
        configuration[key] = [_bounded(inner) for inner in configuration[key]]
    return {**codec, "configuration": configuration}


def _zstd_size(data: memoryview, most: int) -> int | None:
    """Return the decompressed size that a frame declares (RFC 8878, 3.1.1).

    None if it does not, or if the data do not end with it: another frame may follow.
    """
    if len(data) < 6 or data[:4] != ZSTD:
        return None
    flags = data[4]
    is_single, has_checksum = bool(flags & 0x20), bool(flags & 4)
    at = 5 + (not is_single) + (0, 1, 2, 4)[flags & 3]
    count = (1 if is_single else 0, 2, 4, 8)[flags >> 6]
    field = data[at : at + count]
    if not count or len(field) < count:
        return None
    size = int.from_bytes(field, "little") + (256 if count == 2 else 0)
    if size > most:
        return size
    at += count
    for _ in range(most // LEAST_BLOCK + BLOCKS):
        head = int.from_bytes(data[at : at + 3], "little")
        kind = head >> 1 & 3
        at += 3 + (1 if kind == 1 else head >> 3)
        if kind == 3 or at > len(data):
            return None
        if head & 1:
            break
    else:
        return None
    if at + 4 * has_checksum != len(data):
        return None
    return size


def _gunzipped(data: bytes, most: int) -> bytes:
    out: list[bytes] = []
    left, rest = most + 1, data
    for _ in range(GZIP_MEMBERS_MAX):
        member = zlib.decompressobj(wbits=31)
        out.append(member.decompress(rest, left))
        left -= len(out[-1])
        if left <= 0:
            raise too_much("gzip", most + 1, most)
        if not member.eof:
            raise StoreError("path: expected a whole chunk, got one of gzip that is cut.")
        rest = member.unused_data
        if not rest.strip(b"\0"):
            return out[0] if len(out) == 1 else b"".join(out)
    raise StoreError(
        f"path: expected a chunk of gzip of one part, got more than {GZIP_MEMBERS_MAX}."
    )
