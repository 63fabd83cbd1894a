"""Fold ranges of paths into the states of statistics: NumPy only, what a worker runs."""

from montezarr.folding._fold import NO_GROUP, Arrays, Column, Fold, Folded, Group, Parts
from montezarr.folding._forest import VALUES, Forest
from montezarr.folding._states import Content, dump_states, parse_states, restore_states
from montezarr.folding._task import DrawnTask, without_masked, without_paths

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
