"""The mean, with its standard error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from montezarr.statistics._base import Estimate, Sample, Source, Statistic
from montezarr.statistics._moments import (
    CentralSums,
    mean_of,
    merge_sums,
    ones_of,
    powers_of,
    standard_error_of,
)
from montezarr.statistics._wilson import wilson


@final
@dataclass(frozen=True, slots=True)
class Mean(Statistic):
    r"""The mean over paths, and its standard error :math:`s/\sqrt n`.

    Results: ``<variable>_mean`` and ``<variable>_mean_se``, in the units of the variable. For
    booleans, and for numbers that are only 0 and 1, both of which occur, the mean is a share: then
    there are also ``<variable>_mean_low`` and ``<variable>_mean_high``, Wilson's 95 % interval,
    which is valid for few hits and for none, unlike ± 1.96 standard errors. With ``compute=False``,
    and in a store, only booleans have it.

    References
    ----------
    Wilson, "Probable inference, the law of succession, and statistical inference", Journal of
    the American Statistical Association 22 (1927), doi:10.1080/01621459.1927.10502953.
    Chan, Golub and LeVeque, "Algorithms for computing the sample variance", The American
    Statistician 37 (1983), doi:10.1080/00031305.1983.10483115.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=10_000, T=4, seed=1)
    >>> mz.reduce(ds.x.isel(time=-1), mz.Mean()).x_mean_se.round(3).item()
    0.02
    """

    State: ClassVar[type] = CentralSums
    order: ClassVar[int] = 2

    def chunk(self, sample: Sample) -> CentralSums:
        """Return the sums of each block."""
        return sample.central(2)

    def merge(self, a: CentralSums, b: CentralSums) -> CentralSums:
        """Return the sums of both."""
        return merge_sums(a, b)

    def finalize(self, state: CentralSums, source: Source) -> dict[str, Estimate]:
        """Return mean and standard error, and Wilson's interval for zeros and ones."""
        found = {
            "mean": Estimate(mean_of(state), attrs={"cell_methods": "path: mean"}),
            "mean_se": Estimate(standard_error_of(state)),
        }
        if source.is_boolean:
            ones = ones_of(state, True)
            for end, values in zip(("low", "high"), wilson(ones, state.n), strict=True):
                text = {"long_name": f"95 % interval, {end} end, of the share"}
                found[f"mean_{end}"] = Estimate(values, attrs=text)
        return found

    def is_share(self, state: CentralSums, source: Source) -> bool | None:
        """Return whether values are only 0 and 1; see `Statistic.is_share`."""
        if source.is_boolean or np.isfinite(ones_of(state, False)).any():
            return True
        same = (state.sums[0] == 0) & ((state.mean == 0) | (state.mean == 1))
        return None if ((state.n == 0) | same).all() else False

    def hits(self, state: CentralSums, source: Source) -> dict[str, tuple[Any, ...]]:
        """Return the numbers of ones and of values, if the values are only 0 and 1."""
        return {"mean": (ones_of(state, source.is_boolean), state.n)}

    def powers(self, state: CentralSums, source: Source) -> dict[str, tuple[int, Any, Any, Any]]:
        """Return the sums that reveal heavy tails; see `Statistic.powers`."""
        return {"mean": powers_of(state, 1, source.is_boolean)}

    def reference(self, values: NDArray[np.float64], source: Source) -> dict[str, Any]:
        """Return the same by NumPy."""
        n = np.isfinite(values).sum(axis=-1)
        return {
            "mean": np.nanmean(values, axis=-1),
            "mean_se": np.nanstd(values, axis=-1, ddof=1) / np.sqrt(n),
        }
