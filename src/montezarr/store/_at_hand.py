"""Large parameters of a store that a caller has at hand: they need not lie beside its recipe."""

from __future__ import annotations

from typing import Any

from montezarr.parameters import shortened
from montezarr.processes import Process
from montezarr.run._attributes import recipe_in
from montezarr.run._live import run_of_recipe
from montezarr.store.format import Manifest


def parameters_at_hand(manifest: Manifest, ds: Any = None, process: Any = None) -> list[Any]:
    """Return what knows the large parameters of a store, for as long as the caller holds it.

    They are those of a run that is alive, and of a Dataset or a process that was given.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `ds` is no Dataset of montezarr.
    """
    if not manifest.references:
        return []
    live = run_of_recipe(manifest.fingerprint)
    found = [] if live is None else [live.recipe]
    if ds is not None:
        found.append(recipe_in(ds))
    if isinstance(process, Process):
        found.append({"process": process.to_dict()})
    return [shortened(recipe) for recipe in found]
