"""Find the masked paths of an expression that is computed in its own chunks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import without_mask
from montezarr.core.compat.dask import as_node, graph_of_chunks
from montezarr.reduction.accumulate import beside, filled_in, without_paths, without_where
from montezarr.run._arrays import array_name
from montezarr.run._run import Run
from montezarr.samplers import FailureReport, PathArrays

MASKED = "masked where it was drawn"
"""Reason recorded for a masked path in a chunk, which holds no reasons."""

FILLS: tuple[float | None, ...] = (None, 0.0, 1e9, -1e9)
"""Numbers in place of masked values; None is that of a path before."""

SHIFTS = range(1, 9)
"""Distances of paths whose values replace masked ones: whether a value is in a range shows so."""

Seen = Callable[[list[NDArray[Any]]], list[NDArray[Any]]]
"""From arrays with the paths along the last axis to what statistics see."""


def _moved_in(drawn: PathArrays, masks: Any, by: int) -> PathArrays:
    """Return paths with the values of the path some places before in place of masked ones."""
    out = dict(drawn)
    for name, mask in masks.items():
        array = drawn[name]
        out[name] = np.where(beside(mask, array), np.roll(array, by, axis=-1), array)
    return out


REPLACEMENTS: tuple[Callable[[PathArrays, Any], PathArrays], ...] = (
    *(partial(filled_in, fill=fill) for fill in FILLS),
    *(partial(_moved_in, by=by) for by in SHIFTS),
)
"""Functions of path arrays and masks that replace masked values, tried one after the other."""


@dataclass(frozen=True)
class MaskedRun:
    """What finds the masked paths in the chunks of a run.

    Parameters
    ----------
    source : str
        Name of the array of the run.
    leads : dict of int
        Number of dimensions of scenarios, before that of the paths, by variable.
    values : dict of float
        The number that stands for a masked path, by variable. Parameters of a path are not masked.
    chunk : int
        Number of paths per chunk.
    """

    source: str
    leads: Mapping[str, int]
    values: Mapping[str, float]
    chunk: int

    def first_path(self, key: tuple[Any, ...]) -> int:
        """Return the index of the first path of a chunk."""
        # The chunks of several variables are one mapping each, and numbered by paths alone.
        axis = next(iter(self.leads.values())) if len(self.leads) == 1 else 0
        return int(key[1 + axis]) * self.chunk

    def arrays(self, block: Any) -> dict[str, NDArray[Any]]:
        """Return the variables of a chunk with the paths along the last axis."""
        several = block if isinstance(block, dict) else {next(iter(self.leads)): block}
        return {
            name: np.moveaxis(np.asarray(several[name]), lead, -1)
            for name, lead in self.leads.items()
        }

    def block(self, arrays: Mapping[str, NDArray[Any]], like: Any) -> Any:
        """Return a chunk of these variables."""
        found = {n: np.moveaxis(array, -1, self.leads[n]) for n, array in arrays.items()}
        return found if isinstance(like, dict) else next(iter(found.values()))

    def masks(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.bool_]]:
        """Return where variables are masked, (scenarios ..., paths): all at the same places."""
        marks = []
        for name, mark in self.values.items():
            array, lead = arrays[name], self.leads[name]
            here = np.isnan(array) if np.isnan(mark) else array == mark
            marks.append(here.all(axis=tuple(range(lead, array.ndim - 1))))
        return dict.fromkeys(self.values, np.asarray(np.logical_and.reduce(marks)))


@dataclass(frozen=True)
class Masks:
    """Finds the values of a result that depend on masked paths.

    A masked path is replaced by other values: results that change depend on it. So the mask follows
    the path through selections, and through comparisons and sums, which turn NaN into numbers.

    Parameters
    ----------
    runs : tuple of MaskedRun
        The runs of which paths may be masked.
    is_whole : bool
        Whether a path is masked in all results. If not, runs or scenarios mask paths of their own.
    """

    runs: tuple[MaskedRun, ...]
    is_whole: bool

    def compute(
        self, graph: dict[Any, Any], keys: list[Any], axes: list[int], seen: Seen
    ) -> tuple[list[NDArray[Any]], FailureReport]:
        """Return what statistics see, with NaN for what masked paths make, and a report."""
        from dask.local import get_sync

        def values_of(graph: dict[Any, Any]) -> list[NDArray[Any]]:
            made = paths_last(get_sync(graph, keys), axes)
            return made if self.is_whole else seen(made)

        drawn = self._drawn(_needed(graph, keys))
        fixed = graph | {key: as_node(key, block) for key, (_, block, _, _) in drawn.items()}
        whole = values_of(fixed)
        paths = {path for *_, found in drawn.values() for path in found}
        if not paths:
            return (seen(whole) if self.is_whole else whole), FailureReport()
        changed = [np.zeros(array.shape, bool) for array in whole]
        for replaced in REPLACEMENTS:
            other = {
                key: as_node(key, run.block(replaced(run.arrays(block), masks), block))
                for key, (run, block, masks, _) in drawn.items()
            }
            try:
                with np.errstate(all="ignore"):
                    again = values_of(fixed | other)
            except Exception:  # the expression may fail for this number; try the next one
                continue
            for one, two, mark in zip(whole, again, changed, strict=True):
                mark |= _differ(one, two)
        of_paths = [mark.any(axis=tuple(range(mark.ndim - 1))) for mark in changed]
        positions = np.flatnonzero(np.logical_or.reduce(of_paths))
        report = FailureReport(tuple((path, MASKED) for path in sorted(paths)))
        # A result of all paths together changes everywhere: there only NaN marks masked paths.
        is_by_path = len(positions) <= len(paths)
        if self.is_whole:
            return without_paths(seen(whole), positions.tolist() if is_by_path else []), report
        if is_by_path:
            whole = [without_where(one, mark) for one, mark in zip(whole, changed, strict=True)]
        return whole, report

    def _drawn(self, graph: Mapping[Any, Any]) -> dict[Any, tuple[MaskedRun, Any, Any, list[int]]]:
        """Return the run, block, masks and masked paths of each chunk of the runs, by key."""
        from dask.local import get_sync

        runs, out = {run.source: run for run in self.runs}, {}
        for key in graph:
            if not isinstance(key, tuple) or key[0] not in runs:
                continue
            run, block = runs[key[0]], get_sync(graph, key)
            masks = run.masks(run.arrays(block))
            mask = next(iter(masks.values()))
            paths = np.flatnonzero(mask.any(axis=tuple(range(mask.ndim - 1))))
            out[key] = (run, block, masks, (run.first_path(key) + paths).tolist())
        return out


def paths_last(values: Sequence[Any], axes: Sequence[int]) -> list[NDArray[Any]]:
    """Return computed values with the paths, which lie along these axes, along the last one."""
    pairs = zip(values, axes, strict=True)
    return [np.moveaxis(without_mask(value), axis, -1) for value, axis in pairs]


def masks_of(runs: Sequence[Run]) -> Masks | None:
    """Return the masks of runs of which some may have masked paths; None for any others."""
    found, by_scenario = [], False
    for run in runs:
        if not run.sampler.may_mask:
            continue
        own = run.sampler.masked_in(FailureReport(), 0, 1)  # None if all variables are masked
        by_scenario |= own is not None
        variables = run.sampler.variables
        values = {v.name: float(v.masked) for v in variables if own is None or v.name in own}
        leads = {v.name: v.lead for v in variables}
        found.append(MaskedRun(array_name(run), leads, values, run.chunk))
    if not found:
        return None
    return Masks(tuple(found), is_whole=len(runs) == 1 and not by_scenario)


def _needed(graph: Mapping[Any, Any], keys: list[Any]) -> dict[Any, Any]:
    """Return the part of a graph that some keys depend on."""
    _, needs = graph_of_chunks(graph, graph.keys())
    needed: dict[Any, Any] = {}
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key not in needed:
            needed[key] = graph[key]
            waiting.extend(needs(key))
    return needed


def _differ(one: NDArray[Any], two: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where two arrays differ; NaN equals NaN."""
    if one.shape != two.shape:
        return np.ones(one.shape, bool)
    return np.asarray((one != two) & ~((one != one) & (two != two)))
