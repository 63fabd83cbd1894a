"""Intervals of a process that reverts to a mean, of which a short series says little.

The statistic t of the slope b of a regression of each value on the one before has no t
distribution where b is near 1, and its law depends on b. So b is tested by simulation at each value
of a grid, and those that are not refused are the interval (the grid bootstrap: Hansen 1999,
doi:10.1162/003465399558463).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from montezarr.processes._quantiles import TAIL, chi_square_quantile, t_quantile

LONG = 60.0
"""Times of relaxation, theta times the time observed, from which on the t distribution will do."""

REPEATS = 1500
STEPS = 150
"""Simulated series, and their steps: of longer ones the time observed counts, not their number."""

SPEEDS = np.geomspace(0.01, 8 * LONG, 24)
"""Speeds of reversion at which it is tested, by the time observed."""

SEED = 20_090_401
"""Of the simulated series, so that a fit is the same each time."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Regression:
    """The regression y = a + b x of each value on the one before.

    Attributes
    ----------
    n : int
        Number of pairs.
    step : float
        Time between two values.
    intercept, slope, v : float
        a, b, and the variance of the residuals (divided by n).
    centre, spread : float
        Mean of x, and sum of the squares around it.
    start : float
        First value.
    """

    n: int
    step: float
    intercept: float
    slope: float
    v: float
    centre: float
    spread: float
    start: float

    @property
    def theta(self) -> float:
        """Speed of reversion."""
        return -math.log(self.slope) / self.step

    @property
    def mu(self) -> float:
        """Long-run mean."""
        return self.intercept / (1 - self.slope)

    @property
    def is_noisy(self) -> bool:
        """Whether the residuals are more than rounding."""
        return self.v > 1e-24 * self.spread / self.n

    @property
    def bias(self) -> float:
        """Bias of theta, of first order (Tang and Chen 2009, equation 3.5)."""
        e = 1 / self.slope
        return (5 + 2 * e + e * e) / (2 * self.n * self.step)

    def intervals(self, corrected: float) -> dict[str, Interval]:
        """Return the 95 % intervals of theta, mu and sigma.

        That of mu is all real numbers where the data do not say that there is a mean to revert to
        (Fieller 1954), that of theta begins at 0 there.
        """
        if not self.is_noisy:
            sigma = math.sqrt(2 * self.theta * self.v / (1 - self.slope**2))
            found = {"theta": self.theta, "mu": self.mu, "sigma": sigma}
            return {name: (value, value) for name, value in found.items()}
        if self.n < 4:
            unknown = (0.0, math.inf)
            return {"theta": unknown, "mu": (-math.inf, math.inf), "sigma": unknown}
        df = self.n - 2
        critical = t_quantile(1 - TAIL, df)
        error = math.sqrt(self.v * self.n / df / self.spread)
        if self.theta * self.n * self.step >= LONG:
            half = critical * error
            slopes = max(self.slope - half, 1e-12), min(self.slope + half, 1.0)
            theta = -math.log(slopes[1]) / self.step, -math.log(slopes[0]) / self.step
        else:
            theta, critical = self._tested(error, corrected)
        return {"theta": theta, "mu": self._mean(critical), "sigma": self._volatility(theta)}

    def _tested(self, error: float, corrected: float) -> tuple[Interval, float]:
        """Return the interval of theta, and the critical value of the test of mu."""
        time = self.n * self.step
        thetas = SPEEDS / time
        sigma = math.sqrt(2 * self.theta * self.v / (1 - self.slope**2))
        offset = (self.start - self.mu) / sigma if sigma else 0.0
        low, high, critical = _laws(min(self.n, STEPS), round(offset / math.sqrt(time), 1))
        found = (self.slope - np.exp(-thetas * self.step)) / error
        # Of a large theta the slope is too large, of a small one too small.
        return (
            (_crossing(thetas, found - low), _crossing(thetas, found - high)),
            float(np.interp(math.log(corrected / 2), np.log(thetas), critical)),
        )

    def _mean(self, critical: float) -> Interval:
        """Return where a regression around mu has an intercept that may be 0."""
        scale = critical**2 * self.v * self.n / (self.n - 2) / self.spread
        # (mean(y) - b mean(x) - mu (1 - b))**2 <= scale (spread / n + (mean(x) - mu)**2)
        gap = 1 - self.slope
        a = gap**2 - scale
        b = -2 * self.intercept * gap + 2 * scale * self.centre
        c = self.intercept**2 - scale * (self.spread / self.n + self.centre**2)
        inside = b * b - 4 * a * c
        if a <= 0 or inside < 0:
            return -math.inf, math.inf
        root = math.sqrt(inside)
        return (-b - root) / (2 * a), (-b + root) / (2 * a)

    def _volatility(self, theta: Interval) -> Interval:
        """Return the interval of sigma, of those of v and theta (Zou et al. 2009, on logarithms).

        doi:10.1016/j.csda.2009.03.006
        """
        df = self.n - 2
        sums = self.n * self.v
        logs = [math.log(sums / chi_square_quantile(p, df) / self.v) for p in (1 - TAIL, TAIL)]
        most = 50 / self.step  # beyond it the factor is theta alone
        shifts = [self._factor(min(t, most)) - self._factor(self.theta) for t in theta]
        middle = math.log(self.v) + self._factor(self.theta)
        down = math.hypot(min(logs[0], 0.0), min(*shifts, 0.0))
        up = math.hypot(max(logs[1], 0.0), max(*shifts, 0.0))
        return math.exp((middle - down) / 2), math.exp((middle + up) / 2)

    def _factor(self, theta: float) -> float:
        """Return log sigma**2 - log v."""
        if theta * self.step < 1e-9:
            return -math.log(self.step)
        return math.log(2 * theta / -math.expm1(-2 * theta * self.step))


