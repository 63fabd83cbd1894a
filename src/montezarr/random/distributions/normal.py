"""The normal distribution."""

from __future__ import annotations

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
class Normal(Distribution):
    r"""Normal distribution, :math:`Q(u) = \mu + \sigma\,\Phi^{-1}(u)`.

    Draws reach 8.29 standard deviations to either side, at 2**-54 and 1 - 2**-54.

    Parameters
    ----------
    mean : float
        Mean.
    sd : float
        Standard deviation, > 0.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For a parameter that is not a finite number in its range.

    References
    ----------
    Wichura, "Algorithm AS 241: The percentage points of the normal distribution", 1988,
    doi:10.2307/2347330.

    Examples
    --------
    >>> import montezarr as mz
    >>> prior = mz.Normal(0.05, 0.01)
    >>> prior.draw(42, "mu", n=3).round(4)
    array([0.0413, 0.0463, 0.0488])
    >>> round(prior.low, 4), round(prior.high, 4)
    (-0.0329, 0.1329)
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
        out: Array = implementation(len(tail)).affine(tail, self.mean, self.sd, False)
        return out

    def moments(self) -> tuple[float, float]:
        """Return the mean and sd**2."""
        return self.mean, self.sd**2
