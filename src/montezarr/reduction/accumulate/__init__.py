"""Fold ranges of paths into partial states of statistics: the code of a worker, NumPy only."""

from montezarr.reduction.accumulate._accumulator import (
    NO_GROUP,
    Accumulator,
    Group,
    PartialState,
    SplitAccumulation,
)
from montezarr.reduction.accumulate._merge_tree import VALUES, MergeTree
from montezarr.reduction.accumulate._reduced_variable import Arrays, ReducedVariable
from montezarr.reduction.accumulate._states import (
    Content,
    dump_states,
    parse_states,
    restore_states,
)
from montezarr.reduction.accumulate._task import (
    DrawnTask,
    beside,
    filled_in,
    without_paths,
    without_where,
)

__all__ = [
    "NO_GROUP",
    "VALUES",
    "Accumulator",
    "Arrays",
    "Content",
    "DrawnTask",
    "Group",
    "MergeTree",
    "PartialState",
    "ReducedVariable",
    "SplitAccumulation",
    "beside",
    "dump_states",
    "filled_in",
    "parse_states",
    "restore_states",
    "without_paths",
    "without_where",
]
