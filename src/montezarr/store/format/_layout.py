"""The layout of a store: arrays, chunk keys, and metadata of Zarr format 3, byte by byte.

All of it follows from the manifest and the number of paths, so it can be checked and restored.
"""

from __future__ import annotations

import base64
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import value_error
from montezarr.samplers.schema import PATH as PATH
from montezarr.samplers.schema import TIME as TIME
from montezarr.store.format._storage import Storage

RESERVED = frozenset({"montezarr", "statistics", "c", "zarr.json"})
NAME = re.compile(r"\w[\w.\-]{0,127}")
NUMBERS = frozenset(
    [
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float16",
        "float32",
        "float64",
    ]
)
"""Data types that a store may have."""


def chunk_key(
    name: str, dims: Iterable[str], chunk: int = 0, piece: int = 0, along: str | None = None
) -> str:
    """Return the key of a chunk along the paths, and of one of its pieces along the events."""
    places = {PATH: chunk, along: piece}
    return "/".join([name, "c", *(str(places.get(dim, 0)) for dim in dims)])


def dims_of(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the dimensions of an array from its metadata."""
    return tuple(document.get("dimension_names") or ())


def check_name(name: Any) -> str:
    """Check that the name of a variable can be that of a directory, and return it.

    Raises
    ------
    ArgumentValueError
        If it cannot.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name) or name in RESERVED:
        raise value_error(
            "ds",
            f"names of variables of letters, digits, '_', '.', '-', and none of {sorted(RESERVED)}",
            name,
            "Rename it.",
        )
    return name


def check_distinct(names: Iterable[str], argument: str = "ds") -> None:
    """Raise if two names, or one and a name in every store, are the same to some file system.

    File systems of macOS and Windows, and many network shares, ignore case, composition of accents,
    or dots at the end: data of `X` would be read as those of `x`.

    Raises
    ------
    ArgumentValueError
        With both names.
    """
    seen = {_folded(name): name for name in RESERVED - {"c"}}
    for name in names:
        other = seen.setdefault(_folded(name), name)
        if other != name:
            raise value_error(
                argument, "names of variables that differ in more than case", name,
                f"On some file systems its data would be those of {other!r}: rename it.",
            )  # fmt: skip


