"""Find the masked paths of an expression that is computed in its own chunks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import without_mask
from montezarr.core.compat.dask import as_node, graph_of_chunks
from montezarr.run._arrays import array_name
from montezarr.run._run import Run
from montezarr.samplers import FailureReport

MASKED = "masked where it was drawn"
"""Reason recorded for a masked path in a chunk, which holds no reasons."""

FILLS: tuple[float | None, ...] = (None, 0.0, 1e9, -1e9)
"""Replacements of masked paths, tried one after the other; None is another path."""


@dataclass(frozen=True)
class Masks:
    """Finds the paths of a result that depend on masked ones.

    A masked path is replaced by other values: results that change depend on it. So the mask follows
    the path through selections, and through comparisons and sums, which turn NaN into numbers.

    Parameters
    ----------
    source : str
        Name of the array of the run.
    values : tuple
        The number that stands for a masked path, by variable.
    chunk : int
        Number of paths per chunk of the run.
    """

    source: str
    values: tuple[float, ...]
    chunk: int

    def chunks(self, graph: Mapping[Any, Any]) -> Iterator[tuple[Any, Any, NDArray[Any]]]:
        """Yield key, block and masked positions of each chunk of the run."""
        from dask.local import get_sync

        for key in graph:
            if isinstance(key, tuple) and key[0] == self.source:
                block = get_sync(graph, key)
                yield key, block, np.flatnonzero(self._is_masked(block))

    def _is_masked(self, block: Any) -> NDArray[np.bool_]:
        several = list(block.values()) if isinstance(block, dict) else [np.asarray(block)]
        marks = [
            (np.isnan(each) if np.isnan(mark) else each == mark).all(
                axis=tuple(range(1, each.ndim))
            )
            for each, mark in zip(several, self.values, strict=True)
        ]
        return np.asarray(np.logical_and.reduce(marks))

    def compute(
        self, graph: dict[Any, Any], keys: list[Any], axes: list[int]
    ) -> tuple[list[NDArray[Any]], list[int], FailureReport]:
        """Return arrays with the paths along the last axis, their masked paths, and a report."""
        from dask.local import get_sync

        drawn = {
            key: (values, masked) for key, values, masked in self.chunks(needed_tasks(graph, keys))
        }
        fixed = graph | {key: as_node(key, values) for key, (values, _) in drawn.items()}

        def values_of(graph: dict[Any, Any]) -> list[NDArray[Any]]:
            return paths_last(get_sync(graph, keys), axes)

        whole = values_of(fixed)
        found = [
            (int(key[1]) * self.chunk + int(position), MASKED)
            for key, (_, masked) in drawn.items()
            for position in masked
        ]
        if not found:
            return whole, [], FailureReport()
        changed = np.zeros(whole[0].shape[-1], bool)
        for fill in FILLS:
            other = {
                key: as_node(key, _filled(values, masked, fill))
                for key, (values, masked) in drawn.items()
            }
            try:
                with np.errstate(all="ignore"):
                    again = values_of(fixed | other)
            except Exception:  # the expression may fail for this number; try the next one
                continue
            for one, two in zip(whole, again, strict=True):
                changed |= _differ(one, two)
        positions = np.flatnonzero(changed)
        # A result of all paths together changes everywhere: there only NaN marks masked paths.
        made = positions.tolist() if len(positions) <= len(found) else []
        return whole, made, FailureReport(tuple(sorted(found)))


def paths_last(values: Sequence[Any], axes: Sequence[int]) -> list[NDArray[Any]]:
    """Return computed values with the paths, which lie along these axes, along the last one."""
    pairs = zip(values, axes, strict=True)
    return [np.moveaxis(without_mask(value), axis, -1) for value, axis in pairs]


def masks_of(run: Run | None) -> Masks | None:
    """Return the masks of a run that may have masked paths; None for any other."""
    if run is None or not run.sampler.may_mask:
        return None
    values = tuple(float(variable.masked) for variable in run.sampler.variables)
    return Masks(array_name(run), values, run.chunk)


def needed_tasks(graph: Mapping[Any, Any], keys: list[Any]) -> dict[Any, Any]:
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


def _filled(block: Any, masked: NDArray[Any], fill: float | None) -> Any:
    """Return a chunk with `fill`, or another path, in place of masked paths."""
    if isinstance(block, dict):
        return {name: _filled(values, masked, fill) for name, values in block.items()}
    out = np.array(block)
    others = np.setdiff1d(np.arange(len(out)), masked)
    if fill is None and len(others):
        out[masked] = out[others[masked % len(others)]]
    else:
        out[masked] = 0.0 if fill is None else fill
    return out


def _differ(one: NDArray[Any], two: NDArray[Any]) -> NDArray[np.bool_]:
    """Return along the last axis where two arrays differ; NaN equals NaN."""
    if one.shape != two.shape:
        return np.ones(one.shape[-1], bool)
    same = (one == two) | ((one != one) & (two != two))
    return np.asarray(~same.all(axis=tuple(range(one.ndim - 1))))
