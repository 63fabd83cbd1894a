"""`replay`: draw one path of a run again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from montezarr.core.checks import MAX_INDEX, check_int
from montezarr.random.seeding import BLOCK
from montezarr.run._attributes import recipe_in
from montezarr.run._run import Run
from montezarr.run._selected import Positions, coords_at, only, placed, positions_of
from montezarr.run._variables import coordinates_of, label_encoding, variable_attributes
from montezarr.samplers import Sampler, sample_range
from montezarr.samplers.schema import PATH


def replay(ds: xr.Dataset, path: int, *, process: Any = None, **scenario: Any) -> xr.Dataset:
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
        If `path` is not an index, `ds` does not come from `simulate`, or it has no such scenario.
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
    recipe_in(ds)
    run = Run.behind(ds, process)
    bare = replace(run.sampler, on_error="raise", on_nonfinite="keep", foreground=True)
    return replay_run(run, index, bare, positions_of(bare, scenario))


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
            variable_attributes(variable),
            label_encoding(variable),
        )
        for variable in sampler.variables
    }
    return xr.Dataset(variables, coords_at(coordinates_of(sampler), positions), {PATH: index})
