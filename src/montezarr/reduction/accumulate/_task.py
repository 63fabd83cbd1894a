"""The task that draws many blocks, a few at a time, and returns the states of statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.errors import SamplerError
from montezarr.core.tunables.memory import (
    CALLS_SLAB_BYTES,
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
from montezarr.samplers.drawn_range import DrawnRange
from montezarr.samplers.schema import count_of

TaskRange = tuple[int, int, tuple[int, ...], Any]
"""First path, end, splits, and initial states, or the range if it is drawn already."""

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
        if not sampler.is_one_pass:
            size = max(size, CALLS_SLAB_BYTES)
        self.slab = max(1, size // max(1, width) // BLOCK) * BLOCK
        self.unit = 1 if chunk_function is None else BLOCK
        if chunk_function is not None and BLOCK * width > WHOLE_BLOCK_MAX_BYTES:
            self.unit = SLAB_PATHS_MULTIPLE
            self.slab = max(1, size // width // self.unit) * self.unit
        self.width = width
        self.__name__ = f"reduce-{sampler.name}"  # its name on the dashboard

    def __call__(self, item: TaskRange) -> tuple[list[tuple[int, PartialState]], FailureReport]:
        """Run the task on (start, stop, splits, initial states or drawn range)."""
        start, stop, splits, x0 = item
        if (several := self._scenario_parts(x0)) is not None:
            return self._by_scenarios(several, start, stop, splits), FailureReport()
        parts, report = SplitAccumulation(self.accumulator, splits), FailureReport()
        block = _Block(start, stop) if self.slab < BLOCK else None
        for low, arrays, more in self.pieces(start, stop, x0, self.slab):
            report += more
            seen = self.seen(arrays, more, low)
            for at, whole in [(low, seen)] if block is None else block.with_part(low, seen):
                parts.add(at, whole)
        return parts.end(stop), report

    def _scenario_parts(self, x0: Any) -> ScenarioParts | None:
        """Return the parts of the scenarios if a block of all of them is too large to be whole."""
        count = 0 if isinstance(x0, DrawnRange) else self.sampler.scenarios_apart(x0)
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
        of the paths that replaced them. In place of initial states may come paths that are drawn.
        """
        sampler = private(self.sampler)
        for low in range(start, stop, size):
            high = min(low + size, stop)
            if isinstance(x0, DrawnRange):
                drawn, report = x0.between(low, high)
            else:
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

        A block at a time, so that what is found of it does not depend on the range.
        """
        parts = []
        for at in range(0, count_of(drawn), BLOCK):
            block = {name: array[..., at : at + BLOCK] for name, array in drawn.items()}
            its = {name: mask[..., at : at + BLOCK] for name, mask in masks.items()}
            is_masked = any(mask.any() for mask in its.values())
            make = partial(self._of_masked, masks=its) if is_masked else self.transform
            parts.append(make(block, low=low + at))
        return [np.concatenate(arrays, axis=-1) for arrays in zip(*parts, strict=True)]

    def _of_masked(self, drawn: PathArrays, masks: Masks, low: int) -> Arrays:
        """Return the same of a block: NaN where a result is made of masked values.

        A result may be of any scenarios. It is made of masked values where it changes with them;
        and where it is of the scenarios with these, which other paths show: whether a value is in a
        range, say, does not change if no replacement is.
        """
        first, *others = (filled_in(drawn, masks, fill) for fill in REPLACEMENTS)
        out = self.transform(first, low)
        marks = [np.zeros(array.shape, np.bool_) for array in out]
        everywhere = np.ones(count_of(drawn), np.bool_)
        tried = [(everywhere, other, False) for other in others]
        tried += [(paths, rolled, True) for paths, rolled in _rolled(first, masks)]
        for paths, values, of_all in tried:
            try:
                with np.errstate(all="ignore"):
                    again = self.transform(values, low)
            except SamplerError:  # the function may fail for this number
                continue
            for one, two, mark in zip(out, again, marks, strict=True):
                changed = (one != two) & ~((one != one) & (two != two))
                mark |= (changed.any(axis=-1, keepdims=True) if of_all else changed) & paths
        return [without_where(array, mark) for array, mark in zip(out, marks, strict=True)]

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

        A chunk function sees whole blocks, a part of one at its place and padded with copies of its
        first and last path: NumPy may sum one path in another order than many, and a path must not
        change with n_paths. Of a block of long paths, which would fill the memory, it sees a part.
        """
        if self.chunk_function is None:
            return list(drawn.values())
        n = count_of(drawn)
        before = low % self.unit
        after = -(before + n) % self.unit
        if before or after:
            drawn = {name: _filled_up(array, before, after) for name, array in drawn.items()}
        try:
            arrays = self.chunk_function(drawn)
        except (KeyboardInterrupt, SamplerError):
            raise
        except BaseException as error:  # also SystemExit, which would end a worker silently
            message = f"what is observed of paths {low} to {low + n - 1}: {describe_error(error)}"
            raise self.sampler.failure(None, self.sampler.x0, message, error) from None
        return [array[..., before : before + n] for array in arrays]


