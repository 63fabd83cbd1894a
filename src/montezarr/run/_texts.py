"""Parts of a recipe, and of a live sampler, as text."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from montezarr.core.checks import show
from montezarr.core.text import Formula, count_text
from montezarr.processes._built_in import built_in_processes
from montezarr.processes._describe import (
    arguments_text,
    equation_rows,
    one_line,
    parameter_rows,
    symbol,
)
from montezarr.run._recipe import format_note
from montezarr.run._varied_texts import varied_in
from montezarr.samplers import Sampler, describe, recorded_interface


def sampler_text(recipe: Mapping[str, Any]) -> str:
    """Return the interface of a recipe's sampler as text, with a note about an old format."""
    return recorded_interface(recipe).text + format_note(recipe)


def process_name(described: Any) -> str:
    """Return the name in the description of a process, which may be of any type."""
    name = described.get("name") if isinstance(described, Mapping) else described
    return name if isinstance(name, str) else show(name)


def process_text(described: Any, varied: Collection[str] = ()) -> str:
    """Return the process of a recipe in one line, as the call that creates it.

    Parameters that vary have no value there.
    """
    if not isinstance(described, Mapping):
        return show(described)
    fixed, _ = _split(described, varied)
    varying = [f"{name} varies" for name in described if name in varied]
    arguments = ", ".join(part for part in (arguments_text(fixed), *varying) if part)
    return f"{process_name(described)}({arguments})"


def recipe_process_rows(recipe: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return equation and parameters of the process of a recipe, as entries of a card.

    Only built-in processes have an equation here: the user's code is never looked up by its name
    in a recipe.
    """
    process = recipe.get("process")
    varied = varied_in(recipe)
    kind = None if "code" in recipe else built_in_processes().get(process_name(process))
    return [*equation_rows(getattr(kind, "equation", "")), *_parameter_rows(process, varied)]


def process_rows(sampler: Sampler, recipe: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return equation and parameters of a live process or sampler, as entries of a card.

    The recipe is that of its run, and says which parameters vary.
    """
    varied, described = varied_in(recipe), describe(sampler.target)
    return [*equation_rows(_equation(sampler)), *_parameter_rows(described, varied)]


def process_line(sampler: Sampler, recipe: Mapping[str, Any]) -> str:
    """Return equation and parameters of a live process in one line; may be empty."""
    fixed, varying = _split(describe(sampler.target), varied_in(recipe))
    line = one_line(_equation(sampler), fixed)
    return ", ".join([*([line] if line else []), *varying])


def _parameter_rows(described: Any, varied: Collection[str]) -> list[tuple[str, str]]:
    """Return parameters as entries of a card; of those that vary no value, since none holds."""
    fixed, varying = _split(described, varied)
    rows = list(parameter_rows(fixed))
    if varying:
        label = "" if rows else "parameters"
        rows.append((label, Formula(", ".join(varying))))
    return rows


def _split(described: Any, varied: Collection[str]) -> tuple[Any, list[str]]:
    """Return a description without the parameters that vary, and these as text."""
    if not isinstance(described, Mapping) or not varied:
        return described, []
    fixed = {name: value for name, value in described.items() if name not in varied}
    return fixed, [f"{symbol(str(name))} varies" for name in described if name in varied]


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


def grid_text(grid: Any, keep: Any = None, varied: Collection[str] = ()) -> str:
    """Return the times of a recipe in one line; `varied` has the names of what varies."""
    try:
        if "times" in grid:
            times = grid["times"]
            steps = len(times) - 1
            text = f"{count_text(steps, 'step')}, from {times[0]:.6g} to {times[-1]:.6g}, as given"
        else:
            steps, dt = grid["T"], grid["dt"]
            text = f"{count_text(steps, 'step')} of {dt:.6g}, from 0 to {steps * dt:.6g}"
            if "dt" in varied:
                text = f"{count_text(steps, 'step')}, whose length dt varies"
    except (TypeError, ValueError, LookupError, OverflowError):  # not a store of montezarr
        return show(grid)
    if isinstance(keep, list):
        text += f"; {len(keep):,} of {steps + 1:,} times kept"
    return text


def state_text(x0: Any, varied: Collection[str] = ()) -> str:
    """Return the initial state of a recipe in one line; `varied` has the names of what varies."""
    if "x0" in varied:
        return "varies"
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
    if dims is None:
        return ""
    lead = variable.get("lead", 0)
    return f"[{', '.join(map(str, (*dims[:lead], 'path', *dims[lead:])))}]"


def _labels(variable: Mapping[str, Any]) -> str:
    """Return the first labels of a variable as text; empty without labels."""
    labels = variable.get("labels")
    if labels is None:
        return ""
    shown = ", ".join(map(str, labels[:4]))
    return f": {shown}" + (f" and {len(labels) - 4:,} more" if len(labels) > 4 else "")
