"""Value at risk and expected shortfall, in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self, final

import numpy as np
from numpy.typing import NDArray

from montezarr._checks import check_choice, check_real, value_error
from montezarr.statistics import _octaves
from montezarr.statistics._base import INTERVAL, Estimate, Sample, Source, Statistic
from montezarr.statistics._levels import check_levels
from montezarr.statistics._octaves import Bins
from montezarr.statistics.quantile import RELATIVE_ERROR, bits_of

TAILS = ("upper", "lower")


@final
@dataclass(frozen=True, slots=True)
class ExpectedShortfall(Statistic):
    r"""The mean of the worst values, and the quantile beyond which they lie.

    With n values and level :math:`\alpha`, the value at risk is
    :math:`x_{(\lceil n\alpha \rceil)}`, and the expected shortfall the mean of the
    :math:`n(1-\alpha)` largest, of which one may count in part (Acerbi and Tasche, "On the
    coherence of expected shortfall", Journal of Banking and Finance 26 (2002),
    doi:10.1016/S0378-4266(02)00283-2). ``tail="lower"`` takes the smallest in their place.

    Counts, and the places of values within their bins, are kept as integers (see `Quantile`): the
    mean of the values beyond the bin of the value at risk is right to 4e-9, relatively; in that
    bin, which holds a small part of the tail, values are taken to be spread evenly.

    The standard error is :math:`\sqrt{(s^2 + \alpha (ES - VaR)^2) / (n (1-\alpha))}` with
    the variance s² of the tail (Manistre and Hancock, "Variance of the CTE estimator", North
    American Actuarial Journal 9 (2005), doi:10.1080/10920277.2005.10596207); that of the value at
    risk is as in `Quantile`. In experiments, ± 1.96 of them held the shortfall in 94 to 95 % of all
    runs with 200 values in a normal or exponential tail, in 93 % with a Pareto tail of index 4;
    with 40 values, in 93 to 94 and in 90 %.

    Results: ``<variable>_expected_shortfall``, ``<variable>_value_at_risk`` and their ``_se``, in
    the units of the variable, with the dimension ``confidence`` if `level` is a sequence.

    Parameters
    ----------
    level : float or sequence of float
        Confidence levels in [0.5, 1), such as 0.99.
    tail : {"upper", "lower"}
        "upper" where large values are bad, as losses are; "lower" for gains and prices.
    relative_error : float
        Largest relative width of a bin, from 0.0001 to 0.1.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For parameters out of these terms.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=100_000, T=1, seed=1)
    >>> found = mz.reduce(ds.x.isel(time=-1), mz.ExpectedShortfall(0.99))
    >>> found.x_expected_shortfall.round(3).item()
    2.661
    """

    level: float | tuple[float, ...] = 0.99
    tail: str = "upper"
    relative_error: float = RELATIVE_ERROR

    State: ClassVar[type] = Bins
    order_free: ClassVar[bool] = True

    def __post_init__(self) -> None:
        levels = check_levels("level", self.level, low=0.5)
        if not (levels.array < 1).all():
            raise value_error("level", "numbers in [0.5, 1)", self.level)
        self.set_field("level", levels.value)
        self.set_field("tail", check_choice("tail", self.tail, TAILS))
        error = check_real("relative_error", self.relative_error, minimum=1e-4, maximum=0.1)
        self.set_field("relative_error", error)

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Statistic.examples`."""
        return cls(), cls((0.9, 0.95), tail="lower")

    @property
    def tolerance(self) -> float:  # type: ignore[override]
        """Values in the bin of the value at risk are taken to be spread evenly over it."""
        return self.relative_error

    @property
    def bits(self) -> int:
        """Bits of the mantissa that tell the bins of an octave apart."""
        return bits_of(self.relative_error)

    def bytes_for(self, cells: int) -> int:
        """Return the bytes of the bins of so many cells."""
        return _octaves.bytes_of(cells, self.bits, True)

    def chunk(self, sample: Sample) -> Bins:
        """Return counts and places of all blocks."""
        return _octaves.count(sample.all_paths(), self.bits, True)

    def update(self, state: Bins, sample: Sample) -> Bins:
        """Count into the state itself."""
        return _octaves.count(sample.all_paths(), self.bits, True, into=state)

    def merge(self, a: Bins, b: Bins) -> Bins:
        """Return counts and places of both."""
        return _octaves.merge(a, b, self.bits, True)

    def finalize(self, state: Bins, source: Source) -> dict[str, Estimate]:
        """Return expected shortfall, value at risk and their standard errors."""
        levels = check_levels("level", self.level)
        shape = (len(state.counts), levels.array.size)
        shortfall, risk = np.full(shape, np.nan), np.full(shape, np.nan)
        shortfall_se, risk_se = np.full(shape, np.nan), np.full(shape, np.nan)
        sign = 1.0 if self.tail == "upper" else -1.0
        n = _octaves.total_of(state)
        for cell in np.flatnonzero(n):
            bins = _ordered(state, int(cell), self.bits, self.tail == "lower")
            for i, alpha in enumerate(levels.array.tolist()):
                with np.errstate(over="ignore", invalid="ignore"):
                    found = _tail(bins, int(n[cell]), alpha)
                shortfall[cell, i], shortfall_se[cell, i] = sign * found[0], found[1]
                risk[cell, i], risk_se[cell, i] = sign * found[2], found[3]
        named = {
            "expected_shortfall": shortfall,
            "expected_shortfall_se": shortfall_se,
            "value_at_risk": risk,
            "value_at_risk_se": risk_se,
        }
        attrs = {"tail": self.tail, "relative_error": self.relative_error}
        out = {}
        for name, array in named.items():
            array[np.abs(array) < _octaves.TINY] = 0.0  # the bin of 0 is that of the smallest too
            out[name] = levels.estimate("confidence", array, {} if name.endswith("_se") else attrs)
        return out

    def reference(self, values: NDArray[np.float64], source: Source) -> dict[str, Any]:
        """Return the mean of the worst values by sorting; equal within `relative_error`."""
        levels = check_levels("level", self.level)
        out = np.full((len(values), levels.array.size), np.nan)
        sign = 1.0 if self.tail == "upper" else -1.0
        for cell, row in enumerate(values):
            x = np.sort(sign * row[np.isfinite(row)])
            for i, alpha in enumerate(levels.array if x.size else ()):
                rank, mass = int(np.ceil(x.size * alpha)), x.size * (1 - alpha)
                part = mass - (x.size - rank)
                out[cell, i] = sign * (x[rank:].sum() + part * x[rank - 1]) / mass
        return {"expected_shortfall": levels.squeeze(out)}


