"""The attributes of a Dataset that describe its run, as JSON: the recipe, and the rest.

The recipe determines the values, and is stored with them. Chunking and policies about failures are
not part of it: they are in an attribute of their own, which is present only where one of them
differs from the default, and is never stored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import xarray as xr

from montezarr.core.checks import check_int, type_error, value_error
from montezarr.core.json import parse_json
from montezarr.core.parameters import references
from montezarr.core.tunables.limits import LARGE_PARAMETERS_MAX_BYTES
from montezarr.run._policies import Policies
from montezarr.run._recipe import RECIPE_KEYS, formats_of

ATTRIBUTE = "montezarr"
"""Name of the Dataset attribute that holds the recipe as JSON."""

RUN_ATTRIBUTE = "montezarr_run"
"""Name of the Dataset attribute that holds what is not in the recipe, as JSON."""


@dataclass(frozen=True, slots=True)
class Carried:
    """The part of a run that a Dataset carries beside the recipe.

    Attributes
    ----------
    policies : Policies
        What to do about failures.
    asked : int
        Requested paths per chunk, or 0; see `Run`.
    is_endless : bool
        Whether the run has no number of paths.
    max_events : dict of str to int
        The room for events, by dimension, where it determines no value.
    """

    policies: Policies = Policies()  # noqa: RUF009
    asked: int = 0
    is_endless: bool = False
    max_events: Mapping[str, int] = field(default_factory=dict)

    def to_attributes(self) -> dict[str, str]:
        """Return the attribute, or no entry if all is as by default."""
        told: dict[str, Any] = self.policies.to_dict()
        if self.asked:
            told["chunks"] = self.asked
        if self.is_endless:
            told["n_paths"] = None
        if self.max_events:
            told["max_events"] = dict(self.max_events)
        return {RUN_ATTRIBUTE: json.dumps(told)} if told else {}


def carried_by(obj: Any) -> Carried | None:
    """Return what a Dataset carries beside its recipe; None without the attribute.

    Raises
    ------
    ArgumentValueError
        If montezarr did not write the attribute.
    """
    text = obj.attrs.get(RUN_ATTRIBUTE)
    if text is None:
        return None
    expected = f"what montezarr wrote in attrs[{RUN_ATTRIBUTE!r}]"
    try:
        told = parse_json(text)
        asked = check_int("chunks", told.get("chunks", 0), minimum=0)
        is_endless = "n_paths" in told and told["n_paths"] is None
        rooms = {
            str(dim): check_int("max_events", room, minimum=1)
            for dim, room in told.get("max_events", {}).items()
        }
        return Carried(Policies.from_dict(told), asked, is_endless, rooms)
    except (ValueError, TypeError, AttributeError) as error:
        raise value_error("ds", expected, text, f"It is none: {error}") from error


def recipe_in(ds: Any) -> dict[str, Any]:
    """Return the recipe that a Dataset carries; see `montezarr.core.parameters` for large ones.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `ds` is not a Dataset, or not one of montezarr.
    """
    if not isinstance(ds, (xr.Dataset, xr.DataArray)):
        hint = "Pass its .dataset." if hasattr(ds, "dataset") else ""
        raise type_error("ds", "a Dataset from montezarr.simulate", ds, hint)
    text = ds.attrs.get(ATTRIBUTE)
    if not isinstance(text, str):
        raise value_error(
            "ds",
            f"a Dataset of montezarr, with attrs[{ATTRIBUTE!r}]",
            list(ds.attrs),
        )
    return check_recipe(text)


def recipe_told(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the recipe in attributes as it is, unchecked; empty where there is none."""
    text = attrs.get(ATTRIBUTE)
    try:
        recipe = parse_json(text, most=None) if isinstance(text, str) else {}
    except ValueError:
        return {}
    return recipe if isinstance(recipe, dict) else {}


def event_dims_told(recipe: Mapping[str, Any]) -> frozenset[str]:
    """Return the dimensions of events of a recipe, which may be any mapping."""
    variables = recipe.get("variables")
    told = variables if isinstance(variables, list) else []
    dims = (variable.get("event_dim") for variable in told if isinstance(variable, dict))
    return frozenset(dim for dim in dims if isinstance(dim, str))


def check_recipe(shown: Any) -> dict[str, Any]:
    """Return a recipe that montezarr wrote, or raise; its content is not trusted.

    Parameters
    ----------
    shown : str or dict
        The recipe, as JSON or read; errors show it.

    Raises
    ------
    ArgumentValueError
        If it is not a recipe, or of another version.
    """
    try:
        recipe = parse_json(shown, most=None) if isinstance(shown, str) else shown
    except ValueError as error:
        raise value_error("ds", f"a recipe as JSON in attrs[{ATTRIBUTE!r}]", shown) from error
    if not isinstance(recipe, dict) or not recipe.keys() >= RECIPE_KEYS:
        expected = f"a recipe with {', '.join(sorted(RECIPE_KEYS))} in attrs[{ATTRIBUTE!r}]"
        raise value_error("ds", expected, shown)
    try:
        references(recipe, LARGE_PARAMETERS_MAX_BYTES)
    except (ValueError, TypeError, LookupError) as error:
        expected = f"a recipe that montezarr wrote in attrs[{ATTRIBUTE!r}]"
        raise value_error("ds", expected, str(error)) from error
    known = formats_of(recipe)
    if recipe["format"] not in known:
        hint = "It was made by another version of montezarr."
        expected = f"a recipe of format {' or '.join(map(str, known))}"
        raise value_error("ds", expected, recipe["format"], hint)
    return recipe


def check_parts(recipe: dict[str, Any]) -> None:
    """Check the types of the entries that every recipe has.

    Raises
    ------
    ArgumentValueError
        If one has another type.
    """
    variables = recipe["variables"]
    are_right = (
        isinstance(recipe["sampler"], str)
        and all(isinstance(recipe[part], dict) for part in ("grid", "seed", "process"))
        and isinstance(variables, list)
        and all(isinstance(v, dict) and isinstance(v.get("name"), str) for v in variables)
        and all(isinstance(v.get("dtype"), str) for v in variables)
    )
    if not are_right:
        raise value_error("recipe", "a recipe that montezarr wrote", recipe)
