"""The probability of exceeding a level, with standard error and interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_bool
from montezarr.core.value import checked
from montezarr.statistics._base import Estimate, Sample, Source, Statistic
from montezarr.statistics._levels import check_numbers
from montezarr.statistics._shares import count_true, share
from montezarr.statistics._wilson import wilson


class ExceedanceState(NamedTuple):
    """The state of `Exceedance`.

    Attributes
    ----------
    above : array (cells, levels)
        Number of values that exceed each level.
    total : array (cells,)
        Number of values.
    """

    above: NDArray[np.int64]
    total: NDArray[np.int64]


@final
@dataclass(frozen=True, slots=True)
class Exceedance(Statistic):
    r"""The probability that a path exceeds a level, P(X > level).

    Results: ``<variable>_exceedance``, the share p of n values; ``_exceedance_se``, its standard
    error :math:`\sqrt{p (1 - p) / n}`; ``_exceedance_low`` and ``_exceedance_high``, Wilson's 95 %
    interval, which is valid for rare events too. All are without units, and NaN without values; the
    standard error is NaN for a single value. Several levels give a dimension ``level``.

    Parameters
    ----------
    level : float or sequence of float
        The level, or several, in any order.
    strict : bool
        False also counts values that equal the level, P(X >= level).

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If a level is not a finite number, there is none, or `strict` is not a bool.

    References
    ----------
    Wilson, "Probable inference, the law of succession, and statistical inference", Journal of
    the American Statistical Association 22 (1927), doi:10.1080/01621459.1927.10502953.

    Examples
    --------
    >>> import numpy as np
    >>> from montezarr.statistics import Sample, Source
    >>> statistic = Exceedance(level=2.0)
    >>> state = statistic.chunk(Sample(np.array([[[1.0, 2.0, 3.0, 4.0]]])))
    >>> statistic.finalize(state, Source())["exceedance"].values
    array([0.5])
    """

    State: ClassVar[type] = ExceedanceState
    order_free: ClassVar[bool] = True

    level: float | Sequence[float] = field(metadata=checked(check_numbers))
    strict: bool = field(default=True, metadata=checked(check_bool))

    def __post_init__(self) -> None:
        self.check_fields()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Statistic.examples`."""
        return cls(level=0.5), cls(level=(1.0, -1.0, 0.0), strict=False)

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels as a tuple, even if there is only one."""
        level: Any = self.level
        return level if isinstance(level, tuple) else (level,)

    def chunk(self, sample: Sample) -> ExceedanceState:
        """Return the counts of each cell."""
        x = sample.values
        exceeds = np.greater if self.strict else np.greater_equal
        above = [count_true(exceeds(x, level)) for level in self.levels]  # False for NaN
        return ExceedanceState(np.stack(above, axis=-1), sample.count.sum(axis=-1, dtype=np.int64))

    def merge(self, a: ExceedanceState, b: ExceedanceState) -> ExceedanceState:
        """Return the counts of both."""
        return ExceedanceState(a.above + b.above, a.total + b.total)

    def finalize(self, state: ExceedanceState, source: Source) -> dict[str, Estimate]:
        """Return the probability, its standard error and interval."""
        above, total = state.above, state.total[:, None]
        p, error = share(above, total)
        low, high = wilson(above, total)
        several = isinstance(self.level, tuple)
        dims = ("level",) if several else ()
        coords = {"level": np.array(self.levels) if several else self.levels[0]}
        text = "more than" if self.strict else "at least"
        return {
            name: Estimate(
                values if several else values[:, 0],
                dims,
                coords,
                {"long_name": f"{what} of {text} the level"},
                power=0,
            )
            for name, values, what in (
                ("exceedance", p, "probability"),
                ("exceedance_se", error, "standard error of the probability"),
                ("exceedance_low", low, "95 % interval, low end, of the probability"),
                ("exceedance_high", high, "95 % interval, high end, of the probability"),
            )
        }

    def hits(self, state: ExceedanceState, source: Source) -> dict[str, tuple[Any, ...]]:
        """Return the numbers of values that exceed each level, and of all values."""
        above = state.above if isinstance(self.level, tuple) else state.above[:, 0]
        total = state.total[:, None] if isinstance(self.level, tuple) else state.total
        return {"exceedance": (above, total)}

    def reference(self, values: NDArray[np.float64], source: Source) -> dict[str, Any]:
        """Return the same by NumPy."""
        out = np.full((2, len(values), len(self.levels)), np.nan)
        for cell, row in enumerate(values):
            x = row[np.isfinite(row)]
            for i, level in enumerate(self.levels):
                if len(x) > 0:
                    p = (x > level).mean() if self.strict else (x >= level).mean()
                    out[0, cell, i] = p
                if len(x) > 1:
                    out[1, cell, i] = np.sqrt(p * (1 - p) / len(x))
        p, error = out if isinstance(self.level, tuple) else out[:, :, 0]
        return {"exceedance": p, "exceedance_se": error}
