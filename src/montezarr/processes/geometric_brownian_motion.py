"""Geometric Brownian motion, the price process of Black, Scholes and Merton."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_real, real_numbers
from montezarr.core.value import checked
from montezarr.processes._base import Process, Rows
from montezarr.processes._fit import Fit, check_series, check_time_steps
from montezarr.processes._gaussian import linear_bound, linear_paths, normal_density
from montezarr.processes._per_path import square
from montezarr.processes._quantiles import TAIL, chi_square_quantile, t_quantile
from montezarr.processes.time_grid import TimeGrid
from montezarr.random.draws import Draws


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GeometricBrownianMotion(Process):
    r"""Geometric Brownian motion, :math:`dX_t = \mu X_t\,dt + \sigma X_t\,dW_t`, sampled exactly.

    .. math:: X_t = x_0 \exp\bigl((\mu - \tfrac12\sigma^2) t + \sigma W_t\bigr)

    Parameters
    ----------
    mu : float
        Growth rate of the mean, per unit of time.
    sigma : float
        Volatility of the logarithm per square root of a unit of time, at least 0.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For a parameter that is not a finite number in its range.

    References
    ----------
    Black and Scholes, "The pricing of options and corporate liabilities", 1973,
    doi:10.1086/260062. Glasserman, Monte Carlo Methods in Financial Engineering, 2003, section
    3.2.1, doi:10.1007/978-0-387-21617-1.

    Examples
    --------
    >>> import montezarr as mz
    >>> print(round(mz.GeometricBrownianMotion(mu=0.05, sigma=0.2).mean(t=1.0, x0=100.0), 3))
    105.127
    """

    equation: ClassVar[str] = "dX = μ X dt + σ X dW"
    is_one_pass: ClassVar[bool] = True
    is_recursion: ClassVar[bool] = True

    mu: float = field(metadata=checked(check_real))
    sigma: float = field(metadata=checked(check_real, minimum=0.0))

    def __post_init__(self) -> None:
        self.check_fields()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Process.examples`."""
        return cls(mu=0.05, sigma=0.2), cls(mu=-0.1, sigma=0.5)

    @classmethod
    def fit(cls, prices: Any, *, dt: float | None = None, times: Any = None) -> Fit:
        r"""Return the maximum-likelihood fit to prices.

        With log-returns r: :math:`\hat\sigma^2 = \mathrm{var}(r)/dt` (divided by n) and
        :math:`\hat\mu = \bar r/dt + \hat\sigma^2/2`; standard errors from the Fisher information,
        :math:`\hat\sigma/\sqrt{2n}` and :math:`\sqrt{\hat\sigma^2/(n\,dt) + \hat\sigma^4/(2n)}`
        (Campbell, Lo and MacKinlay, The Econometrics of Financial Markets, 1997, section 9.3.2).
        At irregular times each return is scaled by its own step. The interval of sigma is exact,
        from the chi-square law of the sum of squares; that of mu combines it with the t interval of
        the mean return (Zou, Taleban and Huo 2009, doi:10.1016/j.csda.2009.03.006).

        Parameters
        ----------
        prices : array (n+1,)
            Positive prices, oldest first; at least 3.
        dt : float, optional
            Time between two prices; 1 by default. If neither `dt` nor `times` is given, the times
            of a DataArray or Series (a coordinate or index named `time`, or of floats) are used; if
            these are dates, `dt` or `times` is required.
        times : array (n+1,), optional
            Time of each price, increasing, in place of dt.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If prices are fewer than 3, not positive or not finite, or dt is not positive; if
            times or dates do not increase, or differ from those of a DataArray or Series.
        """
        series = check_series("prices", prices, minimum=3, positive=True)
        steps = check_time_steps("prices", prices, dt, times, len(series))
        returns = np.diff(np.log(series))
        n = len(returns)
        if isinstance(steps, float):
            sigma, total = float(returns.std() / np.sqrt(steps)), n * steps
            growth = returns.mean() / steps
        else:
            total = float(steps.sum())
            growth = returns.sum() / total
            sigma = float(np.sqrt(((returns - growth * steps) ** 2 / steps).mean()))
        mu = float(growth + sigma**2 / 2)
        errors = {
            "mu": float(np.sqrt(sigma**2 / total + sigma**4 / (2 * n))),
            "sigma": sigma / float(np.sqrt(2 * n)),
        }
        return Fit(
            process=cls(mu=mu, sigma=sigma),
            standard_errors=errors,
            n=n,
            intervals=_intervals(mu, sigma, n, total),
        )

    def default_x0(self) -> float:
        """Return the default initial state, 1.0."""
        return 1.0

    def sample(self, draws: Draws, grid: TimeGrid, x0: Rows) -> Rows:
        """Return paths of the exact transition; see `Process.sample`."""
        return linear_paths(self, draws, grid, x0, exponential=True)

    def bound(self, grid: TimeGrid, x0: float) -> float:
        """Return a bound of abs(X); see `HasBound`."""
        with np.errstate(over="ignore"):
            return float(x0 * np.exp(linear_bound(self, grid, 0.0)))

    def mean(self, t: Any, x0: Any = 1.0) -> Any:
        """Return E[X_t] = x0 exp(mu t)."""
        return x0 * np.exp(self.mu * t)

    def variance(self, t: Any, x0: Any = 1.0) -> Any:
        """Return Var[X_t] = x0**2 exp(2 mu t) (exp(sigma**2 t) - 1)."""
        return x0**2 * np.exp(2 * self.mu * t) * np.expm1(self.sigma**2 * t)

    def density(self, x: Any, t: Any, x0: Any = 1.0) -> Any:
        r"""Return the density of X_t, which is lognormal; see `HasDensity`.

        :math:`\log(X_t/x_0)` is normal with mean :math:`(\mu - \sigma^2/2) t` and variance
        :math:`\sigma^2 t`, so the density is that of the logarithm over x (Glasserman, 2003,
        section 3.2.1; reference of the class).

        Parameters
        ----------
        x : float or array
            Values; the density is 0 where x / x0 is not positive.
        t : float or array
            Time since the start, > 0.
        x0 : float or array
            Initial state, not 0.

        Returns
        -------
        float or array, in units of 1/x; NaN at t = 0 or without noise

        Examples
        --------
        >>> import montezarr as mz
        >>> gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
        >>> print(round(gbm.density(100.0, t=1.0, x0=100.0), 5))
        0.01972
        """
        x, t, x0 = (real_numbers(value) for value in (x, t, x0))
        variance = self.sigma**2 * t
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = x / x0
            log = np.log(np.where(ratio > 0, ratio, np.nan))
            inside = normal_density(log, (self.mu - 0.5 * self.sigma**2) * t, variance) / np.abs(x)
        is_known = (variance > 0) & (x0 != 0) & ~np.isnan(ratio)
        return np.where(is_known, np.where(ratio > 0, inside, 0.0), np.nan)[()]

    def _coefficients(self, dt: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        drift = (self.mu - 0.5 * square(self.sigma)) * dt
        return np.ones_like(dt), drift, self.sigma * np.sqrt(dt)


def _intervals(mu: float, sigma: float, n: int, total: float) -> dict[str, tuple[float, float]]:
    """Return the 95 % intervals of a fit to n returns over the time `total`."""
    df = n - 1
    low, high = (n * sigma**2 / chi_square_quantile(p, df) for p in (1 - TAIL, TAIL))
    # mu = growth + sigma**2 / 2: the errors of both terms combine.
    half = t_quantile(1 - TAIL, df) * sigma * np.sqrt(n / df / total)
    down = np.hypot(half, max(sigma**2 - low, 0.0) / 2)
    up = np.hypot(half, max(high - sigma**2, 0.0) / 2)
    return {
        "mu": (float(mu - down), float(mu + up)),
        "sigma": (float(np.sqrt(low)), float(np.sqrt(high))),
    }
