"""The path counts at which a stream has snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from montezarr.random.seeding import BLOCK
from montezarr.reduction.streaming._until import Until

PER_OCTAVE = 4
"""Snapshots while the number of paths doubles."""


@final
@dataclass(frozen=True, slots=True)
class Splits:
    """Path counts of snapshots, fixed in advance: of a step or of each octave, and of the rule.

    Parameters
    ----------
    step : int or None
        Paths between two splits, of a multiple of the grain; None for four splits per doubling.
    rule : Until or None
        The rule, whose own path counts are added.
    began : int
        Number of paths when the stream began.
    grain : int
        Paths that are drawn together: splits of the rule are multiples of so many.
    """

    step: int | None
    rule: Until | None
    began: int
    grain: int = BLOCK

    def after(self, paths: int) -> int:
        """Return the first split beyond a number of paths."""
        if self.step is not None:
            found = (paths // self.step + 1) * self.step
        else:
            blocks = paths // BLOCK + 1
            width = max(1, (1 << (blocks.bit_length() - 1)) // PER_OCTAVE)
            found = -(-blocks // width) * width * BLOCK
        of_rule = self.rule.splits(self.grain) if self.rule is not None else ()
        return min([found, *(split for split in of_rule if split > paths)])

    def __contains__(self, paths: int) -> bool:
        return paths == self.after(paths - 1)

    def between(self, start: int, stop: int) -> tuple[int, ...]:
        """Return the splits in a range of paths, and where the stream began."""
        splits = [self.began] if start < self.began < stop else []
        split = self.after(max(start, self.began))
        while split <= stop:
            splits.append(split)
            split = self.after(split)
        return tuple(splits)
