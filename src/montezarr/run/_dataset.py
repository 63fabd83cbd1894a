"""Make the Dataset of a run."""

from __future__ import annotations

import json

import xarray as xr

from montezarr.run._arrays import arrays as lazy_arrays
from montezarr.run._attributes import ATTRIBUTE
from montezarr.run._run import Run
from montezarr.run._variables import (
    coordinates_of,
    label_encoding,
    masked_attribute,
    variable_attributes,
)


def to_dataset(run: Run) -> xr.Dataset:
    """Return the lazy Dataset of a run."""
    arrays = lazy_arrays(run)
    variables = {
        variable.name: (
            variable.dims_with_paths,
            arrays[variable.name],
            variable_attributes(variable) | masked_attribute(variable, run.sampler),
            label_encoding(variable) | masked_attribute(variable, run.sampler),
        )
        for variable in run.sampler.variables
    }
    attributes = {ATTRIBUTE: json.dumps(dict(run.recipe)), **run.carried.to_attributes()}
    return xr.Dataset(variables, coordinates_of(run.sampler), attributes)
