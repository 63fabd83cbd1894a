"""Statistics of a user's own, which worker processes import by name: so NumPy only."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from montezarr.statistics import Estimate, Statistic, tree_sum


class Squares(NamedTuple):
    n: Any
    total: Any


@dataclass(frozen=True)
class MeanSquare(Statistic):
    """The mean of the squares. Result: ``<variable>_mean_square``."""

    State = Squares
    without_error = ("mean_square",)

    def chunk(self, sample):
        return Squares(sample.count, tree_sum(np.nan_to_num(sample.values) ** 2))

    def merge(self, a, b):
        return Squares(a.n + b.n, a.total + b.total)

    def finalize(self, state, source):
        n = np.where(state.n > 0, state.n, np.nan)
        return {"mean_square": Estimate(state.total / n, power=2)}

    def reference(self, values, source):
        return {"mean_square": np.nanmean(values**2, axis=-1)}


class Largest(NamedTuple):
    value: Any


@dataclass(frozen=True)
class LargestRange(Statistic):
    """The largest distance of the highest and the lowest value of a path.

    Result: ``<variable>_largest_range``.

    Parameters
    ----------
    scale : float
        What it is divided by.
    """

    scale: float = 1.0

    State = Largest
    order_free = True
    along = "time"
    without_error = ("largest_range",)

    def chunk(self, sample):
        ranges = np.ptp(sample.values, axis=0).reshape(sample.values.shape[1], -1)
        return Largest(np.fmax.reduce(ranges, axis=1, initial=-1.0))

    def merge(self, a, b):
        return Largest(np.maximum(a.value, b.value))

    def finalize(self, state, source):
        values = np.where(state.value < 0, np.nan, state.value)
        return {"largest_range": Estimate(values / self.scale)}

    def reference(self, values, source):
        return {"largest_range": np.nanmax(np.ptp(values, axis=0), axis=-1) / self.scale}
