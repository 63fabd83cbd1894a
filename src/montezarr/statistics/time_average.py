"""The average of each path over time, as in the payoff of an Asian option."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, final

import numpy as np

from montezarr.core.checks import check_choice
from montezarr.core.value import checked
from montezarr.statistics._per_path import Array, PerPath

RULES = ("trapezoid", "step")


@final
@dataclass(frozen=True, slots=True)
class TimeAverage(PerPath):
    r"""The mean over paths of a path's average :math:`\frac{1}{T}\int_0^T x_t\,dt` over time.

    The standard error is that of the mean of independent paths, for any dependence along each
    path. For Brownian motion, the average has the variance :math:`\sigma^2 T/3`.

    Results: ``<variable>_time_average`` and ``<variable>_time_average_se``, in the units of the
    variable. A path with a missing value does not count.

    Parameters
    ----------
    rule : {"trapezoid", "step"}
        "trapezoid" joins the values by lines: for Brownian motion, that is the expected integral
        given the values. With "step" each value holds until the next time, as in jump processes;
        the last one then has no weight. Times need not be equally spaced.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For another rule, or a variable with fewer than two times.

    References
    ----------
    Lapeyre and Temam, "Competitive Monte Carlo methods for the pricing of Asian options", Journal
    of Computational Finance 5 (2001), compares both rules.

    Examples
    --------
    >>> from montezarr.statistics import Sample, Source
    >>> prices = np.array([100.0, 120.0, 130.0]).reshape(3, 1, 1, 1)  # of one path
    >>> sample = Sample(prices, source=Source(times=np.array([0.0, 1.0, 3.0])))
    >>> TimeAverage().chunk(sample).mean.round(2), TimeAverage("step").chunk(sample).mean.round(2)
    (array([[120.]]), array([[113.33]]))
    """

    rule: str = field(default="trapezoid", metadata=checked(check_choice, RULES))

    least_times: ClassVar[int] = 2

    def __post_init__(self) -> None:
        self.check_fields()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Statistic.examples`."""
        return cls(), cls("step")

    def functional(self, values: Array, times: Array) -> Array:
        """Return the average of each path."""
        total: Array = np.zeros_like(values[0])
        part = np.empty_like(total)
        # A value of weight 0 is added too: if it is missing, the path does not count.
        for weight, row in zip(self._weights(times).tolist(), values, strict=True):
            np.multiply(row, weight, out=part)
            np.add(total, part, out=total)
        return total

    def plain(self, values: Array, times: Array) -> Array:
        """Return the same by NumPy's integral, or a sum."""
        if self.rule == "trapezoid":
            integral = np.asarray(np.trapezoid(values, times, axis=0))
        else:
            integral = (values[:-1] * np.diff(times)[:, None, None]).sum(axis=0)
        integral[np.isnan(values).any(axis=0)] = np.nan
        average: Array = integral / (times[-1] - times[0])
        return average

    def describe(self) -> tuple[dict[str, Any], int]:
        """Return attributes and power of the units."""
        return {"cell_methods": "time: mean path: mean", "rule": self.rule}, 1

    def _weights(self, times: Array) -> Array:
        """Return the weight of the value at each time; they add up to 1."""
        steps = np.diff(times) / (times[-1] - times[0])
        if self.rule == "step":
            return np.append(steps, 0.0)
        return np.asarray((np.append(steps, 0.0) + np.append(0.0, steps)) / 2)
