"""Histograms: between given edges, or with automatic bins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_array, check_int, value_error
from montezarr.core.value import checked
from montezarr.statistics._base import Estimate, Sample, Source, Statistic
from montezarr.statistics._shares import Array, Counts, share
from montezarr.statistics._sums import compiled
from montezarr.statistics._widths import BinnedCounts, bin_counts, merge_bins
from montezarr.statistics._wilson import wilson


class HistogramState(NamedTuple):
    """The state of `Histogram`.

    Attributes
    ----------
    low, high : array (1,)
        Lowest and highest value of all cells, infinite without values; for automatic bins.
    exponent, first : array (1,)
        Automatic bins have the width 2**exponent, and the first one starts at first * 2**exponent.
    counts : array (cells, bins)
        Number of values in each bin.
    below, above : array (cells,)
        Number of values below the first edge and above the last.
    """

    low: Array
    high: Array
    exponent: Counts
    first: Counts
    counts: Counts
    below: Counts
    above: Counts


def _check_edges(name: str, value: Any) -> tuple[float, ...]:
    edges = check_array(name, value, ndim=1)
    if len(edges) < 2 or not np.all(edges[1:] > edges[:-1]):
        raise value_error(name, "at least two increasing numbers", value)
    return tuple(edges.tolist())


@final
@dataclass(frozen=True, slots=True)
class Histogram(Statistic):
    r"""The number of values in each bin, and the estimated density.

    Results along a dimension ``bin``, whose coordinates are the centres ``bin`` and the edges
    ``bin_left`` and ``bin_right``: ``<variable>_histogram``, the numbers of values, integers
    without units; ``_density``, the share p in the bin of all n values over its width, in the units
    of the variable to the power -1; ``_density_se``, its standard error
    :math:`\sqrt{p (1 - p) / n}` over the width; ``_density_low`` and ``_density_high``, the 95 %
    interval of Wilson, which is valid for few values and for none in the bin too. With `edges` also
    ``_histogram_below`` and ``_histogram_above``, the numbers of values outside, which n includes:
    the density then integrates to the share inside. Densities are NaN without values, their
    standard error also for a single one.

    A value on an edge belongs to the bin on its right, one on the last edge to the last bin, as in
    `numpy.histogram`. Without `edges`, all cells share bins of width :math:`2^e` that start at
    whole multiples of it. Here e is the smallest integer for which fewer than `bins` edges lie
    between the extreme values, but at most 40 binary digits below the largest one, so that equal
    values have a bin. Both are exact, in any order of the paths. Without values there are no bins.

    Parameters
    ----------
    edges : sequence of float, optional
        Increasing edges of the bins, at least two.
    bins : int
        Largest number of bins without `edges`, from 2 to 65536; at least half as many are used
        unless the values are nearly equal.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `edges` are not increasing finite numbers, or `bins` is not an integer in its range.

    References
    ----------
    Scott, Multivariate Density Estimation, 1992, chapter 3: the variance of the density. With
    uneven `edges`, the package boost-histogram counts.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.RandomWalk(), n_paths=1000, T=2, seed=1)
    >>> found = mz.reduce(ds.x.isel(time=-1), mz.Histogram([-3, -1, 1, 3]))
    >>> found.x_histogram.values, found.bin.values
    (array([256, 473, 271]), array([-2.,  0.,  2.]))
    """

    State: ClassVar[type] = HistogramState
    order_free: ClassVar[bool] = True
    takes_labels: ClassVar[bool] = True

    edges: Sequence[float] | None = field(
        default=None, metadata=checked(_check_edges, optional=True)
    )
    bins: int = field(default=64, metadata=checked(check_int, minimum=2, maximum=65536))

    def __post_init__(self) -> None:
        self.check_fields()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Statistic.examples`."""
        return cls(), cls(bins=3), cls(edges=(-1.0, 0.0, 0.25, 2.0))

    def adapts_to_data(self, source: Source) -> bool:
        """Return whether the bins are automatic; see `Statistic.adapts_to_data`."""
        return self.edges is None

    def chunk(self, sample: Sample) -> HistogramState:
        """Return the counts of each cell."""
        nothing = np.zeros(len(sample.values), np.int64)
        if self.edges is None:
            return HistogramState(*bin_counts(sample.values, self.bins), nothing, nothing)
        counts = _counted(sample, np.array(self.edges))
        return HistogramState(
            np.full(1, np.inf), np.full(1, -np.inf), np.zeros(1, np.int64), np.zeros(1, np.int64),
            counts[:, 1:-1], counts[:, 0], counts[:, -1],
        )  # fmt: skip

    def merge(self, a: HistogramState, b: HistogramState) -> HistogramState:
        """Return the joint counts, in bins that are wide enough for both."""
        below, above = a.below + b.below, a.above + b.above
        if self.edges is None:
            binned = merge_bins(BinnedCounts(*a[:5]), BinnedCounts(*b[:5]), self.bins)
            return HistogramState(*binned, below, above)
        return HistogramState(*a[:4], a.counts + b.counts, below, above)

    def update(self, state: HistogramState, sample: Sample) -> HistogramState:
        """Add a sample to the state, into its bins if these are wide enough."""
        if self.edges is not None:
            return self.merge(state, self.chunk(sample))
        binned = bin_counts(sample.values, self.bins, BinnedCounts(*state[:5]))
        return HistogramState(*binned, state.below, state.above)

    def finalize(self, state: HistogramState, source: Source) -> dict[str, Estimate]:
        """Return counts and density."""
        edges = self._edges(state)
        left, right = edges[:-1], edges[1:]
        with np.errstate(over="ignore", invalid="ignore"):
            width = right - left
            n = (state.counts.sum(axis=-1) + state.below + state.above)[:, None]
            p, error = share(state.counts, n)
            low, high = wilson(state.counts, n)
            density = p / width
            around = {"se": error / width, "low": low / width, "high": high / width}
        coords = {
            "bin": left / 2 + right / 2,
            "bin_left": ("bin", left),
            "bin_right": ("bin", right),
        }
        text = {"long_name": "number of values"}
        out = {
            "histogram": Estimate(state.counts, ("bin",), coords, text, power=0),
            "density": Estimate(density, ("bin",), coords, {"long_name": "density"}, power=-1),
        }
        for end, beside in around.items():
            out[f"density_{end}"] = Estimate(beside, ("bin",), coords, power=-1)
        if self.edges is not None:
            for name, values in (("below", state.below), ("above", state.above)):
                text = {"long_name": f"number of values {name} the bins"}
                out[f"histogram_{name}"] = Estimate(values, attrs=text, power=0)
        return out

    def hits(self, state: HistogramState, source: Source) -> dict[str, tuple[Any, ...]]:
        """Return the numbers of values in each bin and of all, and the density of a share of 1."""
        n = (state.counts.sum(axis=-1) + state.below + state.above)[:, None]
        edges = self._edges(state)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return {"density": (state.counts, n, 1.0 / (edges[1:] - edges[:-1]))}

    def _edges(self, state: HistogramState) -> Array:
        if self.edges is not None:
            return np.array(self.edges)
        index = state.first + np.arange(state.counts.shape[1] + 1)
        with np.errstate(over="ignore"):  # beyond the largest float
            return np.ldexp(index.astype(np.float64), int(state.exponent[0]))

    def reference(self, values: NDArray[np.float64], source: Source) -> dict[str, Any]:
        """Return the same by `numpy.histogram`."""
        rows = [row[np.isfinite(row)] for row in values]
        if self.edges is not None:
            edges = np.array(self.edges)
        elif all(len(row) == 0 for row in rows):
            edges = np.zeros(1)
        else:
            low, high = np.nanmin(values), np.nanmax(values)
            e = int(np.frexp(max(abs(low), abs(high)))[1]) - 40 if low or high else -1022
            while np.floor(high / 2.0**e) - np.floor(low / 2.0**e) >= self.bins:
                e += 1
            width = 2.0**e
            edges = np.arange(np.floor(low / width), np.floor(high / width) + 2) * width
        shape = (len(rows), len(edges) - 1)
        counts = np.array([np.histogram(row, edges)[0] for row in rows if shape[1]], int)
        counts = counts.reshape(shape)
        n = np.array([len(row) for row in rows])[:, None]
        p = np.where(n > 0, counts / np.maximum(n, 1), np.nan)
        error = np.where(n > 1, np.sqrt(p * (1 - p) / np.maximum(n, 1)), np.nan)
        out = {
            "histogram": counts,
            "density": p / np.diff(edges),
            "density_se": error / np.diff(edges),
        }
        if self.edges is not None:
            out["histogram_below"] = np.array([(row < edges[0]).sum() for row in rows])
            out["histogram_above"] = np.array([(row > edges[-1]).sum() for row in rows])
        return out


