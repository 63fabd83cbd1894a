"""The exact distribution of what a histogram shows, where the process knows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.dataset import ATTRIBUTE
from montezarr.errors import MontezarrError
from montezarr.lazy import Run
from montezarr.observed import PATH, TIME, run_behind
from montezarr.plot._single import first_paths
from montezarr.processes import HasDensity, HasProbability, Process
from montezarr.replay import run_of
from montezarr.sampling import sample_range

COMPARED = 256
"""Paths by which values are known to be those of the process itself, and nothing made of them."""


class ClosedForm(NamedTuple):
    """A distribution.

    Attributes
    ----------
    function : callable
        From values to their density, or to their probability.
    is_discrete : bool
        Which of the two.
    """

    function: Callable[[NDArray[Any]], NDArray[np.float64]]
    is_discrete: bool


def closed_form_of(data: Any, array: xr.DataArray) -> ClosedForm | None:
    """Return the distribution of an array (path,), or None where it is not known.

    It is known if the first paths of the array are those of a process that knows it, at one time:
    so nothing is drawn over a payoff, or over paths that somebody chose.

    Parameters
    ----------
    data : DataArray or Dataset
        What the array was taken of: a Dataset has the recipe of its paths.
    array : DataArray (path,)
        With the coordinate ``time`` of its one time.
    """
    time = array.coords.get(TIME)
    if time is None or time.ndim:
        return None
    run = _run(data, array)
    if run is None or run.x0 is not None or run.sampling.kind != "sample":
        return None
    sampling, process = run.sampling, run.sampling.target
    if not isinstance(process, Process) or len(sampling.variables) != 1:
        return None
    positions = np.flatnonzero(sampling.times == time.values)
    if len(positions) != 1:
        return None
    position = int(positions[0])
    first = int(getattr(data, "attrs", {}).get("montezarr_first_path", 0))
    count = min(COMPARED, array.sizes[PATH])
    drawn = sample_range(sampling, first, first + count)[0][position]
    if not np.array_equal(first_paths(array, count), drawn.astype(np.float64), equal_nan=True):
        return None
    x0 = process.check_x0(sampling.x0, sampling.dtype.name)
    if np.size(x0) != 1:
        return None
    step = position if sampling.keep is None else sampling.keep[position]
    grid = sampling.grid.times
    t = step if process.counts_steps else float(grid[step] - grid[0])
    start = x0.item()
    if isinstance(process, HasDensity):
        return ClosedForm(lambda x: process.density(x, t, start), False)
    if isinstance(process, HasProbability):
        return ClosedForm(lambda k: process.probability(k, t, start), True)
    return None


def _run(data: Any, array: xr.DataArray) -> Run | None:
    run = run_behind(array)
    if run is not None or ATTRIBUTE not in getattr(data, "attrs", {}):
        return run
    try:
        return run_of(data)
    except MontezarrError:  # a sampler of the user's own, or another version
        return None
