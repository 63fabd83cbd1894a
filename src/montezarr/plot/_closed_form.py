"""The exact distribution of the values of a histogram, if the process states it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.errors import MontezarrError
from montezarr.core.tunables.memory import COMPARED_VALUES_MAX
from montezarr.core.tunables.scheduling import COMPARED_PATHS_MAX, COMPARED_RUN_PATHS
from montezarr.plot._single import leading_paths
from montezarr.processes import Process
from montezarr.processes._base import HasDensity, HasProbability
from montezarr.reduction.sources import PATH, TIME
from montezarr.run._attributes import ATTRIBUTE
from montezarr.run._origins import draws_paths, origin_of
from montezarr.run._provenance import Provenance
from montezarr.run._run import Run
from montezarr.samplers import sample_range

SELECTION = ("getitem", "transpose", "rechunk-split", "rechunk-merge")
"""Layers of Dask graphs that do not change values."""

SOURCES = ("open_dataset-", "original-", "xarray-", "from-zarr-", "array-")
"""Prefixes of layers that hold values of a store or of memory."""


class ClosedForm(NamedTuple):
    """The exact distribution of one value of a path.

    Attributes
    ----------
    function : callable
        Maps values to their density, or to their probability.
    is_discrete : bool
        Whether `function` gives probabilities.
    """

    function: Callable[[NDArray[Any]], NDArray[np.float64]]
    is_discrete: bool


def closed_form_of(data: Any, array: xr.DataArray) -> ClosedForm | None:
    """Return the distribution of an array (path,), or None if it is not known.

    It is known if the array is selected, at one time, from paths of a process that states it, and
    the first values equal what the process draws. So a payoff, or a choice of paths, gets no
    closed form.

    Parameters
    ----------
    data : DataArray or Dataset
        The object that the array was taken from: a Dataset has the recipe of its paths.
    array : DataArray (path,)
        With the coordinate ``time`` of its one time, of any type: its values determine the time
        of the run.
    """
    time = array.coords.get(TIME)
    if time is None or time.ndim:
        return None
    run = _run(data, array)
    if (
        run is None
        or not _is_selection(array)
        or run.x0 is not None
        or not run.sampler.interface.takes_ranges
    ):
        return None
    sampler, process = run.sampler, run.sampler.target
    if not isinstance(process, Process) or len(sampler.variables) != 1:
        return None
    first = int(getattr(data, "attrs", {}).get("montezarr_first_path", 0))
    is_whole = Provenance.of(array).run is not None and array.sizes[PATH] == run.length
    many = COMPARED_RUN_PATHS
    if not is_whole:
        in_memory = COMPARED_VALUES_MAX // (sampler.grid.T + 1)
        many = max(COMPARED_RUN_PATHS, min(COMPARED_PATHS_MAX, in_memory))
    count = min(many, array.sizes[PATH])
    drawn = sample_range(sampler, first, first + count)[sampler.variables[0].name]
    position = _position(leading_paths(array, count), drawn, sampler.times, time.values)
    if position is None:
        return None
    x0 = process.check_x0(sampler.x0, sampler.variables[0].dtype)
    if np.size(x0) != 1:
        return None
    step = position if sampler.keep is None else sampler.keep[position]
    grid = sampler.grid.times
    t = step if process.counts_steps else float(grid[step] - grid[0])
    start = x0.item()
    if isinstance(process, HasDensity):
        return ClosedForm(lambda x: process.density(x, t, start), False)
    if isinstance(process, HasProbability):
        return ClosedForm(lambda k: process.probability(k, t, start), True)
    return None


def _position(
    values: NDArray[Any], drawn: NDArray[Any], times: NDArray[Any], time: Any
) -> int | None:
    """Return the position of the time at which the run draws these values, or None.

    Values are compared, since the coordinate may hold dates; it decides between equal values.
    """
    same = [
        k
        for k, row in enumerate(drawn)
        if np.array_equal(values, row.astype(np.float64), equal_nan=True)
    ]
    if len(same) > 1 and np.asarray(time).dtype.kind in "iuf":
        same = [k for k in same if times[k] == time]
    return same[0] if len(same) == 1 else None


def _is_selection(array: xr.DataArray) -> bool:
    """Return whether the graph only selects values of a run, a store, or memory.

    Changes made in memory, or before, leave no trace in the graph: values are compared for those.
    """
    if array.chunks is None:
        return True
    layers = getattr(array.data.dask, "layers", None)
    return layers is not None and all(
        name.startswith(SOURCES)
        or name.rpartition("-")[0] in SELECTION
        or origin_of(name) is not None
        or draws_paths(name, layer)
        for name, layer in layers.items()
    )


def _run(data: Any, array: xr.DataArray) -> Run | None:
    run: Run | None = Provenance.of(array).run
    if run is not None or ATTRIBUTE not in getattr(data, "attrs", {}):
        return run
    try:
        return Run.behind(data)
    except MontezarrError:  # a sampler of the user, or a recipe of another version
        return None
