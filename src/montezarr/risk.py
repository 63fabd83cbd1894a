"""Value at risk and expected shortfall of a sample of losses, with standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from montezarr._checks import check_array, check_real, plain_items, value_error
from montezarr.processes import GeometricBrownianMotion

MINIMUM_TAIL = 10
"""Losses beyond the value at risk below which no standard error means anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """Risk at one level, of losses in the unit of the sample.

    Attributes
    ----------
    level : float
        Confidence level, such as 0.99.
    value_at_risk, value_at_risk_se : float
        The level's quantile of the loss, and its standard error (0 for a closed form).
    expected_shortfall, expected_shortfall_se : float
        Mean loss beyond the value at risk, and its standard error.
    """

    level: float
    value_at_risk: float
    value_at_risk_se: float = 0.0
    expected_shortfall: float
    expected_shortfall_se: float = 0.0


def estimate_risk(losses: Any, levels: Sequence[float]) -> list[Risk]:
    r"""Return value at risk and expected shortfall of independent losses.

    The value at risk is the order statistic :math:`L_{(\lceil n\alpha \rceil)}`, its standard error
    half the distance between the order statistics one standard deviation of their rank,
    :math:`\sqrt{n\alpha(1-\alpha)}`, above and below. The standard error of the expected shortfall
    is :math:`\sqrt{(s^2 + \alpha (ES - VaR)^2) / (n (1-\alpha))}` with the variance s² of the
    losses beyond (Manistre and Hancock, "Variance of the CTE estimator", 2005,
    doi:10.1080/10920277.2005.10596207).

    Parameters
    ----------
    losses : array (n,)
        Losses; gains are negative.
    levels : sequence of float
        Confidence levels in (0, 1), each with at least 10 losses beyond it.

    Returns
    -------
    list of Risk
        One for each level.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If losses are not finite numbers, or a level leaves fewer than 10 of them.
    """
    sample = np.sort(check_array("losses", losses, ndim=1))
    n = len(sample)
    out = []
    for alpha in check_levels(levels, n):
        rank = _rank(n, alpha)
        spread = max(1, round(float(np.sqrt(n * alpha * (1 - alpha)))))
        low, high = max(rank - spread, 0), min(rank + spread, n - 1)
        quantile = float(sample[rank])
        tail = sample[rank + 1 :]
        shortfall = float(tail.mean())
        variance = float(tail.var()) + alpha * (shortfall - quantile) ** 2
        out.append(
            Risk(
                level=alpha,
                value_at_risk=quantile,
                value_at_risk_se=float(sample[high] - sample[low]) / 2,
                expected_shortfall=shortfall,
                expected_shortfall_se=float(np.sqrt(variance / (n * (1 - alpha)))),
            )
        )
    return out


def closed_form_risk(
    process: GeometricBrownianMotion, horizon: float, levels: Sequence[float]
) -> list[Risk]:
    r"""Return the exact risk of the return over `horizon` of a geometric Brownian motion.

    With :math:`m = (\mu - \sigma^2/2) t`, :math:`s = \sigma\sqrt t` and
    :math:`z = \Phi^{-1}(1-\alpha)`: :math:`VaR = 1 - e^{m + s z}` and
    :math:`ES = 1 - e^{\mu t}\,\Phi(z - s)/(1-\alpha)` (McNeil, Frey and Embrechts, Quantitative
    Risk Management, 2015, section 2.3).

    Parameters
    ----------
    process : GeometricBrownianMotion
        The price process.
    horizon : float
        Time t over which the return is taken, > 0.
    levels : sequence of float
        Confidence levels in (0, 1).

    Returns
    -------
    list of Risk
        One for each level, with standard errors of 0.
    """
    t = check_real("horizon", horizon, above=0.0)
    normal = NormalDist()
    mean, deviation = (process.mu - process.sigma**2 / 2) * t, process.sigma * np.sqrt(t)
    out = []
    for alpha in check_levels(levels):
        z = normal.inv_cdf(1 - alpha)
        below = normal.cdf(z - deviation) / (1 - alpha)
        out.append(
            Risk(
                level=alpha,
                value_at_risk=float(-np.expm1(mean + deviation * z)),
                expected_shortfall=float(1 - np.exp(process.mu * t) * below),
            )
        )
    return out


def check_levels(levels: Any, n: int | None = None) -> list[float]:
    """Return confidence levels in (0, 1), each with at least 10 of `n` losses beyond it."""
    out = []
    for level in plain_items("levels", levels, "a sequence of numbers in (0, 1)"):
        alpha = check_real("levels", level, above=0.0)
        if alpha >= 1:
            raise value_error("levels", "numbers in (0, 1)", level)
        beyond = MINIMUM_TAIL if n is None else n - 1 - _rank(n, alpha)
        if beyond < MINIMUM_TAIL:
            hint = f"{n:,} losses leave {beyond} beyond it."
            raise value_error("levels", f"at least {MINIMUM_TAIL} losses beyond", level, hint)
        out.append(alpha)
    return out


def _rank(n: int, alpha: float) -> int:
    return int(np.ceil(n * alpha)) - 1
