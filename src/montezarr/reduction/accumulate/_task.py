"""The task that draws many blocks, a few at a time, and returns the states of statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.errors import SamplerError
from montezarr.core.tunables.memory import (
    DRAWN_SLAB_BYTES,
    SLAB_PATHS_MULTIPLE,
    TRANSFORMED_SLAB_BYTES,
    WHOLE_BLOCK_MAX_BYTES,
)
from montezarr.random.seeding import BLOCK
from montezarr.reduction.accumulate._accumulator import (
    Accumulator,
    PartialState,
    SplitAccumulation,
)
from montezarr.reduction.accumulate._reduced_variable import Arrays
from montezarr.reduction.accumulate._scenario_parts import ScenarioParts
from montezarr.reduction.accumulate._whole import as_float64
from montezarr.samplers import (
    FailureReport,
    PathArrays,
    Sampler,
    describe_error,
    private,
    sample_private,
)
from montezarr.samplers.schema import count_of

TaskRange = tuple[int, int, tuple[int, ...], Any]
"""First path, end, splits, and what else the task needs."""

Masks = dict[str, NDArray[np.bool_]]
"""Where variables are masked, by name: (scenarios ..., paths)."""

REPLACEMENTS = (None, 0.0, 1e9, -1e9, np.inf, -np.inf)
"""Replacements of values that are masked in some scenarios; None is the path before."""

BlockTransform = Callable[[PathArrays], Arrays]
"""From the variables of whole blocks to the arrays that statistics see."""


class DrawnTask:
    """Draw a range of paths, a slab of whole blocks at a time, and fold them.

    Memory does not depend on the number of paths in the range.

    Parameters
    ----------
    sampler : Sampler
        Draws the paths.
    accumulator : Accumulator
        Folds the paths.
    chunk_function : callable, optional
        Makes what statistics see of the paths; by default they see the variables themselves.
    width : int
        Bytes of a path and of the results of the chunk function.

    Attributes
    ----------
    end : int or None
        Number of paths of a pass over all of them, after which no path follows; None if unknown.
    """

    def __init__(
        self,
        sampler: Sampler,
        accumulator: Accumulator,
        chunk_function: BlockTransform | None = None,
        width: int = 8,
    ):
        self.end: int | None = None
        self.sampler, self.accumulator, self.chunk_function = sampler, accumulator, chunk_function
        size = DRAWN_SLAB_BYTES if chunk_function is None else TRANSFORMED_SLAB_BYTES
        self.slab = max(1, size // max(1, width) // BLOCK) * BLOCK
        self.unit = 1 if chunk_function is None else BLOCK
        if chunk_function is not None and BLOCK * width > WHOLE_BLOCK_MAX_BYTES:
            self.unit = SLAB_PATHS_MULTIPLE
            self.slab = max(1, size // width // self.unit) * self.unit
        self.width = width
        self.__name__ = f"reduce-{sampler.name}"  # its name on the dashboard

    def __call__(self, item: TaskRange) -> tuple[list[tuple[int, PartialState]], FailureReport]:
        """Run the task on (start, stop, splits, initial states)."""
        start, stop, splits, x0 = item
        if (several := self._scenario_parts(x0)) is not None:
            return self._by_scenarios(several, start, stop, splits), FailureReport()
        parts, report = SplitAccumulation(self.accumulator, splits), FailureReport()
        for low, arrays, more in self.pieces(start, stop, x0, self.slab):
            report += more
            parts.add(low, self.seen(arrays, more, low))
        return parts.end(stop), report

    def _scenario_parts(self, x0: Any) -> ScenarioParts | None:
        """Return the parts of the scenarios if a block of all of them is too large to be whole."""
        count = self.sampler.scenarios_apart(x0)
        block = BLOCK * self.sampler.path_bytes
        is_plain = self.chunk_function is None and bool(self.accumulator.reduced_variables)
        if not count or not is_plain or block <= WHOLE_BLOCK_MAX_BYTES:
            return None
        variable = self.sampler.variables[0]
        at_once = max(1, TRANSFORMED_SLAB_BYTES * count // block)
        parts = ScenarioParts(self.accumulator, variable.sizes[: variable.lead], at_once)
        return parts if parts.is_possible and len(parts.accumulators) > 1 else None

    def _by_scenarios(
        self, several: ScenarioParts, start: int, stop: int, splits: tuple[int, ...]
    ) -> list[tuple[int, PartialState]]:
        """Fold the paths of a few scenarios after the other, a block at a time."""
        folds = [SplitAccumulation(part, splits) for part in several.accumulators]
        for low in range(start, stop, self.slab):
            high = min(low + self.slab, stop)
            drawn = self.sampler.draw_apart(low, high, several.at_once)
            for fold, array in zip(folds, drawn, strict=True):
                fold.add(low, [array])
                if high == self.end:  # at once: the values are large, the states are not
                    fold.finish(high)
        ends = [fold.end(stop) for fold in folds]
        return [
            (parts[0][0], several.joined([state for _, state in parts]))
            for parts in zip(*ends, strict=True)
        ]

    def pieces(
        self, start: int, stop: int, x0: Any, size: int
    ) -> Iterator[tuple[int, Arrays, FailureReport]]:
        """Yield first path, arrays and failure report of each range of about `size` paths.

        Masked paths are included: as the sampler left them, or with what the chunk function made
        of the paths that replaced them.
        """
        sampler = private(self.sampler)
        for low in range(start, stop, size):
            high = min(low + size, stop)
            part = None if x0 is None else x0[..., low - start : high - start]
            drawn, report = sample_private(sampler, low, high, part)
            masks = self._masks(report, low, high - low)
            if masks is None or self.chunk_function is None:
                made = self.transform(self._replaced(drawn, report, low), low)
            else:
                made = self._of_scenarios(drawn, masks, low)
            yield low, made, report

    def seen(self, arrays: Arrays, report: FailureReport, low: int) -> Arrays:
        """Return the arrays of a range of `pieces`, with NaN in place of masked paths."""
        masks = self._masks(report, low, arrays[0].shape[-1] if arrays else 0)
        if masks is None:
            return without_masked(arrays, report, low)
        if self.chunk_function is not None:
            return arrays  # `pieces` has put NaN already
        names = [variable.name for variable in self.sampler.variables]
        return [
            without_where(array, masks[name]) if name in masks else array
            for name, array in zip(names, arrays, strict=True)
        ]

    def _masks(self, report: FailureReport, low: int, n: int) -> Masks | None:
        return self.sampler.masked_in(report, low, n) if report.masked else None

    def _of_scenarios(self, drawn: PathArrays, masks: Masks, low: int) -> Arrays:
        """Return what the chunk function makes of paths that are masked in some scenarios.

        A result may be of any scenarios: it is NaN where it changes if the masked values do.
        """
        first, *others = (filled_in(drawn, masks, fill) for fill in REPLACEMENTS)
        out = self.transform(first, low)
        changed = [np.zeros(array.shape, np.bool_) for array in out]
        for other in others:
            try:
                with np.errstate(all="ignore"):
                    again = self.transform(other, low)
            except SamplerError:  # the function may fail for this number
                continue
            for one, two, mark in zip(out, again, changed, strict=True):
                mark |= (one != two) & ~((one != one) & (two != two))
        return [without_where(array, mark) for array, mark in zip(out, changed, strict=True)]

    def bytes_at_once(self, n_paths: int | None, x0: Any) -> int:
        """Return the bytes of the paths in memory at once, given their number and their starts."""
        parts = self._scenario_parts(x0)
        if parts is None:
            return self.at_once(n_paths) * self.width
        return parts.at_once * BLOCK * self.sampler.path_bytes // parts.scenarios

    def at_once(self, n_paths: int | None) -> int:
        """Return the number of paths in memory at once, given the number in all or None."""
        most = self.slab if n_paths is None else min(self.slab, n_paths)
        return -(-most // self.unit) * self.unit

    def _replaced(self, drawn: PathArrays, report: FailureReport, low: int) -> PathArrays:
        """Replace masked paths by another path before a chunk function sees them.

        The function need not handle NaN or its substitute: the results of masked paths are dropped.
        """
        if self.chunk_function is None or not report.masked:
            return drawn
        masked = [path - low for path, _ in report.masked]
        others = np.setdiff1d(np.arange(count_of(drawn)), masked)
        if len(others):
            drawn = {name: array.copy() for name, array in drawn.items()}
            for array in drawn.values():
                array[..., masked] = array[..., others[:1]]
        return drawn

    def transform(self, drawn: PathArrays, low: int) -> Arrays:
        """Return the arrays (..., paths) that statistics see of the paths from `low` on.

        A chunk function sees whole blocks, the last one of a run padded with copies of the last
        path: NumPy may sum one path in another order than many, and a path must not change with
        n_paths. Where a block of long paths would fill the memory, it sees part of a block.
        """
        if self.chunk_function is None:
            return list(drawn.values())
        n = count_of(drawn)
        missing = -n % self.unit
        if missing:
            drawn = {name: _filled_up(array, missing) for name, array in drawn.items()}
        try:
            arrays = self.chunk_function(drawn)
        except (KeyboardInterrupt, SamplerError):
            raise
        except BaseException as error:  # also SystemExit, which would end a worker silently
            message = f"what is observed of paths {low} to {low + n - 1}: {describe_error(error)}"
            raise self.sampler.failure(None, self.sampler.x0, message, error) from None
        return [array[..., :n] for array in arrays]


def _filled_up(array: NDArray[Any], missing: int) -> NDArray[Any]:
    """Pad paths with `missing` copies of the last one."""
    return np.concatenate([array, np.repeat(array[..., -1:], missing, axis=-1)], axis=-1)


def filled_in(drawn: PathArrays, masks: Masks, fill: float | None) -> PathArrays:
    """Return paths with a number, or the values of the path before, in place of masked ones."""
    out = dict(drawn)
    for name, mask in masks.items():
        array = out[name] = drawn[name].copy()
        place = np.broadcast_to(_beside(mask, array), array.shape)
        if fill is None:
            known = np.where(place.all(axis=-1, keepdims=True), 0, _path_before(array, place))
            array[place] = known[place]
            continue
        if array.dtype.kind in "iu":
            limits = np.iinfo(array.dtype)
            fill = (
                limits.min if fill < limits.min else limits.max if fill > limits.max else int(fill)
            )
        array[place] = fill
    return out


def _path_before(array: NDArray[Any], place: NDArray[np.bool_]) -> NDArray[Any]:
    """Return for each entry the value of the last path up to it that is not masked, or the last."""
    known = np.where(place, -1, np.arange(array.shape[-1]))
    before = np.maximum.accumulate(known, axis=-1)
    before = np.where(before < 0, known.max(axis=-1, keepdims=True), before)
    return np.take_along_axis(array, np.maximum(before, 0), axis=-1)


def _beside(mask: NDArray[np.bool_], array: NDArray[Any]) -> NDArray[np.bool_]:
    """Return a mask (scenarios ..., paths) with further axes, those of an array between these."""
    return mask.reshape(*mask.shape[:-1], *(1,) * (array.ndim - mask.ndim), mask.shape[-1])


def without_where(array: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return values with NaN where a mask is set, of the shape (scenarios ..., paths) or whole."""
    if not mask.any():
        return array
    place = np.broadcast_to(_beside(mask, array), array.shape)
    drawn = array.copy()
    drawn[place] = 0  # any number that float64 can represent
    out = as_float64(drawn)
    out[place] = np.nan
    return out


def without_masked(arrays: Arrays, report: FailureReport, low: int) -> Arrays:
    """Return values of paths from `low` on, with NaN for those masked in the report."""
    return without_paths(arrays, [path - low for path, _ in report.masked])


def without_paths(arrays: Arrays, masked: list[int]) -> Arrays:
    """Return values with NaN at the given positions of paths."""
    return [_without(array, masked) for array in arrays] if masked else arrays


def _without(array: NDArray[Any], paths: list[int]) -> NDArray[np.float64]:
    """Return values with NaN in place of masked paths."""
    drawn = array.copy()
    drawn[..., paths] = 0  # any number that float64 can represent
    out = as_float64(drawn)
    out[..., paths] = np.nan
    return out
