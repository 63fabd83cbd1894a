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
    """Path counts, fixed in advance: those of a step or of every octave, and those of the rule.

    Parameters
    ----------
    step : int or None
        Paths between two marks, whole blocks; None for four marks while the number doubles.
    rule : Until or None
        Whose own path counts come on top.
    began : int
        Paths that were there when the stream began.
    """

    step: int | None
    rule: Until | None
    began: int

    def after(self, paths: int) -> int:
        """Return the first mark beyond a number of paths."""
        if self.step is not None:
            found = (paths // self.step + 1) * self.step
        else:
            blocks = paths // BLOCK + 1
            width = max(1, (1 << (blocks.bit_length() - 1)) // PER_OCTAVE)
            found = -(-blocks // width) * width * BLOCK
        of_rule = self.rule.splits() if self.rule is not None else ()
        return min([found, *(split for split in of_rule if split > paths)])

    def __contains__(self, paths: int) -> bool:
        return paths == self.after(paths - 1)

    def between(self, start: int, stop: int) -> tuple[int, ...]:
        """Return the marks in a range of paths, and where the stream began."""
        splits = [self.began] if start < self.began < stop else []
        split = self.after(max(start, self.began))
        while split <= stop:
            splits.append(split)
            split = self.after(split)
        return tuple(splits)
