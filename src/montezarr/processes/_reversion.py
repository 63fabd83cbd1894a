"""Estimates and intervals of a process that reverts to a mean, from values at equal steps.

A short series contains little information on its reversion; `_slope_laws` gives the laws for the
interval of theta then. This module also has the functions that `_reversion_at` shares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from montezarr.core.errors import ArgumentValueError
from montezarr.processes._quantiles import TAIL, chi_square_quantile, t_quantile
from montezarr.processes._slope_laws import LONG, SLOPE_LAW_STEPS, SPEEDS, crossing, slope_laws

Interval = tuple[float, float]

UNKNOWN = -math.inf, math.inf


@dataclass(frozen=True)
class Reversion:
    """Estimates of a mean-reverting process from a series.

    Attributes
    ----------
    theta, mu, sigma : float
        Maximum-likelihood estimates.
    corrected : float
        Theta after bias correction.
    errors : dict
        Standard error of each parameter.
    intervals : dict
        95 % interval of each parameter; it contains the estimate.
    """

    theta: float
    mu: float
    sigma: float
    corrected: float
    errors: dict[str, float]
    intervals: dict[str, Interval]

    @classmethod
    def of(
        cls,
        found: dict[str, float],
        corrected: float,
        errors: dict[str, float],
        intervals: dict[str, Interval],
    ) -> Reversion:
        """Return estimates with intervals widened to contain them despite rounding.

        No test rejects the maximum-likelihood estimate itself, but where it rejects every theta of
        the grid (values that rather move away from a mean) the interval is empty. The bias
        correction is of first order only, so it is limited to the interval.
        """
        held = {
            name: (min(intervals[name][0], value), max(intervals[name][1], value))
            for name, value in found.items()
        }
        low, high = held["theta"]
        return cls(**found, corrected=min(max(corrected, low), high), errors=errors, intervals=held)

    @classmethod
    def exact(cls, found: dict[str, float]) -> Reversion:
        """Return the estimates from values without noise, with standard errors of 0."""
        points = {name: (value, value) for name, value in found.items()}
        return cls(
            **found, corrected=found["theta"], errors=dict.fromkeys(found, 0.0), intervals=points
        )

    @property
    def is_exact(self) -> bool:
        """Whether the values had no noise."""
        low, high = self.intervals["theta"]
        return low == high

    def in_units(self, origin: float, unit: float) -> Reversion:
        """Return the estimates for the values `origin` + `unit` times these."""
        mu, sigma = self.intervals["mu"], self.intervals["sigma"]
        return Reversion(
            self.theta,
            origin + unit * self.mu,
            unit * self.sigma,
            self.corrected,
            {name: e if name == "theta" else unit * e for name, e in self.errors.items()},
            {
                "theta": self.intervals["theta"],
                "mu": (origin + unit * mu[0], origin + unit * mu[1]),
                "sigma": (unit * sigma[0], unit * sigma[1]),
            },
        )


def standardized(series: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float]:
    """Return values centred at 0 and scaled to at most 1, with origin and unit.

    The squares of such values neither overflow nor underflow.

    Raises
    ------
    ArgumentValueError
        If all values are the same.
    """
    if series.min() == series.max():
        raise ArgumentValueError(
            "values: expected a series that reverts to a mean, got values that are all the same."
        )
    origin = float(series.mean())
    unit = 2.0 ** math.frexp(float(np.abs(series - origin).max()))[1]  # a power of 2: exact
    return (series - origin) / unit, origin, unit


def without_bias(theta: float, slope: float, n: float, step: float) -> float:
    """Return theta without the bias of the slope b of n pairs, -(1 + 3 b) / n.

    The correction is of first order (Kendall 1954, doi:10.1093/biomet/41.3-4.403). For short steps
    it subtracts 4 / (n step) from theta, as do Tang and Chen 2009, equation 3.5. They also expand
    the logarithm and so divide by b**2, which is mere error where values revert within a step; the
    correction of the slope holds for every b. The result is at least a tenth of theta, so that
    some reversion remains.
    """
    corrected = slope + (1 + 3 * slope) / n
    least = theta / 10
    return max(-math.log(corrected) / step, least) if corrected < 1 else least


def is_noise(v: float, variance: float) -> bool:
    """Return whether residuals of variance v exceed rounding errors."""
    return v > 1e-24 * variance


def mean_interval(gap: float, drift: float, noise: float, error: float) -> Interval:
    """Return the interval of u where (drift - u gap)**2 <= noise + (error u)**2 (Fieller 1954).

    u is the mean minus the centre of the values; the interval holds those u for which
    drift - u gap may be 0. It is unbounded if the solutions form no bounded interval.
    """
    a, b, c = gap**2 - error**2, -2 * drift * gap, drift**2 - noise
    inside = b * b - 4 * a * c
    if a <= 0 or inside < 0:
        return UNKNOWN
    root = math.sqrt(inside)
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def volatility_interval(sigma: float, df: int, n: int, shifts: Interval) -> Interval:
    """Return the interval of sigma, combined from those of the residual variance and of theta.

    By the method of Zou et al. 2009, on logarithms, doi:10.1016/j.csda.2009.03.006.

    Parameters
    ----------
    shifts : tuple
        Change of log sigma**2 at both ends of the interval of theta.
    """
    logs = [math.log(n / chi_square_quantile(p, df)) for p in (1 - TAIL, TAIL)]
    down = math.hypot(min(logs[0], 0.0), min(*shifts, 0.0))
    up = math.hypot(max(logs[1], 0.0), max(*shifts, 0.0))
    return sigma * math.exp(-down / 2), sigma * math.exp(up / 2)


def tested(
    t: NDArray[np.float64], n: int, time: float, offset: float, corrected: float
) -> tuple[Interval, float]:
    """Return the interval of theta, and the critical value of the test of mu, for a short series.

    Parameters
    ----------
    t : array
        The statistic of the slope at each of `SPEEDS` divided by the time observed.
    offset : float
        First value minus the mean, divided by sigma.
    """
    thetas = SPEEDS / time
    low, high, critical = slope_laws(min(n, SLOPE_LAW_STEPS), round(offset / math.sqrt(time), 1))
    # For a large theta the observed slope is too large, for a small theta too small.
    return (
        (crossing(thetas, t - low), crossing(thetas, t - high)),
        float(np.interp(math.log(corrected / 2), np.log(thetas), critical)),
    )


def fit_regular(x: NDArray[np.float64], step: float) -> Reversion:
    """Return the fit to values at equal steps, by the regression y = a + b x on the value before.

    Raises
    ------
    ArgumentValueError
        If b is not between 0 and 1.
    """
    x, y = x[:-1], x[1:]
    n = len(x)
    centre, variance = float(x.mean()), float(x.var())
    slope = float(((x - centre) * (y - y.mean())).mean()) / variance if variance > 0 else 1.0
    if slope >= 1:
        raise no_reversion(f"b = {slope:.6g}")
    if slope <= 0:
        raise within_a_step(f"b = {slope:.6g}")
    gap = 1 - slope
    drift = float(y.mean()) - centre
    v = float(((y - y.mean() - slope * (x - centre)) ** 2).mean())
    theta, mu = -math.log(slope) / step, centre + drift / gap
    sigma = math.sqrt(2 * theta * v / (1 - slope**2))
    error = math.sqrt(v / variance / n)
    # log sigma**2 = log theta + log v - log(1 - b**2) + const
    d_log = 1 / (slope * math.log(slope)) + 2 * slope / (1 - slope**2)
    errors = {
        "theta": error / (slope * step),
        "mu": math.hypot(math.sqrt(v / n), error * drift / gap) / gap,
        "sigma": sigma / 2 * math.hypot(math.sqrt(2 / n), d_log * error),
    }
    found = {"theta": theta, "mu": mu, "sigma": sigma}
    if not is_noise(v, variance):
        return Reversion.exact(found)
    corrected = without_bias(theta, slope, n, step)
    df = n - 2
    if n < 4:
        return Reversion.of(found, corrected, errors, unknown())
    critical = t_quantile(1 - TAIL, df)
    spare = math.sqrt(n / df) * error
    if theta * n * step >= LONG:
        slopes = slope + critical * spare, slope - critical * spare
        low, high = (-math.log(min(b, 1.0)) / step if b > 0 else math.inf for b in slopes)
    else:
        t = (slope - np.exp(-SPEEDS / n)) / spare
        (low, high), critical = tested(t, n, n * step, (x[0] - mu) / sigma, corrected)
    now = log_factor(theta, step)
    below, above = mean_interval(gap, drift, critical**2 * v / df, critical * spare)
    shifts = log_factor(low, step) - now, log_factor(high, step) - now
    intervals = {
        "theta": (low, high),
        "mu": (centre + below, centre + above),
        "sigma": volatility_interval(sigma, df, n, shifts),
    }
    return Reversion.of(found, corrected, errors, intervals)


def unknown() -> dict[str, Interval]:
    """Return unbounded intervals: three pairs leave no degree of freedom for three parameters."""
    return {"theta": (0.0, math.inf), "mu": UNKNOWN, "sigma": (0.0, math.inf)}


def log_factor(theta: float, steps: float | NDArray[np.float64]) -> float:
    """Return log sigma**2 - log v for residuals of variance v, averaged over several steps."""
    if theta == 0:
        return -float(np.mean(np.log(steps)))
    return math.log(2 * theta) - float(np.mean(np.log(-np.expm1(-2 * theta * steps))))


def no_reversion(got: str) -> ArgumentValueError:
    """Return the error for values that do not revert to a mean."""
    return ArgumentValueError(
        f"values: expected a series that reverts to a mean, 0 < b < 1, got {got}: it does not"
        " within the time observed. Fit a BrownianMotion instead, or give a longer series."
    )


def within_a_step(got: str) -> ArgumentValueError:
    """Return the error for values that do not depend on the value before."""
    return ArgumentValueError(
        f"values: expected a series that reverts to a mean in more than one step, 0 < b < 1, got"
        f" {got}: each value says nothing of the next, and theta may be any large number. Give"
        " values at shorter steps."
    )
