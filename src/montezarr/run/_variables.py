"""The variables of a Dataset: attributes, and the labels of codes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.samplers import EVENT_TIME, Sampler
from montezarr.samplers.schema import TIME

SAMPLE = "sample_dimension"
"""Attribute of the number of events of a path, in CF of contiguous ragged arrays: its dimension."""

LABELS = "labels"
"""Entry in the encoding of a variable of codes: code and label of each state."""


def coordinates_of(sampler: Sampler) -> dict[str, Any]:
    """Return the coordinates of a run's variables: the times, and those of other dimensions."""
    found: dict[str, Any] = {dim: (dim, list(labels)) for dim, labels in sampler.coords.items()}
    if any(TIME in variable.dims for variable in sampler.variables):
        attributes = {"axis": "T", "long_name": "time"}
        found = {TIME: (TIME, sampler.times, attributes), **found}
    return found | sampler.auxiliary_coords()


def variable_attributes(variable: Any) -> dict[str, Any]:
    """Return the attributes of a variable: those of CF, and those that its sampler declares."""
    if variable.name == EVENT_TIME:
        return {"long_name": "time of the event"}
    if variable.derived and variable.event_dim is not None:  # as CF calls it
        return {"long_name": f"number along {variable.event_dim}", SAMPLE: variable.event_dim}
    if variable.labels is None:
        return dict(variable.attrs)
    codes = np.arange(len(variable.labels), dtype=variable.dtype)
    flags = {"flag_values": own_flags(codes), "flag_meanings": flag_meanings(variable.labels)}
    return {**variable.attrs, **flags}


def flag_meanings(labels: Iterable[Any]) -> str:
    """Return labels in the form of CF, for other programs: words, without their blanks."""
    return " ".join(str(label).replace(" ", "_") for label in labels)


def own_flags(codes: NDArray[Any]) -> NDArray[Any]:
    """Return codes as flag_values; being read-only marks them as written by montezarr.

    xarray's arithmetic keeps attributes and drops the encoding. So these flags without the labels
    of `label_encoding` come from arithmetic, and do not describe the values.
    """
    codes.setflags(write=False)
    return codes


def label_encoding(variable: Any) -> dict[str, Any]:
    """Return the entry of the encoding with the exact code and label of each state."""
    return {} if variable.labels is None else {LABELS: tuple(enumerate(variable.labels))}


def masked_attribute(variable: Any, sampler: Any) -> dict[str, Any]:
    """Return the attribute with the value of masked paths, and of no event, if that is not NaN.

    It is also in the encoding, which arithmetic drops: only that entry is reliable.
    """
    is_number = (sampler.may_mask or variable.has_events) and not variable.is_real
    return {"masked_value": variable.masked} if is_number else {}


def variables_of(obj: xr.DataArray | xr.Dataset) -> dict[Any, xr.Variable]:
    """Return the variables of a Dataset by name, or of a DataArray, without their coordinates.

    xarray finds the coordinates of one of k variables in time linear in k: for all, that is k².
    """
    if isinstance(obj, xr.DataArray):
        return {obj.name: obj.variable}
    return {name: obj.variables[name] for name in obj.data_vars}