class _Ordered(NamedTuple):
    """The used bins of a cell from the best values to the worst: edges, counts and means."""

    left: NDArray[np.float64]
    right: NDArray[np.float64]
    counts: NDArray[np.int64]
    mean: NDArray[np.float64]


def _ordered(state: Bins, cell: int, bits: int, is_lower: bool) -> _Ordered:
    used = np.flatnonzero(state.counts[cell])
    shift = _octaves.MANTISSA - bits
    left, right = _octaves.bounds(state, used, shift)
    count = state.counts[cell, used]
    # Half a unit more, since places were cut off to whole units.
    place = state.offsets[cell, used] / count + 0.5
    low, high = state.low[cell], state.high[cell]
    mean = np.clip(left + (right - left) * (place * 2.0**-_octaves.OFFSET_BITS), low, high)
    left, right = np.clip(left, low, high), np.clip(right, low, high)
    if is_lower:
        return _Ordered(-right[::-1], -left[::-1], count[::-1], -mean[::-1])
    return _Ordered(left, right, count, mean)


def _tail(bins: _Ordered, n: int, alpha: float) -> tuple[float, float, float, float]:
    """Return expected shortfall, its standard error, value at risk, its standard error."""
    rank, mass = int(np.ceil(n * alpha)), n * (1 - alpha)
    running = np.cumsum(bins.counts)
    place = int(np.searchsorted(running, rank))
    risk = _value(bins, running, float(rank))
    beyond = int(running[place]) - rank  # in the bin of the value at risk
    share = beyond / int(bins.counts[place])
    edge = bins.right[place]
    middle = edge - (edge - bins.left[place]) * share / 2
    count = np.append(bins.counts[place + 1 :], beyond).astype(np.float64)
    mean = np.append(bins.mean[place + 1 :], middle)
    total = float((count * mean).sum()) + (mass - (n - rank)) * risk
    shortfall = total / mass
    inside = count.sum()
    if inside < 2:
        return shortfall, np.nan, risk, np.nan
    centre = (count * mean).sum() / inside
    variance = float((count * (mean - centre) ** 2).sum() / inside)
    gap = shortfall - risk
    error = np.sqrt((variance + alpha * gap * gap) / mass)  # of Python's floats, a power may raise
    spread = np.sqrt(n * alpha * (1 - alpha))
    low, high = max(rank - INTERVAL * spread, 1.0), min(rank + INTERVAL * spread, float(n))
    width = _value(bins, running, high) - _value(bins, running, low)
    return shortfall, float(error), risk, float(spread * width / (high - low))


def _value(bins: _Ordered, running: NDArray[np.int64], rank: float) -> float:
    """Return the value at a rank, as `montezarr.statistics._octaves.at_ranks` does."""
    depth = min(max(rank, 0.5), running[-1] + 0.5) - 0.5
    place = min(int(np.searchsorted(running, depth)), running.size - 1)
    share = (depth - (running[place] - bins.counts[place])) / bins.counts[place]
    return float(bins.left[place] + share * (bins.right[place] - bins.left[place]))
