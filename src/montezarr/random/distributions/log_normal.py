"""The log-normal distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Self, final

from montezarr.core.checks import check_real
from montezarr.core.value import checked
from montezarr.random.distributions._base import (
    Array,
    Distribution,
    check_reach,
    implementation,
)


@final
@dataclass(frozen=True, slots=True)
class LogNormal(Distribution):
    r"""Distribution whose logarithm is normal, :math:`Q(u) = e^{\mu + \sigma\,\Phi^{-1}(u)}`.

    The parameters are those of the logarithm: the median is :math:`e^\mu`, the mean
    :math:`e^{\mu + \sigma^2/2}`.

    Parameters
    ----------
    mean : float
        Mean of the logarithm.
    sd : float
        Standard deviation of the logarithm, > 0.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For a parameter that is not a finite number in its range, or draws beyond float64.

    References
    ----------
    Johnson, Kotz and Balakrishnan, Continuous Univariate Distributions, vol. 1, 1994, chapter 14.
    The normal quantile is that of `Normal`.

    Examples
    --------
    >>> import math
    >>> import montezarr as mz
    >>> mz.LogNormal(math.log(2.0), 0.5).quantile([0.025, 0.5, 0.975]).round(4)
    array([0.7506, 2.    , 5.3288])
    """

    mean: float = field(metadata=checked(check_real))
    sd: float = field(metadata=checked(check_real, above=0.0))

    def __post_init__(self) -> None:
        self.check_fields()
        check_reach(self, "sd")

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests."""
        return cls(0.0, 1.0), cls(-2.0, 0.25)

    def at_tails(self, tail: Array) -> Array:
        """Return quantiles; see `Distribution.at_tails`."""
        out: Array = implementation(len(tail)).affine(tail, self.mean, self.sd, True)
        return out

    def moments(self) -> tuple[float, float]:
        """Return exp(mean + sd**2 / 2), and its square times exp(sd**2) - 1."""
        mean = math.exp(self.mean + self.sd**2 / 2)
        return mean, mean**2 * math.expm1(self.sd**2)
