"""The results of a reduction as a Dataset, collected from estimates one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.reduction.sources import TIME
from montezarr.run._attributes import ATTRIBUTE
from montezarr.statistics import Estimate, Source


def full_name(source: Source, name: str) -> str:
    """Return the name of a result, prefixed by that of its variable."""
    return f"{source.name}_{name}" if source.name else name


class Collected:
    """Collects estimates of all variables and groups into a Dataset."""

    def __init__(self, layout: Any):
        self.layout = layout
        self.values: dict[str, list[Any]] = {}
        self.facts: dict[str, tuple[int, str, Estimate]] = {}
        self.lost: dict[str, list[Any]] = {}
        self.lost_of: dict[str, int] = {}

    def add(self, position: int, group: Any, statistic: str, name: str, estimate: Estimate) -> None:
        """Add one estimate of a group."""
        full = full_name(self.layout.accumulator.reduced_variables[position].source, name)
        self.values.setdefault(full, []).append(np.asarray(estimate.values))
        self.facts.setdefault(full, (position, statistic, estimate))

    def add_lost(self, position: int, group: Any, count: NDArray[np.int64]) -> None:
        """Add the numbers of values that do not count."""
        source = self.layout.accumulator.reduced_variables[position].source
        full = full_name(source, "nonfinite")
        if self.lost_of.setdefault(full, position) == position:
            self.lost.setdefault(full, []).append(count)

    def dataset(self, groups: Sequence[Any], paths: int) -> xr.Dataset:
        """Return the Dataset; a dimension keeps its name if all results agree on its coordinate."""
        layout = self.layout
        clashing = self._clashing()
        variables: dict[str, Any] = {}
        coords: dict[str, Any] = {}
        for full, (position, statistic, estimate) in self.facts.items():
            reduced = layout.accumulator.reduced_variables[position]
            dims, shape = layout.dims[position]
            prefix = full_name(reduced.source, statistic)
            names = {d: f"{prefix}_{d}" if d in clashing else d for d in estimate.dims}
            scalars = {}
            for name, value in estimate.coords.items():
                if isinstance(value, tuple):
                    dim, array = value
                    own = f"{prefix}_{name}" if dim in clashing else name
                    coords[own] = (names[dim], np.asarray(array))
                elif name in estimate.dims:
                    coords[names[name]] = (names[name], self._times(name, value))
                else:
                    scalars[name] = value
            variables[full] = self._variable(
                self.values[full], (*dims, *(names[d] for d in estimate.dims)), shape, groups,
                {**_attributes(reduced.source, full, estimate), **scalars},
            )  # fmt: skip
        for full, parts in self.lost.items():
            dims, shape = layout.dims[self.lost_of[full]]
            attrs = {"long_name": "values that are not finite, or masked", "units": "1"}
            variables[full] = self._variable(parts, dims, shape, groups, attrs)
        if layout.by is not None:
            coords[layout.by.name] = (layout.by.name, layout.group_coordinate(groups))
        used = {d for dims, _ in layout.dims for d in dims}
        for name, coordinate in layout.schema.coords.items():
            if set(coordinate.dims) <= used and name not in coords and name not in variables:
                coords[name] = coordinate
        attrs = {k: v for k, v in layout.schema.attrs.items() if k == ATTRIBUTE}
        return xr.Dataset(variables, coords, {**attrs, "n_paths": paths})

    def _variable(
        self, parts: list[Any], dims: Any, shape: Any, groups: Sequence[Any], attrs: Any
    ) -> tuple[Any, ...]:
        arrays = [part.reshape((*shape, *part.shape[1:])) for part in parts]
        if self.layout.by is None:
            return dims, arrays[0], attrs
        return (self.layout.by.name, *dims), np.stack(arrays), attrs

    def _times(self, name: str, value: Any) -> Any:
        """Return a coordinate; for times that of the variable, such as dates."""
        own = self.layout.schema.coords.get(TIME)
        if name in (TIME, f"{TIME}_2") and own is not None and own.size == np.size(value):
            return own.values
        return np.asarray(value)

    def _clashing(self) -> set[str]:
        """Return the dimensions on whose coordinates the results differ."""
        layout = self.layout
        known: dict[str, Any] = {
            d: (
                np.asarray(layout.schema.coords[d].values) if d in layout.schema.coords else None,
                n,
            )
            for dims, shape in layout.dims
            for d, n in zip(dims, shape, strict=True)
        }
        out = set()
        for position, _, estimate in self.facts.values():
            taken = {*layout.dims[position][0], *([layout.by.name] if layout.by else [])}
            for dim, size in zip(estimate.dims, np.shape(estimate.values)[1:], strict=True):
                coordinate = estimate.coords.get(dim)
                array = None if coordinate is None else self._times(dim, coordinate)
                if dim in taken:
                    out.add(dim)
                elif dim not in known:
                    known[dim] = array, size
                elif not _agree(known[dim], (array, size)):
                    out.add(dim)
        return out


def _agree(a: tuple[Any, int], b: tuple[Any, int]) -> bool:
    if a[1] != b[1]:
        return False
    return a[0] is None or b[0] is None or np.array_equal(a[0], b[0])


def _attributes(source: Source, full: str, estimate: Estimate) -> dict[str, Any]:
    text = full.replace("_", " ")
    if source.long_name and source.name and full.startswith(f"{source.name}_"):
        text = source.long_name + text.removeprefix(source.name.replace("_", " "))
    attrs = {"long_name": text, **estimate.attrs}
    if "units" not in attrs and estimate.power is not None:
        if estimate.power == 0:
            attrs["units"] = "1"
        elif source.units is not None:
            power = f"^{estimate.power}" if estimate.power != 1 else ""
            attrs["units"] = f"({source.units}){power}" if power else source.units
    return attrs
