"""Skewness and kurtosis, with their standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from montezarr.statistics._base import Estimate, Sample, Source, Statistic
from montezarr.statistics._moments import CentralSums, merge_sums, powers_of

Array = NDArray[np.float64]

RESOLUTION = 1e-15
"""A standard deviation of less than this part of the mean is taken for rounding."""

SUM_ROUNDING = 1e-14
"""A sum of less than this part of its terms is taken for 0."""


@final
@dataclass(frozen=True, slots=True)
class Moments(Statistic):
    r"""Skewness and excess kurtosis over paths, with their standard errors.

    With :math:`z = (x - \bar x) / \sqrt{m_2}`, where :math:`m_2` divides by n, the skewness is
    :math:`g = \overline{z^3}` and the excess kurtosis :math:`\kappa - 3` with
    :math:`\kappa = \overline{z^4}`, as `scipy.stats.skew` and `scipy.stats.kurtosis` give them.
    Their standard errors assume no distribution: they are :math:`\sqrt{\overline{I^2} / n}` with
    the influence functions

    .. math::
        I_g = z^3 - 3z - \tfrac32 g (z^2 - 1) - g, \qquad
        I_\kappa = z^4 - 2\kappa z^2 - 4 g z + \kappa,

    which need the moments up to the sixth and the eighth. They are for large samples: with heavy
    tails, a sample without the largest values has both too low a kurtosis and too small a
    standard error. The 95 % intervals cover the kurtosis of exponential variables in 84 %
    of samples of 4096 values and in 92 % of those of 65,536, and the skewness in 90 % and 94 %.

    Results: ``<variable>_skewness``, ``_skewness_se``, ``_kurtosis`` and ``_kurtosis_se``, without
    units; NaN if all values are equal, or there are none. Eighth powers of the distance from the
    mean must be floats: from about 1e-38 to 1e37.

    References
    ----------
    Hampel, "The influence curve and its role in robust estimation", Journal of the American
    Statistical Association 69 (1974), doi:10.1080/01621459.1974.10482962. The same variances
    are in Kendall and Stuart, The Advanced Theory of Statistics, volume 1, chapter 10.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=50_000, T=1, seed=1)
    >>> found = mz.reduce(ds.x.isel(time=-1), mz.Moments())
    >>> found.x_skewness.round(2).item(), found.x_kurtosis.round(2).item()  # 0 and 0
    (-0.01, 0.01)
    """

    State: ClassVar[type] = CentralSums
    order: ClassVar[int] = 8
    # Sums of the eighth power about merged means lose digits if one value outweighs all others.
    tolerance: ClassVar[float] = 1e-9

    def chunk(self, sample: Sample) -> CentralSums:
        """Return the sums of each block."""
        return sample.central(8)

    def merge(self, a: CentralSums, b: CentralSums) -> CentralSums:
        """Return the sums of both."""
        return merge_sums(a, b)

    def finalize(self, state: CentralSums, source: Source) -> dict[str, Estimate]:
        """Return skewness and kurtosis with their standard errors."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            n = state.n.astype(np.float64)
            scale = np.sqrt(state.sums[0] / n)
            scale = np.where(scale > RESOLUTION * np.abs(state.mean), scale, np.nan)
            z = [np.ones_like(n), np.zeros_like(n)]  # means of the powers of z
            z += [state.sums[p - 2] / n / scale**p for p in range(2, 9)]
            g, kappa = z[3], z[4]
            skewness_se = np.sqrt(_variance((0.5 * g, -3.0, -1.5 * g, 1.0), z) / n)
            kurtosis_se = np.sqrt(_variance((kappa, -4.0 * g, -2.0 * kappa, 0.0, 1.0), z) / n)
        return {
            "skewness": Estimate(g, attrs={"long_name": "skewness"}, power=0),
            "skewness_se": Estimate(skewness_se, power=0),
            "kurtosis": Estimate(kappa - 3.0, attrs={"long_name": "excess kurtosis"}, power=0),
            "kurtosis_se": Estimate(kurtosis_se, power=0),
        }

    def powers(self, state: CentralSums, source: Source) -> dict[str, tuple[int, Any, Any, Any]]:
        """Return the sums that reveal heavy tails; see `Statistic.powers`."""
        return {
            "skewness": powers_of(state, 3, source.is_boolean),
            "kurtosis": powers_of(state, 4, source.is_boolean),
        }

    def reference(self, values: Array, source: Source) -> dict[str, Any]:
        """Return the same by NumPy, from the influence of each value."""
        out = np.full((4, len(values)), np.nan)
        for cell, row in enumerate(values):
            x = row[np.isfinite(row)]
            n = len(x)
            if n > 0 and x.std() > RESOLUTION * abs(x.mean()):
                z = (x - x.mean()) / x.std()
                g, kappa = (z**3).mean(), (z**4).mean()
                influence_g = z**3 - 3 * z - 1.5 * g * (z**2 - 1) - g
                influence_kappa = z**4 - 2 * kappa * z**2 - 4 * g * z + kappa
                out[:2, cell] = g, np.sqrt((influence_g**2).mean() / n)
                out[2:, cell] = kappa - 3, np.sqrt((influence_kappa**2).mean() / n)
        names = ("skewness", "skewness_se", "kurtosis", "kurtosis_se")
        return dict(zip(names, out, strict=True))


def _variance(c: Sequence[Any], z: Sequence[Array]) -> Array:
    """Return the mean square of a polynomial in z with coefficients `c`."""
    total, size = np.zeros_like(z[0]), np.zeros_like(z[0])
    for i, left in enumerate(c):
        for j, right in enumerate(c):
            term = left * right * z[i + j]
            total, size = total + term, size + np.abs(term)
    # It is 0 for values at two points with equal weights: a rounding error must not pass for it.
    return np.where(total <= SUM_ROUNDING * size, 0.0, total)
