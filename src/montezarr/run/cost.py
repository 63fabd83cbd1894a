"""The measured cost of a path, and the number of workers and batch size that follow from it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from montezarr.core.checks import check_int, check_real
from montezarr.core.errors import WorkerDied, WorkerTimeout
from montezarr.core.stopwatch import Stopwatch
from montezarr.core.tunables.keeping import COSTS_KEPT
from montezarr.core.tunables.memory import SLAB_PATHS_MULTIPLE, TRANSFORMED_SLAB_BYTES
from montezarr.core.tunables.scheduling import (
    COST_TRIAL_PATHS_MAX,
    SAMPLER_TRIAL_SECONDS,
    SHORT_BLOCK_SECONDS,
    SHORT_BLOCKS_AT_ONCE,
    TASK_GOAL_SECONDS,
    TASK_OVERHEAD_SECONDS,
    WORKER_START_ESTIMATE_SECONDS,
)
from montezarr.execute import Backend, check_jobs
from montezarr.random.seeding import BLOCK
from montezarr.run._run import Run
from montezarr.run.first_path import kept_seconds
from montezarr.samplers import PathArrays, sample_range
from montezarr.samplers.task import trial


def should_parallelize(
    n_paths: int,
    n_jobs: int = -1,
    *,
    seconds_per_path: float,
    start_up: float = WORKER_START_ESTIMATE_SECONDS,
) -> bool:
    """Return whether worker processes end sooner than one process alone.

    Parameters
    ----------
    n_paths : int
        Number of paths, >= 1.
    n_jobs : int
        Number of workers; -1 is one for each core.
    seconds_per_path : float
        Measured cost of a path on one core, >= 0: ``mz.plan(ds).seconds_per_path``.
    start_up : float
        Seconds until the workers draw, >= 0.

    Returns
    -------
    bool
        Whether ``start_up + work / n_jobs < work``.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an argument is not of these types or ranges.

    Examples
    --------
    >>> import montezarr as mz
    >>> mz.should_parallelize(100, 4, seconds_per_path=1e-3)
    False
    >>> mz.should_parallelize(100_000, 4, seconds_per_path=1e-3)
    True
    """
    return optimal_n_jobs(n_paths, n_jobs, seconds_per_path=seconds_per_path, start_up=start_up) > 1


def optimal_n_jobs(
    n_paths: int,
    n_jobs: int = -1,
    *,
    seconds_per_path: float,
    start_up: float = WORKER_START_ESTIMATE_SECONDS,
) -> int:
    """Return the number of workers that ends soonest; 1 means no worker processes.

    Parameters
    ----------
    n_paths : int
        Number of paths, >= 1.
    n_jobs : int
        Largest number of workers; -1 is one for each core that this process may use.
    seconds_per_path : float
        Measured cost of a path on one core, >= 0.
    start_up : float
        Seconds until the workers draw, >= 0; all start at the same time.

    Returns
    -------
    int
        The number of workers, at most `n_jobs` and `n_paths`; or 1.

    Examples
    --------
    >>> import montezarr as mz
    >>> mz.optimal_n_jobs(10**6, 8, seconds_per_path=1e-4)
    8
    """
    count = check_int("n_paths", n_paths, minimum=1)
    workers = min(check_jobs(n_jobs), count)
    cost = check_real("seconds_per_path", seconds_per_path, minimum=0)
    wait = check_real("start_up", start_up, minimum=0)
    work = count * cost
    return workers if wait + work / workers < work else 1


def optimal_batch_size(n_paths: int, n_jobs: int = -1, *, seconds_per_path: float) -> int:
    """Return the paths per task that keep workers busy and overhead small.

    Small batches balance uneven costs, large ones have less overhead. A task gets paths for 0.2 s;
    fewer if a worker would have less than 8 tasks, but enough for 20 ms, ten times its overhead.

    Parameters
    ----------
    n_paths : int
        Number of paths, >= 1.
    n_jobs : int
        Number of workers; -1 is one for each core.
    seconds_per_path : float
        Measured cost of a path on one core, >= 0.

    Returns
    -------
    int
        From 1 to `n_paths`.

    Examples
    --------
    >>> import montezarr as mz
    >>> mz.optimal_batch_size(20_000, 2, seconds_per_path=1e-3)
    200
    """
    count = check_int("n_paths", n_paths, minimum=1)
    workers = check_jobs(n_jobs)
    cost = max(check_real("seconds_per_path", seconds_per_path, minimum=0), 1e-9)
    for_balance = count / (8 * workers)
    smallest = 10 * TASK_OVERHEAD_SECONDS / cost
    size = min(TASK_GOAL_SECONDS / cost, max(for_balance, smallest))
    return max(1, min(math.floor(size), count))


def expected(run: Run, place: Backend, n_paths: int) -> float | None:
    """Return the seconds that drawing a number of paths takes on a backend; None if unknown."""
    seconds = measure(run, place)
    return None if seconds is None else seconds * n_paths / place.workers


def measure(run: Run, place: Backend | None = None) -> float | None:
    """Return the seconds that a path takes on one core, or None if the trial fails.

    A few paths are drawn, for 20 ms or little more, unless the first path took longer when the run
    was made. It is processor time, unless the sampler sleeps: other load on the machine is no part
    of it. The result is kept, so that all decisions about the run are the same.

    Parameters
    ----------
    place : Backend, optional
        Where to draw them, if known: code that kills its worker must not do so here.
    """
    known = _measured.get(run.fingerprint)
    if known is None and (first := kept_seconds(run.recipe)) is not None:
        known = first if first >= SAMPLER_TRIAL_SECONDS else None
    if known is None:
        step = BLOCK if run.sampler.interface.is_vectorised else 1
        if step > 1 and run.sampler.interface.takes_ranges:  # not a whole block of many scenarios
            step = max(SLAB_PATHS_MULTIPLE, min(step, TRANSFORMED_SLAB_BYTES // run.path_bytes))
        step = min(step, run.length)
        limit = min(run.length, max(COST_TRIAL_PATHS_MAX, SHORT_BLOCKS_AT_ONCE * step))
        sampler = replace(run.sampler, on_error="raise", on_nonfinite="keep")
        is_here = place is None or not place.in_processes
        together = SHORT_BLOCKS_AT_ONCE if is_here and step > 1 and _is_known_as_short(run) else 1
        item = sampler, step, together, limit, initial_states(run, 0, limit)
        if place is None or not place.in_processes:
            known = trial(item)
        else:
            with place.running():
                try:
                    known = place.result_of(place.submit(trial, item))
                except (WorkerDied, WorkerTimeout):
                    return None  # the run itself will raise that error, with the path
        if known is not None:
            _keep(_measured, run.fingerprint, known)
    return known


def timed_first_paths(run: Run, n: int) -> PathArrays:
    """Return the first paths, and record how long they took; see `is_short`."""
    x0 = initial_states(run, 0, n)
    watch = Stopwatch()
    arrays = sample_range(run.sampler, 0, n, x0)
    _keep(_at_most, run.fingerprint, watch.seconds() / n)
    return arrays


def is_short(run: Run, seconds: float) -> bool:
    """Return whether drawing all paths is known to take at most `seconds`, without measuring.

    The time of the first paths, on the first call, bounds that of the others from above.
    """
    known = _at_most.get(run.fingerprint)
    return known is not None and known * run.length <= seconds


def _is_known_as_short(run: Run) -> bool:
    """Return whether drawing a block here took hardly more than the overhead of the call."""
    known = _at_most.get(run.fingerprint, math.inf)
    return run.sampler.interface.takes_ranges and known * BLOCK < SHORT_BLOCK_SECONDS


def _keep(known: dict[str, float], key: str, seconds: float) -> None:
    known[key] = seconds
    while len(known) > COSTS_KEPT:
        known.pop(next(iter(known)))


_measured: dict[str, float] = {}
_at_most: dict[str, float] = {}


def initial_states(run: Run, start: int, stop: int) -> Any:
    """Return the initial states of a range of paths, or None if all paths have the same."""
    return None if run.inputs is None else np.asarray(run.inputs[..., start:stop])
