"""Large parameters of a process, beside its recipe: the recipe refers to them by their digest.

The transition matrix of a chain of 1,900 states is 29 MB of numbers, and 73 MB of JSON that takes
seconds to write and to read. So a recipe that is stored has, in the place of such a list, a
reference: name, dtype, shape and SHA-256. Both forms are one recipe, with one fingerprint.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.errors import ReplayError

LARGE = 2**16
"""Bytes that a parameter may have as JSON, to be a part of the recipe wherever that is stored."""

MOST = 2**30
"""Bytes that the large parameters of a process may have, all together."""

MOST_DIMENSIONS = 32
DTYPES = {float: "<f8", int: "<i8"}
DIGEST = re.compile("[0-9a-f]{64}")
KEYS = {"name", "dtype", "shape", "sha256"}
"""What a reference has; that is how it is known."""

REMEMBERED, PLACES = 256, 4
"""Parameters of opened stores of which the places are known, and places of one of them."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What a recipe has in the place of a large parameter.

    Attributes
    ----------
    name : str
        Name of the parameter.
    dtype : {"<f8", "<i8"}
        Of floats, or of integers.
    shape : tuple of int
        Its shape.
    sha256 : str
        Digest of its bytes, little-endian, in the order of C.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return 8 * math.prod(self.shape)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "sha256": self.sha256,
        }

    @classmethod
    def from_dict(cls, name: str, data: Mapping[str, Any]) -> Reference:
        """Return what `to_dict` gave of the parameter of that name; nothing in it is believed.

        Raises
        ------
        ValueError
            If it is none.
        """
        shape, digest = data["shape"], data["sha256"]
        good = data["name"] == name and data["dtype"] in DTYPES.values()
        good = good and isinstance(shape, list) and 0 < len(shape) <= MOST_DIMENSIONS
        good = good and all(type(size) is int and 0 < size <= MOST for size in shape)
        good = good and isinstance(digest, str) and DIGEST.fullmatch(digest) is not None
        if not good:
            raise ValueError(f"no reference to the parameter {name!r}")
        return cls(name, data["dtype"], tuple(shape), digest)


Load = Callable[[Reference], NDArray[Any]]
"""Reads a parameter where it lies, and checks it."""

_alive: weakref.WeakValueDictionary[str, NDArray[Any]] = weakref.WeakValueDictionary()
_places: OrderedDict[str, dict[str, Load]] = OrderedDict()
_digests: OrderedDict[str, str] = OrderedDict()
"""Digests of whole recipes by their short form: the text of millions of numbers takes seconds."""

_lock = threading.Lock()


