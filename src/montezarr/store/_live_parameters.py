"""Large parameters of a recipe that live objects of the caller still hold."""

from __future__ import annotations

import contextlib
from typing import Any

from montezarr.core.errors import MontezarrError
from montezarr.core.parameters import referred, shortened
from montezarr.core.tunables.limits import LARGE_PARAMETERS_MAX_BYTES
from montezarr.processes import Process
from montezarr.run import Run
from montezarr.run._attributes import recipe_in
from montezarr.run._tasks_alive import run_of_recipe
from montezarr.store.format import Manifest


def parameters_at_hand(manifest: Manifest, ds: Any = None, process: Any = None) -> list[Any]:
    """Return objects that hold the large parameters of a store, while the caller keeps them alive.

    They come from a run that is alive, and from the given Dataset or process.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `ds` is not a Dataset of montezarr.
    """
    if not manifest.references:
        return []
    live = run_of_recipe(manifest.fingerprint)
    runs = [] if live is None else [live]
    recipes = [run.recipe for run in runs]
    if ds is not None:
        recipes.append(recipe_in(ds))
        with contextlib.suppress(MontezarrError):  # the sampler is not at hand
            runs.append(Run.behind(ds))
    if isinstance(process, Process):
        recipes.append({"process": process.to_dict()})
    states = [referred(run.given_inputs, LARGE_PARAMETERS_MAX_BYTES) for run in runs]
    return [*map(shortened, recipes), *states]
