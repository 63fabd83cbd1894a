"""Gaussian recursions of several scenarios on the same draws, in one compiled call.

A scenario of few paths takes less time than a call from Python: a thousand of them need one loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from montezarr.random.draws import Draws
from montezarr.random.draws.reference import FURTHEST

ROUNDED = 1.01
"""More than rounding adds to a bound: a few parts in 10**16 for each of at most 2**32 steps."""


class SamplesByDraws(Protocol):
    """What has the method `sample` of a process."""

    def sample(self, draws: Draws, grid: Any, x0: NDArray[Any]) -> NDArray[Any]:
        """Return paths."""


@dataclass(frozen=True, slots=True)
class _Recorder(Draws):
    """Draws that record the calls of `gaussian_recursion` and draw nothing."""

    calls: list[tuple[Any, ...]] = field(default_factory=list, repr=False, compare=False)

    def gaussian_recursion(
        self, coefficients: Any, x0: Any, *, steps: Any = None, exponential: bool = False,
        slot: int = 0,
    ) -> NDArray[Any]:  # fmt: skip
        rows = np.zeros((1, self.n), self.dtype)
        self.calls.append((coefficients, x0, bool(exponential), slot, rows))
        return rows


@dataclass(frozen=True, slots=True)
class Recursions:
    """The recursions of several scenarios, which differ in coefficients and initial state alone.

    Attributes
    ----------
    coefficients : array (scenarios, 3, T)
        a, b and c of every step; see `Draws.gaussian_recursion`.
    x0 : array (scenarios,)
        Initial state of all paths, in the dtype of the draws.
    exponential : bool
        Whether the states are ``x0 * exp(y)``.
    slot : int
        Slot of the normal draws.
    """

    coefficients: NDArray[np.float64]
    x0: NDArray[Any]
    exponential: bool
    slot: int

    @classmethod
    def of(
        cls, draws: Draws, scenarios: Sequence[tuple[SamplesByDraws, Any, NDArray[Any]]]
    ) -> Recursions | None:
        """Return the recursions of processes whose `sample` is one, or None if some are more.

        Parameters
        ----------
        draws : Draws
            Those of any paths: the dtype and the format count.
        scenarios : sequence of (process, grid, x0)
            The x0 is one number.
        """
        if draws.format == 1 and draws.dtype == "float32":  # its states are float32 in between
            return None
        found = [_recorded(draws, *scenario) for scenario in scenarios]
        calls = [call for call in found if call is not None]
        alike = {(coefficients.shape, *others) for coefficients, _, *others in calls}
        if len(calls) < len(found) or len(alike) != 1:
            return None
        coefficients, x0, (exponential, *_), (slot, *_) = zip(*calls, strict=True)
        return cls(np.stack(coefficients), np.array(x0, draws.dtype), exponential, slot)

    def normals(self, draws: Draws) -> NDArray[Any]:
        """Return the normal numbers (T, n) that all scenarios use."""
        out = draws.empty_rows(self.coefficients.shape[-1])
        draws.fill("normal", 0, out, self.slot)
        return out

    def fill(
        self,
        draws: Draws,
        out: NDArray[Any],
        column: int,
        scenarios: slice = slice(None),
        normals: NDArray[Any] | None = None,
        times: tuple[int, ...] | None = None,
    ) -> None:
        """Fill columns of `out` (scenarios, times, ...), from `column` on, with paths of `draws`.

        They have the bits of `Draws.gaussian_recursion`.

        Parameters
        ----------
        scenarios : slice
            The scenarios of `out`.
        normals : array, optional
            Those of `normals`, to draw them once for several calls.
        times : tuple of int, optional
            Positions of the times of `out`, increasing, out of 0 ... T; all by default.
        """
        given = self.normals(draws) if normals is None else normals
        coefficients, x0 = self.coefficients[scenarios], self.x0[scenarios]
        draws.several_recursions(coefficients, given, x0, out, column, self.exponential, times)

    def is_surely_finite(self) -> bool:
        """Return whether no state can overflow, since no normal number is beyond `FURTHEST`."""
        a, b, c = np.abs(self.coefficients).transpose(1, 0, 2)
        start = np.abs(self.x0.astype(np.float64))
        with np.errstate(over="ignore", invalid="ignore"):
            # With each a below 1 taken as 1, the bound of the last step is that of all.
            growth = np.prod(np.maximum(a, 1.0), axis=-1)
            first = 0.0 if self.exponential else start
            reach = ROUNDED * growth * (first + (b + FURTHEST * c).sum(axis=-1))
            if self.exponential:
                # Its powers of two must be numbers too, also where a small x0 makes the state one.
                reach = np.maximum(start, 1.0) * np.exp(reach)
        return bool((reach < float(np.finfo(self.x0.dtype).max)).all())


def _recorded(
    draws: Draws, process: SamplesByDraws, grid: Any, x0: NDArray[Any]
) -> tuple[NDArray[np.float64], Any, bool, int] | None:
    """Return coefficients, x0, exponential and slot of the recursion that `sample` is."""
    recorder = _Recorder(draws.key, 0, 1, draws.dtype, draws.implementation, draws.format)
    result = process.sample(recorder, grid, x0)
    if len(recorder.calls) != 1:
        return None
    coefficients, start, exponential, slot, rows = recorder.calls[0]
    # Rows that `sample` changes, or numbers per path, are none of such a recursion.
    if result is not rows or np.shape(coefficients) != (3, grid.T) or np.size(start) != 1:
        return None
    return np.asarray(coefficients, np.float64), np.reshape(start, ()), exponential, slot
