"""The task of a run: draw a range of paths. In this package, workers import NumPy but not Dask."""

from __future__ import annotations

import math
from typing import Any

from montezarr.core.errors import SamplerError
from montezarr.core.stopwatch import CallTimes, Stopwatch, seconds_of
from montezarr.core.tunables.scheduling import (
    SAMPLER_TRIAL_SECONDS,
    SHORT_BLOCK_SECONDS,
    SHORT_BLOCKS_AT_ONCE,
)
from montezarr.samplers import FailureReport, PathArrays, Sampler, sample_range, sample_reported


class RangeTask:
    """Task that draws a range of paths and returns the result of `finish` on the arrays."""

    label = "simulate"

    def __init__(self, sampler: Sampler):
        self.sampler = sampler
        self.__name__ = f"{self.label}-{sampler.name}"  # the name on the dashboard

    def __call__(self, item: tuple[int, int, Any]) -> tuple[Any, FailureReport]:
        """Run the task on (start, stop, initial states)."""
        start, stop, x0 = item
        arrays, report = sample_reported(self.sampler, start, stop, x0)
        return self.finish(arrays, start, stop), report

    def finish(self, arrays: PathArrays, start: int, stop: int) -> Any:
        """Return the result of the task; subclasses reduce or store the arrays."""
        return arrays


def trial(item: tuple[Sampler, int, int, int, Any]) -> float | None:
    """Return the seconds per path, measured on the first few paths; None if the first piece fails.

    Of several whole blocks the fastest counts, since they differ only by other load on the machine.
    If paths are short, the overhead of a call exceeds the time of a block: then several blocks are
    drawn per call, as in the tasks of a run.

    Parameters
    ----------
    item : tuple
        Sampler, paths of one piece, number of pieces per call, largest number of paths to draw, and
        initial states. With more than one piece per call, no call to warm up comes first.
    """
    sampler, step, together, limit, x0 = item

    def draw(start: int, size: int, counts: bool = True) -> tuple[int, float]:
        stop = min(start + size, limit)
        watch = Stopwatch()
        sample_range(sampler, start, stop, None if x0 is None else x0[..., start:stop])
        both = watch.cpu_and_wall()
        calls.add(*both, counts=counts)
        return stop, seconds_of(*both)

    done, calls, fastest, size = 0, CallTimes(), math.inf, step * together
    if step > 1 and not sampler.interface.takes_ranges:
        limit = min(limit, 2 * step)
    try:
        if together == 1:
            draw(0, step, counts=False)  # for compilers and caches
        while done < limit and (done == 0 or calls.seconds < SAMPLER_TRIAL_SECONDS):
            before = done
            done, took = draw(done, size)
            fastest = min(fastest, took / (done - before))
            if step > 1 and took < SHORT_BLOCK_SECONDS:
                size = step * SHORT_BLOCKS_AT_ONCE
            elif step > 1 and together == 1:
                limit = min(limit, 2 * step)
    except SamplerError:
        pass  # use the paths drawn so far; the run itself reports the failure
    if not done:
        return None
    return fastest if step > 1 else calls.seconds / done
