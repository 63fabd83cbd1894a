"""The manifest: what determines every byte of a store; it is JSON and never changes."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.lib.introspect import opt_func_info
from numpy.typing import NDArray

from montezarr.core.errors import StoreError
from montezarr.core.json import parse_json
from montezarr.core.parameters import Reference, references, shortened, state_references
from montezarr.core.tunables.limits import DOCUMENT_MAX_BYTES, LARGE_PARAMETERS_MAX_BYTES
from montezarr.random.seeding import BLOCK
from montezarr.run._recipe import RECIPE_KEYS, fingerprint
from montezarr.store.format._bounded import largest_file
from montezarr.store.format._encode import with_checksum
from montezarr.store.format._layout import (
    NUMBERS,
    PATH,
    Constant,
    StoredArray,
    as_json,
    check_name,
    group_metadata,
)
from montezarr.store.format._storage import Storage

MANIFEST = "montezarr/manifest.json"
STORE_FORMAT, BESIDE, SCENARIOS, TIMES, GROWN = 2, 3, 4, 5, 6
"""Of stores, of those with arrays beside the recipe, of those with an inner chunk for each
scenario, of those with inner chunks along the times, and of those whose room for events has grown:
earlier versions cannot read these. The last one is that of a root; a manifest never changes."""

FORMATS = (STORE_FORMAT, BESIDE, SCENARIOS, TIMES, GROWN)
"""All that this version reads."""

STORE_ATTRIBUTE = "montezarr_store"
"""Root attribute with the state of the store; the recipe is another attribute."""

STATUS_ATTRIBUTE = "montezarr_status"
"""Root attribute with the progress of an incomplete store, for people."""

RECIPE_ATTRIBUTE = "montezarr"
FINGERPRINT = re.compile("[0-9a-f]{32}")
MAX_BYTES = DOCUMENT_MAX_BYTES
"""Bytes that a manifest may have."""

STORE_PATHS_MAX = 2**62
"""Paths that a store may have, as far as a check of what was read is concerned."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Manifest:
    """The content and format of a store.

    Attributes
    ----------
    recipe : str
        The recipe of the paths, as JSON.
    values : str or None
        Digest of the expression on the paths; None if they are stored as they were drawn.
    policies : dict
        Policies for failing paths.
    first_path : int
        Index of the first path.
    chunk : int
        Paths per chunk.
    arrays : tuple of StoredArray
        The variables.
    constants : tuple of Constant
        Coordinates and other variables without paths.
    storage : Storage
        Storage options.
    statistics : dict or None
        Statistics that are taken in the same pass.
    environment : dict
        Environment of the first writer; not part of the identity.
    parameters : dict of str to array
        Large parameters, by digest, if they are about to be written.
    whole : str or None
        Fingerprint of the recipe, if that refers to arrays, so that they need not be read for it.
    x0 : dict or None
        The form of initial states that are stored as a parameter; see `parameters.referred`.
        None for a store without them, or one that an earlier version began.
    """

    recipe: str
    values: str | None
    policies: Mapping[str, str]
    first_path: int
    chunk: int
    arrays: tuple[StoredArray, ...]
    constants: tuple[Constant, ...]
    storage: Storage
    statistics: Mapping[str, Any] | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)
    whole: str | None = None
    x0: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        beside: dict[str, Any] = {} if self.whole is None else {"fingerprint": self.whole}
        if self.x0 is not None:
            beside["x0"] = self.x0
        return beside | {
            "format": self.format,
            "recipe": self.recipe,
            "values": self.values,
            "policies": dict(self.policies),
            "first_path": self.first_path,
            "chunk": self.chunk,
            "arrays": [
                {
                    "name": a.name,
                    "dims": list(a.dims),
                    "shape": list(a.shape),
                    "dtype": a.dtype,
                    "fill": None if a.fill != a.fill else a.fill,
                    "attributes": dict(a.attributes),
                    **({"scenarios": list(a.scenarios)} if a.scenarios else {}),
                }
                for a in self.arrays
            ],
            "constants": [constant.to_dict() for constant in self.constants],
            "storage": self.storage.to_dict(),
            "statistics": None if self.statistics is None else dict(self.statistics),
            "environment": dict(self.environment),
        }

    @classmethod
    def from_dict(cls, data: Any, where: str) -> Manifest:
        """Restore a manifest from `to_dict`, checking all of it.

        Raises
        ------
        StoreError
            If it is not a manifest.
        """
        try:
            return cls._checked(data)
        except StoreError as error:
            raise StoreError(f"{error} It is the manifest of {where}.") from error
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise StoreError(
                f"path: expected the manifest of a montezarr store, got one with"
                f" {type(error).__name__}: {error}: {where}."
            ) from error

    @classmethod
    def _checked(cls, data: Any) -> Manifest:
        check_format(data["format"])
        recipe = parse_json(data["recipe"])
        if not isinstance(recipe, dict) or not recipe.keys() >= RECIPE_KEYS:
            raise ValueError("recipe")
        whole = data["fingerprint"] if references(recipe, LARGE_PARAMETERS_MAX_BYTES) else None
        if whole is not None and not FINGERPRINT.fullmatch(whole):
            raise ValueError("fingerprint")
        x0 = data.get("x0") if data["format"] >= BESIDE else None
        state_references(x0, LARGE_PARAMETERS_MAX_BYTES)
        chunk, first = _whole(data["chunk"]), _whole(data["first_path"])
        if chunk < BLOCK or chunk % BLOCK or first % chunk:
            raise ValueError("chunk")
        arrays = tuple(_array(entry) for entry in data["arrays"])
        constants = tuple(Constant.from_dict(entry) for entry in data["constants"])
        storage = Storage.from_dict(data["storage"])
        storage.check_chunk(chunk)
        out = cls(
            recipe=data["recipe"],
            values=None if data["values"] is None else str(data["values"]),
            policies={str(k): str(v) for k, v in data["policies"].items()},
            first_path=first,
            chunk=chunk,
            arrays=arrays,
            constants=constants,
            storage=storage,
            statistics=None if data["statistics"] is None else dict(data["statistics"]),
            environment=dict(data["environment"]),
            whole=whole,
            x0=x0,
        )
        if out.format != data["format"]:
            raise ValueError("format")
        if len(set(out.names)) < len(out.names):
            raise ValueError("names")
        return out

    @property
    def names(self) -> list[str]:
        """Names of all arrays, and of their directories."""
        return [*(array.name for array in self.arrays), *(c.name for c in self.constants)]

    @property
    def format(self) -> int:
        """Version of the format: the oldest one that can express the manifest."""
        if any(array.times_cut(self.storage) for array in self.arrays):
            return TIMES
        if any(array.scenarios for array in self.arrays):
            return SCENARIOS
        return STORE_FORMAT if self.whole is None and self.x0 is None else BESIDE

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """References to the large parameters and initial states."""
        large = () if self.whole is None else references(self.recipe_dict)
        return (*large, *state_references(self.x0, LARGE_PARAMETERS_MAX_BYTES))

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of the recipe."""
        return fingerprint(self.recipe_dict) if self.whole is None else self.whole

    @property
    def recipe_dict(self) -> dict[str, Any]:
        """The recipe, with references for large parameters."""
        out: dict[str, Any] = parse_json(self.recipe)
        return out

    @property
    def rooms(self) -> dict[str, int]:
        """The room for events by dimension, where it has grown."""
        return dict(array.grown for array in self.arrays if array.grown is not None)

    def with_rooms(self, rooms: Mapping[str, int]) -> Manifest:
        """Return the manifest with room for so many events, in the chunks that it has."""
        arrays = self.arrays
        for dim, room in rooms.items():
            arrays = tuple(array.with_room(dim, room) for array in arrays)
        return replace(self, arrays=arrays)

    def with_told_rooms(self, told: Any) -> Manifest | None:
        """Return the manifest with the room for events that a root names; None if it is none."""
        try:
            found = self.as_begun().with_rooms(told)
        except (TypeError, ValueError, AttributeError):
            return None
        return found if found.rooms == told else None

    def as_begun(self) -> Manifest:
        """Return the manifest with the room for events that the store was begun with."""
        return replace(self, arrays=tuple(replace(a, grown=None) for a in self.arrays))

    def with_constants(self, known: Iterable[Constant]) -> Manifest:
        """Return the manifest with values and attributes of some constants as they were stored.

        Dates that were read are not always encoded again with the same attributes.
        """
        found = {constant.name: constant for constant in known}
        return replace(self, constants=tuple(found.get(c.name, c) for c in self.constants))

    @property
    def chunk_bytes(self) -> int:
        """Uncompressed bytes of a chunk of all arrays."""
        return self.chunk * sum(array.path_bytes for array in self.arrays)

    def chunk_count(self, n_paths: int) -> int:
        """Return the number of chunks of `n_paths` paths."""
        return -(-n_paths // self.chunk)

    def paths_in(self, chunk: int, n_paths: int) -> int:
        """Return the number of paths of a chunk; the last one may be incomplete."""
        return min(self.chunk, n_paths - chunk * self.chunk)

    def chunk_file_bytes(self, array: StoredArray) -> int | None:
        """Return the exact size of a chunk file, or None if it is compressed."""
        if self.storage.compression is not None:
            return None
        size = array.part_bytes(self.chunk, self.storage) + 4
        if array.inner_shape(self.chunk, self.storage) is None:
            return size
        return self.parts(array) * (size + 16) + 4

    def largest_file(self, array: StoredArray) -> int:
        """Return an upper bound of the bytes of a chunk file."""
        return largest_file(array.chunk_bytes(self.chunk, self.storage), self.parts(array))

    def parts(self, array: StoredArray) -> int:
        """Return the number of inner chunks of a chunk; 1 if it is no shard."""
        size = array.part_bytes(self.chunk, self.storage)
        return array.chunk_bytes(self.chunk, self.storage) // size if size else 1

    def files(self, n: int, target: int, committed: int, complete: bool) -> dict[str, bytes]:
        """Return all metadata files for `n` paths, in the order in which they are written.

        The root is last: it has the metadata of all arrays, so that one rename publishes more paths
        of all of them to readers of the root.
        """
        constants, nodes = self._fixed
        out = dict(constants)
        nodes = dict(nodes)
        for array in self.arrays:
            nodes[array.name] = array.metadata(n, self.chunk, self.storage)
            out[f"{array.name}/zarr.json"] = as_json(nodes[array.name])
        out["zarr.json"] = as_json(self._root(n, target, committed, complete, nodes))
        return out

    @cached_property
    def _fixed(self) -> tuple[dict[str, bytes], dict[str, Any]]:
        """Return the files that never change, and the metadata of their arrays and group."""
        out = {MANIFEST: as_json(self.to_dict())}
        nodes = {"montezarr": group_metadata()}
        for constant in self.constants:
            values = constant.values.astype(constant.values.dtype.newbyteorder("<"))
            out[constant.key] = b"".join(with_checksum(values))
            nodes[constant.name] = constant.metadata()
        documents = {f"{name}/zarr.json": as_json(node) for name, node in nodes.items()}
        return out | documents, nodes

    def _root(
        self, n: int, target: int, committed: int, complete: bool, nodes: Any
    ) -> dict[str, Any]:
        rooms = self.rooms
        attributes: dict[str, Any] = {
            RECIPE_ATTRIBUTE: self.recipe,
            STORE_ATTRIBUTE: ({"rooms": rooms} if rooms else {})
            | {
                "format": GROWN if rooms else self.format,
                "status": "complete" if complete else "incomplete",
                "n_paths": n,
                "target": target,
                "committed": committed,
                "first_path": self.first_path,
                "chunk": self.chunk,
                "fingerprint": self.fingerprint,
            },
        }
        if not complete:
            attributes[STATUS_ATTRIBUTE] = f"incomplete, {100 * committed // max(1, target)} %"
        document = group_metadata(attributes)
        document["consolidated_metadata"] = {
            "kind": "inline",
            "must_understand": False,
            "metadata": nodes,
        }
        return document

    def differences(self, other: Manifest) -> list[tuple[str, Any, Any]]:
        """Return the fields in which another manifest would store other bytes: name, own, other.

        Chunk and environment are ignored.
        """
        sides = []
        for manifest in (self, other):
            data = manifest.to_dict()
            del data["chunk"], data["environment"], data["format"]
            # Earlier versions kept large parameters in the recipe.
            data["recipe"] = shortened(manifest.recipe_dict)[0]
            data.pop("fingerprint", None)
            # They did not store initial states, whose digest is in the recipe.
            data.pop("x0", None)
            for array, entry in zip(manifest.arrays, data["arrays"], strict=True):
                entry["shape"] = list(array.whole_shape)
            data["arrays"] = {entry.pop("name"): entry for entry in data["arrays"]}
            data["constants"] = {entry.pop("name"): entry for entry in data["constants"]}
            sides.append(dict(_flat("", data)))
        mine, others = sides
        names = [*mine, *(name for name in others if name not in mine)]
        nothing = object()
        out = []
        for name in names:
            a, b = mine.get(name, nothing), others.get(name, nothing)
            if a != b:
                texts = ["nothing" if x is nothing else x for x in (a, b)]
                out.append((name, texts[0], texts[1]))
        return out


def check_format(found: Any) -> None:
    """Raise unless a store is of a format that this version reads.

    Raises
    ------
    StoreError
        If it is not.
    """
    if type(found) is not int or found not in FORMATS:
        *others, last = FORMATS
        known = f"{', '.join(map(str, others))} or {last}"
        raise StoreError(f"path: expected store format {known}, got {found!r}.")


def _flat(prefix: str, data: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(data, Mapping) and data:
        for key, value in data.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), value)
    else:
        yield prefix.removeprefix("recipe."), data


def environment() -> dict[str, Any]:
    """Return what the last bits of a path may depend on: versions and CPU instructions in use."""
    functions = ("exp", "log", "power", "sin", "tanh")
    pattern = f"^({'|'.join(functions)})$"
    found = opt_func_info(func_name=pattern, signature="float64")
    used = {name: sorted({d["current"] for d in kinds.values()}) for name, kinds in found.items()}
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "numpy": np.__version__,
        "numba": _numba(),
        "machine": platform.machine(),
        "system": platform.system(),
        "simd": {name: ", ".join(values) for name, values in sorted(used.items())},
    }


def _numba() -> str | None:
    try:
        return version("numba")
    except PackageNotFoundError:
        return None


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= STORE_PATHS_MAX:
        raise ValueError(f"expected a number of paths, got {value!r}")
    return value


def _array(entry: Mapping[str, Any]) -> StoredArray:
    dims, shape = tuple(map(str, entry["dims"])), tuple(_whole(size) for size in entry["shape"])
    if dims.count(PATH) != 1 or len(dims) != len(shape) + 1 or len(set(dims)) < len(dims):
        raise ValueError("dims")
    if entry["dtype"] not in NUMBERS:
        raise ValueError(f"dtype {entry['dtype']!r}")
    fill = entry["fill"]
    if fill is not None and not isinstance(fill, (int, float)):
        raise ValueError("fill")
    scenarios = tuple(map(str, entry.get("scenarios", ())))
    if not set(scenarios) <= set(dims) - {PATH}:
        raise ValueError("scenarios")
    return StoredArray(
        name=check_name(entry["name"]),
        dims=dims,
        shape=shape,
        dtype=entry["dtype"],
        fill=float("nan") if fill is None else fill,
        attributes=dict(entry["attributes"]),
        scenarios=scenarios,
    )
