"""Questions about the run behind an object; `Run.behind` finds the run itself."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from typing import Any

import xarray as xr

from montezarr.core.compat.dask import Blockwise
from montezarr.core.errors import ReplayError, StoreError
from montezarr.core.parameters import with_parameters
from montezarr.run._arrays import array_names
from montezarr.run._attributes import ATTRIBUTE
from montezarr.run._card import Recipe
from montezarr.run._provenance import Provenance
from montezarr.run._run import Run
from montezarr.run._several import differing


def is_untouched(made: Provenance, run: Run) -> bool:
    """Return whether a Dataset holds exactly the arrays of a run, so that its data are as drawn."""
    names, variables = array_names(run), made.variables
    if not isinstance(made.obj, xr.Dataset) or set(variables) != set(names):
        return False
    return all(
        variables[v.name].chunks is not None  # data on a disk are not loaded
        and variables[v.name].data.name == names[v.name]
        and variables[v.name].dims == v.dims_with_paths
        and variables[v.name].size == run.length * math.prod(v.shape(run.sampler.n_times))
        for v in run.sampler.variables
    )


def undrawn_run(made: Provenance) -> Run | None:
    """Return the run whose paths, still to be drawn, all lazy variables are made of, or None.

    Of an expression of several runs it is the run of all of them; see `Run.of_several`. Those of a
    Dataset from another process, which has no run of this one, are known as they are. What was
    persisted, or drawn by the engine, has the same name and is there already.
    """
    if made.origins:
        are_drawn = not all(isinstance(made.layers.get(name), Blockwise) for name in made.origins)
        if are_drawn or len(made.runs) != len(made.origins) or differing(made.runs) is not None:
            return None
        return Run.of_several(made.runs)
    is_blockwise = any(isinstance(layer, Blockwise) for layer in made.layers.values())
    if ATTRIBUTE not in made.obj.attrs or not is_blockwise:
        return None
    try:
        run = Run.made_of(made)
    except (ReplayError, StoreError):  # a parameter stored beside the recipe may be lost
        return None
    return run if is_untouched(made, run) else None


def recipe_behind(obj: Any) -> Recipe:
    """Return the recipe of a Dataset, or of the one run that an object is made of.

    Large parameters that are stored beside the recipe and cannot be read stay references.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If there is no recipe.
    """
    recipe: Mapping[str, Any] = Provenance.of(obj).recipe
    with contextlib.suppress(ReplayError, StoreError):
        recipe = with_parameters(recipe)
    return Recipe(recipe)
