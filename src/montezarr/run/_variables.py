"""The variables of a Dataset: their attributes, and codes with their labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.samplers import EVENT_TIME, Sampler
from montezarr.samplers.schema import TIME

LABELS = "labels"
"""Entry of the encoding of a variable whose values are codes: code and label of each state."""


def coordinates_of(sampler: Sampler) -> dict[str, Any]:
    """Return the coordinates of the variables of a run: the times, and the labels of others."""
    found: dict[str, Any] = {dim: (dim, list(labels)) for dim, labels in sampler.coords.items()}
    if any(TIME in variable.dims for variable in sampler.variables):
        attributes = {"axis": "T", "long_name": "time"}
        found = {TIME: (TIME, sampler.times, attributes), **found}
    return found


def variable_attributes(variable: Any) -> dict[str, Any]:
    """Return the attributes of a variable: those of CF, and what its sampler said of it."""
    if variable.name == EVENT_TIME:
        return {"long_name": "time of the event"}
    if variable.labels is None:
        return dict(variable.attrs)
    codes = np.arange(len(variable.labels), dtype=variable.dtype)
    flags = {"flag_values": own_flags(codes), "flag_meanings": flag_meanings(variable.labels)}
    return {**variable.attrs, **flags}


def flag_meanings(labels: Iterable[Any]) -> str:
    """Return labels as CF has them for other programs: words, so that blanks are lost."""
    return " ".join(str(label).replace(" ", "_") for label in labels)


def own_flags(codes: NDArray[Any]) -> NDArray[Any]:
    """Return codes as the flag_values of a run: read-only, which those of others are not.

    Arithmetic of xarray keeps attributes and drops the encoding. Where it has been at work, these
    flags are there without the labels of `label_encoding`, and no flags of what it made.
    """
    codes.setflags(write=False)
    return codes


def label_encoding(variable: Any) -> dict[str, Any]:
    """Return the entry of the encoding with code and label of each state, which loses nothing."""
    return {} if variable.labels is None else {LABELS: tuple(enumerate(variable.labels))}


def masked_attribute(variable: Any, sampler: Any) -> dict[str, Any]:
    """Return the attribute that tells the number of masked paths, where it is not NaN.

    It is an entry of the encoding too, which arithmetic drops: only there does it hold for sure.
    """
    is_told = sampler.may_mask and not variable.is_real
    return {"masked_value": variable.masked} if is_told else {}


def variables_of(obj: xr.DataArray | xr.Dataset) -> dict[Any, xr.Variable]:
    """Return the variables of a Dataset by name, or of a DataArray, without their coordinates.

    To give one of k variables its coordinates, xarray looks at all of them: k times that is k².
    """
    if isinstance(obj, xr.DataArray):
        return {obj.name: obj.variable}
    return {name: obj.variables[name] for name in obj.data_vars}
