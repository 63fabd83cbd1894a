"""The user's `transform`: a function of a Dataset in memory, applied before the statistics."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from montezarr.core.checks import show, type_error, value_error
from montezarr.reduction.accumulate import Arrays
from montezarr.reduction.sources._chunk_function import is_pathwise
from montezarr.reduction.sources._labels import check_comparisons
from montezarr.reduction.sources._path_data import PathData
from montezarr.reduction.sources._schema import Schema
from montezarr.run._variables import LABELS
from montezarr.samplers import PathArrays
from montezarr.samplers.schema import PATH


class DatasetFunction:
    """Calls the user's function on arrays, each with the paths along its last axis.

    Parameters
    ----------
    function : callable
        From a Dataset in memory, with the variables (path, ...) of `schema`, to a Dataset or
        DataArray with the same paths.
    schema : Schema
        The variables of the arrays.
    """

    def __init__(self, function: Callable[[xr.Dataset], Any], schema: Schema):
        self.function, self.schema = function, schema

    def schema_of_result(self, arrays: Arrays) -> Schema:
        """Return the schema of what the function returns, from a few paths, on which it is checked.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If it fails, or if its result for a path depends on other paths.
        """
        self._check_comparisons(arrays)
        found = self.result(arrays)
        if not is_pathwise(self, arrays):
            raise value_error(
                "transform", "a function that treats every path alike", show(self.function),
                "What it makes of a path depends on the paths beside it, so results would depend on"
                " chunks.",
            )  # fmt: skip
        own = self.schema
        return replace(found.schema, run_times=own.run_times, grouping=own.grouping)

    def _check_comparisons(self, arrays: Arrays) -> None:
        """Raise if it compares codes with text, which only the graph of lazy arrays shows."""
        if all(variable.labels is None for variable in self.schema.variables):
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made = PathData.of(self.function(self.dataset(arrays).chunk()))
        except Exception:  # it need not support lazy arrays: its blocks are in memory
            return
        for array in made.variables.values():
            check_comparisons(array, of_codes=True)

    def dataset(self, arrays: Arrays) -> xr.Dataset:
        """Return the Dataset that the function gets.

        Paths are contiguous in memory, whatever the source: the last bits of NumPy's sums over time
        depend on the layout.
        """
        variables = {}
        for v, a in zip(self.schema.variables, arrays, strict=True):
            values = np.moveaxis(np.ascontiguousarray(a, v.dtype), -1, 0)
            values.flags.writeable = False  # they may be the user's own
            known = {} if v.labels is None else {LABELS: v.labels}
            variables[v.name] = ((PATH, *v.dims), values, v.attrs, known)
        return xr.Dataset(variables, self.schema.coords, self.schema.attrs)

    def result(self, arrays: Arrays) -> PathData:
        """Return the checked result of the function.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If it returns anything but numbers of these paths.
        """
        out = self.function(self.dataset(arrays))
        if not isinstance(out, (xr.DataArray, xr.Dataset)):
            raise type_error("transform", "a function that returns a DataArray or Dataset", out)
        n = arrays[0].shape[-1]
        if out.sizes.get(PATH) != n:
            expected = f"a function that returns {n} paths for {n} paths"
            raise value_error("transform", expected, dict(out.sizes))
        return PathData.of(out)

    def __call__(self, arrays: Arrays) -> Arrays:
        """Apply the function to arrays."""
        n = arrays[0].shape[-1]
        # NumPy sums a single path in another order than several.
        several = arrays if n > 1 else [np.repeat(array, 2, axis=-1) for array in arrays]
        found = self.result(several).variables.values()
        return [np.asarray(v.transpose(..., PATH).values)[..., :n] for v in found]


class ComposedFunction:
    """A chunk function followed by the user's function."""

    def __init__(
        self, chunk_function: Callable[[Any], Arrays] | None, dataset_function: DatasetFunction
    ):
        self.chunk_function, self.dataset_function = chunk_function, dataset_function

    def __call__(self, drawn: PathArrays) -> Arrays:
        """Apply both functions to path arrays."""
        whole = list(drawn.values()) if self.chunk_function is None else self.chunk_function(drawn)
        return self.dataset_function(whole)
