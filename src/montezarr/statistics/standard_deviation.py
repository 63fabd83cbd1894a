"""The standard deviation, with its standard error."""

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
class StandardDeviation(Statistic):
    r"""The standard deviation over paths, and its standard error.

    The root s of the `Variance` :math:`s^2`; by the delta method its standard error is that of
    the variance over :math:`2s`. For equal values, both are 0.

    Results: ``<variable>_std``, ``_std_se``, and the 95 % interval ``_std_low`` and ``_std_high``,
    the roots of the variance's, in the units of the variable. NaN for up to `ddof` values; error
    and interval are NaN for one value too. Fourth powers of the distance from the mean must be
    floats: from about 1e-80 to 1e75.

    Parameters
    ----------
    ddof : int
        The variance divides by n - ddof, with `ddof` at least 0: 1 for the unbiased variance, 0 for
        that of the sample.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `ddof` is not an integer of at least 0.

    References
    ----------
    Casella and Berger, Statistical Inference, 2nd edition, 2002, section 5.5.4 (the delta method)
    and exercise 5.8 (the variance of the sample variance).

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.BrownianMotion(sigma=2.0), n_paths=10_000, T=1, seed=1)
    >>> found = mz.reduce(ds.x.isel(time=-1), mz.StandardDeviation())
    >>> found.x_std.round(2).item(), found.x_std_se.round(2).item()
    (2.04, 0.01)
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
        """Return standard deviation, standard error and interval."""
        std, error = _root(*variance_with_error(state, self.ddof))
        low, high = variance_interval(state, self.ddof)
        return {
            "std": Estimate(std, attrs={"cell_methods": "path: standard_deviation"}),
            "std_se": Estimate(error),
            "std_low": Estimate(np.sqrt(low)),
            "std_high": Estimate(np.sqrt(high)),
        }

    def powers(self, state: CentralSums, source: Source) -> dict[str, tuple[int, Any, Any, Any]]:
        """Return the sums that reveal heavy tails; see `Statistic.powers`."""
        return {"std": powers_of(state, 2, source.is_boolean)}

    def reference(self, values: NDArray[np.float64], source: Source) -> dict[str, Any]:
        """Return the same by NumPy."""
        variance, error = reference_variance(values, self.ddof)
        std = np.sqrt(variance)
        slope = np.where(std > 0, 2 * std, 1.0)
        return {"std": std, "std_se": error / slope}


def _root(variance: NDArray[np.float64], error: NDArray[np.float64]) -> tuple[Any, Any]:
    """Return the roots of variances, with their standard errors."""
    std = np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # If all values are equal, the error of the variance is 0, or NaN for one value.
        return std, np.where(std == 0.0, error, error / (2.0 * std))
