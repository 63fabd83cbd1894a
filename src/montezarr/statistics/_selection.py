"""The search for order statistics: further passes that look only into the bins found before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from montezarr.statistics._base import Estimate, Sample, Source, Statistic
from montezarr.statistics._octaves import MAGNITUDE, TINY, keys_of

COLLECTED = 2**20
"""Values that may be collected at last: 8 MiB."""

COUNTERS = 2**21
"""Counters of a pass that cuts bins further: 16 MiB."""

MAX_BITS = 16


class Target(NamedTuple):
    """An order statistic that is looked for.

    Attributes
    ----------
    cell : int
        Where.
    key : int
        The bin that it lies in.
    rank : int
        Its rank in that bin, from 1; 0 where the cell has no value at all.
    inside : int
        How many values the bin holds.
    """

    cell: int
    key: int
    rank: int
    inside: int


class Found(NamedTuple):
    """The state: counts of narrower bins (targets, bins), or the values themselves.

    `owners` says whose they are; in which order they stand does not matter.
    """

    counts: NDArray[np.int64]
    owners: NDArray[np.int32]
    values: NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True)
class Selection(Statistic):
    """One more pass of `Quantile`: it counts in narrower bins, or collects what is left.

    Parameters
    ----------
    targets : tuple of Target
        All levels of cell 0, then of cell 1, and so on.
    shift : int
        Bits of an ordered pattern below those of the bin.
    estimates : dict of str to Estimate
        Those of the passes before, in which ``quantile`` is replaced.
    """

    targets: tuple[Target, ...]
    shift: int
    estimates: Mapping[str, Estimate]

    State: ClassVar[type] = Found
    order_free: ClassVar[bool] = True

    @property
    def collects(self) -> bool:
        """Whether so few values are left that this pass takes them all."""
        return sum(t.inside for t in self.targets) <= COLLECTED

    @property
    def bits(self) -> int:
        """Bits by which this pass looks deeper."""
        room = (COUNTERS // max(len(self.targets), 1)).bit_length() - 1
        return max(1, min(self.shift, MAX_BITS, room))

    def chunk(self, sample: Sample) -> Found:
        """Return the counts, or the values, of all bins that are looked into."""
        values = sample.all_paths()
        width = 0 if self.collects else 1 << self.bits
        counts = np.zeros((len(self.targets), width), np.int64)
        owners, kept = [np.empty(0, np.int32)], [np.empty(0)]
        keys: dict[int, Any] = {}
        for i, target in enumerate(self.targets):
            row = values[target.cell]
            if target.cell not in keys:
                keys[target.cell] = keys_of(row, self.shift)
            if target.rank == 0:
                continue
            inside = row[(keys[target.cell] == target.key) & (row == row)]
            # Also -0.0 becomes 0.0: which of two equal values comes first must not matter.
            inside = np.where(np.abs(inside) < TINY, 0.0, inside)
            if self.collects:
                # One value of all that are equal would do, but then the ranks had to be counted.
                kept.append(inside)
                owners.append(np.full(inside.size, i, np.int32))
            else:
                deeper = keys_of(inside, self.shift - self.bits) - (target.key << self.bits)
                counts[i] = np.bincount(deeper, minlength=width)
        return Found(counts, np.concatenate(owners), np.concatenate(kept))

    def merge(self, a: Found, b: Found) -> Found:
        """Return what both have."""
        return Found(
            a.counts + b.counts,
            np.concatenate([a.owners, b.owners]),
            np.concatenate([a.values, b.values]),
        )

    def again(self, state: Found, source: Source) -> Statistic | None:
        """Return the next pass, until the values are collected."""
        if self.collects or self.shift == self.bits:  # then a bin is a number
            return None
        return replace(self, targets=self._narrowed(state), shift=self.shift - self.bits)

    def finalize(self, state: Found, source: Source) -> dict[str, Estimate]:
        """Return the estimates with the order statistics among them."""
        values = np.full(len(self.targets), np.nan)
        if self.collects:
            state = _sorted(*state)
            start = np.searchsorted(state.owners, np.arange(len(self.targets)))
            for i, target in enumerate(self.targets):
                if target.rank:
                    values[i] = state.values[start[i] + target.rank - 1]
        else:
            for i, target in enumerate(self._narrowed(state)):
                if target.rank:
                    values[i] = _value_of(target.key)
        old = self.estimates["quantile"]
        new = replace(old, values=values.reshape(old.values.shape))
        return {**self.estimates, "quantile": new}

    def reference(self, values: NDArray[np.float64], source: Source) -> dict[str, Any]:
        """Return nothing: `Quantile` has the oracle."""
        return {}

    def _narrowed(self, state: Found) -> tuple[Target, ...]:
        """Return the targets in the narrower bins that were counted."""
        running = np.cumsum(state.counts, axis=1)
        targets = []
        for target, row, counts in zip(self.targets, running, state.counts, strict=True):
            if target.rank == 0:
                targets.append(target)
                continue
            place = int(np.searchsorted(row, target.rank))
            inside = int(counts[place])
            rank = target.rank - int(row[place]) + inside
            key = (target.key << self.bits) + place
            targets.append(Target(target.cell, key, rank, inside))
        return tuple(targets)


def _sorted(counts: Any, owners: Any, values: Any) -> Found:
    order = np.lexsort((values, owners))
    return Found(counts, owners[order], values[order])


def _value_of(key: int) -> float:
    ordered = np.array([key], np.int64)
    return float((ordered ^ ((ordered >> 63) & MAGNITUDE)).view(np.float64)[0])
