"""The Ornstein-Uhlenbeck process, Brownian motion pulled back to a mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_bool, check_real
from montezarr.core.errors import MontezarrWarning
from montezarr.core.notices import warn
from montezarr.core.value import checked
from montezarr.processes._base import Process, Rows
from montezarr.processes._fit import Fit, check_series, check_time_steps
from montezarr.processes._gaussian import linear_bound, linear_paths, normal_density
from montezarr.processes._reversion import fit_regular, standardized
from montezarr.processes._reversion_at import fit_irregular
from montezarr.processes.time_grid import TimeGrid
from montezarr.random.draws import Draws


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
    is_one_pass: ClassVar[bool] = True
    is_recursion: ClassVar[bool] = True

    theta: float = field(metadata=checked(check_real, above=0.0))
    mu: float = field(metadata=checked(check_real))
    sigma: float = field(metadata=checked(check_real, minimum=0.0))

    def __post_init__(self) -> None:
        self.check_fields()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Process.examples`."""
        return cls(theta=0.5, mu=1.0, sigma=0.3), cls(theta=20.0, mu=0.0, sigma=1.0)

    @classmethod
    def fit(
        cls,
        values: Any,
        *,
        dt: float | None = None,
        times: Any = None,
        bias_correction: bool = True,
    ) -> Fit:
        r"""Return the conditional maximum-likelihood fit to values.

        The exact transition is a first-order autoregression :math:`x' = a + b x + \epsilon`, so
        the fit is its regression, with :math:`\theta = -\log b/dt`, :math:`\mu = a/(1-b)`,
        :math:`\sigma^2 = 2\theta v/(1-b^2)` for the residual variance v. Standard errors by the
        delta method (Tang and Chen, "Parameter estimation and bias correction for diffusion
        processes", 2009, doi:10.1016/j.jeconom.2008.11.001). The estimate of theta is biased
        upwards by about 4 / (total time); this is corrected through the bias of b, (1 + 3 b) / n
        (Kendall 1954, doi:10.1093/biomet/41.3-4.403), down to a tenth of the estimate at most.

        Intervals are valid for short series, and contain the estimates: that of theta comes from
        tests with simulated laws (Hansen 1999, doi:10.1162/003465399558463), that of mu from the
        test of the intercept (Fieller 1954), that of sigma from the residual variance and theta. If
        the data do not show whether values revert, the interval of theta begins at 0 and that of mu
        is unbounded; if they may revert within a step, that of theta has no upper end. At irregular
        times the tests are likelihood-ratio tests.

        Parameters
        ----------
        values : array (n+1,)
            Observations, oldest first; at least 4.
        dt : float, optional
            Time between two values; 1 by default. If neither `dt` nor `times` is given, the times
            of a DataArray or Series (a coordinate or index named `time`, or of floats) are used; if
            these are dates, `dt` or `times` is required.
        times : array (n+1,), optional
            Time of each value, increasing, in place of dt.
        bias_correction : bool
            Whether to correct theta for its bias; False gives theta of maximum likelihood.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If values are fewer than 4 or not finite, do not revert to a mean (b >= 1) or revert
            within a step (b <= 0); if times or dates do not increase, or differ from those of a
            DataArray or Series.

        Warns
        -----
        MontezarrWarning
            If n * theta * dt is small: the series is short compared with the relaxation time.
        """
        correct = check_bool("bias_correction", bias_correction)
        series = check_series("values", values, minimum=4)
        step = check_time_steps("values", values, dt, times, len(series))
        scaled, origin, unit = standardized(series)
        found = (
            fit_regular(scaled, step) if isinstance(step, float) else fit_irregular(scaled, step)
        ).in_units(origin, unit)
        n = len(series) - 1
        if not found.is_exact:
            _warn_of_short(found.theta, n * step if isinstance(step, float) else float(step.sum()))
        theta = found.corrected if correct else found.theta
        return Fit(
            process=cls(theta=theta, mu=found.mu, sigma=found.sigma),
            standard_errors=found.errors,
            n=n,
            intervals=found.intervals,
        )

    def default_x0(self) -> float:
        """Return the long-run mean."""
        return self.mu

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
        decay = np.exp(-self.theta * dt)
        gap = -np.expm1(-self.theta * dt)
        spread = self.sigma * np.sqrt(-np.expm1(-2 * self.theta * dt) / (2 * self.theta))
        return decay, self.mu * gap, spread


SHORT = 20.0
"""Relaxation times that a series must cover, else `fit` warns."""


def _warn_of_short(theta: float, time: float, stacklevel: int = 3) -> None:
    if theta * time < SHORT:
        warn(
            f"values: n * theta * dt is small, {theta * time:.3g}: the series is short beside the"
            " time of relaxation 1 / theta, estimates are rough and no normal law holds for them."
            " Take `intervals` of the fit, not its standard errors.",
            MontezarrWarning,
            stacklevel=stacklevel,
        )
