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
    Arrays,
    PartialState,
    SplitAccumulation,
)
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
    """

    def __init__(
        self,
        sampler: Sampler,
        accumulator: Accumulator,
        chunk_function: BlockTransform | None = None,
        width: int = 8,
    ):
        self.sampler, self.accumulator, self.chunk_function = sampler, accumulator, chunk_function
        size = DRAWN_SLAB_BYTES if chunk_function is None else TRANSFORMED_SLAB_BYTES
        self.slab = max(1, size // max(1, width) // BLOCK) * BLOCK
        self.unit = 1
        if chunk_function is not None:
            is_whole = BLOCK * width <= WHOLE_BLOCK_MAX_BYTES
            self.unit = BLOCK if is_whole else SLAB_PATHS_MULTIPLE
        self.__name__ = f"reduce-{sampler.name}"  # its name on the dashboard

    def __call__(self, item: TaskRange) -> tuple[list[tuple[int, PartialState]], FailureReport]:
        """Run the task on (start, stop, splits, initial states)."""
        start, stop, splits, x0 = item
        parts, report = SplitAccumulation(self.accumulator, splits), FailureReport()
        for low, arrays, more in self.pieces(start, stop, x0, self.slab):
            report += more
            parts.add(low, without_masked(arrays, more, low))
        return parts.end(stop), report

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
            yield low, self.transform(self._replaced(drawn, report, low), low), report

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
