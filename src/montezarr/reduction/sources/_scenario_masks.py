"""Find the masked values of a run with scenarios in an expression that is computed in chunks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.compat.dask import as_node
from montezarr.reduction.accumulate import Arrays, without_where
from montezarr.reduction.sources._masks import MASKED, Masks, needed_tasks, paths_last
from montezarr.run._run import Run
from montezarr.samplers import FailureReport
from montezarr.samplers.varied import VariedSampler

SHIFTS = (1, 2, 3, 5, 8, 13, 21, 34)
"""Of replacements by other paths: how far away these are."""

NUMBERS = (0.0, 1e9, -1e9)
"""Further replacements of masked values."""

Marks = list[NDArray[np.bool_] | None]
"""Where each variable is masked, (scenarios ..., paths); None for one that never is."""


@dataclass(frozen=True)
class ScenarioMasks(Masks):
    """Finds the results that depend on values which some scenarios have masked.

    Attributes
    ----------
    leads : tuple of (int or None)
        Number of dimensions of scenarios of each variable; None for a parameter of the paths, which
        is known of masked paths too.
    """

    leads: tuple[int | None, ...] = ()

    @classmethod
    def of(cls, masks: Masks, run: Run) -> ScenarioMasks:
        """Return those of a run with varying parameters."""
        sampler: Any = run.sampler
        own = {variable.name for variable in sampler.single.variables}
        leads = tuple(v.lead if v.name in own else None for v in sampler.variables)
        return cls(masks.source, masks.values, masks.chunk, leads)

    def seen(
        self,
        graph: dict[Any, Any],
        keys: list[Any],
        axes: list[int],
        transform: Callable[[Arrays], Arrays] | None,
    ) -> tuple[Arrays, FailureReport]:
        """Return the arrays that statistics see, with NaN in place of masked values."""
        from dask.local import get_sync

        blocks = {
            key: get_sync(graph, key)
            for key in needed_tasks(graph, keys)
            if isinstance(key, tuple) and key[0] == self.source
        }
        marks = {key: self._marks(block) for key, block in blocks.items()}

        def values_of(blocks: Mapping[Any, Any]) -> Arrays:
            fixed = graph | {key: as_node(key, block) for key, block in blocks.items()}
            arrays = paths_last(get_sync(fixed, keys), axes)
            return arrays if transform is None else transform(arrays)

        whole = values_of(blocks)
        found = sorted({path for key in blocks for path in self._paths(key, marks[key])})
        if not found:
            return whole, FailureReport()
        places = [np.zeros(array.shape, np.bool_) for array in whole]
        for fill in (*SHIFTS, *NUMBERS):
            try:
                with np.errstate(all="ignore"):
                    again = values_of(
                        {k: self._filled(b, marks[k], fill) for k, b in blocks.items()}
                    )
            except Exception:  # the expression may fail for this number; try the next one
                continue
            for one, two, place in zip(whole, again, places, strict=True):
                place |= (one != two) & ~((one != one) & (two != two))
        # A result of all paths together changes everywhere: there only NaN marks masked values.
        is_apart = all(
            place.any(axis=tuple(range(place.ndim - 1))).sum() <= len(found) for place in places
        )
        if is_apart:
            pairs = zip(whole, places, strict=True)
            whole = [without_where(array, place) for array, place in pairs]
        return whole, FailureReport(tuple((path, MASKED) for path in found))

    def _marks(self, block: Any) -> Marks:
        several = list(block.values()) if isinstance(block, dict) else [np.asarray(block)]
        marks: Marks = []
        for each, number, lead in zip(several, self.values, self.leads, strict=True):
            bad = np.isnan(each) if np.isnan(number) else each == number
            others = () if lead is None else tuple(range(lead + 1, each.ndim))
            marks.append(None if lead is None else np.asarray(bad.all(axis=others)))
        return marks

    def _paths(self, key: Any, marks: Marks) -> list[int]:
        """Return the indices of the paths of a chunk that a scenario has masked."""
        place = 1 if len(marks) > 1 else 1 + (self.leads[0] or 0)
        known = [mark.reshape(-1, mark.shape[-1]).any(axis=0) for mark in marks if mark is not None]
        paths = np.flatnonzero(np.logical_or.reduce(known))
        return [int(key[place]) * self.chunk + int(path) for path in paths]

    def _filled(self, block: Any, marks: Marks, fill: float) -> Any:
        """Return a chunk with other values in place of masked ones."""
        if isinstance(block, dict):
            pairs = zip(block.items(), marks, strict=True)
            return {name: _replaced(np.asarray(array), mark, fill) for (name, array), mark in pairs}
        return _replaced(np.asarray(block), marks[0], fill)


def _replaced(array: NDArray[Any], mark: NDArray[np.bool_] | None, fill: float) -> NDArray[Any]:
    """Return an array (scenarios ..., paths, ...) with a number, or those of another path."""
    if mark is None or not mark.any():
        return array
    out = array.copy()
    place = np.broadcast_to(mark.reshape(*mark.shape, *(1,) * (out.ndim - mark.ndim)), out.shape)
    if fill in SHIFTS:
        out[place] = np.roll(out, int(fill), axis=mark.ndim - 1)[place]
    elif out.dtype.kind in "iu":
        limits = np.iinfo(out.dtype)
        out[place] = min(max(int(fill), limits.min), limits.max)
    else:
        out[place] = fill
    return out


def masks_by_scenario(masks: Masks | None, run: Run | None) -> Masks | None:
    """Return the masks of a run: by scenario if its parameters vary."""
    if masks is None or run is None or not isinstance(run.sampler, VariedSampler):
        return masks
    return ScenarioMasks.of(masks, run)
