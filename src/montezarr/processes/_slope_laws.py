"""Simulated laws of the statistics of an autoregression, where no t distribution holds.

The statistic t of the slope b does not follow a t distribution where b is near 1, and its law
depends on b. So b is tested by simulation at each value of a grid, and the values that are not
rejected form the interval (the grid bootstrap: Hansen 1999, doi:10.1162/003465399558463).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from montezarr.processes._quantiles import TAIL

LONG = 60.0
"""theta times the time observed, from which on the t distribution is accurate enough."""

SLOPE_LAW_SERIES = 1500
SLOPE_LAW_STEPS = 150
"""Simulated series, and their steps, at most: for longer series only the time observed matters."""

SPEEDS = np.geomspace(0.01, 8 * LONG, 24)
"""Values of theta times the time observed at which the slope is tested."""

SLOPE_LAW_SEED = 20_090_401
"""Seed of the simulated series, fixed so that fits are reproducible."""


def crossing(thetas: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Return the theta where values become positive; 0 if the first one is, inf if none is."""
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
def slope_laws(steps: int, offset: float) -> tuple[NDArray[np.float64], ...]:
    """Return for each speed the quantiles of t of the slope, and of abs(t) of the intercept.

    Parameters
    ----------
    offset : float
        First value minus the mean, divided by sigma and the square root of the time observed.
    """
    rng = np.random.default_rng(SLOPE_LAW_SEED)
    thetas = SPEEDS
    slope = np.exp(-thetas / steps)[:, None]
    noise = np.sqrt(-np.expm1(-2 * thetas / steps) / (2 * thetas))[:, None]
    bound = 2 / np.sqrt(2 * thetas)
    x = np.broadcast_to(
        np.clip(offset, -bound, bound)[:, None], (len(thetas), SLOPE_LAW_SERIES)
    ).copy()
    first = x[:, :1].copy()
    sx, sy, sxx, sxy, syy = np.zeros((5, len(thetas), SLOPE_LAW_SERIES))
    for _ in range(steps):
        y = slope * x + noise * rng.standard_normal(SLOPE_LAW_SERIES)
        u, w = x - first, y - first  # centred, so that sums of squares do not cancel
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
