"""The number of values that count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from montezarr.statistics._base import Estimate, Sample, Source, Statistic


class CountState(NamedTuple):
    """The state of `Count`.

    Attributes
    ----------
    total : array (cells,)
        Number of values.
    """

    total: NDArray[np.int64]


@final
@dataclass(frozen=True, slots=True)
class Count(Statistic):
    """The number of values that count: finite, of paths that are not masked.

    Result: ``<variable>_count``, an integer without units. It is not an estimate, so it has no
    standard error.

    Examples
    --------
    >>> import numpy as np
    >>> from montezarr.statistics import Sample
    >>> Count().chunk(Sample(np.array([[[1.0, 2.0, np.nan]]]))).total
    array([2])
    """

    State: ClassVar[type] = CountState
    order_free: ClassVar[bool] = True
    takes_labels: ClassVar[bool] = True

    def chunk(self, sample: Sample) -> CountState:
        """Return the number of values of each cell."""
        return CountState(sample.count.sum(axis=-1, dtype=np.int64))

    def merge(self, a: CountState, b: CountState) -> CountState:
        """Return the numbers of both."""
        return CountState(a.total + b.total)

    def finalize(self, state: CountState, source: Source) -> dict[str, Estimate]:
        """Return the count."""
        attrs = {"long_name": "number of values"}
        return {"count": Estimate(state.total, attrs=attrs, power=0)}

    def reference(self, values: NDArray[np.float64], source: Source) -> dict[str, Any]:
        """Return the same by NumPy."""
        return {"count": np.isfinite(values).sum(axis=-1)}
