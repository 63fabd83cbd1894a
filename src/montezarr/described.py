"""A recipe for people: what is simulated, from where, on which times, from which seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, final

from montezarr._checks import show
from montezarr._html import Card, Formula, count, duration, show_bytes
from montezarr.errors import ReplayError, StoreError
from montezarr.processes import BUILT_IN, equation_rows, one_line, parameter_rows
from montezarr.recipe import fingerprint, format_note
from montezarr.samplers import Sampler, describe, recorded_interface


@final
class Recipe(Mapping[str, Any]):
    """Everything that determines the values of a run, as ``ds.attrs["montezarr"]`` has it.

    A read-only mapping, the JSON of that attribute. Printed, and in a notebook, it shows the
    process as an equation with its parameters, initial state, times, seed, variables and sampler.

    Parameters
    ----------
    data : mapping
        The recipe.

    Examples
    --------
    >>> import montezarr as mz
    >>> recipe = mz.simulate(mz.BrownianMotion(), n_paths=10, T=5, seed=1).mz.recipe
    >>> recipe["process"]["name"], recipe["seed"]
    ('BrownianMotion', {'entropy': '1'})
    >>> print(recipe)
    Recipe of BrownianMotion
      equation     dX = μ dt + σ dW
      parameters   μ = 0, σ = 1
      x0           the default of the process
      times        5 steps of 1, from 0 to 5
      seed         1
      variables    x (float64)
      sampler      sample(draws, grid, x0), counter-based, whole ranges
      fingerprint  6163cd44d5b86745ecb8a5a1fa4e2e0d
    """

    __slots__ = ("_data",)

    def __init__(self, data: Mapping[str, Any]):
        self._data = dict(data)

    def __getitem__(self, key: str) -> Any:
        return self._data[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    @property
    def fingerprint(self) -> str:
        """128 bits of SHA-256 over its canonical JSON: equal ones mean equal paths.

        Raises
        ------
        ReplayError, StoreError
            If it refers to a large parameter that cannot be had.
        """
        return fingerprint(self._data)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return dict(self._data)

    def __repr__(self) -> str:
        return self._card().text()

    def _repr_html_(self) -> str:
        return self._card().html()

    def _card(self) -> Card:
        process = self.get("process")
        name = process_name(process)
        rows = [
            *recipe_process_rows(self._data),
            ("x0", _state(self.get("x0"))),
            ("times", grid_text(self.get("grid"), self.get("keep"))),
            ("seed", seed_text(self.get("seed"))),
            ("variables", _variables(self.get("variables"))),
            ("sampler", sampler_text(self._data)),
        ]
        if "code" in self:
            rows.append(("code", f"yours, with the digest {self['code']}"))
        if "options" in self:
            rows.append(("options", f"yours, with the digest {self['options']}"))
        try:
            known = self.fingerprint
        except (ReplayError, StoreError):
            known = "not known without the large parameters, which lie beside the recipe"
        return Card(f"Recipe of {name}", [*rows, ("fingerprint", known)])


def sampler_text(recipe: Mapping[str, Any]) -> str:
    """Return the interface of the sampler of a recipe, and what drawing by an old format means."""
    return recorded_interface(recipe).text + format_note(recipe)


def process_name(described: Any) -> str:
    """Return the name in the description of a process, whatever that is."""
    name = described.get("name") if isinstance(described, Mapping) else described
    return name if isinstance(name, str) else show(name)


def recipe_process_rows(recipe: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return equation and parameters of the process of a recipe, as entries of a card.

    Only built-in processes have an equation here: a recipe names code of the user's, and that is
    not looked for.
    """
    process = recipe.get("process")
    kind = None if "code" in recipe else BUILT_IN.get(process_name(process))
    return [*equation_rows(getattr(kind, "equation", "")), *parameter_rows(process)]


def process_rows(sampling: Sampler) -> list[tuple[str, str]]:
    """Return equation and parameters of a live process or sampler, as entries of a card."""
    described = describe(sampling.target)
    return [*equation_rows(_equation(sampling)), *parameter_rows(described)]


def process_line(sampling: Sampler) -> str:
    """Return equation and parameters of a live process in one line; empty where it has none."""
    return one_line(_equation(sampling), describe(sampling.target))


