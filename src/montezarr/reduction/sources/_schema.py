"""The schema that statistics see: variables of a Dataset with their labels and attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.checks import type_error, value_error
from montezarr.core.compat.dask import meta_of
from montezarr.reduction.sources._labels import are_codes, check_comparisons, labels_of
from montezarr.reduction.sources._times import run_times, times_in
from montezarr.run._variables import variables_of
from montezarr.samplers.schema import PATH, TIME
from montezarr.statistics import Source
from montezarr.statistics._labels import Labels

NUMBERS = "iufb"


@dataclass(frozen=True)
class SourceVariable:
    """One variable, described without its paths.

    Attributes
    ----------
    name : str
        Its name.
    dims, shape : tuple
        Dimensions and sizes, except that of the paths.
    dtype : dtype
        Of its values.
    attrs : dict
        Its attributes.
    masked : int or None
        The number that stands for a masked path, where that is not NaN.
    labels : tuple of (int, str or int) or None
        Code and label of each state, if the variable has them.
    are_codes : bool
        Whether the values are those codes, and so not numbers to compute with.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    attrs: Mapping[str, Any]
    masked: float | None = None
    labels: Labels | None = None
    are_codes: bool = False

    @property
    def path_bytes(self) -> int:
        """Bytes of one path."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


@dataclass(frozen=True)
class Schema:
    """All variables that have paths.

    Attributes
    ----------
    variables : tuple of SourceVariable
        In order.
    coords : dict of str to DataArray
        Coordinates without paths.
    attrs : dict
        Attributes of the Dataset.
    run_times : array or None
        The kept times of the run behind the Dataset, where there is one.
    """

    variables: tuple[SourceVariable, ...]
    coords: Mapping[str, Any] = field(default_factory=dict)
    attrs: Mapping[str, Any] = field(default_factory=dict)
    run_times: NDArray[np.float64] | None = field(default=None, compare=False)

    @property
    def path_bytes(self) -> int:
        """Bytes of one path of all variables."""
        return sum(variable.path_bytes for variable in self.variables)

    def times_of(self, variable: SourceVariable) -> dict[str, Any]:
        """Return the times of a variable as fields of `Source`."""
        if TIME not in variable.dims:
            return {}
        count = variable.shape[variable.dims.index(TIME)]
        found = times_in(self.coords.get(TIME), count, self.run_times)
        return {"times": found.values, "time_units": found.units, "mismatch": found.mismatch}

    def shown_times(self, dims: Sequence[str], shape: Sequence[int]) -> list[float] | None:
        """Return the times of these dimensions by their coordinate, independent of the run."""
        if TIME not in dims:
            return None
        times = times_in(self.coords.get(TIME), shape[dims.index(TIME)], None).values
        return list(times.tolist())

    def source_of(self, variable: SourceVariable) -> Source:
        """Return the description of a variable for statistics."""
        units, long_name = variable.attrs.get("units"), variable.attrs.get("long_name")
        return Source(
            name=variable.name,
            labels=variable.labels,
            units=None if units is None else str(units),
            long_name=None if long_name is None else str(long_name),
            is_boolean=variable.dtype.kind == "b",
            **self.times_of(variable),
        )


def as_dataset(obj: Any, dim: str) -> xr.Dataset:
    """Return a DataArray or Dataset as a Dataset of the variables that have paths.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If it is neither, has no dimension `dim`, or no numbers.
    """
    if not isinstance(obj, (xr.DataArray, xr.Dataset)):
        hint = "Pass its .dataset." if hasattr(obj, "dataset") else ""
        raise type_error("obj", "a DataArray or Dataset", obj, hint)
    if dim not in obj.dims:
        raise value_error("dim", f"one of the dimensions {tuple(obj.dims)}", dim)
    if isinstance(obj, xr.DataArray):
        name = "x" if obj.name is None else str(obj.name)
        # Drop a coordinate of the same name, which would conflict.
        ds = (obj.reset_coords(drop=True) if name in obj.coords else obj).to_dataset(name=name)
        ds.attrs = {}
    else:
        ds = obj
    if dim != PATH:
        if PATH in ds.dims or PATH in ds.variables:
            raise value_error("dim", f"{PATH!r}, since there is one", dim)
        ds = ds.rename({dim: PATH})
    known = [key for key, variable in variables_of(ds).items() if PATH in variable.dims]
    ds = ds[known].rename({key: str(key) for key in known if key != str(key)})
    floats = {}
    for key, variable in variables_of(ds).items():
        if variable.dtype.kind not in NUMBERS:
            raise type_error("obj", f"numbers in {key!r}", variable.dtype)
        is_masked = isinstance(meta_of(variable.data), np.ma.MaskedArray)
        if is_masked and variable.dtype.kind != "f":  # as xarray computes: masked paths are NaN
            floats[key] = variable.astype(np.float64)
        if variable.size == 0 and ds.sizes[PATH]:
            raise value_error("obj", f"values in {key!r}", dict(variable.sizes))
    if not known:
        raise value_error("obj", f"a variable with the dimension {dim!r}", list(obj.data_vars))
    if ds.sizes[PATH] == 0:
        raise value_error("obj", f"at least one {dim}", dict(ds.sizes))
    return ds.assign(floats) if floats else ds


def schema_of(ds: xr.Dataset) -> Schema:
    """Return the schema of a Dataset in which every variable has paths.

    Raises
    ------
    ArgumentValueError
        If a lazy variable compares codes with text.
    """
    variables = []
    for name, array in variables_of(ds).items():
        check_comparisons(array)
        dims = tuple(str(d) for d in array.dims if d != PATH)
        shape = tuple(array.sizes[d] for d in dims)
        masked, labels = array.encoding.get("masked_value"), labels_of(array, ds.attrs)
        variables.append(
            SourceVariable(
                str(name), dims, shape, array.dtype, dict(array.attrs), masked, labels,
                are_codes(array, labels),
            )
        )  # fmt: skip
    coords = {str(name): c for name, c in ds.coords.items() if PATH not in c.dims}
    return Schema(tuple(variables), coords, dict(ds.attrs), run_times(ds.attrs))


def check_masks(schema: Schema) -> None:
    """Raise where masked paths cannot be identified: arithmetic changes the number for them.

    Raises
    ------
    ArgumentValueError
        With the remedy.
    """
    for variable in schema.variables:
        if variable.masked is None and "masked_value" in variable.attrs:
            raise value_error(
                "obj", "masked paths of integers that can be told from others", variable.name,
                "Masked ones are a number there, and arithmetic made another one of it: mask before"
                " it, by x.where(x != x.masked_value).drop_attrs().",
            )  # fmt: skip
