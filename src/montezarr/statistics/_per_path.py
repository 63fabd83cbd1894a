"""Base class of means of one number per path, and helpers of statistics along time."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import value_error
from montezarr.statistics._base import Along, Estimate, Sample, Source, Statistic
from montezarr.statistics._moments import (
    CentralSums,
    mean_of,
    merge_sums,
    powers_of,
    standard_error_of,
)

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PerPath(Statistic):
    """Base of the means over paths of a functional, such as the average of a path over time.

    A subclass defines `functional`, its oracle `plain`, and the attributes of the results.
    Results: ``<variable>_<name>`` and ``<variable>_<name>_se``.
    """

    State: ClassVar[type] = CentralSums
    along: ClassVar[Along | None] = "time"
    order: ClassVar[int] = 2
    least_times: ClassVar[int] = 1

    @abstractmethod
    def functional(self, values: Array, times: Array) -> Array:
        """Return the number of each path, NaN if it does not count; the first axis is reduced."""

    @abstractmethod
    def plain(self, values: Array, times: Array) -> Array:
        """Return the same from values (times, cells, paths), implemented in another way."""

    @abstractmethod
    def describe(self) -> tuple[dict[str, Any], int]:
        """Return attributes of the mean, and its units as a power of the variable's units."""

    def check(self, source: Source) -> None:
        """Raise if the variable has too few times."""
        check_times(source, self.least_times)

    def terms(self, sample: Sample) -> Array:
        """Return the number of each path; see `Statistic.terms`."""
        times = check_times(sample.source, self.least_times)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            return self.functional(sample.values, times)

    def chunk(self, sample: Sample) -> CentralSums:
        """Return the sums of each block."""
        return sample.terms_of(self).central(2)

    def merge(self, a: CentralSums, b: CentralSums) -> CentralSums:
        """Return the sums of both."""
        return merge_sums(a, b)

    def finalize(self, state: CentralSums, source: Source) -> dict[str, Estimate]:
        """Return the mean and its standard error."""
        attrs, power = self.describe()
        return {
            self.name: Estimate(mean_of(state), attrs=attrs, power=power),
            f"{self.name}_se": Estimate(standard_error_of(state), power=power),
        }

    def powers(self, state: CentralSums, source: Source) -> dict[str, tuple[int, Any, Any, Any]]:
        """Return the sums that reveal heavy tails of the numbers; see `Statistic.powers`."""
        return {self.name: powers_of(state, 1, False)}

    def reference(self, values: Array, source: Source) -> dict[str, Any]:
        """Return the same by NumPy, cell by cell."""
        found = np.full((2, values.shape[1]), np.nan)
        for cell, row in enumerate(self.plain(values, check_times(source))):
            numbers = row[np.isfinite(row)]
            if numbers.size:
                found[0, cell] = numbers.mean()
            if numbers.size > 1:
                found[1, cell] = numbers.std(ddof=1) / np.sqrt(numbers.size)
        return {self.name: found[0], f"{self.name}_se": found[1]}


def check_times(source: Source, least: int = 1, *, increasing: bool = True) -> Array:
    """Return the times of a variable.

    Raises
    ------
    ArgumentValueError
        If it has fewer than `least`, or none; if they are not finite; or, if `increasing`, do not
        increase.
    """
    found = 0 if source.times is None else len(source.times)
    if source.times is None or found < least:
        raise value_error(source.name, f"a coordinate 'time' with at least {least}", found)
    if increasing and not (np.isfinite(source.times).all() and (np.diff(source.times) > 0).all()):
        raise value_error(source.name, "a coordinate 'time' that increases", source.times)
    return source.times


def whole_paths(sample: Sample) -> NDArray[np.bool_]:
    """Return whether each path has every value along the axis, (cells, blocks, paths)."""
    if sample.is_full:
        return np.ones(sample.values.shape[1:], np.bool_)
    return np.asarray((sample.values == sample.values).all(axis=0))


def keep_lone(a: Any, b: Any, merged: Any) -> Any:
    """Return `merged`, but take cells in which only one of `a` and `b` has paths from that one.

    So its bits are kept. The first array of the states is the count of paths (cells, blocks); the
    others have the same last axes.
    """
    no_a, no_b = a[0] == 0, b[0] == 0
    if not (no_a.any() or no_b.any()):
        return merged
    triples = zip(a, b, merged, strict=True)
    kept = (np.where(no_a, y, np.where(no_b, x, z)) for x, y, z in triples)
    return type(merged)(*kept)
