"""Refuse recipes that are too large to be read again, before anything is drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from montezarr.core.errors import ArgumentValueError, StoreError
from montezarr.core.memory import memory_limit
from montezarr.core.parameters import check_parameters_fit, references
from montezarr.core.text import show_bytes
from montezarr.core.tunables.limits import LARGE_PARAMETERS_COPIES, LARGE_PARAMETERS_MAX_BYTES
from montezarr.store.format import MAX_BYTES, Manifest


def check_recipe_fits(manifest: Manifest, target: int) -> None:
    """Raise if metadata or parameters of a store would exceed the limits of reading.

    Raises
    ------
    ArgumentValueError
        With the largest part.
    """
    recipe = manifest.recipe_dict
    beside = sum(reference.nbytes for reference in manifest.references)
    if beside > LARGE_PARAMETERS_MAX_BYTES:
        raise too_large("ds", recipe, beside, LARGE_PARAMETERS_MAX_BYTES)
    try:
        check_parameters_fit(references(recipe))
    except StoreError as error:
        raise too_large("ds", recipe, beside, memory_limit() // LARGE_PARAMETERS_COPIES) from error
    files = manifest.files(target, target, target, True)
    largest = max(len(data) for key, data in files.items() if key.endswith(".json"))
    if largest > MAX_BYTES:
        raise too_large("ds", recipe, largest)
    try:  # `open` reads the recipe by the same rules
        Manifest.from_dict(manifest.to_dict(), "ds")
    except StoreError as error:
        raise too_large("ds", recipe, largest) from error


def too_large(
    name: str, recipe: Mapping[str, Any], size: int, most: int | None = None
) -> ArgumentValueError:
    """Return the error of a recipe that no reader accepts, with its largest part."""
    part, largest = max(_parts(recipe), key=lambda entry: entry[1])
    text = f"{show_bytes(MAX_BYTES)} of metadata"
    limit = text if most is None else f"{show_bytes(most)} of large parameters"
    return ArgumentValueError(
        f"{name}: expected a recipe that can be read again, at most {limit}, got"
        f" {show_bytes(size)}: {part} alone is {show_bytes(largest)}. Give the"
        " process to simulate as code of yours, a class with a sample(draws, grid, x0) that holds"
        " these numbers: the recipe then has their digest alone."
    )


def _parts(recipe: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield the name and the stored bytes of each part of a recipe."""
    beside = {f"process.{reference.name}": reference.nbytes for reference in references(recipe)}
    for key, value in recipe.items():
        entries = value.items() if isinstance(value, Mapping) else [("", value)]
        for inner, entry in entries:
            name = f"{key}.{inner}" if inner else key
            yield name, beside.get(name) or len(json.dumps(entry))
