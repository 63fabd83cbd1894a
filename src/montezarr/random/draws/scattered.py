"""The draws of single paths, anywhere, from a step on: for paths that go on when others stop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_int
from montezarr.random.draws import Draws

NO_PATHS = np.empty(0, np.uint64)


@dataclass(frozen=True, slots=True)
class ScatteredDraws(Draws):
    """The draws of the paths of these indices in float64, numbered from step `first` on.

    Its step k is step first + k of each path.
    """

    paths: NDArray[np.uint64] = field(default_factory=lambda: NO_PATHS, repr=False, compare=False)
    first: int = 0

    @classmethod
    def over(cls, draws: Draws, paths: NDArray[np.int64], first: int) -> ScatteredDraws:
        """Return draws on the key of others, for the paths of these indices.

        Parameters
        ----------
        draws : Draws
            In float64.
        paths : array (n,)
            Indices of paths.
        first : int
            The first step.
        """
        return cls(
            draws.key, 0, len(paths), draws.dtype, draws.implementation, draws.format,
            np.ascontiguousarray(paths, np.uint64), first,
        )  # fmt: skip

    def part(self, low: int, high: int) -> Draws:
        """Return the draws of the paths low ... high-1 of these n."""
        check_int("high", high, maximum=self.n)
        check_int("low", low, maximum=high)
        return ScatteredDraws.over(self, self.paths[low:high].astype(np.int64), self.first)

    def _fill(self, kind: str, step: int, out: NDArray[Any], slot: int) -> None:
        at = self.first + step
        if self.implementation == "kernel":
            # Imported here, as the other kernels are.
            from montezarr.random.draws import scattered_kernel

            scattered_kernel.fill_of(kind, self.key, self.paths, at, slot, out)
            return
        for i, path in enumerate(self.paths.tolist()):
            one = np.empty((len(out), 1), out.dtype)
            self._module.fill(kind, self.key, path, at, slot, one)
            out[:, i] = one[:, 0]

    def kept_rows(self, kind: str, count: int, slot: int = 0) -> NDArray[Any]:
        """Return the rows of the next steps, which compiled code would draw for other paths."""
        rows = self.empty_rows(count)
        self._fill(kind, 0, rows, slot)
        return rows
