"""Recipes that are too large to be read again: refused before anything is drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from montezarr._html import show_bytes
from montezarr.errors import ArgumentValueError, StoreError
from montezarr.store.format import MAX_BYTES, Manifest


def check_recipe_fits(manifest: Manifest, target: int) -> None:
    """Raise where the metadata of a store would be larger than what is read of one.

    Raises
    ------
    ArgumentValueError
        With what makes them large.
    """
    files = manifest.files(target, target, target, True)
    largest = max(len(data) for key, data in files.items() if key.endswith(".json"))
    if largest > MAX_BYTES:
        raise too_large("ds", manifest.recipe_dict, largest)
    try:  # what opens it reads the recipe by the same rules
        Manifest.from_dict(manifest.to_dict(), "ds")
    except StoreError as error:
        raise too_large("ds", manifest.recipe_dict, largest) from error


def too_large(name: str, recipe: Mapping[str, Any], size: int) -> ArgumentValueError:
    """Return the error of a recipe that no reader takes, with its largest part."""
    part, most = max(_parts(recipe), key=lambda entry: entry[1])
    return ArgumentValueError(
        f"{name}: expected a recipe that can be read again, at most {show_bytes(MAX_BYTES)} of"
        f" metadata, got {show_bytes(size)}: {part} alone is {show_bytes(most)} as text. Give the"
        " process to simulate as code of yours, a class with a sample(draws, grid, x0) that holds"
        " these numbers: the recipe then has their digest alone."
    )


def _parts(recipe: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield the name of each part of a recipe, and the bytes of its JSON."""
    for key, value in recipe.items():
        entries = value.items() if isinstance(value, Mapping) else [("", value)]
        for inner, entry in entries:
            yield f"{key}.{inner}" if inner else key, len(json.dumps(entry))
