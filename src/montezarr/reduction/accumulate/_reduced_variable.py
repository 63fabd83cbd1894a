"""One reduced variable: its statistics, and the sample that they get of arrays of paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.random.seeding import BLOCK
from montezarr.reduction.accumulate._whole import LARGEST_WHOLE, as_float64
from montezarr.statistics import Sample, Source, Statistic
from montezarr.statistics._sums import all_finite

Arrays = list[NDArray[Any]]
"""Values of all variables, (other dimensions ..., paths)."""


@dataclass(frozen=True, slots=True)
class ReducedVariable:
    """Statistics of one variable, or of several together.

    Attributes
    ----------
    source : Source
        Describes the variable to the statistics.
    arrays : tuple of int
        Positions of the arrays that it takes; several for statistics along the variables.
    cells : int
        Number of cells: the product of the other dimensions, without the axis.
    axis : int or None
        Position, among the other dimensions, of the one that the statistics take as a whole; -1
        for that of the variables.
    statistics : tuple of Statistic
        The statistics of this variable.
    masked : tuple of (float or None)
        For each array, the number that stands for a masked path, if it is not NaN.
    only : float or None
        The only group that is reduced; None for every group.
    """

    source: Source
    arrays: tuple[int, ...]
    cells: int
    axis: int | None
    statistics: tuple[Statistic, ...]
    masked: tuple[float | None, ...]
    only: float | None = None

    @property
    def order(self) -> int:
        """Highest power of centred values that a statistic needs."""
        return max((statistic.order for statistic in self.statistics), default=0)

    @property
    def has_tails(self) -> bool:
        """Whether the tails of the values are kept with the states."""
        return any(statistic.has_tails for statistic in self.statistics)

    @property
    def in_order(self) -> tuple[Statistic, ...]:
        """The statistics whose states are merged along the tree of blocks."""
        return tuple(statistic for statistic in self.statistics if not statistic.order_free)

    @property
    def any_order(self) -> tuple[Statistic, ...]:
        """The statistics whose states may be merged in any order."""
        return tuple(statistic for statistic in self.statistics if statistic.order_free)


NOTHING_LOST = np.zeros((), bool)

FLOATS = (np.float32, np.float64)
"""Types of values that statistics take as they are."""

INTEGERS = (np.int32, np.int64)
"""Types of values that sums take as they are, without a copy in float64."""


def clean(
    values: NDArray[Any], masked: float | None, name: str
) -> tuple[NDArray[np.floating[Any]], Any]:
    """Return values as floats, with NaN for those that do not count, and the mask of these."""
    if values.dtype.kind != "f":
        out = as_float64(values, masked, name)
        if masked is None:
            return out, NOTHING_LOST
        bad = values == masked
    else:
        out = np.ascontiguousarray(values, None if values.dtype in FLOATS else np.float64)
        if masked is None and all_finite(out):
            return out, NOTHING_LOST
        bad = ~np.isfinite(out)
        if masked is not None:  # of integers with NaN for masked paths, and the number for no event
            bad |= out == masked
    if not bad.any():
        return out, NOTHING_LOST
    return np.where(bad, np.nan, out), bad


def finite_sample(reduced: ReducedVariable, arrays: Arrays, block: int, size: int) -> Sample | None:
    """Return the sample of a variable whose values are finite, if its sums show that; else None.

    Then no value is NaN, which are not counted, and none is infinite; and integers are so small
    that float64 holds each of them. Where a statistic needs the sums, this saves another look at
    values that are no longer in the cache.
    """
    values = arrays[reduced.arrays[0]]
    is_integer = values.dtype in INTEGERS and reduced.masked[0] is None
    is_plain = (values.dtype in FLOATS or is_integer) and values.flags.c_contiguous
    if not is_plain or reduced.axis is not None:
        return None
    if not any(s.order >= 2 and not s.has_terms for s in reduced.statistics):
        return None
    sample = sample_of(reduced, [values], block, size)
    found = sample.central(2)
    if not (found.n == size).all() or not np.isfinite(found.mean).all():
        return None
    if is_integer:  # no value is further from the mean than the root of the sum of squares
        reach = np.abs(found.mean) + np.sqrt(found.sums[0])
        return sample if (reach < LARGEST_WHOLE / 2).all() else None
    return sample


def sample_of(reduced: ReducedVariable, values: Arrays, block: int, size: int) -> Sample:
    """Return the sample of whole blocks of `size` paths, from block number `block` on."""
    layout = arranged(reduced, values, size)
    return Sample(layout, block * BLOCK, reduced.source, reduced.order)


def arranged(reduced: ReducedVariable, values: Arrays, size: int) -> NDArray[Any]:
    """Return the values in the layout of statistics: (cells, blocks, paths), the axis first."""
    if reduced.axis == -1:
        array = np.stack([part.reshape(reduced.cells, -1) for part in values])
    else:
        array = values[0]
        if reduced.axis is not None:
            array = np.moveaxis(array, reduced.axis, 0)
    lead = (reduced.cells,) if reduced.axis is None else (len(array), reduced.cells)
    blocks = array.shape[-1] // size
    return np.ascontiguousarray(array.reshape(*lead, blocks, size))


def lost_in(reduced: ReducedVariable, lost: Arrays) -> NDArray[np.int64]:
    """Return the number of values that are not finite, of each cell and entry of the axis."""
    total = np.zeros(reduced.cells, np.int64)
    for bad in lost:
        if bad.ndim:
            array = bad if reduced.axis in (None, -1) else np.moveaxis(bad, reduced.axis, 0)
            counts = array.sum(axis=-1, dtype=np.int64)
            if reduced.axis not in (None, -1):
                counts = counts.sum(axis=0)
            total += counts.reshape(reduced.cells)
    return total
