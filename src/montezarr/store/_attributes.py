"""Attributes and coordinates as a store holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from montezarr.core.checks import type_error, value_error
from montezarr.store._codes import text_as_codes
from montezarr.store.format import Constant, check_name

RESERVED = ("scale_factor", "add_offset", "_FillValue", "missing_value", "dtype", "_Unsigned")
"""Attributes by which readers change stored values."""


def check_attributes(name: str, attributes: Mapping[Any, Any]) -> None:
    """Raise for attributes by which readers change the values of a variable."""
    for key in RESERVED:
        if key in attributes:
            raise value_error(
                "ds", f"no attribute {key!r} of {name!r}, by which readers change values",
                attributes[key], "Drop it, or rename it.",
            )  # fmt: skip
    if " since " in str(attributes.get("units", "")):
        raise value_error(
            "ds", f"units of {name!r} that readers take for numbers", attributes["units"],
            "They would make dates of them: drop the attribute.",
        )  # fmt: skip


def constant_of(name: str, coordinate: xr.DataArray, text: list[Any] | None) -> Constant:
    """Return a coordinate as it is stored; that whose labels are some text, by its codes."""
    variable = coordinate.variable
    if text is not None and coordinate.dtype.kind in "UO" and coordinate.values.tolist() == text:
        variable = text_as_codes(text)
    if variable.dtype.kind in "mM":
        variable = xr.conventions.encode_cf_variable(variable)
    if variable.dtype.kind not in "iufb":
        raise type_error(
            "ds", f"numbers in the coordinate {name!r}", variable.dtype,
            "A store holds no text: drop it, or make codes of it with flag_meanings.",
        )  # fmt: skip
    attributes = {str(k): plain_attribute(k, v) for k, v in variable.attrs.items()}
    dims = tuple(map(str, coordinate.dims))
    return Constant(
        name=check_name(name), dims=dims, values=np.asarray(variable.values), attributes=attributes
    )


def plain_attribute(name: Any, value: Any) -> Any:
    """Return an attribute in JSON types."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise value_error("ds", f"attributes that JSON can hold, in {name!r}", value) from error
