"""Quantiles in one pass, with a certified relative error; or exact, in a few."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import numpy as np
from numpy.typing import NDArray

from montezarr._checks import check_bool, check_real
from montezarr.statistics import _octaves
from montezarr.statistics._base import INTERVAL, Estimate, Sample, Source, Statistic
from montezarr.statistics._levels import Levels, check_levels
from montezarr.statistics._octaves import Bins
from montezarr.statistics._selection import Selection, Target

RELATIVE_ERROR = 0.005


@final
@dataclass(frozen=True, slots=True)
class Quantile(Statistic):
    r"""Quantiles, from counts in bins of equal relative width.

    The q-quantile of n values is the order statistic :math:`x_{(\lceil qn \rceil)}`, which
    ``numpy.quantile`` calls ``method="inverted_cdf"``. One pass finds the bin in which it lies,
    and interpolates in it; both lie in the same bin, which is narrower than `relative_error` times
    the value. The counts are integers, so every chunking gives the same bits. Values around zero
    cost memory, since every octave down to the smallest one has its bins: 8 bytes for each bin of
    each cell.

    The 95 % interval lies between the values whose ranks are 1.96 standard deviations of a rank,
    :math:`\sqrt{nq(1-q)}`, below and above, and needs no density (David and Nagaraja, Order
    Statistics, 2003, section 7.1, doi:10.1002/0471722162); the standard error is its width over
    twice 1.96. Where fewer than four values lie beyond a quantile, no value is an end of the
    interval on that side: it is NaN, and the standard error that of the rest. For levels 0 and 1
    there is neither.

    Results: ``<variable>_quantile``, ``_quantile_se``, ``_quantile_low`` and ``_quantile_high``
    (the 95 % interval), in the units of the variable, with the dimension ``quantile`` if `q` is a
    sequence.

    Parameters
    ----------
    q : float or sequence of float
        Levels in [0, 1].
    relative_error : float
        Largest relative error of a quantile in one pass, from 0.0001 to 0.1; of numbers below
        2.2e-308 it is an absolute one of that size.
    exact : bool
        Find the order statistic itself, in further passes over the same paths that count, and at
        last collect, only what lies in the bins found before. Memory stays bounded; the paths
        are simulated or read again two to four times. Not for `montezarr.stream`.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For levels or an error out of range.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=10_000, T=4, seed=1)
    >>> found = mz.reduce(ds.x.isel(time=-1), mz.Quantile([0.05, 0.95], exact=True))
    >>> found.x_quantile.values.round(2)
    array([-3.33,  3.35])
    """

    q: float | tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95)
    relative_error: float = RELATIVE_ERROR
    exact: bool = False

    State: ClassVar[type] = Bins
    order_free: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.set_field("q", check_levels("q", self.q).value)
        error = check_real("relative_error", self.relative_error, minimum=1e-4, maximum=0.1)
        self.set_field("relative_error", error)
        self.set_field("exact", check_bool("exact", self.exact))

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Statistic.examples`."""
        return cls(), cls(0.5, relative_error=0.05), cls((0.0, 0.01, 1.0), exact=True)

    @property
    def is_one_pass(self) -> bool:
        """Whether one pass is enough; see `Statistic.is_one_pass`."""
        return not self.exact

    @property
    def bits(self) -> int:
        """Bits of the mantissa that tell the bins of an octave apart."""
        return bits_of(self.relative_error)

    def bytes_for(self, cells: int) -> int:
        """Return the bytes of the bins of so many cells."""
        return _octaves.bytes_of(cells, self.bits, False)

    def chunk(self, sample: Sample) -> Bins:
        """Return the counts of all blocks."""
        return _octaves.count(sample.all_paths(), self.bits, False)

    def update(self, state: Bins, sample: Sample) -> Bins:
        """Count into the state itself."""
        return _octaves.count(sample.all_paths(), self.bits, False, into=state)

    def merge(self, a: Bins, b: Bins) -> Bins:
        """Return the counts of both."""
        return _octaves.merge(a, b, self.bits, False)

    def finalize(self, state: Bins, source: Source) -> dict[str, Estimate]:
        """Return quantiles, standard errors and intervals."""
        levels = check_levels("q", self.q)
        return self.estimates(levels, *self._found(state, levels))

    def again(self, state: Bins, source: Source) -> Statistic | None:
        """Return the search for the order statistics themselves, if they are wanted."""
        if not self.exact or not state.counts.any():
            return None
        levels = check_levels("q", self.q)
        n = _octaves.total_of(state)
        values, errors, low, high = self._found(state, levels)
        estimates = self.estimates(levels, values, errors, low, high)
        ranks = np.clip(np.ceil(n[:, None] * levels.array), 1, np.maximum(n, 1)[:, None])
        running = np.cumsum(state.counts, axis=1)
        targets = []
        for cell, row in enumerate(running):
            for rank in ranks[cell].astype(np.int64).tolist():
                if n[cell] == 0:
                    targets.append(Target(cell, 0, 0, 0))
                    continue
                place = int(np.searchsorted(row, rank))
                inside = int(state.counts[cell, place])
                key = int(_octaves.key_at(state, place))
                targets.append(Target(cell, key, rank - int(row[place]) + inside, inside))
        return Selection(tuple(targets), _octaves.MANTISSA - self.bits, estimates)

    def reference(self, values: NDArray[np.float64], source: Source) -> dict[str, Any]:
        """Return the order statistics, or where they are in their bins, from sorted values."""
        levels = check_levels("q", self.q)
        out = np.full((len(values), levels.array.size), np.nan)
        for cell, row in enumerate(values):
            ordered = np.sort(row[np.isfinite(row)])
            for i, q in enumerate(levels.array if ordered.size else ()):
                rank = max(1, math.ceil(ordered.size * q))
                value = float(ordered[rank - 1])
                out[cell, i] = value if self.exact else self._spread(ordered, rank, value)
        return {"quantile": levels.squeeze(out)}

    def _spread(self, ordered: NDArray[np.float64], rank: int, value: float) -> float:
        """Return the place of a rank among the values of its bin, spread evenly over it."""
        if abs(value) < _octaves.TINY:
            return 0.0
        exponent = math.frexp(abs(value))[1]
        width = math.ldexp(1.0, exponent - 1 - self.bits)
        inner = math.floor(abs(value) / width) * width
        edges = (inner, inner + width) if value > 0 else (-inner - width, -inner)
        side = "left" if value > 0 else "right"  # a bin holds its edge that is nearer to zero
        before, upto = (int(np.searchsorted(ordered, edge, side)) for edge in edges)  # type: ignore[call-overload]
        left, right = max(edges[0], ordered[0]), min(edges[1], ordered[-1])
        return float(left + (rank - 0.5 - before) / (upto - before) * (right - left))

    def _found(self, state: Bins, levels: Levels) -> tuple[NDArray[np.float64], ...]:
        """Return quantiles, standard errors and the ends of the intervals, (cells, levels)."""
        n = _octaves.total_of(state)[:, None].astype(np.float64)
        rank = np.maximum(np.ceil(n * levels.array), 1.0)
        spread = np.sqrt(n * levels.array * (1 - levels.array))
        below, above = rank - INTERVAL * spread, rank + INTERVAL * spread
        ends = np.maximum(below, 1.0), np.minimum(above, np.maximum(n, 1.0))
        value, low, high = (_octaves.at_ranks(state, r, self.bits) for r in (rank, *ends))
        with np.errstate(divide="ignore", invalid="ignore"):
            error = spread * (high - low) / (ends[1] - ends[0])
        low = np.where((below >= 1) & (spread > 0), low, np.nan)
        high = np.where((above <= n) & (spread > 0), high, np.nan)
        return value, error, low, high

    def estimates(
        self,
        levels: Levels,
        value: NDArray[np.float64],
        error: NDArray[np.float64],
        low: NDArray[np.float64],
        high: NDArray[np.float64],
    ) -> dict[str, Estimate]:
        """Return them with their dimension."""
        attrs = {"relative_error": 0.0 if self.exact else self.relative_error}
        found = {
            "quantile": value,
            "quantile_se": error,
            "quantile_low": low,
            "quantile_high": high,
        }
        return {
            name: levels.estimate("quantile", array, attrs if name == "quantile" else {})
            for name, array in found.items()
        }


def bits_of(relative_error: float) -> int:
    """Return the bits of the mantissa with which bins are no wider than that, relatively."""
    return math.ceil(-math.log2(relative_error))