def _crossing(thetas: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Return where values become positive; 0 where they are from the first one on, inf if never."""
    positive = np.flatnonzero(values > 0)
    if len(positive) == 0:
        return math.inf
    k = int(positive[0])
    if k == 0:
        return 0.0
    share = -values[k - 1] / (values[k] - values[k - 1])
    logs = np.log(thetas[k - 1 : k + 1])
    return float(math.exp(logs[0] + share * (logs[1] - logs[0])))


@lru_cache(maxsize=256)
def _laws(steps: int, offset: float) -> tuple[NDArray[np.float64], ...]:
    """Return for each speed the quantiles of t of the slope, and of abs(t) of the intercept.

    Parameters
    ----------
    offset : float
        First value less the mean, by sigma and the root of the time observed.
    """
    rng = np.random.default_rng(SEED)
    thetas = SPEEDS
    slope = np.exp(-thetas / steps)[:, None]
    noise = np.sqrt(-np.expm1(-2 * thetas / steps) / (2 * thetas))[:, None]
    bound = 2 / np.sqrt(2 * thetas)
    x = np.broadcast_to(np.clip(offset, -bound, bound)[:, None], (len(thetas), REPEATS)).copy()
    first = x[:, :1].copy()
    sx, sy, sxx, sxy, syy = np.zeros((5, len(thetas), REPEATS))
    for _ in range(steps):
        y = slope * x + noise * rng.standard_normal(REPEATS)
        u, w = x - first, y - first  # sums of squares are of what is near 0
        sx += u
        sy += w
        sxx += u * u
        sxy += u * w
        syy += w * w
        x = y
    spread = sxx - sx * sx / steps
    found = (sxy - sx * sy / steps) / spread
    rest = syy - sy * sy / steps - found * (sxy - sx * sy / steps)
    v = rest / (steps - 2)
    t = (found - slope) / np.sqrt(v / spread)
    centre = sx / steps + first
    intercept = sy / steps + first - found * centre
    t_mean = np.abs(intercept) / np.sqrt(v * (1 / steps + centre**2 / spread))
    low, high = np.quantile(t, [TAIL, 1 - TAIL], axis=1)
    return low, high, np.quantile(t_mean, 1 - 2 * TAIL, axis=1)
