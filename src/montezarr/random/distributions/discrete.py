"""A distribution on finitely many numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import Any, Self, final

import numpy as np

from montezarr.core.checks import check_array, value_error
from montezarr.core.value import checked
from montezarr.random.distributions._base import Array, Distribution

SUM_TOLERANCE = 1e-8
"""Deviation of the sum of probabilities from 1 that is taken for rounding, as by NumPy."""


def _numbers(name: str, value: Any) -> tuple[float, ...]:
    """Return finite numbers as a tuple; -0.0 is 0.0, since the two are one value."""
    return tuple((check_array(name, value, ndim=1) + 0.0).tolist())


@final
@dataclass(frozen=True, slots=True)
class Discrete(Distribution):
    r"""Distribution on finitely many numbers, :math:`Q(u) = \min\{v : P(X \le v) \ge u\}`.

    The quantile goes through the values in ascending order, whatever the order in which they are
    given. Cumulative probabilities, from both ends, are exact sums that are rounded once.

    Parameters
    ----------
    values : sequence of float
        The numbers, at least one.
    probabilities : sequence of float, optional
        Their probabilities, at least 0, with the sum 1 up to 1e-8; they are divided by their sum.
        By default all values are equally likely.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For values that are not finite numbers, or probabilities that are negative, of another
        length, or with another sum.

    References
    ----------
    Devroye, Non-Uniform Random Variate Generation, 1986, section III.2,
    doi:10.1007/978-1-4613-8643-8.

    Examples
    --------
    >>> import montezarr as mz
    >>> mz.Discrete([1, 2, 5], [0.5, 0.25, 0.25]).quantile([0.5, 0.6, 0.9])
    array([1., 2., 5.])
    """

    values: Any = field(metadata=checked(_numbers))
    probabilities: Any = field(default=None, metadata=checked(_numbers, optional=True))

    def __post_init__(self) -> None:
        self.check_fields()
        if self.probabilities is None:
            return
        if len(self.probabilities) != len(self.values):
            expected = f"one probability for each of {len(self.values)} values"
            raise value_error("probabilities", expected, self.probabilities)
        if min(self.probabilities) < 0:
            raise value_error("probabilities", "numbers >= 0", min(self.probabilities))
        if abs(math.fsum(self.probabilities) - 1) > SUM_TOLERANCE:
            raise value_error(
                "probabilities", "the sum 1", math.fsum(self.probabilities),
                "Divide them by their sum.",
            )  # fmt: skip

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests."""
        return cls((2.0, 1.0, 5.0), (0.25, 0.25, 0.5)), cls((-1.0, 0.5, 3.0))

    def at_tails(self, tail: Array) -> Array:
        """Return quantiles; see `Distribution.at_tails`."""
        values, below, above = _sorted(self.values, self.probabilities)
        p = np.abs(tail)
        lower = np.searchsorted(below, p, side="left")  # how many cumulative ones are < u
        upper = len(above) - np.searchsorted(above[::-1], p, side="right")
        out: Array = values[np.where(tail < 0, lower, upper)]
        return out

    def moments(self) -> tuple[float, float]:
        """Return the sums of p v and of p (v - mean)**2."""
        total = math.fsum(self.probabilities or [1.0] * len(self.values))
        weights = [p / total for p in self.probabilities or [1.0] * len(self.values)]
        pairs = list(zip(weights, self.values, strict=True))
        mean = math.fsum(p * v for p, v in pairs)
        return mean, math.fsum(p * (v - mean) ** 2 for p, v in pairs)


@lru_cache(maxsize=64)
def _sorted(
    values: tuple[float, ...], probabilities: tuple[float, ...] | None
) -> tuple[Array, Array, Array]:
    """Return the values that occur, ascending, and the probabilities of both sides of each gap."""
    weights = probabilities or (1.0,) * len(values)
    pairs = sorted((v, p) for v, p in zip(values, weights, strict=True) if p > 0)
    # In integers, of which Python's quotient is correctly rounded.
    ratios = [p.as_integer_ratio() for _, p in pairs]
    scale = max(denominator for _, denominator in ratios)
    sums = list(accumulate(above * (scale // below) for above, below in ratios))
    total = sums.pop()
    lower = np.array([part / total for part in sums], np.float64)
    upper = np.array([(total - part) / total for part in sums], np.float64)
    return np.array([v for v, _ in pairs]), lower, upper
