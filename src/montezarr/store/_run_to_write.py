"""The run of a Dataset that is written, with its recipe checked."""

from __future__ import annotations

from typing import Any

from montezarr.core.checks import value_error
from montezarr.core.parameters import is_same_recipe
from montezarr.run._attributes import recipe_told
from montezarr.run._provenance import Provenance
from montezarr.run._run import Run


def run_to_write(made: Provenance, process: Any) -> Run:
    """Return the run that a Dataset is made of, which may be one of several; its recipe is checked.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If there is none, or the Dataset carries the recipe of another one.
    """
    runs = made.runs
    if len(runs) < 2 or len(runs) != len(made.origins):
        # A Dataset of expressions may carry no recipe: that of its live run is known.
        recipe, run = made.recipe, Run.made_of(made, process)
        if not is_same_recipe(recipe, run.recipe):
            raise value_error("ds", "the recipe of its own paths in its attributes", "another one")
        return run
    if process is not None:
        raise value_error("process", "None, since the runs are alive in this process", process)
    run = Run.of_several(runs)
    told = recipe_told(made.obj.attrs)
    if told and not any(is_same_recipe(told, one.recipe) for one in (run, *runs)):
        raise value_error(
            "ds", "the recipe of one of its own runs in its attributes", "another one"
        )
    return run
