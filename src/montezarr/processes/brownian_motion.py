"""Brownian motion with drift."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_real
from montezarr.core.value import checked
from montezarr.processes._base import Process, Rows
from montezarr.processes._gaussian import linear_bound, linear_paths, normal_density
from montezarr.processes.time_grid import TimeGrid
from montezarr.random.draws import Draws


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BrownianMotion(Process):
    r"""Brownian motion with drift, :math:`dX_t = \mu\,dt + \sigma\,dW_t`, sampled exactly.

    Parameters
    ----------
    mu : float
        Drift per unit of time.
    sigma : float
        Volatility per square root of a unit of time, at least 0.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For a parameter that is not a finite number in its range.

    References
    ----------
    Karatzas and Shreve, Brownian Motion and Stochastic Calculus, 1998, chapter 2,
    doi:10.1007/978-1-4612-0949-2.

    Examples
    --------
    >>> import montezarr as mz
    >>> mz.BrownianMotion(mu=0.5, sigma=2.0).variance(t=3.0)
    12.0
    """

    equation: ClassVar[str] = "dX = μ dt + σ dW"
    is_one_pass: ClassVar[bool] = True
    is_recursion: ClassVar[bool] = True

    mu: float = field(default=0.0, metadata=checked(check_real))
    sigma: float = field(default=1.0, metadata=checked(check_real, minimum=0.0))

    def __post_init__(self) -> None:
        self.check_fields()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Process.examples`."""
        return cls(), cls(mu=-0.3, sigma=2.0)

    @property
    def resumes(self) -> bool:
        """Whether a state is all that later ones depend on; see `Process.resumes`."""
        return True

    def sample(self, draws: Draws, grid: TimeGrid, x0: Rows) -> Rows:
        """Return paths of the exact transition; see `Process.sample`."""
        return linear_paths(self, draws, grid, x0)

    def bound(self, grid: TimeGrid, x0: float) -> float:
        """Return a bound of abs(X); see `HasBound`."""
        return linear_bound(self, grid, x0)

    def mean(self, t: Any, x0: Any = 0.0) -> Any:
        """Return E[X_t] = x0 + mu t."""
        return x0 + self.mu * t

    def variance(self, t: Any, x0: Any = 0.0) -> Any:
        """Return Var[X_t] = sigma**2 t."""
        return self.sigma**2 * t + 0.0 * x0

    def density(self, x: Any, t: Any, x0: Any = 0.0) -> Any:
        r"""Return the density of X_t, which is normal; see `HasDensity`.

        With mean :math:`x_0 + \mu t` and variance :math:`\sigma^2 t` (Karatzas and Shreve, 1998,
        chapter 2; reference of the class).

        Parameters
        ----------
        x : float or array
            Values at which the density is taken.
        t : float or array
            Time since the start, > 0.
        x0 : float or array
            Initial state.

        Returns
        -------
        float or array, in units of 1/x; NaN at t = 0 or without noise
        """
        return normal_density(x, self.mean(t, x0), self.variance(t, x0))

    def _coefficients(self, dt: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        return np.ones_like(dt), self.mu * dt, self.sigma * np.sqrt(dt)
