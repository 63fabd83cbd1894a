"""Several runs as one: the recipe, initial states, and what all of them must share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np

from montezarr.core.text import count_text
from montezarr.run._texts import process_text, seed_text, state_text
from montezarr.run._varied_texts import varied_in
from montezarr.samplers.joint import SEVERAL, joined_states, name_in
from montezarr.samplers.schema import TIME

RUNS = "runs"
"""Key of the recipes of the runs in the recipe of several."""


def is_of_several(recipe: Mapping[str, Any]) -> bool:
    """Return whether a recipe, which may be any mapping, is that of several runs."""
    runs = recipe.get(RUNS)
    if not isinstance(runs, list) or not runs:
        return False
    return all(isinstance(run, dict) and RUNS not in run for run in runs)  # one level, not a tree


def recipe_of_several(recipes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the recipe of several runs: theirs as a list, and the entries that every recipe has.

    Of these an entry that the runs do not share is empty, since it would be that of one of them.
    """
    first = recipes[0]

    def shared(key: str, other: Any) -> Any:
        same = all(recipe.get(key) == first.get(key) for recipe in recipes)
        return first.get(key) if same else other

    names = dict.fromkeys(str(recipe["process"].get("name")) for recipe in recipes)
    out: dict[str, Any] = {
        "format": 1,
        "sampler": SEVERAL,
        "process": {"name": " and ".join(names)},
        "grid": shared("grid", {}),
        "x0": shared("x0", {}),
        "seed": shared("seed", {}),
        "variables": [
            _variable_of(i, variable)
            for i, recipe in enumerate(recipes)
            for variable in recipe["variables"]
        ],
    }
    for key in ("keep", "design"):
        if (same := shared(key, None)) is not None:
            out[key] = same
    for key in ("coords", "scenario_coords"):  # of dimensions that the runs share by name
        if labels := {k: v for recipe in recipes for k, v in recipe.get(key, {}).items()}:
            out[key] = labels
    return {**out, RUNS: [dict(recipe) for recipe in recipes]}


def _variable_of(run: int, variable: Mapping[str, Any]) -> dict[str, Any]:
    """Return a variable of a recipe under its name among several runs."""
    out = {**variable, "name": name_in(run, variable["name"])}
    if "dims" in variable:
        out["dims"] = [name_in(run, dim) if dim == TIME else dim for dim in variable["dims"]]
    return out


def differing(runs: Sequence[Any]) -> tuple[str, str, str] | None:
    """Return what keeps runs from being drawn together, and what they have; None if nothing does.

    Returns
    -------
    tuple of str, or None
        What was expected, what each of two runs has, and what to do.
    """
    for i, run in enumerate(runs[1:], 1):
        if run.n_paths != runs[0].n_paths:
            return _told("runs of one number of paths", runs, i, _paths_text, "n_paths=")
        if run.policies != runs[0].policies:
            policies = "on_error=, on_nonfinite= and retries="
            return _told("runs of one policy about failures", runs, i, _policies_text, policies)
    return None


def _told(
    expected: str, runs: Sequence[Any], i: int, text: Any, names: str
) -> tuple[str, str, str]:
    one, other = runs[0], runs[i]
    of = f"Those are run 0, {one.sampler.name}, and run {i}, {other.sampler.name}"
    return expected, f"{text(one)} and {text(other)}", f"{of}: pass the same {names} to simulate."


def _paths_text(run: Any) -> str:
    return "no end" if run.n_paths is None else count_text(run.n_paths, "path")


def _policies_text(run: Any) -> str:
    told = ", ".join(f"{name}={value!r}" for name, value in run.policies.to_dict().items())
    return told or "no policy"


def states_of_several(states: Sequence[Any]) -> Any:
    """Return the initial states of several runs as one lazy array; None if none has any."""
    known = {i: x0 for i, x0 in enumerate(states) if x0 is not None}
    if not known:
        return None
    first = next(iter(known.values()))
    lengths = first.chunks[-1]
    arrays = [x0.rechunk({-1: lengths}) for x0 in known.values()]
    metas = [np.empty((*array.shape[:-1], 0), array.dtype) for array in arrays]
    meta = joined_states(metas, list(known))
    dims = [(*range(10 * i, 10 * i + x0.ndim - 1), -1) for i, x0 in enumerate(arrays)]
    pairs = [part for pair in zip(arrays, dims, strict=True) for part in pair]
    return da.blockwise(
        _join, (-1,), *pairs, runs=tuple(known), concatenate=True, dtype=meta.dtype, meta=meta
    )


def _join(*states: Any, runs: tuple[int, ...]) -> Any:
    return joined_states(states, runs)


def runs_text(recipe: Mapping[str, Any]) -> list[str]:
    """Return each run of a recipe of several in one line; empty for one run."""
    if not is_of_several(recipe):
        return []
    return [_run_text(run) for run in recipe[RUNS]]


def _run_text(recipe: Mapping[str, Any]) -> str:
    """Return process, initial state and seed of a run in one line."""
    varied = varied_in(recipe)
    stream = seed_text(recipe.get("seed"))
    process = process_text(recipe.get("process"), varied)
    return f"{process}, x0 {state_text(recipe.get('x0'), varied)}, seed {stream}"
