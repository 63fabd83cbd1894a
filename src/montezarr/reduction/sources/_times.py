"""The times of a variable as numbers with their unit; those of dates by the run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.tunables.limits import RECIPE_STEPS_MAX
from montezarr.processes.time_grid import TimeGrid

OF_THE_RUN = "unit of time of the run"
"""The unit of times of the run itself, whatever the coordinate shows."""

STEPS = "steps"
"""The unit where only the order is known."""

NO_RUN = "no run is known that tells how much of its time passes between dates"

NUMBERS = "iufb"


ALIKE = 1e-3
"""How much steps may differ that are the same: as much as those of times in float32."""


class Times(NamedTuple):
    """Times as numbers.

    Attributes
    ----------
    values : array of float
        One value per time.
    units : str or None
        Their unit, where that is known.
    mismatch : str or None
        Why a rate per unit of time of the process has no meaning in this unit; None if it has.
    """

    values: NDArray[np.float64]
    units: str | None = None
    mismatch: str | None = None


def times_in(coordinate: xr.DataArray | None, count: int, run: NDArray[np.float64] | None) -> Times:
    """Return the times of a coordinate.

    Numbers are taken as they are. For dates, durations and other labels in increasing order, the
    times are those of the run, if it has as many; else dates become seconds since the first.

    Parameters
    ----------
    coordinate : DataArray or None
        The coordinate of the dimension of times, if any.
    count : int
        Number of times.
    run : array or None
        The kept times of the run, if there is one.
    """
    if coordinate is not None and coordinate.ndim != 1:
        coordinate = None
    fits = run is not None and len(run) == count
    if coordinate is None:
        if fits:
            return Times(np.asarray(run, np.float64), OF_THE_RUN)
        steps = np.arange(count, dtype=np.float64)
        return Times(steps) if run is None else Times(steps, STEPS, _not_all(count, run))
    values = np.asarray(coordinate.values)
    units = coordinate.attrs.get("units")
    units = None if units is None else str(units)
    is_number = values.dtype.kind in NUMBERS
    if is_number and " since " not in (units or ""):
        numbers = values.astype(np.float64)
        return Times(numbers, units, None if run is None else _other_steps(numbers, run))
    since = values.astype(np.float64) if is_number else seconds_of(values)
    if fits and (since is None or (np.diff(since) > 0).all()):
        return Times(np.asarray(run, np.float64), OF_THE_RUN)
    reason = NO_RUN if run is None else _not_all(count, run)
    if since is None:
        return Times(np.arange(count, dtype=np.float64), STEPS, reason)
    return Times(since, units if is_number else "s", reason)


def times_told(recipe: Mapping[str, Any]) -> NDArray[np.float64] | None:
    """Return the kept times of a recipe, which may be any mapping; None where it tells none.

    Only the grid of the recipe is read: the sampler may be user code.
    """
    try:
        grid = TimeGrid.from_dict(recipe["grid"])
        if not 0 <= grid.T <= RECIPE_STEPS_MAX:
            return None
        times, keep = grid.times, recipe.get("keep")
        times = times if keep is None else times[np.asarray(keep, np.intp)]
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, MemoryError):
        return None
    return times if times.ndim == 1 else None


def seconds_of(values: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return dates or durations as seconds since the first one; None for other values."""
    if values.dtype.kind in "mM":
        return np.asarray((values - values[0]) / np.timedelta64(1, "s"), np.float64)
    if values.dtype.kind != "O":
        return None
    try:  # dates of another calendar, such as those of cftime, and of Python
        since = [value - values[0] for value in values]
        if not all(isinstance(value, timedelta) for value in since):
            return None
        return np.array([value.total_seconds() for value in since], np.float64)
    except TypeError:
        return None


def _not_all(count: int, run: Any) -> str:
    return f"there are {count:,} times, without numbers, of the {len(run):,} of the run"


def _other_steps(numbers: NDArray[np.float64], run: NDArray[np.float64]) -> str | None:
    """Return why numbers cannot be times of the run, up to a constant; None if they can.

    Steps between some times of the run are at least its shortest one, and stay within its end.
    """
    steps, known = np.diff(numbers), np.diff(run)
    if not steps.size or not (steps > 0).all():
        return None
    if len(steps) == len(known):
        others = np.flatnonzero(~np.isclose(steps, known, rtol=ALIKE, atol=0.0))
        if others.size:
            return f"a step of {steps[others[0]]:g} is one of {known[others[0]]:g} in the run"
    elif not known.size or steps.min() < known.min() * (1 - ALIKE):
        return f"there is a step of {steps.min():g}, and none is so short in the run"
    elif steps.sum() > known.sum() * (1 + ALIKE):
        return f"they span {steps.sum():g}, and those of the run {known.sum():g}"
    return None
