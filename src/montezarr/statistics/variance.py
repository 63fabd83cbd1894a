"""The variance, with its standard error."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_int
from montezarr.core.value import checked
from montezarr.statistics._base import Estimate, Sample, Source, Statistic
from montezarr.statistics._moments import CentralSums, merge_sums, powers_of
from montezarr.statistics._variance import (
    reference_variance,
    variance_interval,
    variance_with_error,
)


@final
@dataclass(frozen=True, slots=True)
class Variance(Statistic):
    r"""The variance over paths, and its standard error, which assumes no distribution.

    With the centred moments :math:`m_p = \frac1n \sum (x - \bar x)^p`, the standard error of the
    unbiased variance is :math:`\sqrt{(m_4 - \frac{n-3}{n-1} m_2^2) / n}`; for another `ddof` both
    are multiplied by :math:`(n - 1) / (n - \mathrm{ddof})`.

    Results: ``<variable>_variance``, ``_variance_se``, and the 95 % interval ``_variance_low`` and
    ``_variance_high``, in the squared units of the variable. The interval is that of Bonett, on the
    logarithmic scale and wider for few values of a large kurtosis, and covers more than ± 1.96
    standard errors. NaN for up to `ddof` values; error and interval are NaN for one value too.
    Fourth powers of the distance from the mean must be floats: from about 1e-80 to 1e75.

    Parameters
    ----------
    ddof : int
        The sum is divided by n - ddof, with `ddof` at least 0: 1 for the unbiased variance, 0 for
        that of the sample.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `ddof` is not an integer of at least 0.

    References
    ----------
    Casella and Berger, Statistical Inference, 2nd edition, 2002, exercise 5.8: the variance of
    the sample variance. Bonett, "Approximate confidence interval for standard deviation of
    nonnormal distributions", Computational Statistics & Data Analysis 50 (2006),
    doi:10.1016/j.csda.2004.10.003.

    Examples
    --------
    >>> import numpy as np
    >>> from montezarr.statistics import Sample, Source
    >>> state = Variance().chunk(Sample(np.array([[[1.0, 2.0, 3.0, 4.0]]])))
    >>> Variance().finalize(state, Source())["variance"].values.round(3)
    array([[1.667]])
    """

    State: ClassVar[type] = CentralSums
    order: ClassVar[int] = 4

    ddof: int = field(default=1, metadata=checked(check_int))

    def __post_init__(self) -> None:
        self.check_fields()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Statistic.examples`."""
        return cls(), cls(ddof=0)

    def chunk(self, sample: Sample) -> CentralSums:
        """Return the sums of each block."""
        return sample.central(4)

    def merge(self, a: CentralSums, b: CentralSums) -> CentralSums:
        """Return the sums of both."""
        return merge_sums(a, b)

    def finalize(self, state: CentralSums, source: Source) -> dict[str, Estimate]:
        """Return variance, standard error and interval."""
        variance, error = variance_with_error(state, self.ddof)
        low, high = variance_interval(state, self.ddof)
        return {
            "variance": Estimate(variance, attrs={"cell_methods": "path: variance"}, power=2),
            "variance_se": Estimate(error, power=2),
            "variance_low": Estimate(low, power=2),
            "variance_high": Estimate(high, power=2),
        }

    def powers(self, state: CentralSums, source: Source) -> dict[str, tuple[int, Any, Any, Any]]:
        """Return the sums that reveal heavy tails; see `Statistic.powers`."""
        return {"variance": powers_of(state, 2, source.is_boolean)}

    def reference(self, values: NDArray[np.float64], source: Source) -> dict[str, Any]:
        """Return the same by NumPy."""
        variance, error = reference_variance(values, self.ddof)
        return {"variance": variance, "variance_se": error}
