"""The task of a run: a range of paths. It stands here so that a worker imports NumPy, not Dask."""

from __future__ import annotations

import math
import time
from typing import Any

from montezarr.core.errors import SamplerError
from montezarr.core.tunables.scheduling import (
    SAMPLER_TRIAL_SECONDS,
    SHORT_BLOCK_SECONDS,
    SHORT_BLOCKS_AT_ONCE,
)
from montezarr.samplers import FailureReport, PathArrays, Sampler, sample_range, sample_reported


class RangeTask:
    """The task: draw a range of paths, and make of the arrays what `finish` makes of them."""

    label = "simulate"

    def __init__(self, sampler: Sampler):
        self.sampler = sampler
        self.__name__ = f"{self.label}-{sampler.name}"  # as which it shows on the dashboard

    def __call__(self, item: tuple[int, int, Any]) -> tuple[Any, FailureReport]:
        """Run the task on (start, stop, initial states)."""
        start, stop, x0 = item
        arrays, report = sample_reported(self.sampler, start, stop, x0)
        return self.finish(arrays, start, stop), report

    def finish(self, arrays: PathArrays, start: int, stop: int) -> Any:
        """Return the result of the task."""
        return arrays


def trial(item: tuple[Sampler, int, int, int, Any]) -> float | None:
    """Return the seconds that a path takes, of the first few.

    Of several whole blocks the fastest counts: they differ only by what else the machine does.
    Where paths are short, the call for a block takes longer than the block: then more of them are
    drawn at once, as the tasks of a run draw them.

    Parameters
    ----------
    item : tuple
        Sampler, paths that are drawn at once, how many of these together, paths to draw at most,
        and their initial states. What is drawn together at once has been drawn here before.
    """
    sampler, step, together, limit, x0 = item

    def draw(start: int, size: int) -> tuple[int, float]:
        stop = min(start + size, limit)
        began = time.perf_counter()
        sample_range(sampler, start, stop, None if x0 is None else x0[..., start:stop])
        return stop, time.perf_counter() - began

    done, seconds, fastest, size = 0, 0.0, math.inf, step * together
    if step > 1 and not sampler.interface.takes_ranges:
        limit = min(limit, 2 * step)
    try:
        if together == 1:
            draw(0, step)  # for compilers and caches
        while done < limit and (done == 0 or seconds < SAMPLER_TRIAL_SECONDS):
            before = done
            done, took = draw(done, size)
            seconds, fastest = seconds + took, min(fastest, took / (done - before))
            if step > 1 and took < SHORT_BLOCK_SECONDS:
                size = step * SHORT_BLOCKS_AT_ONCE
            elif step > 1 and together == 1:
                limit = min(limit, 2 * step)
    except SamplerError:
        pass  # what was drawn until then will do; the run itself will meet the failure
    if not done:
        return None
    return fastest if step > 1 else seconds / done
