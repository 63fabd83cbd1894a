"""Labels of the codes that a store holds: of variables, and of coordinates of text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from montezarr.core.json import parse_json
from montezarr.reduction.sources import labels_in_recipe
from montezarr.run._variables import LABELS, flag_meanings, own_flags
from montezarr.statistics._labels import label_coordinate

TEXT = "montezarr_labels"
"""Attribute of a coordinate with its labels as JSON, where its values are their positions."""


def text_of_run(recipe: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the coordinates of text that a run declares, by dimension."""
    coords = recipe.get("coords")
    if not isinstance(coords, Mapping):
        return {}
    return {
        str(dim): list(labels)
        for dim, labels in coords.items()
        if isinstance(labels, (list, tuple)) and all(isinstance(label, str) for label in labels)
    }


def text_as_codes(labels: list[str]) -> xr.Variable:
    """Return a coordinate of text as the positions of its labels: a store holds no text."""
    return xr.Variable("label", np.arange(len(labels)), code_attributes(labels, in_full=True))


def code_attributes(labels: list[Any], *, in_full: bool) -> dict[str, Any]:
    """Return the attributes of positions of labels: as CF has them, and in full where need be."""
    meanings = flag_meanings(labels)
    attributes = {"flag_values": list(range(len(labels))), "flag_meanings": meanings}
    if in_full or meanings.split() != labels:
        attributes[TEXT] = json.dumps(labels)
    return attributes


def with_text(ds: xr.Dataset) -> xr.Dataset:
    """Return a Dataset of a store with its coordinates of text as such."""
    for name, coordinate in ds.coords.items():
        text = coordinate.attrs.get(TEXT)
        if not isinstance(text, str) or coordinate.ndim != 1:
            continue
        try:
            labels = parse_json(text)
        except ValueError:  # somebody else's
            continue
        is_text = isinstance(labels, list) and all(isinstance(label, str) for label in labels)
        if is_text and len(labels) == coordinate.size:
            ds = ds.assign_coords({name: (coordinate.dims, labels)})
    return ds


def know_labels(ds: xr.Dataset) -> None:
    """Give labelled variables what `simulate` gives them: flags of their own, and the labels.

    What arithmetic made of codes was stored with their attributes, under another name or dtype.
    """
    for name, variable in ds.data_vars.items():
        meanings = variable.attrs.get("flag_meanings")
        if not isinstance(meanings, str) or "flag_values" not in variable.attrs:
            continue
        known = labels_in_recipe(ds.attrs, None, meanings)
        if known is None:
            continue  # somebody else's
        labels = labels_in_recipe(ds.attrs, name, meanings, variable.dtype)
        kind = np.int64 if labels is None else variable.dtype
        variable.attrs["flag_values"] = own_flags(np.arange(len(known), dtype=kind))
        if labels is not None:
            variable.encoding[LABELS] = tuple(enumerate(labels))


def with_labels(ds: xr.Dataset, recipe: Mapping[str, Any]) -> xr.Dataset:
    """Return results with labels in the place of the codes that a store holds.

    Where words are not the labels they stand beside; earlier stores have them in the recipe alone.
    """
    for name, coordinate in ds.coords.items():
        if "flag_meanings" in coordinate.attrs:
            meanings = str(coordinate.attrs["flag_meanings"])
            labels: Any = labels_in_recipe(recipe, None, meanings) or meanings.split()
            if TEXT in coordinate.attrs:
                labels = parse_json(coordinate.attrs[TEXT])
            values = label_coordinate(labels)[coordinate.values]
            ds = ds.assign_coords({name: (coordinate.dims, values)})
    return ds
