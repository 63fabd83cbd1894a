"""From the arguments of `reduce` and `stream` to a block source and a layout."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

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
    Schema,
    SourceVariable,
    block_source_of,
    path_indices,
)
from montezarr.statistics._names import statistics_of


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
    data = PathData.of(obj, dim)
    wanted: Any = None
    if not isinstance(statistics, Mapping):
        wanted = statistics_of(statistics)
    elif not statistics:
        raise value_error("statistics", "statistics of one variable or more", statistics)
    else:
        wanted = {str(name): statistics_of(entry) for name, entry in statistics.items()}
    if isinstance(wanted, dict) and transform is None:
        _check_known(wanted, list(data.variables))
        data = data.only([*wanted, by] if isinstance(by, str) else wanted)
    name = by
    if by is not None and not (isinstance(by, str) and transform is not None):
        data, name = data.with_group(by)
    block_source = block_source_of(data, transform)
    group = None if name is None else _group(block_source, name)
    if isinstance(wanted, dict):
        _check_known(wanted, [v.name for v in block_source.schema.variables if v is not group])
    schema = block_source.schema
    kinds = itertools.chain(*wanted.values()) if isinstance(wanted, dict) else wanted
    if any(kind.takes_groups for kind in kinds) and not isinstance(block_source, DrawnBlocks):
        schema = replace(schema, first_path=_first_path(data, schema))
    layout = layout_of(schema, wanted, group, memory=partial(_memory, block_source))
    if isinstance(block_source, DrawnBlocks) or dim != PATH:
        return block_source, layout
    names = [variable.name for variable in block_source.schema.variables]
    # The result of a `transform` has the paths of its input, whichever variable that is.
    named = [name if name in data.variables else next(iter(data.variables)) for name in names]
    return block_source, layout.with_indices(lambda i: path_indices(data.ds, named[i]))


def _first_path(data: PathData, schema: Schema) -> int | None:
    """Return the index in the run of the first path; None unless the others follow in order."""
    if data.dim != PATH and schema.grouping is not None:
        return None
    parts = path_indices(data.ds, next(iter(data.variables))).parts or ()
    only = parts[0] if len(parts) == 1 else None
    return only.start if isinstance(only, range) and only.step == 1 else None


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
        block_source.bytes_with(accumulator) if share == 1.0 else block_source.part_bytes(share)
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


def _group(block_source: BlockSource, name: str) -> SourceVariable:
    for variable in block_source.schema.variables:
        if variable.name == name:
            if variable.dtype.kind not in "iub":
                raise type_error("by", "integers, labels or booleans", variable.dtype)
            if len(block_source.schema.variables) == 1:
                raise value_error("obj", "a variable beside that of the groups", name)
            return variable
    raise value_error("by", f"one of {[v.name for v in block_source.schema.variables]}", name)
