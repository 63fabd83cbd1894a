"""Parts of a recipe, and of a live sampler, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from montezarr.core.checks import show
from montezarr.core.text import count_text
from montezarr.processes._built_in import built_in_processes
from montezarr.processes._describe import (
    arguments_text,
    equation_rows,
    one_line,
    parameter_rows,
)
from montezarr.run._recipe import format_note
from montezarr.samplers import Sampler, describe, recorded_interface


def sampler_text(recipe: Mapping[str, Any]) -> str:
    """Return the interface of a recipe's sampler as text, with a note about an old format."""
    return recorded_interface(recipe).text + format_note(recipe)


def process_name(described: Any) -> str:
    """Return the name in the description of a process, which may be of any type."""
    name = described.get("name") if isinstance(described, Mapping) else described
    return name if isinstance(name, str) else show(name)


def process_text(described: Any) -> str:
    """Return the process of a recipe in one line, as the call that creates it."""
    if not isinstance(described, Mapping):
        return show(described)
    return f"{process_name(described)}({arguments_text(described)})"


def recipe_process_rows(recipe: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return equation and parameters of the process of a recipe, as entries of a card.

    Only built-in processes have an equation here: the user's code is never looked up by its name
    in a recipe.
    """
    process = recipe.get("process")
    kind = None if "code" in recipe else built_in_processes().get(process_name(process))
    return [*equation_rows(getattr(kind, "equation", "")), *parameter_rows(process)]


def process_rows(sampler: Sampler) -> list[tuple[str, str]]:
    """Return equation and parameters of a live process or sampler, as entries of a card."""
    described = describe(sampler.target)
    return [*equation_rows(_equation(sampler)), *parameter_rows(described)]


def process_line(sampler: Sampler) -> str:
    """Return equation and parameters of a live process in one line; may be empty."""
    return one_line(_equation(sampler), describe(sampler.target))


def _equation(sampler: Sampler) -> Any:
    target = sampler.target
    return getattr(target if isinstance(target, type) else type(target), "equation", "")


def seed_text(seed: Any) -> str:
    """Return the seed of a recipe in one line."""
    if not isinstance(seed, Mapping):
        return show(seed)
    entropy = seed.get("entropy")
    text = value_text(entropy)
    if isinstance(entropy, list) and all(isinstance(word, str) for word in entropy):
        text = f"[{', '.join(entropy)}]"
    rest = ", ".join(f"{key} {show(value)}" for key, value in seed.items() if key != "entropy")
    return f"{text}, {rest}" if rest else text


def grid_text(grid: Any, keep: Any = None) -> str:
    """Return the times of a recipe in one line."""
    try:
        if "times" in grid:
            times = grid["times"]
            steps = len(times) - 1
            text = f"{count_text(steps, 'step')}, from {times[0]:.6g} to {times[-1]:.6g}, as given"
        else:
            steps, dt = grid["T"], grid["dt"]
            text = f"{count_text(steps, 'step')} of {dt:.6g}, from 0 to {steps * dt:.6g}"
    except (TypeError, ValueError, LookupError, OverflowError):  # not a store of montezarr
        return show(grid)
    if isinstance(keep, list):
        text += f"; {len(keep):,} of {steps + 1:,} times kept"
    return text


def state_text(x0: Any) -> str:
    """Return the initial state of a recipe in one line."""
    if x0 is None:
        return "the default of the process"
    if isinstance(x0, Mapping) and set(x0) == {"digest"}:
        return f"an array or object, with the digest {x0['digest']}"
    if isinstance(x0, Mapping):
        return ", ".join(f"{name} = {value_text(value)}" for name, value in x0.items())
    return value_text(x0)


def value_text(value: Any) -> str:
    """Return one value of a recipe, mostly a number, as short text."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else show(value)


def variables_text(variables: Any) -> str:
    """Return the variables of a recipe in one line: names, dimensions, dtypes and labels."""
    try:
        return ", ".join(f"{v['name']}{_dims(v)} ({v['dtype']}{_labels(v)})" for v in variables)
    except (TypeError, LookupError, RecursionError):
        return show(variables)


def _dims(variable: Mapping[str, Any]) -> str:
    """Return the dimensions of a variable as text; empty if they are the times only."""
    dims = variable.get("dims")
    return "" if dims is None else f"[{', '.join(map(str, ('path', *dims)))}]"


def _labels(variable: Mapping[str, Any]) -> str:
    """Return the first labels of a variable as text; empty without labels."""
    labels = variable.get("labels")
    if labels is None:
        return ""
    shown = ", ".join(map(str, labels[:4]))
    return f": {shown}" + (f" and {len(labels) - 4:,} more" if len(labels) > 4 else "")
