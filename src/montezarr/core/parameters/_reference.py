"""References to large parameters in a recipe."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from montezarr.core.errors import StoreError
from montezarr.core.memory import memory_limit
from montezarr.core.text import show_bytes
from montezarr.core.tunables.limits import LARGE_PARAMETERS_COPIES, LARGE_PARAMETERS_MAX_BYTES

MOST_DIMENSIONS = 32
DTYPES = {float: "<f8", int: "<i8"}
DIGEST = re.compile("[0-9a-f]{64}")
KEYS = {"name", "dtype", "shape", "sha256"}
"""Keys of a reference, by which it is recognised."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Stand-in for a large parameter in a recipe.

    Attributes
    ----------
    name : str
        Name of the parameter.
    dtype : {"<f8", "<i8"}
        Of floats, or of integers.
    shape : tuple of int
        Its shape.
    sha256 : str
        Digest of its bytes, little-endian, in C order.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return np.dtype(self.dtype).itemsize * math.prod(self.shape)

    def __str__(self) -> str:
        return f"{' × '.join(f'{size:,}' for size in self.shape)} numbers"

    def to_dict(self) -> dict[str, Any]:
        """Return the reference as JSON."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "sha256": self.sha256,
        }

    @classmethod
    def from_dict(cls, name: str, data: Mapping[str, Any]) -> Reference:
        """Return the reference that `to_dict` wrote for the parameter `name`; check all of it.

        Raises
        ------
        ValueError
            If `data` is no valid reference.
        """
        shape, digest = data["shape"], data["sha256"]
        good = data["name"] == name and data["dtype"] in DTYPES.values()
        good = good and isinstance(shape, list) and 0 < len(shape) <= MOST_DIMENSIONS
        good = good and all(
            type(size) is int and 0 < size <= LARGE_PARAMETERS_MAX_BYTES for size in shape
        )
        good = good and isinstance(digest, str) and DIGEST.fullmatch(digest) is not None
        if not good:
            raise ValueError(f"no reference to the parameter {name!r}")
        return cls(name, data["dtype"], tuple(shape), digest)


def is_reference(value: Any) -> bool:
    """Return whether a parameter of a recipe is a reference to an array."""
    return isinstance(value, Mapping) and value.keys() == KEYS


def reference_text(value: Any) -> str | None:
    """Return a valid reference as text for people; None for any other value."""
    if not is_reference(value):
        return None
    try:
        return str(Reference.from_dict(value["name"], value))
    except (ValueError, TypeError):
        return None


def references(recipe: Mapping[str, Any], most: int | None = None) -> tuple[Reference, ...]:
    """Return the references in a recipe, checked.

    Parameters
    ----------
    recipe : mapping
        A recipe in any form.
    most : int, optional
        Bytes of all arrays together, at most; for recipes from untrusted files.

    Raises
    ------
    ValueError
        If a reference is invalid, or the arrays are larger than `most`.
    """
    process = recipe.get("process")
    items = process.items() if isinstance(process, Mapping) else ()
    found = tuple(Reference.from_dict(str(k), v) for k, v in items if is_reference(v))
    if most is not None and sum(reference.nbytes for reference in found) > most:
        raise ValueError(f"parameters of more than {most:,} bytes")
    return found


def check_parameters_fit(references: Iterable[Reference]) -> None:
    """Raise if the parameters of a process do not fit into memory all together.

    Several references may name the same file; each still needs memory of its own.

    Raises
    ------
    StoreError
        If they need more than the memory limit.
    """
    found = list(references)
    needed = LARGE_PARAMETERS_COPIES * sum(reference.nbytes for reference in found)
    limit = memory_limit()
    if found and needed > limit:
        largest = max(found, key=lambda reference: reference.nbytes)
        more = f" and {len(found) - 1:,} more" if len(found) > 1 else ""
        raise StoreError(
            f"path: expected parameters that fit into memory, got {largest.name!r}{more}, which"
            f" take {show_bytes(needed)} with {show_bytes(limit)} to use."
        )
