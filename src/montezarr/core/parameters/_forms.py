"""The two forms of a recipe: with its large parameters, or with references in their place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.parameters._known import array_of, know
from montezarr.core.parameters._reference import (
    DTYPES,
    MOST_DIMENSIONS,
    Reference,
    check_parameters_fit,
    references,
)

LARGE = 2**16
"""Bytes of JSON up to which a parameter stays in a stored recipe."""


def shortened(recipe: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return a recipe with references in place of large parameters, and the arrays by digest.

    This process can look the arrays up by digest as long as one reference to them is alive.
    """
    process = recipe.get("process")
    if not isinstance(process, Mapping):
        return dict(recipe), {}
    short = dict(process)
    arrays: dict[str, NDArray[Any]] = {}
    for name, value in process.items():
        array = _large(value)
        if array is not None:
            digest = hashlib.sha256(array.data).hexdigest()
            short[name] = Reference(str(name), array.dtype.str, array.shape, digest).to_dict()
            arrays |= know({digest: array})
    return {**recipe, "process": short}, arrays


def with_parameters(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe with its large parameters in place of references.

    Raises
    ------
    ReplayError
        If a parameter is not known in this process.
    StoreError
        If a parameter is damaged or lost, or all together do not fit into memory.
    """
    out, found = dict(recipe), references(recipe)
    check_parameters_fit(found)
    for reference in found:
        out["process"] = {**out["process"], reference.name: array_of(reference).tolist()}
    return out


def identity_of(recipe: Any) -> str:
    """Return text that both forms of a recipe have in common, without reading the parameters."""
    return canonical(shortened(recipe)[0])


def is_same_recipe(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two recipes are the same as JSON, each in either form."""
    mine, its = (json.loads(json.dumps(shortened(recipe)[0])) for recipe in (one, other))
    return bool(mine == its)


def canonical(value: Any) -> str:
    """Return JSON that is the same for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _large(value: Any) -> NDArray[Any] | None:
    """Return a parameter as an array if it is large and has numbers of one type, else None."""
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
    # A number and its separator take at least three bytes of JSON.
    if dtype is None or (3 * len(level) <= LARGE and len(json.dumps(value)) <= LARGE):
        return None
    try:
        out = np.array(level, dtype).reshape(shape)
    except OverflowError:  # integers of more than 64 bits
        return None
    out.setflags(write=False)  # all users of the same digest share this array
    return out
