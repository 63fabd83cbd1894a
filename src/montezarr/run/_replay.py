"""`replay`: draw one path of a run again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from montezarr.core.checks import MAX_INDEX, check_int, value_error
from montezarr.random.seeding import BLOCK
from montezarr.run._attributes import recipe_in, recipe_told
from montezarr.run._provenance import Provenance
from montezarr.run._run import Run
from montezarr.run._selected import Positions, coords_at, only, placed, positions_of
from montezarr.run._several import RUNS, is_of_several, recipe_of_several, runs_text
from montezarr.run._variables import (
    coordinates_of,
    label_encoding,
    masked_attribute,
    variable_attributes,
)
from montezarr.samplers import Sampler, sample_range
from montezarr.samplers.schema import PATH


def replay(
    ds: xr.Dataset, path: int, *, process: Any = None, run: Any = None, **scenario: Any
) -> xr.Dataset:
    """Draw one path again, alone, in a time that does not depend on its index.

    Of a run with scenarios it is drawn in all of them, or in those that you name. If the sampler
    raises, `replay` raises the same exception in this process, for your debugger.

    Parameters
    ----------
    ds : Dataset
        From `simulate`, computed or not, or read from a store.
    path : int
        Path index in the run, >= 0, not the position in `ds`: the first path of
        ``ds.isel(path=slice(1024, 2048))`` is 1024. With a common x0 it may lie beyond the paths of
        `ds`.
    process : object, optional
        The sampler, if it is your own code and not alive in this process.
    run : int, optional
        For what is made of several runs, the number of one, as `plan` and errors have it. For one
        with scenarios along a dimension ``run`` it is a coordinate there.
    **scenario
        Coordinates of scenarios, such as ``sigma=0.3``, each one exact value; of a dimension
        without coordinates a position. Other scenarios are not drawn.

    Returns
    -------
    Dataset
        The path with dims (time,), equal to ``ds.isel(path=path)`` of the whole run, in memory;
        with a scenario, to ``ds.isel(path=path).sel(sigma=0.3)``.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `path` is not an index, `ds` does not come from `simulate`, or it has no such scenario or
        run.
    ReplayError
        If the sampler is not available.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.RandomWalk(), n_paths=10**9, T=4, seed=1)
    >>> mz.replay(ds, 987_654_321).x.values
    array([ 0, -1,  0, -1, -2])
    >>> import xarray as xr
    >>> vary = {"sigma": xr.DataArray([0.1, 0.2, 0.3], dims="sigma")}
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=10**9, T=4, seed=1, vary=vary)
    >>> mz.replay(ds, 17).x.dims, mz.replay(ds, 17, sigma=0.3).x.dims
    (('sigma', 'time'), ('time',))
    """
    index = check_int("path", path, maximum=MAX_INDEX - BLOCK)
    one = _one_of(ds, process, run)
    if run is not None and _is_along_run(one):
        scenario["run"] = run
    bare = replace(one.sampler, on_error="raise", on_nonfinite="keep", foreground=True)
    return replay_run(one, index, bare, positions_of(bare, scenario))


def _one_of(ds: Any, process: Any, number: int | None) -> Run:
    """Return the run behind an object, or one of those that it is made of, by its number."""
    runs: Sequence[Run] = Provenance.of(ds).runs
    if len(runs) < 2 or process is not None:
        told = recipe_in(ds)
        if is_of_several(told) and process is not None:
            told = told[RUNS][_number_of(number, told)]
            return Run.from_recipe(told, process)
        runs = Run.behind(ds, process).parts
    elif number is None and recipe_told(ds.attrs):
        return Run.behind(ds)  # of some variables and others made of them, the run of the Dataset
    if len(runs) == 1 and (number is None or _is_along_run(runs[0])):
        return runs[0]
    return runs[_number_of(number, recipe_of_several([run.recipe for run in runs]))]


def _is_along_run(run: Run) -> bool:
    """Return whether a run has scenarios along a dimension that is called run."""
    return any("run" in v.dims[: v.lead] for v in run.sampler.variables)


def _number_of(number: Any, recipe: Mapping[str, Any]) -> int:
    """Return the checked number of one of several runs."""
    texts = runs_text(recipe)
    if number is None:
        listed = "; ".join(f"{i} is {text}" for i, text in enumerate(texts))
        raise value_error("run", f"the number of one of {len(texts)} runs", None, listed + ".")
    return check_int("run", number, minimum=0, maximum=len(texts) - 1)


def replay_run(
    run: Run, index: int, sampler: Sampler, positions: Positions | None = None
) -> xr.Dataset:
    """Draw one path of a run again, under the policies of `sampler`; see `replay`.

    `positions` are those of the scenarios to draw, by dimension; all by default.
    """
    positions = positions or {}
    alone = only(sampler, positions)
    low, high, x0 = index, index + 1, None
    if run.inputs is not None:
        check_int("path", index, maximum=run.length - 1)
        # Paths of a block may depend on the x0 of the whole block.
        low, high = sampler.interface.drawn_with(index, run.length)
        x0 = np.asarray(run.inputs[..., low:high])
    arrays = sample_range(alone, low, high, x0)
    variables = {
        variable.name: (
            *placed(variable, alone, arrays[variable.name][..., index - low].copy(), positions),
            variable_attributes(variable) | masked_attribute(variable, sampler),
            label_encoding(variable) | masked_attribute(variable, sampler),
        )
        for variable in sampler.variables
    }
    return xr.Dataset(variables, coords_at(coordinates_of(sampler), positions), {PATH: index})
