"""The varying parameters of a recipe as text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from montezarr.core.checks import show
from montezarr.processes._describe import arguments_text
from montezarr.samplers.schema import PATH

LISTED_VALUES = 4
"""Values of a parameter that are listed; of more, the range is shown."""

DISTRIBUTION_CHARACTERS = 120
"""Characters of a distribution that are shown."""


def varied_in(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Return how each varying parameter of a recipe varies, by name.

    A recipe may come from an untrusted store: of entries of another form, the names are kept.
    """
    found: dict[str, str] = {}
    for entry, ending in _entries(recipe):
        try:
            names = [str(name) for name in entry["names"]]
        except (TypeError, LookupError):
            continue
        try:
            text = _entry_text(entry, scenario_sizes(recipe)) + ending
        except (TypeError, ValueError, LookupError, AttributeError, RecursionError):
            text = show(entry)
        if isinstance(entry, Mapping) and "variable" in entry:  # x0 has an entry for each
            text = f"{entry['variable']} {text}"
            text = "; ".join([*(found[name] for name in names[:1] if name in found), text])
        found |= dict.fromkeys(names, text)
    return found


def _entries(recipe: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
    """Yield the parameters of a recipe, also of its design, with what more is said of them."""
    design = recipe.get("design")
    told: Any = design if isinstance(design, Mapping) else {}
    replicates = told.get("replicates")
    each = "" if replicates is None else f", for {show(replicates)} paths each"
    ending = f", on the design {show(told.get('name'))}{each}"
    for entries, more in ((recipe.get("vary"), ""), (told.get("parameters"), ending)):
        for entry in entries if isinstance(entries, list) else ():
            yield entry, more


def scenario_sizes(recipe: Mapping[str, Any]) -> dict[str, int]:
    """Return the length of each dimension of scenarios of a recipe; none if nothing varies."""
    try:
        variables = recipe["variables"] if "vary" in recipe else []
        whole: Any = max(variables, key=lambda v: v.get("lead", 0), default={})
        lead = whole.get("lead", 0)
        return {str(d): int(n) for d, n in zip(whole["dims"][:lead], whole["sizes"], strict=False)}
    except (TypeError, ValueError, LookupError, AttributeError):  # not a recipe of montezarr
        return {}


def scenarios_text(recipe: Mapping[str, Any]) -> str:
    """Return the number of scenarios and the grid that they form; empty without scenarios."""
    sizes = scenario_sizes(recipe)
    if not sizes:
        return ""
    if len(sizes) == 1:
        return f"{next(iter(sizes.values())):,} along {next(iter(sizes))}"
    grid = " × ".join(f"{length:,} {dim}" for dim, length in sizes.items())
    return f"{math.prod(sizes.values()):,}: {grid}"


def noise_text(recipe: Mapping[str, Any]) -> str:
    """Return whether scenarios share their noise; empty without several scenarios."""
    if math.prod(scenario_sizes(recipe).values()) < 2:
        return ""
    if recipe.get("noise", "common") == "common":
        return "common: all scenarios have the same draws"
    return "independent in each scenario; those of equal values share it"


def varied_rows(recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield scenarios, varying parameters and noise of a recipe as entries of a card."""
    if scenarios := scenarios_text(recipe):
        yield "scenarios", scenarios
    label = "varies"
    for name, text in varied_in(recipe).items():
        yield label, f"{name} {text}"
        label = ""
    if noise := noise_text(recipe):
        yield "noise", noise


def _entry_text(entry: Mapping[str, Any], sizes: Mapping[str, int]) -> str:
    if "distribution" in entry:
        told = entry["distribution"]
        given = {k: v for k, v in told.items() if k not in ("version", "check")}
        text = f"{told['name']}({arguments_text(given)})"
        if len(text) > DISTRIBUTION_CHARACTERS:
            text = text[: DISTRIBUTION_CHARACTERS - 3] + "..."
        together = f", with {' and '.join(entry['names'])}" if len(entry["names"]) > 1 else ""
        return f"by path: {text}{together}"
    dims = [str(dim) for dim in entry["dims"]]
    if not dims:
        return f"in all scenarios: {_short(entry['values'])}"
    along = f"along {', '.join(f'{dim} ({sizes[dim]:,})' for dim in dims if dim != PATH)}"
    if "digest" in entry:
        return f"by path{', ' + along if len(dims) > 1 else ''}: an array"
    return f"by scenario, {along}: {_range_text(list(_flat(entry['values'])))}"


def _flat(values: Any) -> Iterator[Any]:
    for value in values if isinstance(values, list) else [values]:
        yield from _flat(value) if isinstance(value, list) else [value]


def _range_text(values: list[Any]) -> str:
    if len(values) <= LISTED_VALUES:
        return ", ".join(_short(value) for value in values)
    if any(isinstance(value, str) for value in values):
        more = f" and {len(values) - LISTED_VALUES:,} more"
        return ", ".join(_short(value) for value in values[:LISTED_VALUES]) + more
    return f"{_short(min(values))} to {_short(max(values))}"


def _short(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"
