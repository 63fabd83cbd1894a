"""What a run with varying parameters adds to the draw of a range: scenario, values, draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.random.draws import Draws
from montezarr.random.draws.shared import SharedDraws


class DrawsOfSlice:
    """The draws of a range of paths, computed once for all scenarios that ask for them."""

    def __init__(self) -> None:
        self._kept: SharedDraws | None = None
        self._rows: NDArray[Any] | None = None
        self._column = 0

    def of(self, draws: Draws) -> Draws:
        """Return the draws, kept for the next scenario; as they are if these are of other paths."""
        if self._kept is None:
            self._kept = SharedDraws.over(draws)
        kept = self._kept
        if (kept.key, kept.start, kept.n, kept.dtype) != (
            draws.key, draws.start, draws.n, draws.dtype
        ):  # fmt: skip
            return draws
        rows, self._rows = self._rows, None
        return kept if rows is None else kept.into(rows, self._column)

    def into(self, rows: NDArray[Any], column: int) -> None:
        """Let the next scenario write its paths into columns of `rows`, if it can."""
        self._rows, self._column = rows, column


@dataclass(frozen=True, slots=True)
class DrawContext:
    """The scenario of a range of paths, and the parameters that each of its paths has.

    Attributes
    ----------
    scenario : dict of str to object
        The parameters that all paths of the scenario share, for messages.
    values : dict of str to (int, array (n,))
        The parameters that differ from path to path: index of the first path, and the values.
    draws : DrawsOfSlice or None
        The draws of these paths, which the other scenarios use too; None for one scenario.
    selectors : dict of str to object
        The coordinate of the scenario along each of its dimensions, or its position where there is
        none, by which `replay` selects it.
    """

    scenario: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, tuple[int, NDArray[Any]]] = field(default_factory=dict)
    draws: DrawsOfSlice | None = None
    selectors: Mapping[str, Any] = field(default_factory=dict)

    def of(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        """Return the parameters of the paths start ... stop-1.

        Paths outside the known range get those of the nearest one inside, as with initial states: a
        block is always drawn whole.
        """
        return {
            name: _range_of(array, start - first, stop - first)
            for name, (first, array) in self.values.items()
        }

    def at(self, path: int) -> dict[str, Any]:
        """Return the parameters of one path, those of the scenario among them, for messages."""
        own = {name: array[0].item() for name, array in self.of(path, path + 1).items()}
        return {**self.scenario, **own}

    def replay_line(self, path: int | None) -> str:
        """Return the call that draws a path again, in this scenario; None for an unknown path."""
        parts = ["ds", "path" if path is None else str(path)]
        odd = {dim: label for dim, label in self.selectors.items() if not dim.isidentifier()}
        parts += [f"{d}={label!r}" for d, label in self.selectors.items() if d not in odd]
        return f"mz.replay({', '.join(parts + ([f'**{odd}'] if odd else []))})"


def _range_of(array: NDArray[Any], low: int, high: int) -> NDArray[Any]:
    if low >= 0 and high <= len(array):
        return array[low:high]
    return array[np.clip(np.arange(low, high), 0, len(array) - 1)]


NO_CONTEXT = DrawContext()
"""The context of a run whose parameters do not vary."""
