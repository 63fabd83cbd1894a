"""The uniform distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Self, final

from montezarr.core.checks import check_real, value_error
from montezarr.core.value import checked
from montezarr.random.distributions._base import Array, Distribution, implementation


@final
@dataclass(frozen=True, slots=True)
class Uniform(Distribution):
    r"""Uniform distribution on an interval, :math:`Q(u) = l + (h - l)\,u`.

    In the upper half it is computed as :math:`h - (h - l)(1 - u)`; values never leave the interval.

    Parameters
    ----------
    low, high : float
        Ends of the interval, low < high.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For an end that is not a finite number, or ends that are not in this order.

    Examples
    --------
    >>> import montezarr as mz
    >>> mz.Uniform(0.1, 0.5).quantile([0.25, 0.5])
    array([0.2, 0.3])
    """

    low: float = field(metadata=checked(check_real))
    high: float = field(metadata=checked(check_real))

    def __post_init__(self) -> None:
        self.check_fields()
        if not self.low < self.high:
            raise value_error("high", f"a number > low = {self.low:g}", self.high)
        if not math.isfinite(self.high - self.low):
            raise value_error("high", "high - low to be a finite number", self.high)

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests."""
        return cls(0.0, 1.0), cls(-3.5, 11.0)

    def at_tails(self, tail: Array) -> Array:
        """Return quantiles; see `Distribution.at_tails`."""
        out: Array = implementation(len(tail)).uniform(tail, self.low, self.high)
        return out

    def moments(self) -> tuple[float, float]:
        """Return (low + high) / 2 and (high - low)**2 / 12."""
        return 0.5 * self.low + 0.5 * self.high, (self.high - self.low) ** 2 / 12
