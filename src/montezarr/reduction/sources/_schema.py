"""The schema that statistics see: variables of a Dataset with their labels and attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.checks import value_error
from montezarr.random.designs._base import Grouping
from montezarr.random.designs._built_in import grouping_in
from montezarr.reduction.sources._labels import are_codes, check_comparisons, labels_of
from montezarr.reduction.sources._times import times_in, times_told
from montezarr.run._attributes import event_dims_told, recipe_told
from montezarr.samplers.schema import PATH, TIME
from montezarr.statistics import Source
from montezarr.statistics._cells import Axis
from montezarr.statistics._labels import Labels


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
    grouping : Grouping or None
        How the paths of that run belong together, if it is on a design.
    first_path : int or None
        Index in the run of the first path; None if the paths are not consecutive ones of the run.
    event_dims : frozenset of str
        Dimensions along which paths differ in length.
    """

    variables: tuple[SourceVariable, ...]
    coords: Mapping[str, Any] = field(default_factory=dict)
    attrs: Mapping[str, Any] = field(default_factory=dict)
    run_times: NDArray[np.float64] | None = field(default=None, compare=False)
    grouping: Grouping | None = None
    first_path: int | None = 0
    event_dims: frozenset[str] = field(default=frozenset(), compare=False)

    def is_padded(self, position: int) -> bool:
        """Return whether values of a variable are no values where a path has no more events."""
        return not self.event_dims.isdisjoint(self.variables[position].dims)

    @property
    def path_bytes(self) -> int:
        """Bytes of one path of all variables."""
        return sum(variable.path_bytes for variable in self.variables)

    def check_masks(self) -> None:
        """Raise where masked paths cannot be identified: arithmetic changes the number for them.

        Raises
        ------
        ArgumentValueError
            With the remedy.
        """
        for variable in self.variables:
            if variable.masked is None and "masked_value" in variable.attrs:
                raise value_error(
                    "obj", "masked paths of integers that can be told from others", variable.name,
                    "Masked ones are a number there, and arithmetic made another one of it: mask"
                    " before it, by x.where(x != x.masked_value).drop_attrs().",
                )  # fmt: skip

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

    def axes_of(self, dims: Sequence[str], shape: Sequence[int]) -> tuple[Axis, ...]:
        """Return the dimensions of cells, with the labels of those that have a coordinate."""
        labels = {d: self.coords[d].values for d in dims if d in self.coords}
        return tuple(Axis(d, n, labels.get(d)) for d, n in zip(dims, shape, strict=True))

    def source_of(self, variable: SourceVariable) -> Source:
        """Return the description of a variable for statistics, without the axes of cells."""
        units, long_name = variable.attrs.get("units"), variable.attrs.get("long_name")
        return Source(
            name=variable.name,
            labels=variable.labels,
            units=None if units is None else str(units),
            long_name=None if long_name is None else str(long_name),
            is_boolean=variable.dtype.kind == "b",
            is_integer=variable.dtype.kind in "iu",
            grouping=self.grouping,
            first_path=self.first_path,
            **self.times_of(variable),
        )


def schema_of(
    ds: xr.Dataset, variables: Mapping[str, xr.Variable], run_times: NDArray[np.float64] | None
) -> Schema:
    """Return the schema of a Dataset in which every variable has paths.

    Parameters
    ----------
    variables : mapping of str to Variable
        Its variables.
    run_times : array or None
        The kept times of the run behind them, where it is known; else those of the recipe in the
        attributes.

    Raises
    ------
    ArgumentValueError
        If a lazy variable compares codes with text.
    """
    recipe, found = recipe_told(ds.attrs), []
    for name, array in variables.items():
        check_comparisons(array)
        labels = labels_of(array, recipe)
        dims = tuple(str(d) for d in array.dims if d != PATH)
        found.append(
            SourceVariable(
                name,
                dims,
                tuple(array.sizes[d] for d in dims),
                array.dtype,
                dict(array.attrs),
                masked=array.encoding.get("masked_value"),
                labels=labels,
                are_codes=are_codes(array, labels),
            )
        )
    coords = {str(name): c for name, c in ds.coords.items() if PATH not in c.dims}
    times = times_told(recipe) if run_times is None else run_times
    return Schema(
        tuple(found), coords, dict(ds.attrs), times, grouping_in(recipe),
        event_dims=event_dims_told(recipe),
    )  # fmt: skip
