"""Estimate the memory of the states of statistics, and say what would fit where they do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from montezarr.core.errors import MemoryBudgetError
from montezarr.core.memory import memory_limit
from montezarr.core.text import show_bytes
from montezarr.core.tunables.memory import PLANNED_GROUPS, STATE_COPIES
from montezarr.reduction.accumulate import Accumulator, ReducedVariable
from montezarr.reduction.sources import TIME
from montezarr.statistics import Statistic

Dims = Sequence[tuple[tuple[str, ...], tuple[int, ...]]]
"""For each reduced variable, names and sizes of the dimensions that its cells are made of."""

MemoryEstimate = Callable[[Accumulator, float], int]
"""Returns the bytes of a pass over the given share of the values."""


def state_bytes(accumulator: Accumulator) -> int:
    """Estimate the bytes of the states of all groups.

    Assume that quantiles use all their bins, and that groups without labels are eight.
    """
    total = 0
    for reduced in accumulator.reduced_variables:
        total += sum(
            statistic_bytes(accumulator, reduced, statistic) for statistic in reduced.statistics
        )
        total += accumulator.tail_bytes(reduced)
    groups = 1
    if accumulator.group is not None:
        groups = len(accumulator.group.codes or ()) or PLANNED_GROUPS
    return groups * total


def copies_of_states(accumulator: Accumulator, share: float) -> int:
    """Return the bytes of the states that one worker and the driver hold."""
    return STATE_COPIES * state_bytes(accumulator)


def statistic_bytes(
    accumulator: Accumulator, reduced: ReducedVariable, statistic: Statistic
) -> int:
    """Return the bytes of the state of one statistic."""
    length = None if reduced.axis is None else accumulator.axis_length(reduced)
    empty = statistic.state_bytes(reduced.cells, reduced.source, length)
    return empty + statistic.bytes_for(reduced.cells)


def check_memory(accumulator: Accumulator, dims: Dims, memory: MemoryEstimate) -> None:
    """Raise if the states, and the rest of what `memory` counts, do not fit.

    Raises
    ------
    MemoryBudgetError
        With the projected bytes, and what would fit.
    """
    needed, limit = memory(accumulator, 1.0), memory_limit()
    if needed <= limit:
        return
    text = (
        f"statistics: expected states that fit into memory, got {show_bytes(needed)} at once, with"
        f" {show_bytes(limit)} to use."
    )
    most, place, entry = max(
        (statistic_bytes(accumulator, reduced, statistic), position, i)
        for position, reduced in enumerate(accumulator.reduced_variables)
        for i, statistic in enumerate(reduced.statistics)
    )
    statistic, name = (
        accumulator.reduced_variables[place].statistics[entry],
        accumulator.reduced_variables[place].source.name,
    )
    of = f" of {name!r}" if name else ""
    text += f" One state of {statistic}{of} takes {show_bytes(most)}."
    ways = " ".join(_ways(accumulator, dims, (place, entry), memory, limit))
    raise MemoryBudgetError(
        f"{text} {ways} Or take fewer workers, or one statistic after the other."
    )


def _ways(
    accumulator: Accumulator,
    dims: Dims,
    heaviest: tuple[int, int],
    memory: MemoryEstimate,
    limit: int,
) -> Iterator[str]:
    """Yield remedies that would fit: a lighter statistic, fewer times, fewer cells at once."""
    reduced_variables, (place, entry) = list(accumulator.reduced_variables), heaviest
    reduced = reduced_variables[place]
    for lighter in reduced.statistics[entry].lighter():
        statistics = list(reduced.statistics)
        statistics[entry] = lighter
        changed = [*reduced_variables]
        changed[place] = replace(reduced, statistics=tuple(statistics))
        size = memory(Accumulator(changed, accumulator.group), 1.0)
        if size <= limit:
            yield f"{lighter} would take {show_bytes(size)}."
            break
    length = _times_of(reduced, dims[place])
    if length:
        for step in _steps(length):
            thinner = [_thinned(c, d, step) for c, d in zip(reduced_variables, dims, strict=True)]
            size = memory(Accumulator(thinner, accumulator.group), 1 / step)
            if size <= limit:
                yield (
                    f"One time in {step}, by isel(time=slice(None, None, {step})), would take"
                    f" {show_bytes(size)}."
                )
                break
    cells = max(c.cells for c in reduced_variables)
    for part in _steps(cells):
        fewer = [replace(c, cells=-(-c.cells // part)) for c in reduced_variables]
        if memory(Accumulator(fewer, accumulator.group), 1 / part) <= limit:
            yield f"{-(-cells // part):,} of the {cells:,} cells at once, by isel(), would fit."
            break


def _steps(length: int) -> Iterator[int]:
    """Yield 2, 3, 4, 5, 6, 8, 10, ...: each at most 1.5 times the one before."""
    step = 2
    while step <= length:
        yield step
        step = max(step + 1, step * 5 // 4)


def _times_of(reduced: ReducedVariable, dims: tuple[tuple[str, ...], tuple[int, ...]]) -> int:
    """Return the number of times of a reduced variable, along its axis or among its cells."""
    if reduced.axis is not None and reduced.axis >= 0 and reduced.source.times is not None:
        return len(reduced.source.times)
    names, sizes = dims
    return sizes[names.index(TIME)] if TIME in names else 0


def _thinned(
    reduced: ReducedVariable, dims: tuple[tuple[str, ...], tuple[int, ...]], step: int
) -> ReducedVariable:
    """Return a reduced variable with every `step`-th time only."""
    length = _times_of(reduced, dims)
    if not length:
        return reduced
    if reduced.axis is not None and reduced.axis >= 0:
        times = np.asarray(reduced.source.times)[::step]
        return replace(reduced, source=replace(reduced.source, times=times))
    return replace(reduced, cells=reduced.cells // length * -(-length // step))
