"""The exact distribution of the values of a histogram, if the process states it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
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
from montezarr.samplers import Sampler, sample_range
from montezarr.samplers.varied import VariedSampler

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
        or run.inputs is not None
        or not run.sampler.interface.takes_ranges
    ):
        return None
    sampler = run.sampler
    if not isinstance(sampler.target, Process) or len(sampler.variables) != 1:
        return None  # parameters by path are variables
    first = int(getattr(data, "attrs", {}).get("montezarr_first_path", 0))
    is_whole = Provenance.of(array).run is not None and array.sizes[PATH] == run.length
    many = COMPARED_RUN_PATHS
    if not is_whole:
        each = math.prod(sampler.variables[0].shape(sampler.grid.T + 1))
        in_memory = COMPARED_VALUES_MAX // max(1, each)
        many = max(COMPARED_RUN_PATHS, min(COMPARED_PATHS_MAX, in_memory))
    count = min(many, array.sizes[PATH])
    drawn = sample_range(sampler, first, first + count)[sampler.variables[0].name]
    values = leading_paths(array, count)
    position = None
    for alone, of_one in _scenarios(sampler, drawn):
        position = _position(values, of_one, run.sampler.times, time.values)
        if position is not None:
            sampler, process = alone, alone.target
            break
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


def _scenarios(sampler: Sampler, drawn: NDArray[Any]) -> Iterator[tuple[Sampler, NDArray[Any]]]:
    """Yield the sampler of each scenario alone, and the values (time, paths) that it draws."""
    if not isinstance(sampler, VariedSampler):
        yield sampler, drawn
        return
    rows = drawn.reshape(len(sampler.scenarios), *drawn.shape[-2:])
    for scenario, of_one in zip(sampler.scenarios, rows, strict=True):
        changed = {"target": sampler.target, **scenario.replaced}
        yield replace(sampler.single, keep=sampler.keep, **changed), of_one


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
