"""Quantiles in one pass, with a certified relative error; or exact, in a few passes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_bool, check_real
from montezarr.core.value import checked
from montezarr.statistics import _bins
from montezarr.statistics._base import Estimate, Sample, Source, Statistic
from montezarr.statistics._binomial import ranks_always
from montezarr.statistics._bins import Bins, Budget
from montezarr.statistics._keys import TINY
from montezarr.statistics._levels import check_level, check_levels
from montezarr.statistics._octaves import restore_bins
from montezarr.statistics._ranks import Ranks, interval_of, ranks_of
from montezarr.statistics._selection import SelectedBin, Selection, Target
from montezarr.statistics._spans import begins_of, bins_at, order_statistics, spans_of

RELATIVE_ERROR = 0.005

LIGHTER = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
"""Relative errors that are proposed where smaller ones take more memory than there is."""


@final
@dataclass(frozen=True, slots=True)
class Quantile(Statistic):
    r"""Quantiles, from counts in adaptive bins.

    The q-quantile of n values is the order statistic :math:`x_{(\lceil qn \rceil)}`, which
    ``numpy.quantile`` calls ``method="inverted_cdf"``. Up to 1,048,576 values of one cell are kept;
    beyond that, distinct numbers with their counts, if there are at most 4,096: both give the order
    statistic itself. Otherwise one pass finds the bin that contains it, and interpolates in the
    bin. A bin is all numbers with the same leading bits, as many bits as 2**20 bins allow: its
    width is at most 2e-6 of the range for values far from zero, some 1e-4 of the value if they span
    many octaves, and never more than `relative_error` times the value. Many cells share these bins,
    down to 2**11 for each. The state depends only on the values, so every chunking gives the same
    bits.

    Of variables of integers, a bin that is no wider than 1 counts one integer: a quantile is the
    order statistic itself where it is at most 512 in size, for the default `relative_error`,
    whatever the range of the values; and beyond, where they span no more octaves than the bins have
    room for, in the same memory. In a wider bin it is the integer nearest to the interpolated one.

    The 95 % interval lies between the order statistics whose ranks are the 0.025- and
    0.975-quantiles of a binomial law, and needs no density (David and Nagaraja, Order Statistics,
    2003, section 7.1, doi:10.1002/0471722162). It reaches from the lower edge of the first one's
    bin to the upper edge of the second one's, so it covers the error of the bins too, and always
    contains the estimate. The standard error is its width over twice 1.96. If fewer than four
    values lie beyond a quantile, no value is an end of the interval on that side: it reaches to
    -inf or inf, and the standard error is that of the rest. For levels 0 and 1, and for one or two
    values, the interval is NaN.

    In a stream, the confidence sequence also lies between order statistics, and is as exact: those
    between which a quantile lies at all times (Howard and Ramdas, "Sequential estimation of
    quantiles with applications to A/B testing and best-arm identification", Bernoulli 28 (2022),
    doi:10.3150/21-BEJ1388).

    Results: ``<variable>_quantile``, ``_quantile_se``, ``_quantile_low`` and ``_quantile_high``
    (the 95 % interval), in the units of the variable, with the dimension ``quantile`` if `q` is a
    sequence. The attribute ``resolution`` is the width of the widest bin that contains one of them,
    0 if all are order statistics themselves.

    Parameters
    ----------
    q : float or sequence of float
        Levels in [0, 1].
    relative_error : float
        Largest relative error of a quantile in one pass, from 0.0001 to 0.1; for numbers below
        2.2e-308 it is an absolute error of that size.
    exact : bool
        Find the order statistics themselves, of the interval too, in further passes over the same
        paths, which count, and finally collect, only values in the bins found before. Memory stays
        bounded; the paths are simulated or read again once to three times. Not for
        `montezarr.stream`.

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

    q: float | tuple[float, ...] = field(
        default=(0.05, 0.25, 0.5, 0.75, 0.95), metadata=checked(check_level)
    )
    relative_error: float = field(
        default=RELATIVE_ERROR, metadata=checked(check_real, minimum=1e-4, maximum=0.1)
    )
    exact: bool = field(default=False, metadata=checked(check_bool))

    State: ClassVar[type] = Bins
    order_free: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.check_fields()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Statistic.examples`."""
        return cls(), cls(0.5, relative_error=0.05), cls((0.0, 0.01, 1.0), exact=True)

    @property
    def tolerance(self) -> float:  # type: ignore[override]
        """Tolerance: values in a bin are assumed to be spread evenly over it."""
        return 0.0 if self.exact else self.relative_error

    def budget(self, cells: int) -> Budget:
        """Return the memory budget of a cell."""
        return Budget.of(cells, bits_of(self.relative_error), False)

    @property
    def is_one_pass(self) -> bool:
        """Whether one pass is enough; see `Statistic.is_one_pass`."""
        return not self.exact

    def lighter(self) -> Iterator[Self]:
        """Yield the same with larger relative errors."""
        for error in LIGHTER:
            if error > self.relative_error:
                yield replace(self, relative_error=error)

    def bytes_for(self, cells: int) -> int:
        """Return the bytes of the bins of a number of cells."""
        return _bins.bins_bytes(cells, bits_of(self.relative_error), False)

    def chunk(self, sample: Sample) -> Bins:
        """Return the counts of all blocks."""
        values = sample.all_paths()
        return _bins.count_into_bins(values, self.budget(len(values)))

    def update(self, state: Bins, sample: Sample) -> Bins:
        """Count into the state itself."""
        values = sample.all_paths()
        return _bins.count_into_bins(values, self.budget(len(values)), into=state)

    def merge(self, a: Bins, b: Bins) -> Bins:
        """Return the counts of both."""
        return _bins.merge_bins(a, b, self.budget(len(a.n)))

    def absorb(self, state: Bins, other: Bins) -> Bins:
        """Add the counts to the state itself."""
        return _bins.merge_bins(state, other, self.budget(len(state.n)), in_place=True)

    def restore(self, arrays: Mapping[str, Any]) -> Bins:
        """Return the state from its arrays, of this version or an earlier one."""
        return restore_bins(arrays, self.budget(len(arrays["low"])))

    def finalize(self, state: Bins, source: Source) -> dict[str, Estimate]:
        """Return quantiles, standard errors and intervals."""
        levels = check_levels("q", self.q)
        ranks = ranks_of(state.n, levels.array)
        value, left, right = self._at(state, np.stack(ranks[:3], axis=-1), source)
        wide = float(np.nan_to_num(right - left)[..., 0].max(initial=0.0))
        return self.estimates(ranks, value[..., 0], left[..., 1], right[..., 2], wide)

    def sequences(self, state: Bins, source: Source) -> dict[str, tuple[Any, Any]]:
        """Return the order statistics between which the quantiles lie at all times."""
        levels = check_levels("q", self.q)
        first, last = ranks_always(state.n, levels.array)
        n = state.n[:, None]
        ranks = np.clip(np.stack([first, last], axis=-1), 1, n[..., None])
        _, left, right = self._at(state, ranks, source)
        low = np.where(first >= 1, left[..., 0], -np.inf)
        high = np.where(last <= n, right[..., 1], np.inf)
        ends = (np.where(n > 0, end, np.nan) for end in (low, high))
        low, high = (levels.squeeze(end) for end in ends)
        return {"quantile": (low, high)}

    def _at(self, state: Bins, ranks: NDArray[np.int64], source: Source) -> NDArray[np.float64]:
        """Return the values at ranks (cells, ...), and their lower and upper bounds."""
        found, budget = np.full((3, *ranks.shape), np.nan), self.budget(len(state.n))
        begins = begins_of(state, budget)
        for cell in np.flatnonzero(state.n).tolist():
            if not state.pages.size:
                found[:, cell] = order_statistics(state, cell, ranks[cell])
                continue
            bins = bins_at(state, cell, begins[cell], budget, ranks[cell])
            spans = spans_of(bins, float(state.low[cell]), float(state.high[cell]))
            spans = spans.of_integers() if source.is_integer else spans
            found[:, cell] = spans.at(ranks[cell])
        if source.is_integer:
            np.rint(found[0], out=found[0])  # in a bin of several integers
        return found

    def vary(self, state: Bins, source: Source) -> dict[str, Any]:
        """Return where values differ; see `Statistic.vary`."""
        return {"quantile": (state.n > 1) & (state.low < state.high)}

    def again(self, state: Bins, source: Source) -> Statistic | None:
        """Return the search for the order statistics themselves, if `exact`."""
        if not self.exact or not state.pages.size:
            return None
        ranks = ranks_of(state.n, check_levels("q", self.q).array)
        wanted = np.stack(ranks[:3], axis=-1).reshape(len(state.n), -1)
        budget = self.budget(len(state.n))
        begins = begins_of(state, budget)
        places: dict[SelectedBin, int] = {}
        targets = []
        for cell, row in enumerate(wanted):
            if not state.n[cell]:
                targets += [Target(-1, 0)] * row.size
                continue
            bins = bins_at(state, cell, begins[cell], budget, row)
            running = bins.running
            for rank, at in zip(row.tolist(), np.searchsorted(running, row).tolist(), strict=True):
                inside = int(bins.counts[at])
                key = int(bins.keys[at]) >> bins.shift
                place = SelectedBin(cell, key, bins.shift, inside)
                index = places.setdefault(place, len(places))
                targets.append(Target(index, rank - int(running[at]) + inside))
        if all(place.shift == 0 for place in places):
            return None  # every bin is a single number
        return Selection(self, ranks, tuple(places), tuple(targets))

    def reference(self, values: NDArray[np.float64], source: Source) -> dict[str, Any]:
        """Return the order statistics from sorted values; equal within `relative_error`."""
        levels = check_levels("q", self.q)
        out = np.full((len(values), levels.array.size), np.nan)
        for cell, row in enumerate(values):
            ordered = np.sort(row[np.isfinite(row)])
            for i, q in enumerate(levels.array if ordered.size else ()):
                value = ordered[max(1, math.ceil(ordered.size * q)) - 1]
                out[cell, i] = 0.0 if abs(value) < TINY else value
        return {"quantile": levels.squeeze(out)}

    def estimates(
        self,
        ranks: Ranks,
        value: NDArray[np.float64],
        low: NDArray[np.float64],
        high: NDArray[np.float64],
        resolution: float = 0.0,
    ) -> dict[str, Estimate]:
        """Return the results from the values at some ranks (cells, levels)."""
        levels = check_levels("q", self.q)
        error, low, high = interval_of(ranks, low, high)
        promised = 0.0 if self.exact else self.relative_error
        attrs = {"relative_error": promised, "resolution": resolution}
        named = {
            "quantile": value,
            "quantile_se": error,
            "quantile_low": low,
            "quantile_high": high,
        }
        return {
            name: levels.estimate("quantile", array, attrs if name == "quantile" else {})
            for name, array in named.items()
        }


def bits_of(relative_error: float) -> int:
    """Return the bits of the mantissa for bins of at most this relative width."""
    return math.ceil(-math.log2(relative_error))
