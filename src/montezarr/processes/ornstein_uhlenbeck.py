"""The Ornstein-Uhlenbeck process, Brownian motion pulled back to a mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import numpy as np
from numpy.typing import NDArray

from montezarr._checks import check_real
from montezarr.draws import Draws
from montezarr.errors import ArgumentValueError
from montezarr.grid import TimeGrid
from montezarr.processes._base import Process, Rows
from montezarr.processes._fit import Fit, check_series
from montezarr.processes._gaussian import normal_density, recursion_bound


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class OrnsteinUhlenbeck(Process):
    r"""Ornstein-Uhlenbeck, :math:`dX_t = \theta(\mu - X_t)\,dt + \sigma\,dW_t`, sampled exactly.

    Also known as the Vasicek model of interest rates.

    Parameters
    ----------
    theta : float
        Speed of reversion, > 0, per unit of time.
    mu : float
        Long-run mean.
    sigma : float
        Volatility per square root of a unit of time, at least 0.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For a parameter that is not a finite number in its range.

    References
    ----------
    Uhlenbeck and Ornstein, "On the theory of the Brownian motion", 1930,
    doi:10.1103/PhysRev.36.823. Gillespie, "Exact numerical simulation of the Ornstein-Uhlenbeck
    process and its integral", 1996, doi:10.1103/PhysRevE.54.2084.

    Examples
    --------
    >>> import montezarr as mz
    >>> print(mz.OrnsteinUhlenbeck(theta=2.0, mu=0.0, sigma=1.0).variance(t=float("inf")))
    0.25
    """

    equation: ClassVar[str] = "dX = θ (μ − X) dt + σ dW"

    theta: float
    mu: float
    sigma: float

    def __post_init__(self) -> None:
        self.set_field("theta", check_real("theta", self.theta, above=0.0))
        self.set_field("mu", check_real("mu", self.mu))
        self.set_field("sigma", check_real("sigma", self.sigma, minimum=0.0))

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Process.examples`."""
        return cls(theta=0.5, mu=1.0, sigma=0.3), cls(theta=20.0, mu=0.0, sigma=1.0)

    @classmethod
    def fit(cls, values: Any, *, dt: float = 1.0) -> Fit:
        r"""Return the conditional maximum-likelihood fit to equally spaced values.

        The exact transition is a first-order autoregression :math:`x' = a + b x + \epsilon`, so
        the fit is its regression, with :math:`\theta = -\log b/dt`, :math:`\mu = a/(1-b)`,
        :math:`\sigma^2 = 2\theta v/(1-b^2)` for the residual variance v. Standard errors by the
        delta method (Tang and Chen, "Parameter estimation and bias correction for diffusion
        processes", 2009, doi:10.1016/j.jeconom.2008.11.001). The estimate of theta is biased
        upwards by about 4 / (total time).

        Parameters
        ----------
        values : array (n+1,)
            Observations, oldest first; at least 4.
        dt : float
            Time between two of them.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If values are fewer than 4 or not finite, or do not revert to a mean (b outside (0, 1)).
        """
        series = check_series("values", values, minimum=4)
        step = check_real("dt", dt, above=0.0)
        x, y = series[:-1], series[1:]
        n = len(x)
        spread = float(((x - x.mean()) ** 2).sum())
        slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread if spread > 0 else 1.0
        if not 0 < slope < 1:
            raise ArgumentValueError(
                f"values: expected a series that reverts to a mean, 0 < b < 1, got b = {slope:.6g}."
                " Fit a BrownianMotion instead, or give a longer series."
            )
        intercept = float(y.mean() - slope * x.mean())
        v = float(((y - intercept - slope * x) ** 2).mean())
        theta, mu = -np.log(slope) / step, intercept / (1 - slope)
        sigma = np.sqrt(2 * theta * v / (1 - slope**2))
        # Covariance of (intercept, slope) of the regression, and the variance of v.
        centre = float(x.mean())
        cov = v / spread * np.array([[spread / n + centre**2, -centre], [-centre, 1.0]])
        d_mu = np.array([1 / (1 - slope), intercept / (1 - slope) ** 2])
        # log sigma**2 = log theta + log v - log(1 - b**2) + const
        d_log = 1 / (slope * np.log(slope)) + 2 * slope / (1 - slope**2)
        errors = {
            "theta": float(np.sqrt(cov[1, 1]) / (slope * step)),
            "mu": float(np.sqrt(d_mu @ cov @ d_mu)),
            "sigma": float(sigma / 2 * np.sqrt(2 / n + d_log**2 * cov[1, 1])),
        }
        process = cls(theta=float(theta), mu=float(mu), sigma=float(sigma))
        return Fit(process=process, standard_errors=errors, n=n)

    def default_x0(self) -> float:
        """Return the long-run mean."""
        return self.mu

    def sample(self, draws: Draws, grid: TimeGrid, x0: Rows) -> Rows:
        """Return paths of the exact transition; see `Process.sample`."""
        return draws.gaussian_recursion(self._coefficients(grid), x0)

    def bound(self, grid: TimeGrid, x0: float) -> float:
        """Return a bound of abs(X); see `HasBound`."""
        return recursion_bound(self._coefficients(grid), x0)

    def mean(self, t: Any, x0: Any = 0.0) -> Any:
        """Return E[X_t] = mu + (x0 - mu) exp(-theta t)."""
        return self.mu + (x0 - self.mu) * np.exp(-self.theta * t)

    def variance(self, t: Any, x0: Any = 0.0) -> Any:
        """Return Var[X_t] = sigma**2 (1 - exp(-2 theta t)) / (2 theta)."""
        return self.sigma**2 * -np.expm1(-2 * self.theta * t) / (2 * self.theta) + 0.0 * x0

    def density(self, x: Any, t: Any, x0: Any = 0.0) -> Any:
        r"""Return the density of X_t, which is normal; see `HasDensity`.

        With mean :math:`\mu + (x_0 - \mu) e^{-\theta t}` and variance
        :math:`\sigma^2 (1 - e^{-2\theta t}) / (2\theta)` (Gillespie, 1996; reference of the
        class).

        Parameters
        ----------
        x : float or array
            Values.
        t : float or array
            Time since the start, > 0.
        x0 : float or array
            Initial state.

        Returns
        -------
        float or array, in units of 1/x; NaN at t = 0 or without noise
        """
        return normal_density(x, self.mean(t, x0), self.variance(t, x0))

    def _coefficients(self, grid: TimeGrid) -> NDArray[np.float64]:
        dt = grid.steps
        decay = np.exp(-self.theta * dt)
        gap = -np.expm1(-self.theta * dt)
        spread = self.sigma * np.sqrt(-np.expm1(-2 * self.theta * dt) / (2 * self.theta))
        return np.stack([decay, self.mu * gap, spread])