class _Block:
    """Room for the values of a block, of which a part comes after the other: no part is kept."""

    def __init__(self, start: int, stop: int):
        self.start, self.stop = start, stop
        self._rooms: Arrays = []

    def with_part(self, low: int, arrays: Arrays) -> Iterator[tuple[int, Arrays]]:
        """Yield first path and values of each block that a part from path `low` on completes.

        Values are valid until the next part.
        """
        end = low + arrays[0].shape[-1]
        at = low
        while at < end:
            first = at // BLOCK * BLOCK
            last = min(first + BLOCK, self.stop)
            high = min(last, end)
            self._put(at - first, [array[..., at - low : high - low] for array in arrays])
            if high == last:
                begin = max(first, self.start)
                yield begin, [room[..., begin - first : last - first] for room in self._rooms]
            at = high

    def _put(self, at: int, arrays: Arrays) -> None:
        if not self._rooms:
            self._rooms = [np.empty((*a.shape[:-1], BLOCK), a.dtype) for a in arrays]
        for i, array in enumerate(arrays):
            dtype = np.result_type(self._rooms[i], array)  # values of masked paths are NaN
            if dtype != self._rooms[i].dtype:
                self._rooms[i] = self._rooms[i].astype(dtype)
            self._rooms[i][..., at : at + array.shape[-1]] = array


def _filled_up(array: NDArray[Any], before: int, after: int) -> NDArray[Any]:
    """Pad paths with copies of the first one before them, and of the last one after them."""
    first, last = array[..., :1], array[..., -1:]
    parts = [np.repeat(first, before, axis=-1), array, np.repeat(last, after, axis=-1)]
    return np.concatenate(parts, axis=-1)


def filled_in(drawn: PathArrays, masks: Masks, fill: float | None) -> PathArrays:
    """Return paths with a number, or the values of the path before, in place of masked ones."""
    out = dict(drawn)
    for name, mask in masks.items():
        array = out[name] = drawn[name].copy()
        place = np.broadcast_to(beside(mask, array), array.shape)
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


def _rolled(drawn: PathArrays, masks: Masks) -> Iterator[tuple[NDArray[np.bool_], PathArrays]]:
    """Yield masked paths, with arrays in which the scenarios that mask them have other paths.

    Scenarios, also of several variables, that mask the same paths are one. The values are those of
    the path before; and of that path with its times, and other dimensions, turned round, since what
    no path has at one time it may have at another.
    """
    rows = np.concatenate([mask.reshape(-1, mask.shape[-1]) for mask in masks.values()])
    for paths in np.unique(rows[rows.any(axis=1)], axis=0):
        own = {name: (mask == paths).all(axis=-1) for name, mask in masks.items()}
        own = {name: rows for name, rows in own.items() if rows.any()}
        for turned in (
            (False, True) if any(drawn[n].ndim > masks[n].ndim for n in own) else (False,)
        ):
            out = dict(drawn)
            for name, which in own.items():
                array = out[name] = drawn[name].copy()
                values = np.roll(array[which], 1, axis=-1)
                others = tuple(range(1, values.ndim - 1)) if turned else ()
                array[which] = np.flip(values, others)
            yield paths, out


def _path_before(array: NDArray[Any], place: NDArray[np.bool_]) -> NDArray[Any]:
    """Return for each entry the value of the last path up to it that is not masked, or the last."""
    known = np.where(place, -1, np.arange(array.shape[-1]))
    before = np.maximum.accumulate(known, axis=-1)
    before = np.where(before < 0, known.max(axis=-1, keepdims=True), before)
    return np.take_along_axis(array, np.maximum(before, 0), axis=-1)


def beside(mask: NDArray[np.bool_], array: NDArray[Any]) -> NDArray[np.bool_]:
    """Return a mask (scenarios ..., paths) with further axes, those of an array between these."""
    return mask.reshape(*mask.shape[:-1], *(1,) * (array.ndim - mask.ndim), mask.shape[-1])


def without_where(array: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return values with NaN where a mask is set, of the shape (scenarios ..., paths) or whole."""
    if not mask.any():
        return array
    place = np.broadcast_to(beside(mask, array), array.shape)
    return _with_nan(array, place)


def without_masked(arrays: Arrays, report: FailureReport, low: int) -> Arrays:
    """Return values of paths from `low` on, with NaN for those masked in the report."""
    return without_paths(arrays, [path - low for path, _ in report.masked])


def without_paths(arrays: Arrays, masked: list[int]) -> Arrays:
    """Return values with NaN at the given positions of paths."""
    return [_with_nan(array, np.s_[..., masked]) for array in arrays] if masked else arrays


def _with_nan(array: NDArray[Any], place: Any) -> NDArray[np.float64]:
    """Return values with NaN at a place; the number that stands for no event stays what it is."""
    drawn = array.copy()
    drawn[place] = 0  # any number that float64 can represent
    is_signed = drawn.dtype.kind == "i"
    out = as_float64(drawn, float(np.iinfo(drawn.dtype).min) if is_signed else None)
    out[place] = np.nan
    return out
