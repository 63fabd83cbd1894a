"""Path data: any object with paths, checked, and each fact about it asked once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from dask.base import is_dask_collection

from montezarr.core.checks import type_error, value_error
from montezarr.core.compat.dask import meta_of
from montezarr.random.designs._built_in import grouping_in
from montezarr.reduction.sources._schema import Schema, schema_of
from montezarr.run._behind import undrawn_run
from montezarr.run._origins import Origin
from montezarr.run._provenance import Provenance
from montezarr.run._run import Run
from montezarr.run._variables import variables_of
from montezarr.samplers.schema import PATH

NUMBERS = "iufb"

GROUP = "group"
"""Name of the variable of the groups where it has none."""


@dataclass(frozen=True, eq=False)
class PathData:
    """A Dataset in which every variable has paths.

    Attributes
    ----------
    ds : Dataset
        The Dataset: the dimension of the paths is `PATH`, names are text, values are numbers.
    variables : dict of str to Variable
        Its variables by name.
    given : DataArray or Dataset
        The object that it was made of.
    dim : str
        The dimension of the paths there.
    """

    ds: xr.Dataset
    variables: Mapping[str, xr.Variable]
    given: Any
    dim: str

    @classmethod
    def of(cls, obj: Any, dim: str = PATH) -> PathData:
        """Return the variables of a DataArray or Dataset that have paths.

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
        ds = _named(obj) if isinstance(obj, xr.DataArray) else obj
        if dim != PATH:
            if PATH in ds.dims or PATH in ds.variables:
                raise value_error("dim", f"{PATH!r}, since there is one", dim)
            ds = ds.rename({dim: PATH})
        variables = variables_of(ds)
        known = [key for key, variable in variables.items() if PATH in variable.dims]
        ds = ds[known].rename({key: str(key) for key in known if key != str(key)})
        floats = {}
        for key in known:
            variable = variables[key]
            if variable.dtype.kind not in NUMBERS:
                raise type_error("obj", f"numbers in {str(key)!r}", variable.dtype)
            is_masked = isinstance(meta_of(variable.data), np.ma.MaskedArray)
            if is_masked and variable.dtype.kind != "f":  # as xarray computes: masked ones are NaN
                floats[str(key)] = variable.astype(np.float64)
            if variable.size == 0 and ds.sizes[PATH]:
                raise value_error("obj", f"values in {str(key)!r}", dict(variable.sizes))
        if not known:
            raise value_error("obj", f"a variable with the dimension {dim!r}", list(obj.data_vars))
        if ds.sizes[PATH] == 0:
            raise value_error("obj", f"at least one {dim}", dict(ds.sizes))
        found = {str(key): floats.get(str(key), variables[key]) for key in known}
        return cls(ds.assign(floats) if floats else ds, found, obj, dim)

    def only(self, names: Collection[str]) -> PathData:
        """Return the data of some variables: others are not computed."""
        kept = {name: v for name, v in self.variables.items() if name in names}
        others = [name for name in self.variables if name not in kept]
        return replace(self, ds=self.ds.drop_vars(others), variables=kept)

    def with_group(self, by: Any) -> tuple[PathData, str]:
        """Return the data with the variable of the groups, and its name.

        Parameters
        ----------
        by : str or DataArray
            A variable, a coordinate of the given object, or an array of its paths.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If it is none of these, or its name is taken.
        """
        ds, dim = self.ds, self.dim
        if isinstance(by, str):
            if by in self.variables:
                return self, by
            if by not in self.given.coords:
                known = [*self.variables, *map(str, self.given.coords)]
                raise value_error("by", f"one of {', '.join(known)}, or a DataArray", by)
            array, name = self.given.coords[by].drop_vars(by), by
        elif isinstance(by, xr.DataArray):
            array, name = by, str(by.name or GROUP)
        else:
            raise type_error("by", "the name of a variable, or a DataArray", by)
        if dim not in array.dims:
            raise value_error("by", f"a variable with the dimension {dim!r}", array.dims)
        if array.sizes[dim] != ds.sizes[PATH]:
            raise value_error("by", f"{ds.sizes[PATH]} paths", array.sizes[dim])
        variable, own = array.variable, self.variables.get(name)
        if name in ds.dims or (own is not None and not _is_same(variable.data, own.data)):
            raise value_error(
                "by", f"a name that is not taken by another of {[*ds.dims, *self.variables]}", name,
                "The result gets a dimension of it: pass by.rename('group').",
            )  # fmt: skip
        dims = [PATH if d == dim else d for d in variable.dims]
        group = xr.Variable(dims, variable.data, variable.attrs, variable.encoding)
        rest = {key: v for key, v in self.variables.items() if key != name}
        ds = ds.drop_vars(name, errors="ignore").assign({name: group})
        return replace(self, ds=ds, variables={**rest, name: ds.variables[name]}), name

    @cached_property
    def schema(self) -> Schema:
        """What the variables are, path by path.

        Raises
        ------
        ArgumentValueError
            If a lazy variable is made by comparing codes with a text.
        """
        # An array has no recipe, but the graph of a lazy one tells.
        times = _times_of(self.provenance.runs)
        schema = schema_of(self.ds, self.variables, times)
        groupings = {grouping_in(origin.recipe) for origin in self.origins.values()}
        return replace(schema, grouping=groupings.pop()) if len(groupings) == 1 else schema

    @cached_property
    def provenance(self) -> Provenance:
        """What the variables are made of."""
        return Provenance(self.ds, self.variables)

    @property
    def origins(self) -> Mapping[str, Origin]:
        """The arrays of paths that the lazy variables are made of, by their names in the graph."""
        return self.provenance.origins

    @property
    def run(self) -> Run | None:
        """The run of this process behind the variables, where there is exactly one."""
        found: Run | None = self.provenance.run
        return found

    @cached_property
    def undrawn(self) -> Run | None:
        """The run whose paths, still to be drawn, all variables are made of, or None.

        Of an expression of several runs it is the run of all of them.
        """
        return undrawn_run(self.provenance) if all(self.is_lazy) else None

    @cached_property
    def is_lazy(self) -> tuple[bool, ...]:
        """Which of the variables are lazy."""
        return tuple(is_dask_collection(variable.data) for variable in self.variables.values())

    @cached_property
    def lazy(self) -> PathData:
        """The data with all variables lazy, in the chunks of the first one that is."""
        if all(self.is_lazy):
            return self
        known = next(v for v in self.variables.values() if is_dask_collection(v.data))
        ds = self.ds.chunk({PATH: tuple(known.data.chunks[known.dims.index(PATH)])})
        return replace(self, ds=ds, variables={name: ds.variables[name] for name in self.variables})


def _times_of(runs: Sequence[Run]) -> Any:
    """Return the kept times of runs, if all have the same; else None."""
    found = [run.sampler.times for run in runs]
    return found[0] if found and all(np.array_equal(found[0], one) for one in found) else None


def _named(array: xr.DataArray) -> xr.Dataset:
    """Return a DataArray as a Dataset."""
    name = "x" if array.name is None else str(array.name)
    # Drop a coordinate of the same name, which would conflict.
    free = array.reset_coords(drop=True) if name in array.coords else array
    ds = free.to_dataset(name=name)
    ds.attrs = {}
    return ds


def _is_same(x: Any, y: Any) -> bool:
    """Return whether two arrays are the same object or graph, without computing values."""
    return x is y or (is_dask_collection(x) and is_dask_collection(y) and x.name == y.name)
