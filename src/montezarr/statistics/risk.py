"""Value at risk and expected shortfall of a sample of losses, with standard errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from montezarr.core.checks import check_array, check_real, plain_items, value_error
from montezarr.processes import GeometricBrownianMotion
from montezarr.statistics import ExpectedShortfall, Sample, Source

MINIMUM_TAIL = 10
"""Losses beyond the value at risk below which no standard error means anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """The risk at one level, in the unit of the losses.

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

    They and their standard errors are those of `montezarr.ExpectedShortfall`.

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
    sample = check_array("losses", losses, ndim=1)
    alphas = check_confidence_levels(levels, len(sample))
    statistic = statistic_of(alphas)
    found = statistic.finalize(statistic.chunk(Sample(sample[None, None])), Source())
    return risk_table(alphas, {name: estimate.values[0] for name, estimate in found.items()})


def statistic_of(levels: Sequence[float]) -> ExpectedShortfall:
    """Return the statistic of losses behind `risk_table`, for checked levels."""
    return ExpectedShortfall.at(tuple(sorted(set(levels))))


def risk_table(levels: Sequence[float], found: Mapping[str, Any]) -> list[Risk]:
    """Return the results of `statistic_of` by level, in the order of the levels.

    Parameters
    ----------
    levels : sequence of float
        The levels that `statistic_of` got.
    found : mapping of str to array (levels,)
        Its results, by their names without the variable's.
    """
    place = {level: i for i, level in enumerate(sorted(set(levels)))}
    names = ("value_at_risk", "expected_shortfall")
    return [
        Risk(
            level=level,
            **{
                key: float(found[key][place[level]])
                for name in names
                for key in (name, f"{name}_se")
            },
        )
        for level in levels
    ]


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
    for alpha in check_confidence_levels(levels):
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


def check_confidence_levels(levels: Any, n: int | None = None) -> list[float]:
    """Return confidence levels in (0, 1), each with at least 10 of `n` losses beyond it."""
    out = []
    for level in plain_items("levels", levels, "a sequence of numbers in (0, 1)"):
        alpha = check_real("levels", level, above=0.0)
        if alpha >= 1:
            raise value_error("levels", "numbers in (0, 1)", level)
        beyond = MINIMUM_TAIL if n is None else n - int(np.ceil(n * alpha))
        if beyond < MINIMUM_TAIL:
            hint = f"{n:,} losses leave {beyond} beyond it."
            raise value_error("levels", f"at least {MINIMUM_TAIL} losses beyond", level, hint)
        out.append(alpha)
    return out
