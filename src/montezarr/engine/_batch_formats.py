"""What a batch is for the caller: a Dataset, or a dict of NumPy arrays or of torch tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.checks import check_choice, value_error
from montezarr.core.errors import MissingDependencyError
from montezarr.core.interrupts import import_whole
from montezarr.samplers.schema import PATH

FORMATS = ("xarray", "numpy", "torch")

Rows = dict[str, NDArray[Any]]
"""Variables by name, contiguous, with the paths along the first axis."""


def path_variables(ds: xr.Dataset) -> dict[str, xr.Variable]:
    """Return the variables of a Dataset along its paths, coordinates too."""
    return {str(name): v for name, v in ds.variables.items() if PATH in v.dims}


def rows_of(ds: xr.Dataset) -> Rows:
    """Return the rows of a Dataset in memory."""
    return {
        name: np.ascontiguousarray(np.moveaxis(v.values, v.dims.index(PATH), 0))
        for name, v in path_variables(ds).items()
    }


def check_format(name: Any, ds: xr.Dataset) -> Callable[[Rows], Any] | None:
    """Return the function that makes a batch of rows; None for batches that are Datasets.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If there is no such format, or a variable has no values that it can hold.
    MissingDependencyError
        If torch is not installed.
    """
    if check_choice("format", name, FORMATS) == "xarray":
        return None
    if name == "numpy":
        return dict
    torch = _torch()
    for variable, found in path_variables(ds).items():
        try:
            torch.from_numpy(np.empty(0, found.dtype))
        except TypeError as error:
            raise value_error(
                "format", f"'xarray' or 'numpy', since torch has no values as in {variable!r}",
                str(found.dtype), "Convert the variable, or drop it.",
            ) from error  # fmt: skip
    return lambda rows: {key: torch.from_numpy(values) for key, values in rows.items()}


def _torch() -> ModuleType:
    try:
        return import_whole("torch")
    except ImportError as error:
        raise MissingDependencyError(
            "format='torch' needs the package torch: pip install torch, or the build for your"
            " machine of https://pytorch.org/get-started. Without it, take format='numpy'."
        ) from error


class AsDataset:
    """Makes a Dataset of the rows of a batch.

    Parameters
    ----------
    ds : Dataset
        The one that batches are made of.
    attrs : dict
        Attributes to add.
    """

    def __init__(self, ds: xr.Dataset, attrs: Mapping[str, Any]):
        self._variables = path_variables(ds)
        self._others = ds.drop_vars(list(self._variables)).compute()
        self._coords = [name for name in self._variables if name in ds.coords]
        self._attrs = {**ds.attrs, **attrs}
        self._names = list(ds.data_vars)

    def __call__(self, rows: Rows) -> xr.Dataset:
        """Return the Dataset."""
        found: dict[Any, xr.Variable] = dict(self._others.variables)
        for name, like in self._variables.items():
            values = np.moveaxis(rows[name], 0, like.dims.index(PATH))
            found[name] = xr.Variable(like.dims, values, like.attrs, like.encoding)
        coords = {name: found[name] for name in [*self._others.coords, *self._coords]}
        coords.setdefault(PATH, xr.Variable(PATH, rows[PATH]))
        return xr.Dataset({name: found[name] for name in self._names}, coords, self._attrs)
