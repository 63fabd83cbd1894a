"""Errors about runs whose paths have values of arrays: initial states, or parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from montezarr.core.checks import value_error
from montezarr.core.errors import ArgumentValueError
from montezarr.run._run import Run

REMEDY = (
    "An array by path is in the recipe as a whole, so that a longer one is another run: write it to"
    " a store of its own. A store that shall grow begins with whole chunks of the run of all"
    " values, write(ds, path, paths=range(...)), and is extended up to these."
)


def too_many_paths(run: Run, n_paths: int) -> ArgumentValueError:
    """Return the error for more paths than there are values."""
    return value_error(
        "n_paths", f"at most {run.length:,}, for which this run has its {_names_in(run.recipe)}",
        n_paths, REMEDY,
    )  # fmt: skip


def check_arrays(written: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise if the recipes of two runs differ in values of arrays by path, and in nothing else.

    Raises
    ------
    ArgumentValueError
        Names the arrays.
    """
    if written != given and _without_digests(written) == _without_digests(given):
        expected = f"the one that was written, with the same {_names_in(written)} for all its paths"
        raise value_error("ds", expected, "one with other values, or more of them", REMEDY)


def _names_in(recipe: Mapping[str, Any]) -> str:
    """Return the names of what came as arrays by path."""
    names = ["x0"] if _is_array(recipe["x0"]) else []
    entries = [entry for entry in recipe.get("vary", ()) if _is_array(entry)]
    return " and ".join([*names, *(name for entry in entries for name in entry["names"])])


def _without_digests(recipe: Mapping[str, Any]) -> dict[str, Any]:
    plain = {"x0": _plain(recipe["x0"])}
    if "vary" in recipe:
        plain["vary"] = [_plain(entry) for entry in recipe["vary"]]
    return {**recipe, **plain}


def _plain(entry: Any) -> Any:
    return {**entry, "digest": None} if _is_array(entry) else entry


def _is_array(entry: Any) -> bool:
    return isinstance(entry, Mapping) and "digest" in entry
