"""The gamma distribution."""

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
from montezarr.random.distributions._densities import MAX_SHAPE, MIN_SHAPE, gamma_table

MIN_SCALE = 1e-290
"""Below it, shape * scale would have fewer digits than float64 has."""


@final
@dataclass(frozen=True, slots=True)
class Gamma(Distribution):
    r"""Gamma distribution, with the density :math:`\propto x^{a-1} e^{-x/s}` on x > 0.

    Its quantiles are exact to a relative error of 1e-12. A quantile below the smallest number of
    float64, as shapes below about 0.05 have, is 0.

    Parameters
    ----------
    shape : float
        Shape a, from 0.001 to 1e9.
    scale : float
        Scale s, at least 1e-290, in units of x; the mean is shape * scale.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For a parameter that is not a finite number in its range.

    References
    ----------
    Derflinger, Hörmann and Leydold, "Random variate generation by numerical inversion when only
    the density is known", 2010, doi:10.1145/1842722.1842723: the quantile of
    :math:`\log(X/(a s))` is a polynomial in each of some hundred intervals.

    Examples
    --------
    >>> import montezarr as mz
    >>> mz.Gamma(shape=2.0, scale=0.5).quantile([0.025, 0.5, 0.975]).round(4)
    array([0.1211, 0.8392, 2.7858])
    """

    shape: float = field(metadata=checked(check_real, minimum=MIN_SHAPE, maximum=MAX_SHAPE))
    scale: float = field(metadata=checked(check_real, minimum=MIN_SCALE))

    def __post_init__(self) -> None:
        self.check_fields()
        check_reach(self, "scale")

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests."""
        return cls(2.5, 0.5), cls(0.3, 4.0), cls(1e6, 1.0)

    def at_tails(self, tail: Array) -> Array:
        """Return quantiles; see `Distribution.at_tails`."""
        scale = self.shape * self.scale
        out: Array = implementation(len(tail)).scaled_exp(tail, gamma_table(self.shape), scale)
        return out

    def moments(self) -> tuple[float, float]:
        """Return shape * scale and shape * scale**2."""
        return self.shape * self.scale, self.shape * self.scale**2
