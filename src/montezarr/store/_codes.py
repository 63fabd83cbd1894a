"""Labels of the codes in a store: of variables, and of text coordinates."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from montezarr.core.json import parse_json
from montezarr.reduction.sources import labels_in_recipe
from montezarr.run._attributes import recipe_told
from montezarr.run._variables import LABELS, flag_meanings, own_flags
from montezarr.statistics._labels import label_coordinate

TEXT = "montezarr_labels"
"""Attribute of a coordinate with its labels as JSON, where its values are their positions."""


def text_of_run(recipe: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the text coordinates of a run by name, as nested lists."""
    coords, scenarios = recipe.get("coords"), recipe.get("scenario_coords")
    found: dict[Any, Any] = dict(coords) if isinstance(coords, Mapping) else {}
    for name, entry in scenarios.items() if isinstance(scenarios, Mapping) else ():
        found[name] = entry.get("values") if isinstance(entry, Mapping) else None
    return {
        str(name): list(labels)
        for name, labels in found.items()
        if isinstance(labels, (list, tuple)) and _is_text(labels)
    }


def _is_text(labels: Any) -> bool:
    if isinstance(labels, (list, tuple)):
        return all(map(_is_text, labels))
    return isinstance(labels, str)


def text_as_codes(labels: list[Any]) -> xr.Variable:
    """Return a text coordinate as positions of its labels: a store holds no text."""
    array = np.array(labels, object)
    dims = [f"label_{axis}" for axis in range(array.ndim)]
    attributes = code_attributes(array.ravel().tolist(), in_full=True)
    return xr.Variable(dims, np.arange(array.size).reshape(array.shape), attributes)


def code_attributes(labels: list[Any], *, in_full: bool) -> dict[str, Any]:
    """Return the CF attributes of positions of labels, with the full labels where needed."""
    meanings = flag_meanings(labels)
    attributes = {"flag_values": list(range(len(labels))), "flag_meanings": meanings}
    if in_full or meanings.split() != labels:
        attributes[TEXT] = json.dumps(labels)
    return attributes


def with_text(ds: xr.Dataset) -> xr.Dataset:
    """Return a Dataset of a store with its text coordinates decoded."""

    def labels_of(coordinate: xr.DataArray) -> list[Any] | None:
        labels = _full_labels(coordinate)
        is_text = labels is not None and all(isinstance(label, str) for label in labels)
        return labels if is_text and coordinate.ndim else None

    return _with_labels(ds, labels_of)


def with_labels(ds: xr.Dataset, recipe: Mapping[str, Any]) -> xr.Dataset:
    """Return results with labels in place of the codes in a store.

    Labels that differ from the CF words are an attribute; in earlier stores they are only in the
    recipe.
    """

    def labels_of(coordinate: xr.DataArray) -> list[Any] | None:
        if "flag_meanings" not in coordinate.attrs:
            return None
        meanings = str(coordinate.attrs["flag_meanings"])
        known = _full_labels(coordinate) or labels_in_recipe(recipe, None, meanings)
        return list(known or meanings.split())

    return _with_labels(ds, labels_of)


def _full_labels(coordinate: xr.DataArray) -> list[Any] | None:
    """Return the full labels in the attribute of codes, or None."""
    text = coordinate.attrs.get(TEXT)
    try:
        labels = parse_json(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return labels if isinstance(labels, list) else None


def _with_labels(
    ds: xr.Dataset, labels_of: Callable[[xr.DataArray], list[Any] | None]
) -> xr.Dataset:
    """Return a Dataset with labels in place of codes, where its coordinates have labels."""
    found = {name: (c, labels_of(c)) for name, c in ds.coords.items()}
    return ds.assign_coords(
        {
            name: (coordinate.dims, label_coordinate(labels)[coordinate.values])
            for name, (coordinate, labels) in found.items()
            if labels is not None and _are_positions(coordinate, len(labels))
        }
    )


def _are_positions(codes: xr.DataArray, count: int) -> bool:
    """Return whether codes are positions of `count` labels; any program may have written them."""
    values = codes.values
    return values.dtype.kind in "iu" and bool(((values >= 0) & (values < count)).all())


def know_labels(ds: xr.Dataset) -> None:
    """Give labelled variables the flags and labels that `simulate` gives them.

    Results of arithmetic with codes are stored with their attributes, but with another name or
    dtype.
    """
    recipe = recipe_told(ds.attrs)
    for name, variable in ds.data_vars.items():
        meanings = variable.attrs.get("flag_meanings")
        if not isinstance(meanings, str) or "flag_values" not in variable.attrs:
            continue
        known = labels_in_recipe(recipe, None, meanings)
        if known is None:
            continue  # not written by montezarr
        labels = labels_in_recipe(recipe, name, meanings, variable.dtype)
        kind = np.int64 if labels is None else variable.dtype
        variable.attrs["flag_values"] = own_flags(np.arange(len(known), dtype=kind))
        if labels is not None:
            variable.encoding[LABELS] = tuple(enumerate(labels))
