"""The task of a run: a range of paths. It stands here so that a worker imports NumPy, not Dask."""

from __future__ import annotations

from typing import Any

from montezarr.sampling import Report, Rows, Sampling, sample_reported


class RangeTask:
    """The task: draw a range of paths, and make of the rows what `finish` makes of them."""

    label = "simulate"

    def __init__(self, sampling: Sampling):
        self.sampling = sampling
        self.__name__ = f"{self.label}-{sampling.name}"  # as which it shows on the dashboard

    def __call__(self, item: tuple[int, int, Any]) -> tuple[Any, Report]:
        """Run the task on (start, stop, initial states)."""
        start, stop, x0 = item
        rows, report = sample_reported(self.sampling, start, stop, x0)
        return self.finish(rows, start, stop), report

    def finish(self, rows: Rows, start: int, stop: int) -> Any:
        """Return the result of the task."""
        return rows
