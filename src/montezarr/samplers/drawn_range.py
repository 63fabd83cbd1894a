"""A range of paths that was drawn in parts: put together, and taken from as if drawn anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from montezarr.core import buffers
from montezarr.samplers.policy import FailureReport, take_paths
from montezarr.samplers.schema import PathArrays, count_of


class DrawnRange:
    """The paths start ... stop-1 of a sampler, filled in any order by those who drew them.

    Attributes
    ----------
    start, stop : int
        The range.
    missing : int
        Number of paths that are not there yet.
    """

    def __init__(self, start: int, stop: int):
        self.start, self.stop, self.missing = start, stop, stop - start
        self._arrays: PathArrays = {}
        self._report = FailureReport()

    def put(self, start: int, arrays: PathArrays, report: FailureReport) -> None:
        """Add the paths from `start` on, and their failures."""
        low, n = start - self.start, count_of(arrays)
        for name, array in arrays.items():
            if name not in self._arrays:
                shape = (*array.shape[:-1], self.stop - self.start)
                self._arrays[name] = buffers.recycled_empty(shape, array.dtype)
            self._arrays[name][..., low : low + n] = array
        self._report += report
        self.missing -= n

    def between(self, start: int, stop: int) -> tuple[PathArrays, FailureReport]:
        """Return the paths start ... stop-1, in the layout of a draw, and their failures."""
        if (start, stop) == (self.start, self.stop):
            return self._arrays, self._report
        part = take_paths(self._arrays, start - self.start, stop - self.start)
        contiguous: dict[str, Any] = {n: np.ascontiguousarray(array) for n, array in part.items()}
        return contiguous, self._report.between(start, stop)
