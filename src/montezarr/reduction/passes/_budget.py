"""What states of statistics take before there are any, and what to do where they do not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from montezarr.core.errors import MemoryBudgetError
from montezarr.core.memory import memory_limit
from montezarr.core.text import show_bytes
from montezarr.reduction.accumulate import Column, Fold
from montezarr.reduction.sources import TIME
from montezarr.statistics import Statistic

Dims = Sequence[tuple[tuple[str, ...], tuple[int, ...]]]
"""For each column, names and sizes of the dimensions that its cells are made of."""

Memory = Callable[[Fold, float], int]
"""Returns the bytes that a pass takes, with such a share of the values that there are."""

GROUPS = 8
"""Groups for which memory is planned where their number is not known."""


COPIES = 8
"""States of each kind that one worker and the driver hold at once, at most."""


def state_bytes(fold: Fold) -> int:
    """Return the bytes of the states of all groups, as far as they are known before.

    Quantiles are taken to use all their bins, groups without labels to be eight.
    """
    total = 0
    for column in fold.columns:
        total += sum(bytes_of(fold, column, statistic) for statistic in column.statistics)
        total += fold.tail_bytes(column)
    groups = 1
    if fold.group is not None:
        groups = len(fold.group.codes or ()) or GROUPS
    return groups * total


def copies_of_states(fold: Fold, share: float) -> int:
    """Return the bytes of states where one worker is at work."""
    return COPIES * state_bytes(fold)


def bytes_of(fold: Fold, column: Column, statistic: Statistic) -> int:
    """Return the bytes of the state of one statistic."""
    length = None if column.axis is None else fold.axis_length(column)
    empty = statistic.state_bytes(column.cells, column.source, length)
    return empty + statistic.bytes_for(column.cells)


def check_memory(fold: Fold, dims: Dims, memory: Memory) -> None:
    """Raise if the states, and what else `memory` counts, do not fit.

    Raises
    ------
    MemoryBudgetError
        With the projected bytes, and what would fit.
    """
    needed, limit = memory(fold, 1.0), memory_limit()
    if needed <= limit:
        return
    text = (
        f"statistics: expected states that fit into memory, got {show_bytes(needed)} at once, with"
        f" {show_bytes(limit)} to use."
    )
    most, place, entry = max(
        (bytes_of(fold, column, statistic), position, i)
        for position, column in enumerate(fold.columns)
        for i, statistic in enumerate(column.statistics)
    )
    statistic, name = fold.columns[place].statistics[entry], fold.columns[place].source.name
    of = f" of {name!r}" if name else ""
    text += f" One state of {statistic}{of} takes {show_bytes(most)}."
    ways = " ".join(_ways(fold, dims, (place, entry), memory, limit))
    raise MemoryBudgetError(
        f"{text} {ways} Or take fewer workers, or one statistic after the other."
    )


def _ways(
    fold: Fold, dims: Dims, heaviest: tuple[int, int], memory: Memory, limit: int
) -> Iterator[str]:
    """Yield what would fit: a lighter statistic, fewer times, fewer cells at once."""
    columns, (place, entry) = list(fold.columns), heaviest
    column = columns[place]
    for lighter in column.statistics[entry].lighter():
        statistics = list(column.statistics)
        statistics[entry] = lighter
        changed = [*columns]
        changed[place] = replace(column, statistics=tuple(statistics))
        size = memory(Fold(changed, fold.group), 1.0)
        if size <= limit:
            yield f"{lighter} would take {show_bytes(size)}."
            break
    length = _times_of(column, dims[place])
    if length:
        for step in _steps(length):
            thinner = [_thinned(c, d, step) for c, d in zip(columns, dims, strict=True)]
            size = memory(Fold(thinner, fold.group), 1 / step)
            if size <= limit:
                yield (
                    f"One time in {step}, by isel(time=slice(None, None, {step})), would take"
                    f" {show_bytes(size)}."
                )
                break
    cells = max(c.cells for c in columns)
    for part in _steps(cells):
        fewer = [replace(c, cells=-(-c.cells // part)) for c in columns]
        if memory(Fold(fewer, fold.group), 1 / part) <= limit:
            yield f"{-(-cells // part):,} of the {cells:,} cells at once, by isel(), would fit."
            break


def _steps(length: int) -> Iterator[int]:
    """Yield 2, 3, 4, 5, 6, 8, 10, ...: each at most half as much again as the one before."""
    step = 2
    while step <= length:
        yield step
        step = max(step + 1, step * 5 // 4)


def _times_of(column: Column, dims: tuple[tuple[str, ...], tuple[int, ...]]) -> int:
    """Return the number of times of a column, along its axis or among its cells."""
    if column.axis is not None and column.axis >= 0 and column.source.times is not None:
        return len(column.source.times)
    names, sizes = dims
    return sizes[names.index(TIME)] if TIME in names else 0


def _thinned(column: Column, dims: tuple[tuple[str, ...], tuple[int, ...]], step: int) -> Column:
    """Return a column of every `step`-th time."""
    length = _times_of(column, dims)
    if not length:
        return column
    if column.axis is not None and column.axis >= 0:
        times = np.asarray(column.source.times)[::step]
        return replace(column, source=replace(column.source, times=times))
    return replace(column, cells=column.cells // length * -(-length // step))
