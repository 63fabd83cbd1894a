"""The maximum drawdown: how far paths fall from their peaks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self, final

import numpy as np

from montezarr.core.checks import check_bool
from montezarr.core.value import checked
from montezarr.statistics._per_path import Array, PerPath


@final
@dataclass(frozen=True, slots=True)
class Drawdown(PerPath):
    r"""The mean over paths of the maximum drawdown, :math:`\max_t (\max_{s \le t} x_s - x_t)`.

    Only the values at the grid's times count: between these a path rises and falls further, so
    the result is below that of continuous time by an amount of the order of
    :math:`\sigma\sqrt{dt}`. For Brownian motion without drift, that of continuous time has the mean
    :math:`\sigma\sqrt{\pi T/2}`.

    Results: ``<variable>_drawdown`` >= 0 and its standard error over paths,
    ``<variable>_drawdown_se``, in the units of the variable, or without units if `relative`. A
    path with a missing value does not count.

    Parameters
    ----------
    relative : bool
        Divide each fall by the maximum before it, as is usual for prices: 0.2 is a fall by a fifth.
        Then paths that do not start above 0 do not count.

    Raises
    ------
    ArgumentTypeError
        If `relative` is not True or False.
    ArgumentValueError
        For a variable without times.

    References
    ----------
    Magdon-Ismail, Atiya, Pratap and Abu-Mostafa, "On the maximum drawdown of a Brownian motion",
    Journal of Applied Probability 41 (2004), doi:10.1239/jap/1077134674.

    Examples
    --------
    >>> from montezarr.statistics import Sample, Source
    >>> prices = np.array([100.0, 125.0, 100.0, 150.0]).reshape(4, 1, 1, 1)  # of one path
    >>> sample = Sample(prices, source=Source(times=np.arange(4.0)))
    >>> Drawdown(relative=True).chunk(sample).mean
    array([[0.2]])
    """

    relative: bool = field(default=False, metadata=checked(check_bool))

    def __post_init__(self) -> None:
        self.check_fields()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Statistic.examples`."""
        return cls(), cls(relative=True)

    def functional(self, values: Array, times: Array) -> Array:
        """Return the maximum drawdown of each path."""
        peak = values[0].copy()
        # A running maximum that starts above 0 stays so. NaN stays NaN in `np.maximum`.
        worst = np.where(peak > 0, 0.0, np.nan) if self.relative else np.zeros_like(peak)
        fall = np.empty_like(peak)
        for row in values:
            np.maximum(peak, row, out=peak)
            np.subtract(peak, row, out=fall)
            if self.relative:
                np.divide(fall, peak, out=fall)
            np.maximum(worst, fall, out=worst)
        return worst

    def plain(self, values: Array, times: Array) -> Array:
        """Return the same from running maxima."""
        peak = np.maximum.accumulate(values, axis=0)
        fall = peak - values
        if self.relative:
            counts = (peak > 0).all(axis=0)
            fall = np.where(counts, fall / np.where(counts, peak, 1.0), np.nan)
        return np.asarray(fall.max(axis=0))

    def describe(self) -> tuple[dict[str, Any], int]:
        """Return attributes and power of the units."""
        kind = "maximum relative drawdown" if self.relative else "maximum drawdown"
        attrs = {"long_name": f"mean {kind}", "cell_methods": "path: mean"}
        return attrs, 0 if self.relative else 1
