"""The Poisson process, the count of events that come independently at a constant rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from montezarr._checks import check_real
from montezarr.draws import Draws
from montezarr.errors import ArgumentValueError
from montezarr.grid import TimeGrid
from montezarr.processes._base import Process, Rows

MAX_MEAN = 1e7
"""Largest expected count in one step: the table of probabilities grows with its square root."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PoissonProcess(Process):
    r"""Poisson process, :math:`N_t - N_s \sim \mathrm{Poisson}(\lambda (t - s))`, sampled exactly.

    Each increment inverts the distribution function at one uniform number of 53 bits.

    Parameters
    ----------
    rate : float
        Expected events per unit of time, > 0; rate times the longest step at most 1e7.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For a rate that is not a finite positive number, or a step that expects over 1e7 events.

    References
    ----------
    Kingman, Poisson Processes, 1993, chapter 1. Inversion: Devroye, Non-Uniform Random Variate
    Generation, 1986, section III.2, doi:10.1007/978-1-4613-8643-8.

    Examples
    --------
    >>> import montezarr as mz
    >>> mz.PoissonProcess(rate=3.0).mean(t=2.0)
    6.0
    """

    dtypes: ClassVar[tuple[str, ...]] = ("int64", "int32")

    rate: float

    def __post_init__(self) -> None:
        self.set_field("rate", check_real("rate", self.rate, above=0.0))

    def default_x0(self) -> int:
        """Return 0."""
        return 0

    def sample(self, draws: Draws, grid: TimeGrid, x0: Rows) -> Rows:
        """Return paths of the exact transition; see `Process.sample`."""
        rows = draws.empty_rows(grid.T + 1, x0.dtype)
        rows[0] = x0
        tables: dict[float, tuple[int, NDArray[np.float64]]] = {}
        uniforms = draws.rows("uniform", grid.T)
        for k, (dt, uniform) in enumerate(zip(grid.steps.tolist(), uniforms, strict=True)):
            if dt not in tables:
                tables[dt] = _distribution(self.rate * dt)
            first, cdf = tables[dt]
            count = np.searchsorted(cdf, uniform, side="right")
            rows[k + 1] = rows[k] + (count + first).astype(x0.dtype)
        return rows

    def mean(self, t: Any, x0: Any = 0) -> Any:
        """Return E[N_t] = x0 + rate t."""
        return x0 + self.rate * t

    def variance(self, t: Any, x0: Any = 0) -> Any:
        """Return Var[N_t] = rate t."""
        return self.rate * t + 0.0 * x0


def _distribution(mean: float) -> tuple[int, NDArray[np.float64]]:
    """Return the first count and the distribution function from there on.

    The table ends where the remaining probability is far below 2**-53, the resolution of a
    uniform number, so that it holds every count that can come out.
    """
    if mean > MAX_MEAN:
        raise ArgumentValueError(
            f"rate: expected rate * dt <= {MAX_MEAN:g}, got {mean:g}. Take shorter steps."
        )
    mode = int(mean)
    reach = int(12 * np.sqrt(mean) + 40)
    first = max(0, mode - reach)
    counts = np.arange(first, mode + reach + 1)
    # Ratios to the mode's probability, outwards from it: no factorial, no overflow.
    up = np.cumprod(mean / counts[counts > mode])
    down = np.cumprod((counts[(counts > first) & (counts <= mode)] / mean)[::-1])[::-1]
    weights = np.concatenate([down, [1.0], up])
    return first, np.cumsum(weights / weights.sum())[:-1]
