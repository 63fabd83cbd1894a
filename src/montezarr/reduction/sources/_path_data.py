"""A Dataset with paths, and what is known of it: its variables and its graph are looked at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import xarray as xr
from dask.base import is_dask_collection

from montezarr.reduction.accumulate import Arrays
from montezarr.reduction.sources._schema import Schema, schema_of
from montezarr.run._origins import Origin, only_run, origins_in
from montezarr.run._run import Run
from montezarr.run._variables import variables_of
from montezarr.samplers.schema import PATH


@dataclass(frozen=True, slots=True)
class PathData:
    """A Dataset in which every variable has paths.

    Attributes
    ----------
    ds : Dataset
        The Dataset.
    variables : dict of str to Variable
        Its variables by name.
    schema : Schema
        What they are, path by path.
    origins : dict of str to Origin
        The arrays of paths that its lazy variables are made of, by their names in the graph.
    run : Run or None
        The run of this process behind them, where there is exactly one.
    """

    ds: xr.Dataset
    variables: Mapping[str, xr.Variable]
    schema: Schema
    origins: Mapping[str, Origin]
    run: Run | None

    @classmethod
    def of(cls, ds: xr.Dataset) -> PathData:
        """Look at a Dataset that `as_dataset` returned.

        Raises
        ------
        ArgumentValueError
            If a lazy variable is made by comparing codes with a text.
        """
        origins = origins_in(ds)
        run = only_run(origins)
        schema = schema_of(ds)
        if run is not None:  # an array has no recipe, but the graph of a lazy one tells
            schema = replace(schema, run_times=run.sampler.times)
        variables = {str(name): variable for name, variable in variables_of(ds).items()}
        return cls(ds, variables, schema, origins, run)

    @property
    def is_lazy(self) -> tuple[bool, ...]:
        """Which of the variables are lazy."""
        return tuple(is_dask_collection(variable.data) for variable in self.variables.values())

    def first(self, n: int) -> Arrays:
        """Return the values of the first paths, which lie along the last axis."""
        part = self.ds.isel({PATH: slice(0, n)}).compute()
        return [v.transpose(..., PATH).values for v in variables_of(part).values()]

    def chunked(self) -> xr.Dataset:
        """Return the Dataset with all variables lazy, in the chunks of the first one that is."""
        if all(self.is_lazy):
            return self.ds
        lazy = next(v for v in self.variables.values() if is_dask_collection(v.data))
        return self.ds.chunk({PATH: tuple(lazy.data.chunks[lazy.dims.index(PATH)])})
