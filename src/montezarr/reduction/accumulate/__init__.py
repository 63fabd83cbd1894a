"""Fold ranges of paths into the states of statistics: NumPy only, what a worker runs."""

from montezarr.reduction.accumulate._fold import (
    NO_GROUP,
    Arrays,
    Column,
    Fold,
    Folded,
    Group,
    Parts,
)
from montezarr.reduction.accumulate._forest import VALUES, Forest
from montezarr.reduction.accumulate._states import (
    Content,
    dump_states,
    parse_states,
    restore_states,
)
from montezarr.reduction.accumulate._task import DrawnTask, without_masked, without_paths

__all__ = [
    "NO_GROUP",
    "VALUES",
    "Arrays",
    "Column",
    "Content",
    "DrawnTask",
    "Fold",
    "Folded",
    "Forest",
    "Group",
    "Parts",
    "dump_states",
    "parse_states",
    "restore_states",
    "without_masked",
    "without_paths",
]
