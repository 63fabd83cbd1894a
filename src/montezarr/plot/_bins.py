"""Bins of histograms: between given ends, or the range of the first paths."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.checks import check_array, value_error
from montezarr.core.errors import MontezarrWarning
from montezarr.reduction.sources import PATH, are_codes, labels_of
from montezarr.reduction.streaming import PathCount, stream
from montezarr.statistics import Extrema, Mean, Variance

RANGE_PATHS = 2**14
"""Paths of which the range is taken where none is given."""

DEVIATIONS = 6.0
"""Largest distance of bins from the mean, in standard deviations: outliers do not widen them."""


def check_range(range: Any) -> tuple[float, float] | None:
    """Check the ends of the bins; None means that they follow from the data.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If they are not two increasing numbers.
    """
    if range is None:
        return None
    ends = check_array("range", range, ndim=1)
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise value_error("range", "two increasing numbers (low, high)", range)
    low, high = float(ends[0]), float(ends[1])
    if math.isinf(high - low):
        raise value_error("range", "two numbers whose difference is a number", range)
    return low, high


def edges_for(
    array: xr.DataArray, bins: int, ends: tuple[float, float] | None
) -> NDArray[np.float64]:
    """Return the edges of at most `bins` bins of equal width.

    Bins of integers hold the same number of integers each, and their edges lie between integers.
    """
    low, high = first_ends(array) if ends is None else ends
    if array.dtype.kind in "iub":
        first, last = math.ceil(low), math.floor(high)
        width = max(1, math.ceil((last - first + 1) / bins))
        count = max(1, math.ceil((last - first + 1) / width))
        return first - 0.5 + width * np.arange(count + 1.0)
    if not low < high:  # all values are equal
        reach = abs(low) * 1e-3 or 1.0
        low, high = low - reach, high + reach
    edges = np.linspace(low, high, bins + 1)
    if not (np.diff(edges) > 0).all():
        raise value_error("range", f"room for {bins} bins of different edges", (low, high))
    return edges


def first_ends(array: xr.DataArray) -> tuple[float, float]:
    """Return the extreme values of the first paths, limited to those near their mean.

    For codes of labels, return the extremes of all states.

    Raises
    ------
    ArgumentValueError
        If the first paths have no finite value.
    """
    labels = labels_of(array)
    if labels is not None and are_codes(array, labels):
        codes = [code for code, _ in labels]
        return float(min(codes)), float(max(codes))
    last = None
    with warnings.catch_warnings():  # the pass over all paths warns
        warnings.simplefilter("ignore", MontezarrWarning)
        if array.chunks is None:
            array = array.isel({PATH: slice(RANGE_PATHS)})
        statistics = [Extrema(), Mean(), Variance()]
        for snapshot in stream(array.rename("x"), statistics, until=PathCount(RANGE_PATHS)):
            last = snapshot.dataset
    assert last is not None
    with np.errstate(invalid="ignore"):
        reach = DEVIATIONS * np.sqrt(last["x_variance"].values)
    # A single value has no variance.
    low = np.fmax(last["x_min"].values, last["x_mean"].values - reach)
    high = np.fmin(last["x_max"].values, last["x_mean"].values + reach)
    if not np.isfinite(low).any():
        raise value_error("data", f"finite values among the first {RANGE_PATHS:,} paths", "none")
    return float(np.nanmin(low)), float(np.nanmax(high))
