"""The search for order statistics: further passes that count only in the bins found before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.tunables.memory import SELECTION_COUNTERS_MAX, SELECTION_VALUES_MAX
from montezarr.statistics._base import Estimate, Sample, Source, Statistic
from montezarr.statistics._keys import keys_of, numbers_of_keys
from montezarr.statistics._ranks import Ranks

MAX_BITS = 16


class SelectedBin(NamedTuple):
    """A bin in which order statistics are searched for.

    Attributes
    ----------
    cell : int
        The cell that the bin belongs to.
    key : int
        The number of the bin.
    shift : int
        Bits of a key inside the bin.
    inside : int
        Number of values in it.
    """

    cell: int
    key: int
    shift: int
    inside: int


class Target(NamedTuple):
    """A wanted order statistic: the index of its bin, -1 for none, and its rank there, from 1."""

    place: int
    rank: int


class SelectionState(NamedTuple):
    """Counts of narrower bins (places, bins), or the values themselves: the state of a pass.

    `owners` are the indices of the bins that the values belong to; their order does not matter.
    """

    counts: NDArray[np.int64]
    owners: NDArray[np.int32]
    values: NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True)
class Selection(Statistic):
    """One more pass of `Quantile`: it counts in narrower bins, or collects the values.

    Parameters
    ----------
    quantile : Quantile
        The statistic that this is a pass of.
    ranks : Ranks
        Ranks of the quantiles and of the ends of their intervals.
    places : tuple of SelectedBin
        The bins in which these lie, each once.
    targets : tuple of Target
        The wanted order statistics: for each cell and level, the values at its three ranks.
    """

    quantile: Any
    ranks: Ranks
    places: tuple[SelectedBin, ...]
    targets: tuple[Target, ...]

    State: ClassVar[type] = SelectionState
    order_free: ClassVar[bool] = True

    @property
    def collects(self) -> bool:
        """Whether few enough values are left for this pass to collect them all."""
        return sum(place.inside for place in self.places if place.shift) <= SELECTION_VALUES_MAX

    @property
    def bits(self) -> int:
        """Largest number of bits by which this pass narrows the bins."""
        room = (SELECTION_COUNTERS_MAX // max(len(self.places), 1)).bit_length() - 1
        return max(1, min(max(place.shift for place in self.places), MAX_BITS, room))

    def chunk(self, sample: Sample) -> SelectionState:
        """Return the counts, or the values, of all searched bins."""
        values = sample.all_paths()
        width = 0 if self.collects else 1 << self.bits
        counts = np.zeros((len(self.places), width), np.int64)
        owners, kept = [np.empty(0, np.int32)], [np.empty(0)]
        cell, keys = -1, np.empty(0, np.int64)
        for i, place in enumerate(self.places):  # the bins of a cell are consecutive
            if self.collects and place.shift == 0:
                continue  # the bin is a single number
            row = values[place.cell]
            if place.cell != cell:
                cell, keys = place.cell, keys_of(row)
            inside = keys[(keys >> place.shift == place.key) & (row == row)]
            if self.collects:
                # One of several equal values would do, but then the ranks would need counts.
                kept.append(numbers_of_keys(inside))
                owners.append(np.full(inside.size, i, np.int32))
            else:
                deeper = min(self.bits, place.shift)
                narrow = (inside >> (place.shift - deeper)) - (place.key << deeper)
                counts[i] = np.bincount(narrow, minlength=width)
        return SelectionState(counts, np.concatenate(owners), np.concatenate(kept))

    def merge(self, a: SelectionState, b: SelectionState) -> SelectionState:
        """Return the counts and values of both."""
        return SelectionState(
            a.counts + b.counts,
            np.concatenate([a.owners, b.owners]),
            np.concatenate([a.values, b.values]),
        )

    def again(self, state: SelectionState, source: Source) -> Statistic | None:
        """Return the next pass, until the values are collected."""
        if self.collects:
            return None
        places, targets = self._narrowed(state)
        if all(place.shift == 0 for place in places):  # every bin is a single number
            return None
        return replace(self, places=places, targets=targets)

    def finalize(self, state: SelectionState, source: Source) -> dict[str, Estimate]:
        """Return the estimates of the order statistics."""
        if self.collects:
            places, targets = self.places, self.targets
            state = _sorted(*state)
        else:
            places, targets = self._narrowed(state)
        start = np.searchsorted(state.owners, np.arange(len(places)))
        numbers = numbers_of_keys([place.key for place in places])
        found = np.full(len(targets), np.nan)
        for i, (place, rank) in enumerate(targets):
            if place >= 0:
                is_known = places[place].shift == 0
                found[i] = numbers[place] if is_known else state.values[start[place] + rank - 1]
        shape = *self.ranks.middle.shape, 3
        value, low, high = np.moveaxis(found.reshape(shape), -1, 0)
        return dict(self.quantile.estimates(self.ranks, value, low, high))

    def reference(self, values: NDArray[np.float64], source: Source) -> dict[str, Any]:
        """Return nothing: `Quantile` has the oracle."""
        return {}

    def _narrowed(
        self, state: SelectionState
    ) -> tuple[tuple[SelectedBin, ...], tuple[Target, ...]]:
        """Return the narrower bins that contain targets, and the targets in them."""
        running = np.cumsum(state.counts, axis=1)
        places: dict[SelectedBin, int] = {}
        targets = []
        for target in self.targets:
            if target.place < 0:
                targets.append(target)
                continue
            old, row = self.places[target.place], running[target.place]
            deeper = min(self.bits, old.shift)
            at = int(np.searchsorted(row, target.rank))
            inside = int(state.counts[target.place, at])
            place = SelectedBin(old.cell, (old.key << deeper) + at, old.shift - deeper, inside)
            index = places.setdefault(place, len(places))
            targets.append(Target(index, target.rank - int(row[at]) + inside))
        return tuple(places), tuple(targets)


def _sorted(counts: Any, owners: Any, values: Any) -> SelectionState:
    order = np.lexsort((values, owners))
    return SelectionState(counts, owners[order], values[order])
