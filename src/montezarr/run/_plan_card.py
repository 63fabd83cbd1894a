"""The printed form of a plan."""

from __future__ import annotations

from typing import Any

from montezarr.core.text import Card, Formula, count_text, duration, show_bytes


def plan_card(plan: Any) -> Card:
    """Return the card of a `montezarr.Plan`."""
    is_endless = plan.paths is None
    paths = "any number of paths" if is_endless else count_text(plan.paths, "path")
    if plan.scenarios > 1:
        paths = f"{count_text(plan.scenarios, 'scenario')} × {paths}"
    kept = f"{count_text(plan.times, 'time')} kept"
    rows: list[tuple[str, str]] = []
    if plan.equation:
        rows.append(("process", Formula(plan.equation)))
    rows += [(f"run {i}", text) for i, text in enumerate(plan.runs)]
    rows += [("" if i else "varies", f"{n} {how}") for i, (n, how) in enumerate(plan.varied)]
    rows += [
        ("sampler", plan.sampler),
        ("backend", f"{plan.backend}, {count_text(plan.workers, 'worker')}"),
    ]
    if not is_endless:
        memory = (
            f"{show_bytes(plan.worker_bytes)} per worker, {show_bytes(plan.peak_bytes)} at peak;"
            f" {show_bytes(plan.dask_bytes)} per worker where Dask computes"
        )
        together = " in all scenarios" if plan.scenarios > 1 else ""
        stored = f"{show_bytes(plan.store_bytes)} in a store{_ratio(plan)}{_scenarios(plan)}"
        rows += [
            (
                "chunks",
                f"{plan.chunks:,} of {count_text(plan.chunk_paths, 'path')}{together},"
                f" {show_bytes(plan.chunk_bytes)} each, {count_text(plan.tasks, 'task')}",
            ),
            ("work", _work(plan)),
            ("memory", memory),
            ("all paths", f"{show_bytes(plan.total_bytes)}{_each(plan)}, {stored}"),
        ]
    if plan.read_time_bytes is not None:
        one_time, one_path = map(show_bytes, (plan.read_time_bytes, plan.read_path_bytes))
        rows.append(("read", f"{one_time} for one time of all paths, {one_path} for one path"))
    if plan.noise:
        rows.append(("noise", plan.noise))
    if plan.reduction:
        memory = "" if plan.reduction_bytes is None else f", {show_bytes(plan.reduction_bytes)}"
        rows.append(("reduce", plan.reduction + memory + (" of memory" if memory else "")))
    return Card(f"{plan.process}: {paths} of {count_text(plan.steps, 'step')}, {kept}", rows)


def _each(plan: Any) -> str:
    if plan.scenario_bytes is None:
        return ""
    return f", {show_bytes(plan.scenario_bytes)} for each scenario"


def _ratio(plan: Any) -> str:
    if plan.store_ratio is None:
        return ""
    how = f", measured on {count_text(plan.measured, 'path')}" if plan.measured else ""
    return f" ({plan.store_ratio:.3g} of that in memory{how})"


def _scenarios(plan: Any) -> str:
    each = plan.scenario_chunk_bytes
    return f", each scenario in chunks of its own of {show_bytes(each)}" if each else ""


def _work(plan: Any) -> str:
    if plan.seconds_per_path is None:
        return "not known: the first paths fail"
    seconds = plan.seconds_per_path * plan.paths
    workers = min(plan.workers, plan.chunks)
    shared = f", {duration(seconds / workers)} on {workers:,}" if workers > 1 else ""
    return f"{duration(plan.seconds_per_path)} per path, {duration(seconds)} on one core{shared}"
