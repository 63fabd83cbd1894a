"""Draws of which a recursion returns the rows of some times alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.random.draws import Draws


@dataclass(frozen=True, slots=True)
class KeptDraws(Draws):
    """The same draws, whose `gaussian_recursion` returns the rows of `times` alone.

    The compiled recursion computes exponentials at these times only, and needs no memory for the
    others.
    """

    times: tuple[int, ...] = ()
    steps: int = 0

    @classmethod
    def over(cls, draws: Draws, times: tuple[int, ...], steps: int) -> KeptDraws:
        """Return draws that keep these positions, increasing, of the times 0 ... steps."""
        return cls(
            draws.key, draws.start, draws.n, draws.dtype, draws.implementation, draws.format,
            times, steps,
        )  # fmt: skip

    def _target(self, count: int) -> tuple[NDArray[Any], int]:
        return self.empty_rows(len(self.times)), 0

    def _recursion(
        self,
        coefficients: NDArray[np.float64],
        x0: NDArray[Any],
        out: NDArray[Any],
        column: int,
        exponential: bool,
        slot: int,
    ) -> None:
        if self.implementation == "reference" or (self.format == 1 and self.dtype == "float32"):
            whole = np.empty((self.steps + 1, self.n), self.dtype)
            # Not `super()`: classes with slots are made twice.
            Draws._recursion(self, coefficients, x0, whole, 0, exponential, slot)
            out[:, column : column + self.n] = whole[list(self.times)]
            return
        rows = np.full(self.steps + 1, -1)
        rows[list(self.times)] = np.arange(len(self.times))
        self._module.gaussian_recursion(
            self.key, self.start, slot, coefficients, x0, out, exponential, column=column, rows=rows
        )
