"""Initial states, and parameters, per path: a JSON form that refers to their arrays.

The recipe has only their digest. A store keeps the arrays beside it, so that its paths can be drawn
again; the form says which array belongs to which variable.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.parameters._known import array_of, know
from montezarr.core.parameters._reference import DIGEST, MOST_DIMENSIONS, Reference

DTYPE = re.compile(r"[<>|][iuf][1248]|\|b1|[<>]U[1-9][0-9]{0,3}")
"""Dtypes of numbers, flags and labels."""

PARAMETER = "vary:"
"""Prefix of the field of a parameter, beside that of the initial states."""

PLAIN = (bool, int, float, str, type(None))
STATES_LENGTH_MAX = 2**62


def referred(x0: Any, most: int) -> tuple[dict[str, Any] | None, dict[str, NDArray[Any]]]:
    """Return the JSON form of initial states, and their arrays as bytes by digest.

    This process can look the arrays up by digest as long as one reference to them is alive.

    Parameters
    ----------
    x0 : array, or mapping of arrays and values
        As `simulate` takes them; None for none.
    most : int
        Bytes of all arrays together, at most.

    Returns
    -------
    form : dict or None
        None where they cannot be stored: too large, or of a dtype or type that is not supported.
    arrays : dict of str to array
        Arrays by digest.
    """
    arrays: dict[str, NDArray[Any]] = {}
    names = list(x0) if isinstance(x0, Mapping) else None
    parts = [x0] if names is None else list(x0.values())
    pairs = zip(names or ["x0"], parts, strict=True)
    leaves = [_leaf(str(name), part, arrays) for name, part in pairs]
    if None in leaves or not arrays or sum(array.nbytes for array in arrays.values()) > most:
        return None, {}
    known = know(arrays)
    if names is None:
        return leaves[0], known
    return {"fields": dict(zip(names, leaves, strict=True))}, known


def restore_initial_states(form: Mapping[str, Any]) -> Any:
    """Return the initial states that a form describes.

    Raises
    ------
    ReplayError, StoreError
        If an array is not known in this process, or is damaged or lost.
    """

    def part(leaf: Any) -> Any:
        return array_of(_reference(leaf["array"])) if "array" in leaf else leaf["value"]

    if "array" in form:
        return part(form)
    return {name: part(leaf) for name, leaf in form["fields"].items()}


def state_references(form: Mapping[str, Any] | None, most: int) -> tuple[Reference, ...]:
    """Return the references in a form from an untrusted file, checked.

    Raises
    ------
    ValueError, TypeError, LookupError
        If the form is invalid, or its arrays have more than `most` bytes.
    """
    found = () if form is None else tuple(_references(form))
    if form is not None and not 0 < sum(reference.nbytes for reference in found) <= most:
        raise ValueError(f"initial states of more than {most:,} bytes, or of none")
    return found


def states_in(form: Mapping[str, Any]) -> int:
    """Return the number of paths for which a form has initial states."""
    return max((r.shape[-1] for r in _references(form) if r.shape), default=0)


def _leaf(name: str, part: Any, arrays: dict[str, NDArray[Any]]) -> dict[str, Any] | None:
    """Return the form of one array or value, and add the array to `arrays`."""
    if not isinstance(part, np.ndarray):
        is_finite = not isinstance(part, float) or math.isfinite(part)
        return {"value": part} if type(part) in PLAIN and is_finite else None
    if not DTYPE.fullmatch(part.dtype.str) or part.ndim > _most_dimensions(name):
        return None
    data = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
    digest = hashlib.sha256(data.data).hexdigest()
    arrays[digest] = data
    return {"array": Reference(name, part.dtype.str, part.shape, digest).to_dict()}


def _most_dimensions(name: str) -> int:
    return MOST_DIMENSIONS if name.startswith(PARAMETER) else 1


def _references(form: Mapping[str, Any]) -> Iterator[Reference]:
    if form.keys() == {"array"}:
        yield _reference(form["array"])
        return
    if form.keys() != {"fields"} or not isinstance(form["fields"], Mapping):
        raise ValueError("no form of initial states")
    for name, leaf in form["fields"].items():
        if leaf.keys() == {"array"} and leaf["array"]["name"] == name:
            yield _reference(leaf["array"])
        elif leaf.keys() != {"value"} or type(leaf["value"]) not in PLAIN:
            raise ValueError(f"no initial state {name!r}")


def _reference(data: Mapping[str, Any]) -> Reference:
    name, dtype, shape, digest = (data[key] for key in ("name", "dtype", "shape", "sha256"))
    good = isinstance(name, str) and isinstance(dtype, str) and DTYPE.fullmatch(dtype) is not None
    good = good and isinstance(shape, list) and len(shape) <= _most_dimensions(name)
    good = good and all(type(size) is int and 0 < size <= STATES_LENGTH_MAX for size in shape)
    good = good and isinstance(digest, str) and DIGEST.fullmatch(digest) is not None
    if not good:
        raise ValueError(f"no reference to initial states {name!r}")
    return Reference(name, dtype, tuple(shape), digest)
