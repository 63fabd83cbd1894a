"""From the arguments of `reduce` and `stream` to the paths and what is taken of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from montezarr._checks import type_error, value_error
from montezarr.errors import MemoryBudgetError
from montezarr.lazy import memory_limit, show_bytes
from montezarr.observed import PATH, Feed, Observed, as_dataset, feed_of
from montezarr.reduce._layout import Layout, layout_of
from montezarr.statistics import statistics_of

BY = "group"
"""Name of the variable of the groups where it has none."""


def prepare(obj: Any, statistics: Any, dim: Any, by: Any, observe: Any) -> tuple[Feed, Layout]:
    """Return the paths and what is taken of them, all arguments checked.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments out of the terms of `reduce`.
    MemoryBudgetError
        If the states do not fit into memory.
    """
    wanted = statistics_of(statistics)
    if not isinstance(dim, str):
        raise type_error("dim", "the name of a dimension", dim)
    ds = as_dataset(obj, dim)
    name = None
    if by is not None:
        ds, name = _with_group(ds, obj, by, dim, observe is not None)
    feed = feed_of(ds, observe)
    group = None if name is None else _group(feed, name)
    layout = layout_of(feed.schema, wanted, group)
    check_memory(feed, layout)
    return feed, layout


def check_memory(feed: Feed, layout: Layout) -> None:
    """Raise if states, as far as they are known before, and blocks do not fit into memory.

    Raises
    ------
    MemoryBudgetError
        With the projected bytes.
    """
    needed = memory_of(feed, layout)
    if needed > memory_limit():
        raise MemoryBudgetError(
            f"statistics: expected states that fit into memory, got {show_bytes(needed)} at once,"
            f" with {show_bytes(memory_limit())} to use. Take fewer times"
            " (isel(time=...)), fewer workers, or one statistic after the other."
        )


def memory_of(feed: Feed, layout: Layout) -> int:
    """Return the bytes that a reduction takes on this machine, as far as that is known before.

    A worker holds the paths that it draws and one state more than it merges; with it go the
    results that wait. States that grow with the data, as those of quantiles do, come on top.
    """
    states = sum(
        np.asarray(array).nbytes
        for column in layout.fold.columns
        for state in layout.fold.nothing(column)
        for array in state
    )
    workers = feed.backend.workers if feed.backend.is_local else 1
    return int(workers * (2 * feed.block_bytes + 6 * states) + 2 * states)


def _with_group(
    ds: xr.Dataset, obj: Any, by: Any, dim: str, is_observed: bool
) -> tuple[xr.Dataset, str]:
    """Return the Dataset with the variable of the groups in it, and the name of that."""
    if isinstance(by, str):
        if is_observed or by in ds.data_vars:
            return ds, by
        if by not in obj.coords:
            known = [*map(str, ds.data_vars), *map(str, obj.coords)]
            raise value_error("by", f"one of {', '.join(known)}, or a DataArray", by)
        array = obj.coords[by].drop_vars(by)
        name = by
    elif isinstance(by, xr.DataArray):
        array, name = by, str(by.name or BY)
    else:
        raise type_error("by", "the name of a variable, or a DataArray", by)
    if dim not in array.dims:
        raise value_error("by", f"a variable with the dimension {dim!r}", array.dims)
    if array.sizes[dim] != ds.sizes[PATH]:
        raise value_error("by", f"{ds.sizes[PATH]} paths", array.sizes[dim])
    if name in ds.data_vars:
        ds = ds.drop_vars(name)
    variable = array.variable if dim == PATH else array.variable.copy()
    dims = [PATH if d == dim else d for d in variable.dims]
    rest = ds.drop_vars(name, errors="ignore")
    return rest.assign({name: (dims, variable.data, variable.attrs)}), name


def _group(feed: Feed, name: str) -> Observed:
    for variable in feed.schema.variables:
        if variable.name == name:
            if variable.dtype.kind not in "iub":
                raise type_error("by", "integers, labels or booleans", variable.dtype)
            if len(feed.schema.variables) == 1:
                raise value_error("obj", "a variable beside that of the groups", name)
            return variable
    raise value_error("by", f"one of {[v.name for v in feed.schema.variables]}", name)
