"""The fit of a process that reverts to a mean, from values at irregular times.

For given theta, mu and sigma come from a weighted regression; theta maximises the profile
likelihood. Tests and intervals are those of equal steps, with the statistic t of the slope defined
by t**2 = df (exp(2 d / n) - 1), where d is the difference of the log-likelihood from its maximum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from montezarr.processes._quantiles import TAIL, t_quantile
from montezarr.processes._reversion import (
    Reversion,
    is_noise,
    log_factor,
    mean_interval,
    no_reversion,
    tested,
    unknown,
    volatility_interval,
    within_a_step,
)
from montezarr.processes._reversion import without_bias as without_bias_of_slope
from montezarr.processes._slope_laws import LONG, SPEEDS

WEIGHT_MIN = 1e-300


@dataclass(frozen=True)
class Likelihood:
    """The profile likelihood of theta, for pairs of values x and y one step apart."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    steps: NDArray[np.float64]

    def at(self, theta: float) -> tuple[float, float, float]:
        """Return mu, the stationary variance, and the log-likelihood at `theta`."""
        b, gap = np.exp(-theta * self.steps), -np.expm1(-theta * self.steps)
        weights = 1 / -np.expm1(-2 * theta * self.steps)
        mu = float((weights * gap * (self.y - b * self.x)).sum() / (weights * gap**2).sum())
        s = float((weights * (self.y - mu - b * (self.x - mu)) ** 2).mean())
        n = len(self.steps)
        return mu, s, float(-0.5 * n * np.log(max(s, WEIGHT_MIN)) + 0.5 * np.log(weights).sum())

    def ends(self) -> tuple[float, float]:
        """Return a theta without reversion, and one at which values are independent."""
        return 1e-3 / float(self.steps.sum()), 20 / float(self.steps.min())

    def largest(self) -> float:
        """Return theta of maximum likelihood.

        Raises
        ------
        ArgumentValueError
            If the maximum is at one of the ends.
        """
        low, high = self.ends()
        logs = np.linspace(math.log(low), math.log(high), 200)
        k = int(np.argmax([self.at(float(np.exp(log)))[2] for log in logs]))
        if k == 0:
            raise no_reversion("b = 1")
        if k == len(logs) - 1:
            raise within_a_step("b = 0")
        for _ in range(22):  # to the last digits, for values without noise
            logs = np.linspace(logs[k - 1], logs[k + 1], 9)
            k = int(np.argmax([self.at(float(np.exp(log)))[2] for log in logs]))
            k = min(max(k, 1), 7)
        return float(np.exp(logs[k]))

    def statistic(self, theta: float, best: float) -> float:
        """Return t of the slope at theta."""
        n = len(self.steps)
        lost = 2 * max(self.at(best)[2] - self.at(theta)[2], 0.0) / n
        return math.copysign(math.sqrt((n - 2) * math.expm1(min(lost, 600.0))), theta - best)

    def interval(self, best: float, critical: float) -> tuple[float, float]:
        """Return the interval where abs(t) <= critical; 0 or infinity where it reaches an end."""
        found = []
        for end, beyond in zip(self.ends(), (0.0, math.inf), strict=True):
            inner, outer = math.log(best), math.log(end)
            if abs(self.statistic(end, best)) <= critical:
                found.append(beyond)
                continue
            for _ in range(50):
                middle = (inner + outer) / 2
                if abs(self.statistic(math.exp(middle), best)) <= critical:
                    inner = middle
                else:
                    outer = middle
            found.append(math.exp(inner))
        return found[0], found[1]


def fit_irregular(values: NDArray[np.float64], steps: NDArray[np.float64]) -> Reversion:
    """Return the fit to values at irregular times.

    Raises
    ------
    ArgumentValueError
        If the values do not revert to a mean, or revert within a step.
    """
    likelihood = Likelihood(values[:-1], values[1:], steps)
    theta = likelihood.largest()
    mu, s, _ = likelihood.at(theta)
    found = {"theta": theta, "mu": mu, "sigma": math.sqrt(2 * theta * s)}
    n, time, df = len(steps), float(steps.sum()), len(steps) - 2
    b, gap = np.exp(-theta * steps), -np.expm1(-theta * steps)
    if not is_noise(s * float((1 - b**2).mean()), float(values.var())):
        return Reversion.exact(found)
    corrected = _without_bias(theta, steps)
    # As in `mean_interval`, the residuals sum to drift - u gap, with u measured from `centre`.
    weights = gap / -np.expm1(-2 * theta * steps)
    by_theta = weights * steps * b
    tilt = max(float(by_theta.sum()), WEIGHT_MIN)
    centre = float((by_theta * likelihood.x).sum()) / tilt
    pull = float((weights * gap).sum())
    error = _error(likelihood, theta)
    shift = 1e-4 * np.array([-1.0, 1.0])
    log_slope = np.diff([log_factor(theta * math.exp(h), steps) for h in shift])[0] / 2e-4
    errors = {
        "theta": error,
        "mu": math.hypot(math.sqrt(s * pull), error * tilt * (mu - centre)) / pull,
        "sigma": found["sigma"] / 2 * math.hypot(math.sqrt(2 / n), log_slope * error / theta),
    }
    if n < 4:
        return Reversion.of(found, corrected, errors, unknown())
    critical = t_quantile(1 - TAIL, df)
    if theta * time >= LONG:
        ends = likelihood.interval(theta, critical)
    else:
        t = np.array([likelihood.statistic(float(speed) / time, theta) for speed in SPEEDS])
        offset = (likelihood.x[0] - mu) / found["sigma"]
        ends, critical = tested(t, n, time, offset, corrected)
    share = critical**2 * n / df
    below, above = mean_interval(
        pull, (mu - centre) * pull, share * s * pull, math.sqrt(share) * error * tilt
    )
    now = log_factor(theta, steps)
    shifts = log_factor(ends[0], steps) - now, log_factor(ends[1], steps) - now
    intervals = {
        "theta": ends,
        "mu": (centre + below, centre + above),
        "sigma": volatility_interval(found["sigma"], df, n, shifts),
    }
    return Reversion.of(found, corrected, errors, intervals)


def _error(likelihood: Likelihood, theta: float) -> float:
    """Return the standard error of theta, from the curvature of its log-likelihood."""
    h = 1e-3
    one, two, three = (likelihood.at(theta * math.exp(d))[2] for d in (-h, 0.0, h))
    curvature = (2 * two - one - three) / h**2
    return theta / math.sqrt(curvature) if curvature > 0 else math.inf


def _without_bias(theta: float, steps: NDArray[np.float64]) -> float:
    """Return theta without bias, as for equal steps with the same information on theta."""
    # The information of a step h is h**2 b**2 / (1 - b**2).
    information = steps**2 * np.exp(-2 * theta * steps) / -np.expm1(-2 * theta * steps)
    total = float(information.sum())
    if total <= WEIGHT_MIN:
        return theta
    step = float((information * steps).sum()) / total
    n = total * math.expm1(2 * theta * step) / step**2
    return without_bias_of_slope(theta, math.exp(-theta * step), n, step)
