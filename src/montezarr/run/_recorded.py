"""Recover the arguments of `simulate` from a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from montezarr.core.checks import value_error
from montezarr.core.errors import MontezarrError, ReplayError
from montezarr.core.parameters import references, shortened, with_parameters
from montezarr.core.value import check_parameter_names
from montezarr.processes import Process, process_from_dict
from montezarr.processes._built_in import built_in_processes
from montezarr.random.seeding import RootSeed
from montezarr.run._inputs import split_inputs
from montezarr.run._stopping import stop_from_recipe
from montezarr.run._stored_states import has_digest
from montezarr.run._vary import DT, Vary
from montezarr.samplers import EVENT_TIME, recorded_interface
from montezarr.samplers.events import TRUNCATED
from montezarr.samplers.schema import TIME


def parameters_of(recipe: Mapping[str, Any], process: Any) -> Any:
    """Register the large parameters of a given process while the returned object is alive.

    They are then not searched for elsewhere. Parameter names are checked here, before anything that
    the recipe refers to is read.
    """
    described, beside = recipe["process"], references(recipe)
    if (
        beside
        and "code" not in recipe
        and (kind := built_in_processes().get(str(described.get("name"))))
    ):
        check_parameter_names(kind, described)
    is_given = isinstance(process, Process) and bool(beside)
    return shortened({"process": process.to_dict()}) if is_given else None


def arguments_in(recipe: Mapping[str, Any], process: Any = None, x0: Any = None) -> dict[str, Any]:
    """Return the arguments of `Run.of` that make the run of a recipe.

    Parameters
    ----------
    x0 : object, optional
        The initial states, if the recipe has only their digest.

    Raises
    ------
    ReplayError
        If the recipe does not hold them: the user's code, options, or an array x0.
    """
    described, target = recipe["process"], process
    if target is None:
        if "code" in recipe or described.get("name") not in built_in_processes():
            raise ReplayError(
                f"ds: its sampler {described.get('name')!r} is code of yours, which is not in this"
                " process and is never loaded from a Dataset. Pass it as process=."
            )
        target = process_from_dict(with_parameters(recipe)["process"])
    told = recipe["x0"]
    is_digest = has_digest(told)
    x0, parameters = split_inputs(x0)
    vary = _varying(recipe, parameters)
    if is_digest and x0 is None:
        raise ReplayError("ds: its x0 is an array or object, which a recipe does not hold.")
    if "options" in recipe:
        raise ReplayError("ds: its sampler got options, which a recipe does not hold.")
    grid, variables = recipe["grid"], _variables_of_path(recipe, vary)
    names = [variable["name"] for variable in variables]
    # As recorded: the rule by which the first path declares dtypes may have changed since.
    # Code of one path has times of its own beside what it returns; a process returns all.
    times = set() if recorded_interface(recipe).takes_ranges else {EVENT_TIME} & set(names)
    dtypes: Any = {v["name"]: v["dtype"] for v in variables if v["name"] not in times}
    if recorded_interface(recipe).takes_ranges and len(set(dtypes.values())) == 1:
        dtypes = variables[0]["dtype"]
    labels = next((v["labels"] for v in variables if "labels" in v), None)
    return {
        "process": target,
        "T": grid.get("T"),
        "x0": x0 if is_digest else told,
        # Passing dt would mean that the paths' own times do not matter.
        "dt": None if times or DT in vary.names else grid.get("dt"),
        "times": grid.get("times"),
        "seed": RootSeed.from_dict(recipe["seed"]),
        "dtype": dtypes,
        "keep": recipe.get("keep"),
        "labels": None if isinstance(target, Process) else labels,
        "legacy_global_rng": recorded_interface(recipe).uses_global_state,
        "dims": _dims(recipe, variables, times),
        "max_events": events_in(recipe),
        "on_overflow": "truncate" if _cuts(recipe) else "raise",
        "names": tuple(name for name in names if name not in times),
        "coords": recipe.get("coords"),
        "vary": vary,
        "noise": vary.noise,
        "recorded": recipe,
        **stop_from_recipe(recipe),
    }


def events_in(recipe: Mapping[str, Any]) -> dict[str, int | None]:
    """Return the dimensions of events of a recipe, with the room where it determines values.

    The recipe may be any mapping: what is none of ours has no events.
    """
    found: dict[str, int | None] = {}
    variables = recipe.get("variables")
    for variable in variables if isinstance(variables, list) else []:
        if not isinstance(variable, dict) or variable.get("derived"):
            continue
        dim, sizes = variable.get("event_dim"), variable.get("sizes")
        lead = variable.get("lead", 0)
        if isinstance(dim, str) and isinstance(sizes, list) and type(lead) is int:
            found[dim] = sizes[lead] if 0 <= lead < len(sizes) else None
    return found


def _cuts(recipe: Mapping[str, Any]) -> bool:
    return any(v.get("derived") and v.get("name") == TRUNCATED for v in recipe["variables"])


def _varying(recipe: Mapping[str, Any], parameters: Mapping[str, Any]) -> Vary:
    """Return the varying parameters of a recipe, whose content is not trusted."""
    if "vary" not in recipe:
        return Vary()
    try:
        return Vary.from_recipe(recipe, parameters)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, MontezarrError):
            raise
        raise value_error("recipe", "a recipe that montezarr wrote", recipe["vary"]) from error


def _variables_of_path(recipe: Mapping[str, Any], vary: Vary) -> list[dict[str, Any]]:
    """Return the recorded variables of a path, without parameters and dimensions of scenarios."""
    found = []
    for variable in recipe["variables"]:
        if variable["name"] in vary.by_path or variable.get("derived"):
            continue
        lead = variable.get("lead", 0)
        entry = {key: value for key, value in variable.items() if key != "lead"}
        if lead:
            entry["dims"], entry["sizes"] = variable["dims"][lead:], variable["sizes"][lead:]
            if entry["dims"] == [TIME]:
                del entry["dims"], entry["sizes"]
        found.append(entry)
    return found


def _dims(
    recipe: Mapping[str, Any], variables: list[dict[str, Any]], times: set[str]
) -> dict[str, Any]:
    """Return the dimensions of recorded variables: those of earlier recipes are all times."""
    if recorded_interface(recipe).takes_ranges and all("dims" not in v for v in variables):
        return {}
    return {v["name"]: v.get("dims", [TIME]) for v in variables if v["name"] not in times}
