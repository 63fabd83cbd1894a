"""Shared arithmetic of processes whose transitions are normal or lognormal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import real_numbers
from montezarr.processes._base import NORMAL_BOUND, Rows
from montezarr.processes._per_path import check_lengths
from montezarr.processes.time_grid import TimeGrid
from montezarr.random.draws import Draws


class LinearNormal(Protocol):
    """A process whose state, or its logarithm, makes steps y' = a y + b + c z with normal z."""

    def arrays_per_path(self) -> dict[str, NDArray[np.float64]]:
        """Return the parameters that have one number per path."""

    def with_arrays(self, values: Mapping[str, NDArray[np.float64]]) -> Self:
        """Return a copy with one number per path in some parameters."""

    def _coefficients(self, dt: NDArray[np.float64]) -> Sequence[NDArray[np.float64]]:
        """Return a, b and c for steps of the lengths `dt`, (T,), or (T, 1) for arrays (n,)."""


def linear_paths(
    process: LinearNormal, draws: Draws, grid: TimeGrid, x0: Rows, *, exponential: bool = False
) -> Rows:
    """Return the paths of a process with such steps; see `Draws.gaussian_recursion`."""
    arrays = process.arrays_per_path()
    if not arrays:
        constant = _stacked(process, grid.steps)
        return draws.gaussian_recursion(constant, x0, exponential=exponential)
    check_lengths(arrays, draws.n)
    coefficients: Any = _of_all_steps(process, grid)
    if coefficients is None:

        def coefficients(part: slice) -> NDArray[np.float64]:
            return _of_part(process, arrays, part, grid)

    return draws.gaussian_recursion(coefficients, x0, steps=grid.T, exponential=exponential)


def linear_bound(process: LinearNormal, grid: TimeGrid, x0: float) -> float:
    """Return a bound of |y| over the grid for all paths, given |y[0]| <= x0 and bounded z."""
    arrays = process.arrays_per_path()
    if not arrays:
        return _bound(_stacked(process, grid.steps), x0, 1)
    if (whole := _of_all_steps(process, grid)) is not None:
        return _bound(whole, x0, grid.T)
    n = max(map(len, arrays.values()))
    parts = (slice(low, low + BOUNDED_PATHS) for low in range(0, n, BOUNDED_PATHS))
    return max(_bound(_of_part(process, arrays, part, grid), x0, 1) for part in parts)


BOUNDED_PATHS = 64
"""Paths whose coefficients at all steps are in memory together for a bound."""


def _of_all_steps(process: LinearNormal, grid: TimeGrid) -> NDArray[np.float64] | None:
    """Return coefficients (3, 1, n) that hold for all steps; None if steps differ in length."""
    return None if grid.dt is None else _stacked(process, np.array([[grid.dt]]))


def _of_part(
    process: LinearNormal, arrays: Mapping[str, NDArray[np.float64]], part: slice, grid: TimeGrid
) -> NDArray[np.float64]:
    some = process.with_arrays({name: array[part] for name, array in arrays.items()})
    return _stacked(some, grid.steps[:, np.newaxis])


def _stacked(process: LinearNormal, dt: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack(np.broadcast_arrays(*process._coefficients(dt)))


def _bound(coefficients: NDArray[np.float64], x0: float, times: int) -> float:
    """Return the bound for coefficients (3, T) or (3, T, n), taken `times` times in turn."""
    a, b, c = np.abs(coefficients)
    with np.errstate(over="ignore", invalid="ignore"):
        # With every a below 1 taken as 1, the bound of the last step bounds all steps: each
        # increment grows at most by the product of all a. The factor 2 allows for rounding, which
        # adds a few parts in 10**16 per step.
        growth = np.prod(np.maximum(a, 1.0), axis=0) ** times
        reach = growth * (x0 + 2 * times * (b + NORMAL_BOUND * c).sum(axis=0))
    return float(np.max(reach))


def normal_density(x: Any, mean: Any, variance: Any) -> Any:
    """Return the density of a normal distribution; NaN where its variance is 0."""
    x, mean, variance = (real_numbers(value) for value in (x, mean, variance))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        out = np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
    return np.where(variance > 0, out, np.nan)[()]