def _folded(name: str) -> str:
    """Normalise a name as file systems that ignore case and composition do."""
    folded = unicodedata.normalize("NFD", name).casefold()
    return unicodedata.normalize("NFD", folded).rstrip(".")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArray:
    """A stored variable with paths.

    Attributes
    ----------
    name : str
        Name of the variable and its directory.
    dims : tuple of str
        Dimensions, with that of the paths.
    shape : tuple of int
        Sizes of the other dimensions.
    dtype : str
        Data type on disk.
    fill : int or float
        Fill value: NaN, or the number that stands for masked paths, or 0.
    attributes : dict
        Attributes, in JSON types.
    scenarios : tuple of str
        Dimensions of scenarios, each of which has an inner chunk of its own; none if all scenarios
        of a chunk are stored together.
    grown : (str, int) or None
        The dimension of events, and the room for these, once that has become larger than in
        `shape`, which is that of a chunk: then a chunk has several pieces, each with a file.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    fill: float
    attributes: Mapping[str, Any]
    scenarios: tuple[str, ...] = ()
    grown: tuple[str, int] | None = None

    @property
    def path_bytes(self) -> int:
        """Uncompressed bytes of one path."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def axis(self) -> int:
        """Position of the dimension of the paths."""
        return self.dims.index(PATH)

    @property
    def pieces(self) -> int:
        """Number of pieces of a chunk along the events."""
        if self.grown is None:
            return 1
        dim, room = self.grown
        return -(-room // self._size(dim))

    def key(self, chunk: int, piece: int = 0) -> str:
        """Return the key of a chunk, or of a piece of it."""
        along = None if self.grown is None else self.grown[0]
        return chunk_key(self.name, self.dims, chunk, piece, along)

    def keys(self, chunk: int) -> list[str]:
        """Return the keys of the pieces of a chunk."""
        return [self.key(chunk, piece) for piece in range(self.pieces)]

    def moved(self, key: str, chunk: int) -> str:
        """Return the key of the same piece of another chunk."""
        parts = key.split("/")
        parts[2 + self.axis] = str(chunk)
        return "/".join(parts)

    def with_room(self, dim: str, room: int) -> StoredArray:
        """Return the array with room for so many events, in the chunks that it has."""
        is_new = dim in self.dims and room > self._size(dim)
        return replace(self, grown=(dim, room)) if is_new else self

    def _size(self, dim: str) -> int:
        return self.with_paths(0)[self.dims.index(dim)]

    def whole(self, n: int) -> list[int]:
        """Return the shape for `n` paths, with all events."""
        known = dict([self.grown] if self.grown else [])
        sizes = zip(self.dims, self.with_paths(n), strict=True)
        return [known.get(dim, size) for dim, size in sizes]

    @property
    def whole_shape(self) -> tuple[int, ...]:
        """Sizes of the dimensions other than the paths, with all events."""
        return tuple(size for i, size in enumerate(self.whole(0)) if i != self.axis)

    def cut(self, values: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the pieces of the values (other dimensions ..., paths) of a chunk, padded."""
        if self.grown is None:
            return [values]
        others = [dim for dim in self.dims if dim != PATH]
        axis = others.index(self.grown[0])
        step, out = self.shape[axis], []
        for low in range(0, self.grown[1], step):
            part = values[(slice(None),) * axis + (slice(low, low + step),)]
            lacking = [(0, step - part.shape[axis] if i == axis else 0) for i in range(part.ndim)]
            out.append(np.pad(part, lacking, constant_values=self.fill))
        return out

    def with_paths(self, n: int) -> list[int]:
        """Return the shape for `n` paths."""
        sizes = iter(self.shape)
        return [n if dim == PATH else next(sizes) for dim in self.dims]

    def times_cut(self, storage: Storage) -> int | None:
        """Return the times of an inner chunk; None if all times of a path are in one."""
        if storage.time_chunk is None or TIME not in self.dims:
            return None
        n_times = self.with_paths(0)[self.dims.index(TIME)]
        return storage.time_chunk if storage.time_chunk < n_times else None

    def inner_shape(self, chunk: int, storage: Storage) -> list[int] | None:
        """Return the shape of an inner chunk; None if a chunk is no shard."""
        times = self.times_cut(storage)
        if storage.inner_chunk is None and not self.scenarios and times is None:
            return None
        whole = self.with_paths(storage.inner_chunk or chunk)
        cut = dict.fromkeys(self.scenarios, 1) | ({} if times is None else {TIME: times})
        return [cut.get(dim, size) for dim, size in zip(self.dims, whole, strict=True)]

    def chunk_shape(self, chunk: int, storage: Storage) -> list[int]:
        """Return the shape of a chunk: a shard has whole inner chunks, also along the times."""
        shape, inner = self.with_paths(chunk), self.inner_shape(chunk, storage)
        pairs = zip(shape, shape if inner is None else inner, strict=True)
        return [-(-size // part) * part if part else size for size, part in pairs]

    def chunk_bytes(self, chunk: int, storage: Storage) -> int:
        """Return the uncompressed bytes of a chunk."""
        return math.prod(self.chunk_shape(chunk, storage)) * np.dtype(self.dtype).itemsize

    def part_bytes(self, chunk: int, storage: Storage) -> int:
        """Return the uncompressed bytes of an inner chunk, or of a chunk that is no shard."""
        inner = self.inner_shape(chunk, storage)
        shape = self.with_paths(chunk) if inner is None else inner
        return math.prod(shape) * np.dtype(self.dtype).itemsize

    def scenario_bytes(self, chunk: int) -> int:
        """Return the uncompressed bytes of one scenario of a chunk."""
        pairs = zip(self.dims, self.with_paths(chunk), strict=True)
        count = math.prod(size for dim, size in pairs if dim in self.scenarios)
        return chunk * self.path_bytes // max(1, count)

    def inner_slices(
        self, chunk: int, storage: Storage, first: int = 0, last: int | None = None
    ) -> Iterator[tuple[slice, ...]]:
        """Yield where inner chunks of a shard are in an array (other dimensions ..., paths).

        They are in the order of C over the dimensions of the stored array: those from number
        `first` on, up to `last` or the end.
        """
        whole, inner = self.chunk_shape(chunk, storage), self.inner_shape(chunk, storage)
        starts = [range(0, n, size) for n, size in zip(whole, inner or whole, strict=True)]
        counts = [len(axis) for axis in starts]
        for number in range(first, math.prod(counts) if last is None else last):
            place, rest = [slice(0)] * len(starts), number
            for axis in range(len(starts) - 1, -1, -1):
                rest, i = divmod(rest, counts[axis])
                start = starts[axis][i]
                place[axis] = slice(start, start + starts[axis].step)
            place.append(place.pop(self.axis))
            yield tuple(place)

    def metadata(self, n: int, chunk: int, storage: Storage) -> dict[str, Any]:
        """Return the metadata of the array for `n` paths."""
        inner = self.inner_shape(chunk, storage)
        codecs = _codecs(self.dims, np.dtype(self.dtype), storage)
        if inner is not None:
            configuration = {
                "chunk_shape": inner,
                "codecs": codecs,
                "index_codecs": [BYTES, CRC],
                "index_location": "end",
            }
            codecs = [{"name": "sharding_indexed", "configuration": configuration}]
        return self._document(self.whole(n), self.chunk_shape(chunk, storage), codecs)

    def part_metadata(self, shape: list[int], storage: Storage) -> dict[str, Any]:
        """Return the metadata of an array that is one (inner) chunk of a shape."""
        return self._document(shape, shape, _codecs(self.dims, np.dtype(self.dtype), storage))

    def _document(self, shape: list[int], chunk: list[int], codecs: list[Any]) -> dict[str, Any]:
        kind = np.dtype(self.dtype)
        fill = "NaN" if kind.kind == "f" and math.isnan(self.fill) else self.fill
        return _document(shape, chunk, self.dims, kind, fill, codecs, self.attributes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """A stored variable without paths, such as the times, with its values."""

    name: str
    dims: tuple[str, ...]
    values: NDArray[Any]
    attributes: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON."""
        array = self.values.astype(self.values.dtype.newbyteorder("<"))
        return {
            "name": self.name,
            "dims": list(self.dims),
            "shape": list(self.values.shape),
            "dtype": array.dtype.str,
            "data": base64.b64encode(array.tobytes()).decode(),
            "attributes": dict(self.attributes),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Constant:
        """Restore a constant from `to_dict`."""
        kind = np.dtype(data["dtype"])
        if kind.name not in NUMBERS:
            raise ValueError(f"dtype {kind}")
        values = np.frombuffer(base64.b64decode(data["data"]), kind).reshape(data["shape"])
        return cls(
            name=check_name(data["name"]),
            dims=tuple(map(str, data["dims"])),
            values=values,
            attributes=dict(data["attributes"]),
        )

    @property
    def key(self) -> str:
        """Key of its only chunk."""
        return chunk_key(self.name, self.dims)

    def metadata(self) -> dict[str, Any]:
        """Return the metadata of the array."""
        shape = list(self.values.shape)
        kind = self.values.dtype
        fill: Any = "NaN" if kind.kind == "f" else False if kind.kind == "b" else 0
        chunk = [max(1, size) for size in shape]
        codecs = _codecs((), kind, Storage())
        return _document(shape, chunk, self.dims, kind, fill, codecs, self.attributes)


BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
CRC = {"name": "crc32c"}


def _codecs(dims: tuple[str, ...], kind: np.dtype[Any], storage: Storage) -> list[Any]:
    out: list[Any] = []
    if dims and dims[-1] != PATH:
        # Paths are contiguous on disk, as they are simulated, so that nothing is copied.
        others = [i for i, dim in enumerate(dims) if dim != PATH]
        order = [*others, dims.index(PATH)]
        out.append({"name": "transpose", "configuration": {"order": order}})
    out.append(BYTES if kind.itemsize > 1 else {"name": "bytes"})
    level = storage.level
    if storage.compression == "zstd":
        out.append({"name": "zstd", "configuration": {"level": level, "checksum": False}})
    elif storage.compression == "gzip":
        out.append({"name": "gzip", "configuration": {"level": level}})
    elif storage.compression == "blosc":
        configuration = {
            "typesize": kind.itemsize,
            "cname": "zstd",
            "clevel": level,
            "shuffle": "shuffle",
            "blocksize": 0,
        }
        out.append({"name": "blosc", "configuration": configuration})
    # Compressors store random doubles verbatim, so damage would go undetected without a checksum.
    out.append(CRC)
    return out


def _document(
    shape: list[int],
    chunk: list[int],
    dims: tuple[str, ...],
    kind: np.dtype[Any],
    fill: Any,
    codecs: list[Any],
    attributes: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": kind.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": codecs,
        "attributes": dict(attributes),
        "dimension_names": list(dims),
    }


def group_metadata(attributes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the metadata of a group."""
    return {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes or {})}


def as_json(document: Any) -> bytes:
    """Return metadata as the bytes of a file; NaN is text in Zarr, never a number."""
    return json.dumps(document, indent=2, sort_keys=True, allow_nan=False).encode()
