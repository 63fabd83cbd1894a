"""Passes over all paths: one, and further ones for the statistics that ask for them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import xarray as xr

from montezarr.execute import windowed
from montezarr.execute.run_monitor import Watch
from montezarr.reduction.accumulate import Fold, Folded
from montezarr.reduction.passes._layout import Layout
from montezarr.reduction.sources import Feed
from montezarr.run.execution import Tally
from montezarr.statistics import Statistic

Found = dict[tuple[int, Any, int], tuple[Statistic, Any]]
"""By column, group and position, the statistic of a later pass and its final state."""


def run_all(feed: Feed, layout: Layout, watch: Watch) -> tuple[Folded, Found]:
    """Fold all paths, once, and again for the statistics that ask for it."""
    assert feed.n_paths is not None
    tally = Tally()
    with feed.backend.running():
        folded = fold_all(feed, layout.fold, tally, watch, layout.dataset)
        tally.warn(feed.n_paths, stacklevel=4)
        found: Found = {}
        waiting = _again(layout.fold, folded)
        while waiting:
            found |= waiting
            columns, places = _later_columns(layout.fold, waiting)
            later = Fold(columns, layout.fold.group)
            states = later.totals(fold_all(feed, later, Tally(), watch))
            waiting = {}
            for (position, _), parts in states.items():
                for i, state in enumerate(parts):
                    place = places[position][i]
                    statistic = columns[position].statistics[i]
                    found[place] = statistic, state
                    more = statistic.again(state, columns[position].source)
                    if more is not None:
                        waiting[place] = more, None
    return folded, found


def fold_all(
    feed: Feed,
    fold: Fold,
    tally: Tally,
    watch: Watch,
    results: Callable[[Folded], xr.Dataset] | None = None,
) -> Folded:
    """Fold all paths in one pass; the watch gets what `results` makes of those so far."""
    assert feed.n_paths is not None
    total, done = Folded(), 0
    items = feed.items(0, feed.n_paths, feed.size())
    watch(0, feed.n_paths, 0)
    task = feed.task(fold)
    with closing(windowed(feed.backend, task, items, span_of, watch=watch)) as ended:
        for (start, stop, *_), (parts, report) in ended:
            tally.add(report)
            for _, folded in parts:
                fold.join(total, folded)
            done += stop - start
            if results is not None:
                watch.estimate(partial(results, total))
            watch(done, feed.n_paths, len(tally.masked))
    fold.finish(total, feed.n_paths)
    return total


def span_of(item: Any) -> tuple[int, int]:
    """Return the range of paths of an item."""
    return int(item[0]), int(item[1])


def _again(fold: Fold, folded: Folded) -> Found:
    """Return the statistics that ask for another pass."""
    out: Found = {}
    for (position, group), states in fold.totals(folded).items():
        column = fold.columns[position]
        for i, (statistic, state) in enumerate(zip(column.statistics, states, strict=True)):
            more = statistic.again(state, column.source)
            if more is not None:
                out[position, group, i] = more, None
    return out


def _later_columns(fold: Fold, waiting: Found) -> tuple[list[Any], list[list[Any]]]:
    """Return columns with the statistics of another pass, and whose each of them is."""
    mine: dict[Any, list[Any]] = {}
    for place in waiting:
        mine.setdefault(place[:2], []).append(place)
    # Each group looks for its own.
    columns = [
        replace(
            fold.columns[position],
            statistics=tuple(waiting[place][0] for place in places),
            only=group,
        )
        for (position, group), places in mine.items()
    ]
    return columns, list(mine.values())
