"""Events without padding: a long table, and the contiguous ragged form of CF."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.checks import value_error
from montezarr.core.errors import MemoryBudgetError
from montezarr.core.memory import memory_limit
from montezarr.core.text import show_bytes
from montezarr.run._events import check_dataset, numbers_in
from montezarr.samplers.schema import PATH


def events_frame(ds: xr.Dataset, dim: str | None = None) -> pd.DataFrame:
    """Return the events of all paths as a long table, one row for each event.

    Parameters
    ----------
    ds : Dataset
        Paths with events from `simulate`, also read from a store, or some of them.
    dim : str, optional
        The dimension of events; required if there are several.

    Returns
    -------
    DataFrame
        Columns ``path`` (the position in `ds`, or its coordinate), the scenario dimensions if there
        are any, `dim` (0 for the first event of a path) and one for each variable along `dim`; of
        one with more dimensions a column for each entry. Labels are shown as codes.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If there are no such events.
    MemoryBudgetError
        If the table would not fit into memory.

    Examples
    --------
    >>> import montezarr as mz
    >>> def arrivals(rng):
    ...     return {"t": rng.exponential(1.0, size=rng.poisson(3.0)).cumsum()}
    >>> ds = mz.simulate(arrivals, 1000, seed=1, max_events=32)
    >>> list(mz.events_frame(ds))
    ['path', 'event', 't']
    """
    dim, number, names = _stream_of(ds, dim)
    size = sum(ds[name].nbytes for name in names)
    if size > memory_limit():
        raise MemoryBudgetError(
            f"events_frame: expected events that fit into memory, got {show_bytes(size)} with their"
            " padding. Take it of parts, ds.isel(path=slice(...)), or export the store to Parquet."
        )
    some = ds[[str(number.name), *names]].compute()
    return pd.DataFrame(columns_of(some, dim, 0))


def events_ragged(ds: xr.Dataset, dim: str | None = None) -> xr.Dataset:
    """Return the events of one dimension as CF calls a contiguous ragged array, in memory.

    Events of all paths follow one another along `dim`; the number of events of each path, whose
    attribute ``sample_dimension`` names `dim`, says where one ends. Variables without that
    dimension stay as they are.

    Parameters
    ----------
    ds : Dataset
        Paths with events, without scenarios.
    dim : str, optional
        The dimension of events; required if there are several.

    References
    ----------
    CF Conventions 1.11, section 9.3.3, Contiguous ragged array representation.

    Examples
    --------
    >>> import montezarr as mz
    >>> def arrivals(rng):
    ...     return {"event_time": rng.exponential(1.0, size=rng.poisson(3.0)).cumsum()}
    >>> ds = mz.simulate(arrivals, 1000, seed=1, max_events=32)
    >>> ragged = mz.events_ragged(ds)
    >>> ragged.sizes["event"] == int(ragged.n_events.sum())
    True
    """
    dim, number, names = _stream_of(ds, dim)
    if number.dims != (PATH,):
        raise value_error("ds", "paths without scenarios", number.dims, "Select one, by ds.sel.")
    dims = numbers_in(ds).keys()
    others = [n for n, v in ds.data_vars.items() if dims.isdisjoint(v.dims)]
    some = ds[[*others, *names]].compute()
    numbers = np.maximum(some[number.name].values, 0)
    is_event = _events_in(some, dim)
    found: dict[Any, Any] = {name: some[name].variable for name in others}
    found[number.name] = (PATH, numbers, number.attrs)
    for name in names:
        rows = some[name].transpose(PATH, dim, ...)
        attrs = {k: v for k, v in rows.attrs.items() if k != "masked_value"}
        found[name] = (rows.dims[1:], rows.values[is_event], attrs)
    used = {d for entry in found.values() for d in xr.as_variable(entry).dims}
    coords = {n: c for n, c in ds.coords.items() if set(c.dims) <= used}
    return xr.Dataset(found, coords, {**ds.attrs, "featureType": "timeSeries"})


def _stream_of(ds: Any, dim: Any) -> tuple[str, xr.DataArray, list[str]]:
    """Return a dimension of events, the numbers along it, and the names of variables with it."""
    known = numbers_in(check_dataset(ds))
    if dim is None and len(known) == 1:
        (dim,) = known
    if dim not in known:
        raise value_error("dim", f"a dimension of events among {list(known)}", dim)
    names = [str(name) for name, v in ds.data_vars.items() if dim in v.dims]
    return dim, known[dim], names


def _events_in(ds: xr.Dataset, dim: str) -> NDArray[np.bool_]:
    """Return where events are, by scenarios, path and place; the rest is padding.

    Raises
    ------
    ArgumentValueError
        If padding stands where events should be: the Dataset was cut along the events.
    """
    number = numbers_in(ds)[dim]
    is_event = np.arange(ds.sizes[dim]) < number.values[..., np.newaxis]
    is_padding = is_event.copy()
    for variable in (v for v in ds.data_vars.values() if dim in v.dims):
        rows = variable.transpose(*number.dims, dim, ...).values
        empty = (
            np.isnan(rows) if rows.dtype.kind == "f" else rows == variable.attrs.get("masked_value")
        )
        is_padding &= empty.all(axis=tuple(range(is_padding.ndim, empty.ndim)))
    if is_padding.any():
        raise value_error(
            "ds", f"paths with their events from the first on, along {dim!r}",
            f"{int(is_padding.sum()):,} places without an event before the end of a path",
            f"Take the table of all events, and select by its column {dim!r}.",
        )  # fmt: skip
    return is_event


def columns_of(
    ds: xr.Dataset, dim: str, start: int, *, beside: bool = False
) -> dict[str, NDArray[Any]]:
    """Return the columns of the long table of a Dataset in memory, paths counted from `start`.

    With `beside`, variables of paths alone are repeated for every event of the path.
    """
    number = numbers_in(ds)[dim]
    is_event = _events_in(ds, dim)
    places = np.nonzero(is_event)
    out: dict[str, NDArray[Any]] = {}
    for own, place in zip(number.dims, places, strict=False):
        if own == PATH:
            known = ds[PATH].values if PATH in ds.coords else start + np.arange(ds.sizes[PATH])
        else:
            known = ds[own].values if own in ds.coords else np.arange(ds.sizes[own])
        out[str(own)] = known[place]
    out = {PATH: out.pop(PATH), **out, dim: places[-1]}
    for name, variable in ds.data_vars.items():
        if dim not in variable.dims:
            if beside and variable.dims == number.dims:
                out[str(name)] = variable.values[places[:-1]]
            continue
        rows = variable.transpose(*number.dims, dim, ...)
        further = rows.dims[number.ndim + 1 :]
        values = rows.values[is_event]
        for at in np.ndindex(*values.shape[1:]):
            labels = [str(ds[d].values[i]) if d in ds.coords else str(i)
                      for d, i in zip(further, at, strict=True)]  # fmt: skip
            out["_".join([str(name), *labels])] = values[(slice(None), *at)]
    return out
