"""The designs by name, and those of recipes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from montezarr.core.checks import value_error
from montezarr.random.designs._base import SIZE_MAX, Design, Grouping
from montezarr.random.designs._nested import nested
from montezarr.random.designs._saltelli import saltelli
from montezarr.random.distributions._built_in import distribution_from_dict

DESIGNS = {"saltelli": saltelli, "nested": nested}
"""By name, the function that makes a design of its parameters, a number of groups, and more."""


def design_from_dict(data: Mapping[str, Any]) -> Design:
    """Return the design that `Design.to_dict` described, of any number of groups.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If the name is not that of a design, or an entry is missing or invalid.
    """
    name = data.get("name")
    if name not in DESIGNS:
        raise value_error("design", f"one of {', '.join(DESIGNS)}", name)
    parameters = {
        tuple(entry["names"]): distribution_from_dict(entry["distribution"])
        for entry in data["parameters"]
    }
    more = {key: value for key, value in data.items() if key not in ("name", "parameters")}
    make: Any = DESIGNS[name]
    design: Design = make(parameters, None, **more)
    return design


def grouping_in(recipe: Mapping[str, Any]) -> Grouping | None:
    """Return how the paths of a run belong together by its recipe; None if they do not.

    Distributions are not made: those of SciPy may not be at hand where results are read.
    """
    try:
        data = recipe["design"]
        names = tuple(str(name) for entry in data["parameters"] for name in entry["names"])
        sizes = {"saltelli": len(names) + 2, "nested": data.get("replicates")}
        size = sizes[data["name"]]
    except (LookupError, TypeError, AttributeError):  # no design, or none of montezarr
        return None
    is_size = type(size) is int and 1 < size <= SIZE_MAX
    return Grouping(data["name"], names, size) if is_size else None
