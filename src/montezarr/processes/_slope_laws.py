"""The laws of a regression on the value before, where no t distribution holds.

The statistic t of the slope b has no t distribution where b is near 1, and its law depends on b. So
b is tested by simulation at each value of a grid, and those that are not refused are the interval
(the grid bootstrap: Hansen 1999, doi:10.1162/003465399558463).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from montezarr.processes._quantiles import TAIL

LONG = 60.0
"""Times of relaxation, theta times the time observed, from which on the t distribution will do."""

SLOPE_LAW_SERIES = 1500
SLOPE_LAW_STEPS = 150
"""Simulated series, and their steps: of longer ones the time observed counts, not their number."""

SPEEDS = np.geomspace(0.01, 8 * LONG, 24)
"""Speeds of reversion at which it is tested, by the time observed."""

SLOPE_LAW_SEED = 20_090_401
"""Of the simulated series, so that a fit is the same each time."""


def crossing(thetas: NDArray[np.float64], values: NDArray[np.float64]) -> float:
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
def slope_laws(steps: int, offset: float) -> tuple[NDArray[np.float64], ...]:
    """Return for each speed the quantiles of t of the slope, and of abs(t) of the intercept.

    Parameters
    ----------
    offset : float
        First value less the mean, by sigma and the root of the time observed.
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
