"""Draws that are kept, so that several processes use the same numbers and draw them once.

Scenarios on common noise differ in their parameters and share their draws. Whoever samples them
goes through the paths in slices (`shared_slices`), makes one `SharedDraws` for each, and samples
every scenario with it before the next slice.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import value_error
from montezarr.random.draws import Draws

PASS_BYTES = 2**21
"""Bytes of the normal draws of a slice for one compiled pass over the steps, about.

They are written once and read once per scenario, from the second- or third-level cache. Between 1
and 8 MiB the speed is the same within a few percent; beyond, the reads come from memory, and ten
scenarios take a fifth longer.
"""

RECURSIONS_BYTES = 2**20
"""Bytes of the same where one call draws all scenarios: less fits in the second-level cache."""

CALLS_BYTES = 2**24
"""Bytes of the draws of a slice in one slot for processes that call NumPy at every step, about.

A call takes a microsecond whatever the number of paths: 8,000 paths make that small.
"""


def shared_slices(draws: Draws, steps: int, size: int = PASS_BYTES) -> Iterator[tuple[int, int]]:
    """Yield the ranges (low, high) of the paths of `draws` that should share `SharedDraws`.

    Parameters
    ----------
    draws : Draws
        Random numbers of n paths.
    steps : int
        Number of steps.
    size : int
        Bytes that the draws of a range take in one slot, about: `PASS_BYTES` or `CALLS_BYTES`.
    """
    most = max(16, size // (max(steps, 1) * np.dtype(draws.dtype).itemsize))
    # Of about equal length: a short last slice would cost as many calls as a long one.
    count = max(1, -(-(draws.n - most // 2) // most))
    groups = -(-draws.n // 16)
    ends = [groups * i // count * 16 for i in range(count + 1)]
    for low, high in itertools.pairwise(ends):
        if low < draws.n:
            yield low, min(high, draws.n)


@dataclass(frozen=True, slots=True)
class SharedDraws(Draws):
    """The draws of a range of paths, of which each is computed once and kept.

    All methods hand out the numbers of `Draws`, bit for bit, in arrays of the caller's own: what a
    process writes into them, the next process does not see. The numbers are kept as long as this
    object lives, with 4 or 8 bytes for each (path, step, slot, kind) that was asked for.
    """

    kept: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
    targets: list[Any] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def over(cls, draws: Draws) -> SharedDraws:
        """Return shared draws of the paths of `draws`."""
        return cls(
            draws.key, draws.start, draws.n, draws.dtype, draws.implementation, draws.format
        )  # fmt: skip

    def part(self, low: int, high: int) -> Draws:
        """Return the draws of the paths low ... high-1 of these n, out of what is kept here."""
        own = Draws.part(self, low, high)
        return _Part(
            own.key, own.start, own.n, own.dtype, own.implementation, own.format, self, low
        )  # fmt: skip

    def into(self, rows: NDArray[Any], column: int) -> SharedDraws:
        """Return the same draws, whose next `gaussian_recursion` writes into columns of `rows`.

        The result of that recursion is then a view of `rows`, which need not be copied to its
        place. It is an array of its own if `rows` are of another number or dtype.

        Parameters
        ----------
        rows : array (T+1, columns)
            Writable and contiguous.
        column : int
            Column of the first path.

        Raises
        ------
        ArgumentValueError
            If the paths do not fit into `rows`.
        """
        fits = rows.ndim == 2 and rows.flags.c_contiguous and rows.flags.writeable
        if not fits or not 0 <= column <= rows.shape[1] - self.n:
            expected = f"a writable contiguous array with {self.n} columns from {column} on"
            raise value_error("rows", expected, rows.shape)
        return replace(self, targets=[(rows, column)])

    def _target(self, count: int) -> tuple[NDArray[Any], int]:
        # Once alone: a second recursion of the same process must not overwrite the first.
        if self.targets:
            rows, column = self.targets.pop()
            if len(rows) == count and rows.dtype == self.dtype:
                return rows, column
        return self.empty_rows(count), 0

    def _fill(self, kind: str, step: int, out: NDArray[Any], slot: int) -> None:
        out[:] = self.numbers(kind, step, len(out), slot)

    def kept_rows(self, kind: str, count: int, slot: int = 0) -> NDArray[Any] | None:
        """Return kept draws, computed if they are not there yet; see `Draws.kept_rows`."""
        return self.numbers(kind, 0, count, slot)

    def numbers(self, kind: str, step: int, count: int, slot: int) -> NDArray[Any]:
        """Return kept draws (count, n), for reading alone: no process gets them to write into."""
        address = kind, step, count, slot
        if address not in self.kept:
            rows = self.empty_rows(count)
            Draws._fill(self, kind, step, rows, slot)
            self.kept[address] = rows
        found: NDArray[Any] = self.kept[address]
        return found


@dataclass(frozen=True, slots=True)
class _Part(Draws):
    """Some of the paths of shared draws."""

    whole: Any = None
    low: int = 0

    def part(self, low: int, high: int) -> Draws:
        Draws.part(self, low, high)  # checks the range
        found: Draws = self.whole.part(self.low + low, self.low + high)
        return found

    def _fill(self, kind: str, step: int, out: NDArray[Any], slot: int) -> None:
        out[:] = self._numbers(kind, step, len(out), slot)

    def kept_rows(self, kind: str, count: int, slot: int = 0) -> NDArray[Any] | None:
        return np.ascontiguousarray(self._numbers(kind, 0, count, slot))

    def _numbers(self, kind: str, step: int, count: int, slot: int) -> NDArray[Any]:
        rows: NDArray[Any] = self.whole.numbers(kind, step, count, slot)
        return rows[:, self.low : self.low + self.n]