def shortened(recipe: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return a recipe with references in the place of large parameters, and these by digest.

    They are known in this process for as long as somebody holds them.
    """
    process, arrays = recipe.get("process"), {}
    if not isinstance(process, Mapping):
        return dict(recipe), {}
    short = dict(process)
    for name, value in process.items():
        array = _large(value)
        if array is not None:
            digest = hashlib.sha256(array.data).hexdigest()
            short[name] = Reference(str(name), array.dtype.str, array.shape, digest).to_dict()
            arrays[digest] = _alive.setdefault(digest, array)
    return {**recipe, "process": short}, arrays


def references(recipe: Mapping[str, Any], most: int | None = None) -> tuple[Reference, ...]:
    """Return the references in a recipe, checked.

    Parameters
    ----------
    recipe : mapping
        A recipe in any form.
    most : int, optional
        Bytes that they may have together, where anybody may have written them.

    Raises
    ------
    ValueError
        If one of them is none, or they are more than fits.
    """
    process = recipe.get("process")
    items = process.items() if isinstance(process, Mapping) else ()
    found = tuple(Reference.from_dict(str(k), v) for k, v in items if is_reference(v))
    if most is not None and sum(reference.nbytes for reference in found) > most:
        raise ValueError(f"parameters of more than {most:,} bytes")
    return found


def is_reference(value: Any) -> bool:
    """Return whether a parameter of a recipe is a reference to an array."""
    return isinstance(value, Mapping) and value.keys() == KEYS


def whole(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe with its large parameters in the place of references.

    Raises
    ------
    ReplayError
        If one of them is not known in this process.
    StoreError
        If it is damaged or lost.
    """
    out = dict(recipe)
    for reference in references(recipe):
        found = array_of(reference).tolist()
        out["process"] = {**out["process"], reference.name: found}
    return out


def know(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Have arrays, by digest, known for as long as somebody holds them: they came by pickle."""
    for digest, array in arrays.items():
        _alive.setdefault(digest, array)


def remember(reference: Reference, place: str, load: Load) -> None:
    """Note where a parameter lies; `load` reads and checks it."""
    with _lock:
        known = _places.setdefault(reference.sha256, {})
        known.pop(place, None)
        known[place] = load
        while len(known) > PLACES:
            del known[next(iter(known))]
        _places.move_to_end(reference.sha256)
        while len(_places) > REMEMBERED:
            _places.popitem(last=False)


def array_of(reference: Reference) -> NDArray[Any]:
    """Return a large parameter: one that is alive, or as it lies in an opened store.

    Raises
    ------
    ReplayError, StoreError
        As `whole` does.
    """
    found = _alive.get(reference.sha256)
    if found is not None and found.nbytes == reference.nbytes:
        out: NDArray[Any] = found.view(reference.dtype).reshape(reference.shape)
        return out
    with _lock:
        loads: list[Load] = [*_places.get(reference.sha256, {}).values()]
    failed: Exception | None = None
    for load in reversed(loads):
        try:
            return load(reference)
        except Exception as error:  # another store may have it whole
            failed = failed or error
    if failed is not None:
        raise failed
    raise ReplayError(
        f"ds: its recipe refers to the parameter {reference.name!r} of"
        f" {' × '.join(f'{size:,}' for size in reference.shape)} numbers, which lies beside the"
        " recipe in the store and is not known in this process. Open the store with montezarr.open,"
        " or pass process=."
    )


def digest_of_whole(recipe: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the canonical JSON of a recipe, in whatever form it is.

    Raises
    ------
    ReplayError, StoreError
        As `whole` does.
    """
    short, arrays = shortened(recipe)  # which hold what is looked for below
    text = canonical(short)
    found = references(short)
    if not found:
        return hashlib.sha256(text.encode()).hexdigest()
    with _lock:
        known = _digests.get(text)
    if known is None:
        hasher = hashlib.sha256()
        rest = text
        for reference in sorted(found, key=lambda one: one.name):  # as JSON has the keys
            before, _, rest = rest.partition(canonical(reference.to_dict()))
            hasher.update(before.encode())
            _feed(hasher, array_of(reference))
        hasher.update(rest.encode())
        known = hasher.hexdigest()
        with _lock:
            _digests[text] = known
            while len(_digests) > REMEMBERED:
                _digests.popitem(last=False)
    del arrays
    return known


def identity_of(recipe: Any) -> str:
    """Return what both forms of a recipe have in common, without a look at what lies beside it."""
    return canonical(shortened(recipe)[0])


def is_same_recipe(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two recipes are one as JSON, whatever form each of them has."""
    mine, its = (json.loads(json.dumps(shortened(recipe)[0])) for recipe in (one, other))
    return bool(mine == its)


def canonical(value: Any) -> str:
    """Return JSON that equal values have in common."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _feed(hasher: Any, array: NDArray[Any]) -> None:
    """Feed the JSON of an array, of which a row at a time is text."""
    if array.ndim == 1:
        hasher.update(canonical(array.tolist()).encode())
        return
    for i, row in enumerate(array):
        hasher.update(b"," if i else b"[")
        _feed(hasher, row)
    hasher.update(b"]")


def _large(value: Any) -> NDArray[Any] | None:
    """Return a parameter that is a large array of numbers of one type, or None of any other."""
    if not isinstance(value, (list, tuple)) or not value:
        return None
    shape, level = [len(value)], value
    while isinstance(level[0], (list, tuple)):
        if not all(isinstance(row, (list, tuple)) for row in level):
            return None
        lengths = {len(row) for row in level}
        if len(lengths) > 1 or lengths == {0} or len(shape) == MOST_DIMENSIONS:
            return None
        shape.append(lengths.pop())
        level = list(chain.from_iterable(level))
    kinds = set(map(type, level))
    dtype = DTYPES.get(kinds.pop()) if len(kinds) == 1 else None
    # Three bytes is the least that a number and what parts it from the next one have.
    if dtype is None or (3 * len(level) <= LARGE and len(json.dumps(value)) <= LARGE):
        return None
    try:
        return np.array(level, dtype).reshape(shape)
    except OverflowError:  # integers of more than 64 bits
        return None
