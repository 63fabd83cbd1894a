"""Questions about the run behind an object; `Run.behind` finds the run itself."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import xarray as xr

from montezarr.core.compat.dask import Blockwise
from montezarr.core.errors import ReplayError, StoreError
from montezarr.core.parameters import with_parameters
from montezarr.run._arrays import array_names
from montezarr.run._attributes import ATTRIBUTE, carried_by, recipe_in
from montezarr.run._card import Recipe
from montezarr.run._origins import Origin, lazy_data, origins_in
from montezarr.run._run import Run
from montezarr.run._variables import variables_of


def is_untouched(ds: Any, run: Run) -> bool:
    """Return whether `ds` holds exactly the arrays of a run, so that its data are as drawn."""
    names = array_names(run)
    if not isinstance(ds, xr.Dataset) or set(ds.data_vars) != set(names):
        return False
    variables = variables_of(ds)
    return all(
        _graph(variables[v.name]) is not None
        and variables[v.name].data.name == names[v.name]
        and variables[v.name].shape == (run.length, *v.shape(run.sampler.n_times))
        for v in run.sampler.variables
    )


def _graph(variable: xr.Variable) -> Any:
    """Return the graph of a lazy variable, or None; never load data from a disk."""
    return variable.data.dask if variable.chunks is not None else None


def undrawn_run(obj: xr.Dataset, origins: Mapping[str, Origin]) -> Run | None:
    """Return the one run whose paths, still to be drawn, all lazy variables are made of, or None.

    Those of a Dataset from another process, which has no run of this one, are known as they are.
    What was persisted, or drawn by the engine, has the same name and is there already. `origins`
    are those of the object.
    """
    layers = {
        name: layer
        for data in lazy_data(obj)
        for name, layer in getattr(data.dask, "layers", {}).items()
    }
    if origins:
        runs = [origin.run for origin in origins.values()]
        is_drawn = not all(isinstance(layers.get(name), Blockwise) for name in origins)
        return None if is_drawn or len(runs) != 1 else runs[0]
    if ATTRIBUTE not in obj.attrs or not any(isinstance(x, Blockwise) for x in layers.values()):
        return None
    try:
        run = Run.behind(obj)
    except (ReplayError, StoreError):  # a parameter stored beside the recipe may be lost
        return None
    return run if is_untouched(obj, run) else None


def is_endless(obj: xr.DataArray | xr.Dataset, origins: Mapping[str, Origin]) -> bool:
    """Return whether an object of such origins is made of paths without end."""
    runs = [origin.run for origin in origins.values() if origin.run is not None]
    carried = carried_by(obj)
    return any(run.is_endless for run in runs) or (carried is not None and carried.is_endless)


def recipe_behind(obj: Any) -> Recipe:
    """Return the recipe of a Dataset, or of the one run that an object is made of.

    Large parameters that are stored beside the recipe and cannot be read stay references.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If there is no recipe.
    """
    recipes = {}
    if ATTRIBUTE not in getattr(obj, "attrs", {}):
        recipes = {origin.identity: origin.recipe for origin in origins_in(obj).values()}
    recipe = next(iter(recipes.values())) if len(recipes) == 1 else recipe_in(obj)
    with contextlib.suppress(ReplayError, StoreError):
        recipe = with_parameters(recipe)
    return Recipe(recipe)
