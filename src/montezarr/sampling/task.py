"""The task of a run: a range of paths. It stands here so that a worker imports NumPy, not Dask."""

from __future__ import annotations

import time
from typing import Any

from montezarr.errors import SamplerError
from montezarr.sampling import Report, Rows, Sampling, sample_range, sample_reported

TRIAL_SECONDS = 0.02
"""A measurement ends after this time, or a path later."""


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


def trial(item: tuple[Sampling, int, int, Any]) -> float | None:
    """Return the seconds that a path takes, of the first few.

    Parameters
    ----------
    item : tuple
        Sampler, paths that are drawn at once, paths to draw at most, and their initial states.
    """
    sampling, step, limit, x0 = item

    def draw(start: int) -> int:
        stop = min(start + step, limit)
        sample_range(sampling, start, stop, None if x0 is None else x0[..., start:stop])
        return stop

    done, started = 0, time.perf_counter()
    try:
        draw(0)  # for compilers and caches
        started = time.perf_counter()
        while done < limit and (done == 0 or time.perf_counter() - started < TRIAL_SECONDS):
            done = draw(done)
    except SamplerError:
        pass  # what was drawn until then will do; the run itself will meet the failure
    return (time.perf_counter() - started) / done if done else None
