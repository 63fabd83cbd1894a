"""Large parameters as raw files beside the manifest, each named by its digest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core import parameters
from montezarr.core.errors import StoreError
from montezarr.core.parameters import DIGEST, Reference, check_parameters_fit
from montezarr.store.locations import ReadableLocation

PARAMETERS = "montezarr/parameters"

REMEDY = (
    "Repair the store with what it was written from, montezarr.repair(path, process=...) or ds=...;"
    " the paths themselves can be read."
)


def key_of(reference: Reference) -> str:
    """Return the key of the file of a parameter."""
    return f"{PARAMETERS}/{reference.sha256}"


def is_key(key: str) -> bool:
    """Return whether a key is that of a parameter file."""
    return re.fullmatch(f"{PARAMETERS}/{DIGEST.pattern}", key) is not None


def remember_parameters(location: ReadableLocation, references: Iterable[Reference]) -> None:
    """Register parameters of a store; they are read when they are needed."""
    find = location.finder()
    for reference in references:
        parameters.remember_parameter(reference, str(location), partial(_load, find))


def _load(find: Callable[[], ReadableLocation | None], reference: Reference) -> NDArray[Any] | None:
    location = find()
    return None if location is None else read_parameter(location, reference)


def read_parameter(location: ReadableLocation, reference: Reference) -> NDArray[Any]:
    """Return a parameter, checked against its digest.

    Raises
    ------
    StoreError
        If its file is lost or damaged, or exceeds the memory.
    """
    check_parameters_fit([reference])
    data = location.get(key_of(reference), reference.nbytes)
    if data is None or parameter_digest([data]) != reference.sha256:
        found = "no regular file of at most its size" if data is None else "another checksum"
        raise _is_not(location, reference, found)
    if len(data) != reference.nbytes:  # the reference in the recipe has another shape
        raise _is_not(location, reference, f"{len(data):,}")
    return np.frombuffer(data, reference.dtype).reshape(reference.shape)


def locate_parameters(location: ReadableLocation, references: Iterable[Reference]) -> str | None:
    """Register parameters of a store; return the problem of a missing or truncated one."""
    found = list(references)
    remember_parameters(location, found)
    for reference, size in lost(location, found):
        return str(_is_not(location, reference, "no regular file" if size is None else f"{size:,}"))
    return None


def lost(
    location: ReadableLocation, references: Iterable[Reference]
) -> list[tuple[Reference, int | None]]:
    """Return the parameters without a file of their size, with the size found."""
    found = list(references)
    sizes = location.sizes([key_of(reference) for reference in found]) if found else {}
    each = ((reference, sizes.get(key_of(reference))) for reference in found)
    return [(reference, size) for reference, size in each if size != reference.nbytes]


def _is_not(location: ReadableLocation, reference: Reference, found: str) -> StoreError:
    """Return the error of a parameter file that does not agree with its reference."""
    return StoreError(
        f"path: expected the parameter {reference.name!r} of {reference.nbytes:,} bytes, got"
        f" {found}: {location}/{key_of(reference)}. {REMEDY}"
    )


def parameter_digest(pieces: Iterable[Any]) -> str:
    """Return the digest by which a recipe refers to a parameter."""
    hasher = hashlib.sha256()
    for piece in pieces:
        hasher.update(piece)
    return hasher.hexdigest()
