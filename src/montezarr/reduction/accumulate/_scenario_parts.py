"""Fold the scenarios of a run a few at a time, where a block of all would fill the memory.

Only statistics that are computed cell by cell can be: the states of the parts, put side by side,
are then those of all scenarios, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.reduction.accumulate._accumulator import Accumulator, PartialState, Piece
from montezarr.reduction.accumulate._merge_tree import VALUES
from montezarr.reduction.accumulate._reduced_variable import ReducedVariable
from montezarr.statistics import Sample, Statistic
from montezarr.statistics._tails import MOST_ROWS, Tails

Axes = tuple[tuple[int, ...], ...]
"""For each statistic, the axis of the cells in each array of its state."""


class ScenarioParts:
    """An accumulator of all scenarios as several of some.

    Parameters
    ----------
    whole : Accumulator
        Folds all scenarios.
    sizes : tuple of int
        Sizes of the dimensions of the scenarios: the first ones of the cells.
    at_once : int
        Scenarios of a part, at most.
    """

    def __init__(self, whole: Accumulator, sizes: tuple[int, ...], at_once: int):
        scenarios = math.prod(sizes)
        self.sizes, self.scenarios, self.at_once = sizes, scenarios, min(at_once, scenarios)
        self.whole, self.axes = whole, [_axes_of(reduced) for reduced in whole.reduced_variables]
        counts = [min(at_once, scenarios - low) for low in range(0, scenarios, at_once)]
        self.accumulators = [
            Accumulator(
                [replace(r, cells=r.cells // scenarios * n) for r in whole.reduced_variables]
            )
            for n in counts
        ]
        self.is_possible = (
            whole.group is None
            and None not in self.axes
            and all(r.cells % scenarios == 0 for r in whole.reduced_variables)
        )

    def joined(self, parts: Sequence[PartialState]) -> PartialState:
        """Return the state of all scenarios; those of the parts must not be used afterwards."""
        first, out = parts[0], PartialState()
        out.paths, out.states = first.paths, first.states
        for node, states in first.tree.nodes.items():
            out.tree.nodes[node] = {
                key: self._side_by_side(key[0], [part.tree.nodes[node][key] for part in parts])
                for key in states
            }
        for key in first.lost:
            out.lost[key] = np.concatenate([part.lost[key] for part in parts])
            place = (*key, VALUES)
            is_kept = self.whole.reduced_variables[key[0]].cells <= MOST_ROWS
            if place in first.tails and is_kept:
                fields = zip(*(part.tails[place] for part in parts), strict=True)
                axes = (0, 0, 0, 1)
                out.tails[place] = Tails(*map(np.concatenate, fields, axes))
        for block, pieces in first.pieces.items():
            several = zip(*(part.pieces[block] for part in parts), strict=True)
            starts = [piece.start for piece in pieces]
            out.pieces[block] = [
                Piece(at, [self._all_values(p)]) for at, p in zip(starts, several, strict=True)
            ]
        return out

    def _all_values(self, pieces: Sequence[Piece]) -> NDArray[Any]:
        rows = np.concatenate([piece.arrays[0] for piece in pieces])
        return rows.reshape(*self.sizes, *rows.shape[1:])

    def _side_by_side(self, position: int, parts: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
        out = []
        for axes, states in zip(self.axes[position] or (), zip(*parts, strict=True), strict=True):
            fields = zip(*states, strict=True)
            out.append(type(states[0])(*map(np.concatenate, fields, axes)))
        return tuple(out)


def _axes_of(reduced: ReducedVariable) -> Axes | None:
    """Return the axes of the cells in the states; None if some statistic is not cell by cell."""
    if reduced.axis is not None or len(reduced.arrays) > 1:
        return None
    found = [_cell_axes(statistic, reduced) for statistic in reduced.statistics]
    return None if None in found else tuple(axes for axes in found if axes is not None)


def _cell_axes(statistic: Statistic, reduced: ReducedVariable) -> tuple[int, ...] | None:
    if statistic.order_free or statistic.has_terms:
        return None
    one, two = (
        statistic.chunk(Sample(np.empty((n, 1, 0)), 0, reduced.source, reduced.order))
        for n in (1, 2)
    )
    axes = []
    for a, b in zip(one, two, strict=True):
        differing = [i for i in range(a.ndim) if a.shape[i] != b.shape[i]]
        if len(differing) != 1:
            return None
        axes.append(differing[0])
    return tuple(axes)
