"""The digest of a recipe, the same with whole parameters and with references."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from montezarr.core.fork import ForkLock
from montezarr.core.parameters._forms import canonical, shortened
from montezarr.core.parameters._known import array_of
from montezarr.core.parameters._reference import check_parameters_fit, references
from montezarr.core.tunables.keeping import RECIPE_DIGESTS_KEPT
from montezarr.core.tunables.limits import NUMBERS_AS_TEXT_AT_ONCE

_digests: OrderedDict[str, str] = OrderedDict()
"""Digests of whole recipes by their short form: the text of millions of numbers takes seconds."""

_lock = ForkLock()


def digest_of_whole(recipe: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the canonical JSON of a recipe with whole parameters.

    The recipe itself may have references in their place.

    Raises
    ------
    ReplayError, StoreError
        As `whole` does.
    """
    short, own = shortened(recipe)
    text = canonical(short)
    found = references(short)
    if not found:
        return hashlib.sha256(text.encode()).hexdigest()
    with _lock:
        known = _digests.get(text)
    if known is not None:
        return known
    check_parameters_fit(references(recipe))  # what is a part of the recipe is in memory already
    hasher = hashlib.sha256()
    rest = text
    for reference in sorted(found, key=lambda one: one.name):  # in the order of the JSON keys
        before, _, rest = rest.partition(canonical(reference.to_dict()))
        hasher.update(before.encode())
        _hash_array(hasher, array_of(reference, own))
    hasher.update(rest.encode())
    out = hasher.hexdigest()
    with _lock:
        _digests[text] = out
        while len(_digests) > RECIPE_DIGESTS_KEPT:
            _digests.popitem(last=False)
    return out


def _hash_array(hasher: Any, array: NDArray[Any]) -> None:
    """Feed the canonical JSON of an array, of which a few numbers at a time are text."""
    step = NUMBERS_AS_TEXT_AT_ONCE if array.ndim == 1 else 1
    hasher.update(b"[")
    for start in range(0, len(array), step):
        if start:
            hasher.update(b",")
        if array.ndim == 1:
            part = canonical(array[start : start + step].tolist())
            hasher.update(part[1:-1].encode())  # without the brackets
        else:
            _hash_array(hasher, array[start])
    hasher.update(b"]")
