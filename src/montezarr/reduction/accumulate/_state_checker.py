"""Checks of states that were read from a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from montezarr.core.checks import check_int
from montezarr.random.seeding import BLOCK
from montezarr.reduction.accumulate._accumulator import NO_GROUP, Accumulator, PartialState
from montezarr.reduction.accumulate._merge_tree import VALUES, NodeKey
from montezarr.statistics import Statistic
from montezarr.statistics._bins import Bins
from montezarr.statistics._tails import KEPT, Tails, rows_of

DEEPEST = 53
"""Levels of the tree over blocks of 2**63 paths."""


class StateChecker:
    """Compares states with those of the same accumulator for zero paths.

    Parameters
    ----------
    accumulator : Accumulator
        The accumulator that made the states.
    """

    def __init__(self, accumulator: Accumulator):
        self._accumulator = accumulator
        self._blank: dict[tuple[int, bool], tuple[tuple[Statistic, ...], list[Any]]] = {}

    def states(
        self, key: NodeKey, is_tree: bool, entries: Any, arrays: Mapping[str, Any]
    ) -> tuple[Any, ...]:
        """Return the states of a reduced variable and group from their arrays."""
        kinds, blanks = self._blanks(key[0], is_tree)
        out = []
        for kind, blank, fields in zip(kinds, blanks, entries, strict=True):
            state = kind.restore({name: arrays[place] for name, place in fields.items()})
            _check_like(state, blank)
            out.append(state)
        return tuple(out)

    def lost(self, key: NodeKey, count: Any) -> Any:
        """Return the number of values of each cell that do not count."""
        cells = 1 if key == NO_GROUP else self._accumulator.reduced_variables[key[0]].cells
        if count.dtype.kind != "i" or count.shape != (cells,):
            raise ValueError(f"counts of the shape {count.shape}")
        return count

    def tails(self, key: NodeKey, which: int, tails: Tails) -> Tails:
        """Return the tails of the values of a reduced variable, or of the terms of a statistic."""
        reduced = self._accumulator.reduced_variables[key[0]]
        sample = self._accumulator.blank(reduced)
        if which != VALUES:
            if not reduced.statistics[which].has_terms:
                raise ValueError(f"tails of terms that {reduced.statistics[which]} has not")
            sample = sample.terms_of(reduced.statistics[which])
        rows = rows_of(sample)
        orders = sample.order // 2 if sample.values.ndim == 3 else 0
        kept = tails.low.shape[-1:]
        shapes = [(rows,), (rows, *kept), (rows, *kept), (orders, rows)]
        good = [a.shape for a in tails] == shapes and kept in [(0,), (KEPT,)]
        if not good or [a.dtype.str for a in tails] != ["<i8", "<f8", "<f8", "<f8"]:
            raise ValueError(f"tails of the shapes {[a.shape for a in tails]}")
        return tails

    def check_all_there(self, partial_state: PartialState) -> None:
        """Raise unless exactly the counted reduced variables and groups have states."""
        counted = {key for key in partial_state.lost if key != NO_GROUP}
        if self._accumulator.group is None and partial_state.paths:
            counted |= {
                (position, None) for position in range(len(self._accumulator.reduced_variables))
            }
        for key in counted:
            reduced, nodes = (
                self._accumulator.reduced_variables[key[0]],
                partial_state.tree.nodes.values(),
            )
            lacks = key not in partial_state.lost or (
                reduced.any_order and key not in partial_state.states
            )
            if reduced.in_order and key[1] is None:
                lacks = lacks or any(key not in node_states for node_states in nodes)
            if lacks:
                raise ValueError(f"no states of {key}")
        in_tree = {key for node_states in partial_state.tree.nodes.values() for key in node_states}
        with_tails = {place[:2] for place in partial_state.tails}
        others = (partial_state.states.keys() | in_tree | with_tails) - counted
        if others:
            raise ValueError(f"states of {others} that were not counted")

    def _blanks(self, position: int, is_tree: bool) -> tuple[tuple[Statistic, ...], list[Any]]:
        if position < 0:
            raise ValueError("states of no column")
        if (position, is_tree) not in self._blank:
            reduced = self._accumulator.reduced_variables[position]
            kinds = reduced.in_order if is_tree else reduced.any_order
            sample = self._accumulator.blank(reduced)
            self._blank[position, is_tree] = kinds, [kind.chunk(sample) for kind in kinds]
        return self._blank[position, is_tree]


def checked_nodes(found: Any, paths: int) -> list[tuple[int, int]]:
    """Return the tree nodes; raise unless they are disjoint and cover `paths` paths."""
    nodes = []
    for level, index in found:
        check_int("level", level, maximum=DEEPEST)
        check_int("index", index, maximum=2**DEEPEST)
        nodes.append((level, index))
    end = blocks = 0
    for level, index in sorted(nodes, key=lambda node: node[1] << node[0]):
        if index << level < end:
            raise ValueError("nodes that overlap")
        end = (index + 1) << level
        blocks += 1 << level
    if blocks != -(-paths // BLOCK):
        raise ValueError(f"{blocks} blocks of {paths} paths")
    return nodes


def _check_like(state: Any, blank: Any) -> None:
    """Raise unless a state has arrays of the dtypes and shapes of one of zero paths."""
    if type(state) is not type(blank):
        raise TypeError(f"a state {type(state).__name__}")
    if isinstance(state, Bins):  # their number depends on the values; see `restore`
        state, blank = state[:3], blank[:3]
    for array, other in zip(state, blank, strict=True):
        expected = np.asarray(other)
        # The length of an axis that is empty so far follows from the values.
        same = array.ndim == expected.ndim and all(
            size in (0, found) for size, found in zip(expected.shape, array.shape, strict=True)
        )
        if array.dtype != expected.dtype or not same:
            raise ValueError(
                f"an array of {array.dtype} of the shape {array.shape}, where {expected.dtype} of"
                f" {expected.shape} is kept"
            )
