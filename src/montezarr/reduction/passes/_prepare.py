"""From the arguments of `reduce` and `stream` to a block source and a layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import xarray as xr
from dask.base import is_dask_collection

from montezarr.core.checks import type_error, value_error
from montezarr.core.tunables.memory import REDUCTION_FIXED_BYTES, SLAB_COPIES
from montezarr.reduction.accumulate import Accumulator
from montezarr.reduction.passes._budget import state_bytes
from montezarr.reduction.passes._layout import Layout, layout_of
from montezarr.reduction.sources import (
    PATH,
    BlockSource,
    DrawnBlocks,
    PathData,
    SourceVariable,
    as_dataset,
    block_source_of,
    path_indices,
)
from montezarr.statistics._names import statistics_of

BY = "group"
"""Name of the variable of the groups where it has none."""


def prepare_reduction(
    obj: Any, statistics: Any, dim: Any, by: Any, transform: Any
) -> tuple[BlockSource, Layout]:
    """Check all arguments, and return the block source and the layout.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments that `reduce` does not take.
    MemoryBudgetError
        If the states do not fit into memory.
    """
    if not isinstance(dim, str):
        raise type_error("dim", "the name of a dimension", dim)
    ds = as_dataset(obj, dim)
    wanted: Any = None
    if not isinstance(statistics, Mapping):
        wanted = statistics_of(statistics)
    elif not statistics:
        raise value_error("statistics", "statistics of one variable or more", statistics)
    else:
        wanted = {str(name): statistics_of(entry) for name, entry in statistics.items()}
    if isinstance(wanted, dict) and transform is None:
        _check_known(wanted, [str(name) for name in ds.data_vars])
        # Variables without a statistic are not computed.
        ds = ds.drop_vars([name for name in ds.data_vars if name not in wanted and name != by])
    name = None
    if by is not None:
        ds, name = _with_group(ds, obj, by, dim, transform is not None)
    block_source = block_source_of(PathData.of(ds), transform)
    group = None if name is None else _group(block_source, name)
    if isinstance(wanted, dict):
        _check_known(wanted, [v.name for v in block_source.schema.variables if v is not group])
    layout = layout_of(block_source.schema, wanted, group, memory=partial(_memory, block_source))
    return block_source, _with_indices(layout, block_source, ds, dim)


def _with_indices(layout: Layout, block_source: BlockSource, ds: xr.Dataset, dim: str) -> Layout:
    """Return the layout with the indices in the run of the paths that results name."""
    if isinstance(block_source, DrawnBlocks) or dim != PATH:
        return layout
    named = layout.names_paths()
    # The result of a `transform` has the paths of its input, whichever variable that is.
    names = [v.name if v.name in ds.data_vars else None for v in block_source.schema.variables]
    first = str(next(iter(ds.data_vars)))
    return replace(layout, indices={i: path_indices(ds, names[i] or first) for i in named})


def _check_known(wanted: Mapping[str, Any], names: list[str]) -> None:
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise value_error("statistics", f"names of variables among {names}", unknown[0])


def memory_of(block_source: BlockSource, layout: Layout) -> int:
    """Estimate the bytes that a reduction takes on this machine.

    A worker holds the paths that it draws, what is computed from them, and one more state than it
    merges; waiting results come on top.
    """
    return _memory(block_source, layout.accumulator)


def _memory(block_source: BlockSource, accumulator: Accumulator, share: float = 1.0) -> int:
    workers = block_source.backend.workers if block_source.backend.is_local else 1
    # `block_bytes` of computed arrays includes their copies; 2 is for those of the layout.
    copies = SLAB_COPIES if isinstance(block_source, DrawnBlocks) else 2
    in_hand = copies * (
        block_source.block_bytes if share == 1.0 else block_source.part_bytes(share)
    )
    states = state_bytes(accumulator)
    return int(workers * (in_hand + 6 * states) + 2 * states + REDUCTION_FIXED_BYTES)


def planned(block_source: BlockSource, layout: Layout) -> dict[str, float | None]:
    """Return the estimates of a reduction before it runs, for the run monitor."""
    return {
        "paths": block_source.n_paths,
        "seconds": block_source.seconds,
        "memory": memory_of(block_source, layout),
    }


def _with_group(
    ds: xr.Dataset, obj: Any, by: Any, dim: str, is_observed: bool
) -> tuple[xr.Dataset, str]:
    """Return the Dataset with the variable of the groups, and its name."""
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
    if name in ds.dims or (name in ds.data_vars and not _is_same(array, ds[name])):
        raise value_error(
            "by", f"a name that is not taken by another of {[*ds.dims, *ds.data_vars]}", name,
            "The result gets a dimension of it: pass by.rename('group').",
        )  # fmt: skip
    variable = array.variable
    dims = [PATH if d == dim else d for d in variable.dims]
    rest = ds.drop_vars(name, errors="ignore")
    return rest.assign({name: (dims, variable.data, variable.attrs, variable.encoding)}), name


def _is_same(a: xr.DataArray, b: xr.DataArray) -> bool:
    """Return whether two arrays are the same object or graph, without computing values."""
    x, y = a.variable.data, b.variable.data
    return x is y or (is_dask_collection(x) and is_dask_collection(y) and x.name == y.name)


def _group(block_source: BlockSource, name: str) -> SourceVariable:
    for variable in block_source.schema.variables:
        if variable.name == name:
            if variable.dtype.kind not in "iub":
                raise type_error("by", "integers, labels or booleans", variable.dtype)
            if len(block_source.schema.variables) == 1:
                raise value_error("obj", "a variable beside that of the groups", name)
            return variable
    raise value_error("by", f"one of {[v.name for v in block_source.schema.variables]}", name)
