"""The events of a Dataset: their dimensions, numbers and times."""

from __future__ import annotations

from typing import Any

import xarray as xr

from montezarr.core.checks import type_error, value_error
from montezarr.run._variables import SAMPLE
from montezarr.samplers import EVENT_TIME
from montezarr.samplers.schema import PATH


def check_dataset(ds: Any) -> xr.Dataset:
    """Return a Dataset with paths, or raise."""
    if not isinstance(ds, xr.Dataset):
        raise type_error("ds", "a Dataset from montezarr.simulate", ds)
    if PATH not in ds.dims:
        raise value_error("ds", f"variables with the dimension {PATH!r}", dict(ds.sizes))
    return ds


def has_events(ds: xr.Dataset) -> bool:
    """Return whether a Dataset has events, and their number."""
    return bool(_numbers(ds))


def numbers_in(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return the number of events of each path by dimension of events.

    Raises
    ------
    ArgumentValueError
        If there are none.
    """
    found = _numbers(ds)
    if not found:
        raise value_error(
            "ds", "a Dataset with events and their number, such as n_events", list(ds.data_vars)
        )
    return found


def _numbers(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    told = ((array.attrs.get(SAMPLE), array) for array in ds.data_vars.values())
    return {str(dim): array for dim, array in told if dim in ds.dims}


def dim_of(ds: xr.Dataset, variable: xr.DataArray, argument: str) -> str:
    """Return the dimension of events of a variable."""
    known = numbers_in(ds)
    found = [str(dim) for dim in variable.dims if dim in known]
    if len(found) != 1:
        expected = f"a variable with events along {' or '.join(known)}"
        raise value_error(argument, expected, f"{variable.name} {variable.dims}")
    return found[0]


def variable_of(ds: xr.Dataset, name: Any, argument: str) -> xr.DataArray:
    """Return a variable by its name."""
    if name not in ds.data_vars:
        raise value_error(argument, f"the name of a variable among {list(ds.data_vars)}", name)
    found: xr.DataArray = ds[name]
    return found


def times_of(ds: xr.Dataset, dim: str, name: Any = None) -> xr.DataArray:
    """Return the times of the events along a dimension.

    Parameters
    ----------
    name : str, optional
        Name of the variable. By default ``event_time``, or the dimension with ``_time``.
    """
    names = [EVENT_TIME, f"{dim}_time"] if name is None else [name]
    found = next((n for n in names if n in ds.data_vars and dim in ds[n].dims), None)
    if found is None:
        raise value_error(
            "event_time", f"the name of a variable with the times of events along {dim!r}", name,
            "By default it is event_time, or the name of the dimension with _time.",
        )  # fmt: skip
    return ds[found]
