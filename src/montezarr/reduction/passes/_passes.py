"""Passes over all paths: one, and further ones for the statistics that need them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import xarray as xr

from montezarr.execute.run_monitor import RunMonitor
from montezarr.reduction.accumulate import Accumulator, PartialState
from montezarr.reduction.passes._layout import Layout
from montezarr.reduction.sources import BlockSource
from montezarr.run.execution import FailureLog
from montezarr.statistics import Statistic

SelectionResults = dict[tuple[int, Any, int], tuple[Statistic, Any]]
"""By reduced variable, group and position, the statistic of a later pass and its final state."""


def run_all(
    block_source: BlockSource, layout: Layout, monitor: RunMonitor
) -> tuple[PartialState, SelectionResults]:
    """Fold all paths once, and again for the statistics that need it."""
    assert block_source.n_paths is not None
    failure_log = FailureLog()
    with block_source.backend.running():
        partial_state = fold_all(
            block_source, layout.accumulator, failure_log, monitor, layout.dataset
        )
        failure_log.warn(block_source.n_paths, stacklevel=4)
        found: SelectionResults = {}
        waiting = _again(layout.accumulator, partial_state)
        while waiting:
            found |= waiting
            reduced_variables, places = _later_variables(layout.accumulator, waiting)
            later = Accumulator(reduced_variables, layout.accumulator.group)
            states = later.totals(fold_all(block_source, later, FailureLog(), monitor))
            waiting = {}
            for (position, _), parts in states.items():
                for i, state in enumerate(parts):
                    place = places[position][i]
                    statistic = reduced_variables[position].statistics[i]
                    found[place] = statistic, state
                    more = statistic.again(state, reduced_variables[position].source)
                    if more is not None:
                        waiting[place] = more, None
    return partial_state, found


def fold_all(
    block_source: BlockSource,
    accumulator: Accumulator,
    failure_log: FailureLog,
    monitor: RunMonitor,
    results: Callable[[PartialState], xr.Dataset] | None = None,
) -> PartialState:
    """Fold all paths in one pass; the run monitor gets `results` of those so far."""
    assert block_source.n_paths is not None
    total, done = PartialState(), 0
    items = block_source.items(0, block_source.n_paths, block_source.size())
    monitor(0, block_source.n_paths, 0)
    task = block_source.whole_task(accumulator)
    with closing(block_source.results(task, items, monitor)) as ended:
        for start, stop, result in ended:
            if result is not None:
                parts, report = result
                failure_log.add(report)
                for _, partial_state in parts:
                    accumulator.join(total, partial_state)
            done += stop - start
            if results is not None and result is not None:
                monitor.estimate(partial(results, total))
            monitor(done, block_source.n_paths, len(failure_log.masked))
    accumulator.finish(total, block_source.n_paths)
    return total


def _again(accumulator: Accumulator, partial_state: PartialState) -> SelectionResults:
    """Return the statistics that need another pass."""
    out: SelectionResults = {}
    for (position, group), states in accumulator.totals(partial_state).items():
        reduced = accumulator.reduced_variables[position]
        for i, (statistic, state) in enumerate(zip(reduced.statistics, states, strict=True)):
            more = statistic.again(state, reduced.source)
            if more is not None:
                out[position, group, i] = more, None
    return out


def _later_variables(
    accumulator: Accumulator, waiting: SelectionResults
) -> tuple[list[Any], list[list[Any]]]:
    """Return reduced variables with the statistics of another pass, and the key of each."""
    mine: dict[Any, list[Any]] = {}
    for place in waiting:
        mine.setdefault(place[:2], []).append(place)
    # Each group has statistics of its own.
    reduced_variables = [
        replace(
            accumulator.reduced_variables[position],
            statistics=tuple(waiting[place][0] for place in places),
            only=group,
        )
        for (position, group), places in mine.items()
    ]
    return reduced_variables, list(mine.values())