def _counted(sample: Sample, edges: Array) -> Counts:
    """Return the numbers (cells, bins + 2) of values below, in each bin and above."""
    kernel = compiled()
    cells = len(sample.values)
    per_bin = _bins_per_unit(edges)
    if kernel is not None and per_bin is not None:
        counts = np.zeros((cells, len(edges) + 1), np.int64)
        kernel.count_between(sample.values.reshape(cells, -1), edges, per_bin, counts)
        return counts
    counts = _fill(sample.values, edges)
    # boost-histogram counts NaN as above.
    counts[:, -1] -= sample.values[0].size - sample.count.sum(axis=-1, dtype=np.int64)
    return counts


def _bins_per_unit(edges: Array) -> float | None:
    """Return the inverse of the width of nearly even edges, else None.

    Each edge may be half a bin from its even position; the inverse is finite.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        even = np.linspace(edges[0], edges[-1], len(edges))
        per_bin = float((len(edges) - 1) / (edges[-1] - edges[0]))
        is_even = np.all(np.abs(edges - even) <= (even[1] - even[0]) / 2)
    return per_bin if is_even and 0 < per_bin < np.inf else None


def _fill(values: Array, edges: Array) -> Counts:
    """Count values between any edges, with NaN among the values above."""
    import boost_histogram as bh  # imported only when needed

    cells = len(values)
    edges = edges.copy()
    edges[-1] = np.nextafter(edges[-1], np.inf)  # the last edge belongs to the last bin
    rows = bh.axis.Integer(0, cells, underflow=False, overflow=False)
    histogram = bh.Histogram(rows, bh.axis.Variable(edges), storage=bh.storage.Int64())
    cell = np.repeat(np.arange(cells), values[0].size) if cells > 1 else 0
    histogram.fill(cell, values.reshape(-1))
    return np.asarray(histogram.view(flow=True), np.int64)
