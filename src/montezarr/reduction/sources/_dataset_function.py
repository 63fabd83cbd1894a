"""The user's `transform`: a function of a Dataset in memory, applied before the statistics."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from montezarr.core.checks import show, type_error, value_error
from montezarr.reduction.accumulate import Arrays
from montezarr.reduction.sources._labels import check_comparisons
from montezarr.reduction.sources._schema import Schema, as_dataset, schema_of
from montezarr.run._variables import LABELS, variables_of
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

    def result(self, arrays: Arrays) -> xr.Dataset:
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
        return as_dataset(out, PATH)

    def __call__(self, arrays: Arrays) -> Arrays:
        """Apply the function to arrays."""
        n = arrays[0].shape[-1]
        # NumPy sums a single path in another order than several.
        several = arrays if n > 1 else [np.repeat(array, 2, axis=-1) for array in arrays]
        ds = self.result(several)
        found = variables_of(ds).values()
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


def transformed_schema(
    dataset_function: DatasetFunction, arrays: Arrays, *, is_drawn: bool = False
) -> Schema:
    """Return the schema of the result of a function, from a few paths.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If it fails, or if its result for a path depends on other paths.
    """
    for variable in dataset_function.schema.variables:
        if variable.masked is not None and not is_drawn:
            raise value_error(
                "transform", "a Dataset without masked integers", variable.name,
                "Mask them before, by x.where(x != x.masked_value).drop_attrs().",
            )  # fmt: skip
    _check_comparisons(dataset_function, arrays)
    whole = schema_of(dataset_function.result(arrays))
    whole = replace(whole, run_times=dataset_function.schema.run_times)
    if not is_pathwise(dataset_function, arrays):
        raise value_error(
            "transform", "a function that treats every path alike",
            show(dataset_function.function),
            "What it makes of a path depends on the paths beside it, so results would depend on"
            " chunks.",
        )  # fmt: skip
    return whole


def _check_comparisons(dataset_function: DatasetFunction, arrays: Arrays) -> None:
    """Raise if a function compares codes with text, which only the graph of lazy arrays shows."""
    if all(variable.labels is None for variable in dataset_function.schema.variables):
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = as_dataset(
                dataset_function.function(dataset_function.dataset(arrays).chunk()), PATH
            )
    except Exception:  # it need not support lazy arrays: its blocks are in memory
        return
    for array in variables_of(made).values():
        check_comparisons(array, of_codes=True)


def is_pathwise(
    function: Callable[[Any], Arrays], arrays: Arrays | PathArrays, whole: Arrays | None = None
) -> bool:
    """Return whether paths alone, in parts and in reverse order give the same as all together.

    `whole` is the result for all paths, if it is known.
    """
    several = arrays if isinstance(arrays, dict) else dict(enumerate(arrays))
    n = next(iter(several.values())).shape[-1]
    if n < 4:
        return True
    whole = function(arrays) if whole is None else whole
    splits = sorted({0, 2, n // 32, n // 2, n})
    parts = [slice(a, b) for a, b in itertools.pairwise(splits) if b - a > 1]
    for part in [*parts, slice(None, None, -1)]:
        some = {name: np.ascontiguousarray(array[..., part]) for name, array in several.items()}
        sample = some if isinstance(arrays, dict) else list(some.values())
        pairs = zip(whole, function(sample), strict=True)
        if not all(np.array_equal(a[..., part], b, equal_nan=True) for a, b in pairs):
            return False
    return True