def _equation(sampling: Sampler) -> Any:
    target = sampling.target
    return getattr(target if isinstance(target, type) else type(target), "equation", "")


def seed_text(seed: Any) -> str:
    """Return the seed of a recipe in one line."""
    if not isinstance(seed, Mapping):
        return show(seed)
    entropy = seed.get("entropy")
    text = _number(entropy)
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
            text = f"{count(steps, 'step')}, from {times[0]:.6g} to {times[-1]:.6g}, as given"
        else:
            steps, dt = grid["T"], grid["dt"]
            text = f"{count(steps, 'step')} of {dt:.6g}, from 0 to {steps * dt:.6g}"
    except (TypeError, ValueError, LookupError, OverflowError):  # of a store of somebody else
        return show(grid)
    if isinstance(keep, list):
        text += f"; {len(keep):,} of {steps + 1:,} times kept"
    return text


def _state(x0: Any) -> str:
    if x0 is None:
        return "the default of the process"
    if isinstance(x0, Mapping) and set(x0) == {"digest"}:
        return f"an array or object, with the digest {x0['digest']}"
    if isinstance(x0, Mapping):
        return ", ".join(f"{name} = {_number(value)}" for name, value in x0.items())
    return _number(x0)


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else show(value)


def _variables(variables: Any) -> str:
    try:
        return ", ".join(f"{v['name']}{_dims(v)} ({v['dtype']}{_labels(v)})" for v in variables)
    except (TypeError, LookupError, RecursionError):
        return show(variables)


def _dims(variable: Mapping[str, Any]) -> str:
    """Return the dimensions of a variable that has others than the times."""
    dims = variable.get("dims")
    return "" if dims is None else f"[{', '.join(map(str, ('path', *dims)))}]"


def _labels(variable: Mapping[str, Any]) -> str:
    labels = variable.get("labels")
    if labels is None:
        return ""
    shown = ", ".join(map(str, labels[:4]))
    return f": {shown}" + (f" and {len(labels) - 4:,} more" if len(labels) > 4 else "")


def plan_card(plan: Any, *, is_endless: bool) -> Card:
    """Return the card of a `montezarr.Plan`."""
    paths = "any number of paths" if is_endless else count(plan.paths, "path")
    kept = f"{count(plan.times, 'time')} kept"
    rows: list[tuple[str, str]] = []
    if plan.equation:
        rows.append(("process", Formula(plan.equation)))
    rows += [
        ("sampler", plan.sampler),
        ("backend", f"{plan.backend}, {count(plan.workers, 'worker')}"),
    ]
    if not is_endless:
        memory = (
            f"{show_bytes(plan.worker_bytes)} per worker, {show_bytes(plan.peak_bytes)} at peak;"
            f" {show_bytes(plan.dask_bytes)} per worker where Dask computes"
        )
        stored = f"{show_bytes(plan.store_bytes)} in a store{_ratio(plan)}"
        rows += [
            (
                "chunks",
                f"{plan.chunks:,} of {count(plan.chunk_paths, 'path')},"
                f" {show_bytes(plan.chunk_bytes)} each, {count(plan.tasks, 'task')}",
            ),
            ("work", _work(plan)),
            ("memory", memory),
            ("all paths", f"{show_bytes(plan.total_bytes)}, {stored}"),
        ]
    if plan.noise:
        rows.append(("noise", plan.noise))
    if plan.reduction:
        memory = "" if plan.reduction_bytes is None else f", {show_bytes(plan.reduction_bytes)}"
        rows.append(("reduce", plan.reduction + memory + (" of memory" if memory else "")))
    return Card(f"{plan.process}: {paths} of {count(plan.steps, 'step')}, {kept}", rows)


def _ratio(plan: Any) -> str:
    if plan.store_ratio is None:
        return ""
    how = f", measured on {count(plan.measured, 'path')}" if plan.measured else ""
    return f" ({plan.store_ratio:.3g} of that in memory{how})"


def _work(plan: Any) -> str:
    if plan.seconds_per_path is None:
        return "not known: the first paths fail"
    seconds = plan.seconds_per_path * plan.paths
    workers = min(plan.workers, plan.chunks)
    shared = f", {duration(seconds / workers)} on {workers:,}" if workers > 1 else ""
    return f"{duration(plan.seconds_per_path)} per path, {duration(seconds)} on one core{shared}"
