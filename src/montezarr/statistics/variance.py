"""The variance, with its standard error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import numpy as np
from numpy.typing import NDArray

from montezarr._checks import check_int
from montezarr.statistics._base import Estimate, Sample, Source, Statistic
from montezarr.statistics._moments import CentralSums, merge_sums
from montezarr.statistics._variance import reference_variance, variance_with_error


@final
@dataclass(frozen=True, slots=True)
class Variance(Statistic):
    r"""The variance over paths, and its standard error, which supposes no distribution.

    With the centred moments :math:`m_p = \frac1n \sum (x - \bar x)^p`, the standard error of the
    unbiased variance is :math:`\sqrt{(m_4 - \frac{n-3}{n-1} m_2^2) / n}`; for another `ddof` both
    are multiplied by :math:`(n - 1) / (n - \mathrm{ddof})`.

    Results: ``<variable>_variance`` and ``<variable>_variance_se``, in the squared units of the
    variable. NaN for up to `ddof` values, and the standard error of one value is NaN too. Fourth
    powers of the distance from the mean must be floats: from about 1e-80 to 1e75.

    Parameters
    ----------
    ddof : int
        Divides by n - ddof, at least 0: 1 for the unbiased variance, 0 for that of the sample.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `ddof` is not an integer of at least 0.

    References
    ----------
    Casella and Berger, Statistical Inference, 2nd edition, 2002, exercise 5.8: the variance of
    the sample variance.

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

    ddof: int = 1

    def __post_init__(self) -> None:
        self.set_field("ddof", check_int("ddof", self.ddof))

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
        """Return variance and standard error."""
        variance, error = variance_with_error(state, self.ddof)
        return {
            "variance": Estimate(variance, attrs={"cell_methods": "path: variance"}, power=2),
            "variance_se": Estimate(error, power=2),
        }

    def reference(self, values: NDArray[np.float64], source: Source) -> dict[str, Any]:
        """Return the same by NumPy."""
        variance, error = reference_variance(values, self.ddof)
        return {"variance": variance, "variance_se": error}
