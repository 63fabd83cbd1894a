"""`MonteCarloEngine`: draw paths at once, on any backend, and return them in order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, final

import xarray as xr

from montezarr.core.checks import check_bool, check_int, value_error
from montezarr.core.errors import MontezarrWarning, SamplerError
from montezarr.core.memory import memory_limit
from montezarr.core.notices import warn
from montezarr.core.tunables.memory import ENGINE_TASK_MAX_BYTES, PATHS_IN_MEMORY_SHARE
from montezarr.core.tunables.scheduling import PATH_RETRIES
from montezarr.engine._result import SimulationResult
from montezarr.execute import Backend, backend, check_jobs, in_force
from montezarr.execute.progress import Progress
from montezarr.execute.run_monitor import RunMonitor
from montezarr.execute.synchronous import Synchronous
from montezarr.random.seeding import BLOCK
from montezarr.run import cost
from montezarr.run._chunk_buffer import ChunkBuffer
from montezarr.run._run import Run
from montezarr.run._simulate import simulate
from montezarr.run.choose_backend import check_backend_fits, choose_backend
from montezarr.run.execution import FailureLog, ranges_of, run_ranges
from montezarr.samplers.legacy import uses_global_state
from montezarr.samplers.task import RangeTask


@final
class MonteCarloEngine:
    """Draws the paths of a process on a backend.

    Parameters
    ----------
    process : object
        Anything that `simulate` takes. A ``sample_path`` that takes neither ``rng`` nor ``seed``
        is run on the global ``np.random`` state, seeded for each path, with a warning.

    Examples
    --------
    >>> import montezarr as mz
    >>> engine = mz.MonteCarloEngine(mz.RandomWalk())
    >>> result = engine.simulate(1000, 10, seed=42)
    >>> len(result), result.paths[0].states
    (1000, array([ 0,  1,  0,  1,  0, -1, -2, -3, -2, -1,  0]))
    """

    def __init__(self, process: Any):
        self.process = process
        self.dataset: xr.Dataset | None = None
        """Lazy Dataset of the latest `simulate`, for `montezarr.replay` of a path that failed."""

    def simulate(
        self,
        n_paths: int,
        T: int | None = None,
        x0: Any = None,
        *,
        parallel: bool = False,
        n_jobs: int = -1,
        backend: Any = "auto",
        seed: Any = None,
        show_progress: bool = False,
        batch_size: int | None = None,
        stream: str | None = None,
        dt: float | None = None,
        times: Any = None,
        dtype: Any = None,
        labels: Sequence[str | int] | None = None,
        on_error: str = "raise",
        on_nonfinite: str = "raise",
        retries: int = PATH_RETRIES,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> SimulationResult:
        """Draw paths, and return them in the order of their indices.

        The same arguments give the same bits on every backend, with any number of workers and any
        batch size. Paths that fit into a quarter of the memory are drawn now and kept. A larger
        result is lazy: its paths are drawn when they are accessed, as those of `simulate`.

        Parameters
        ----------
        n_paths : int
            Number of paths, >= 1.
        T : int, optional
            Number of steps; a path has T+1 states.
        x0 : scalar, label, mapping or array (n_paths,), optional
            Initial state, of all paths or of each one.
        parallel : bool
            False draws one path after the other in this thread, with the same bits; `backend`,
            `n_jobs` and an enclosing ``with`` block have no effect then.
        n_jobs : int
            Number of workers; -1 is one for each core that this process may use.
        backend : str, Client or Backend
            Where to run, see `montezarr.backend`. "auto" takes that of the enclosing ``with``
            block, or decides by the sampler and the measured cost of a few paths; the metadata say
            what it chose and why.
        seed : int, sequence of int, SeedSequence or None
            Root entropy; None draws fresh entropy, which the metadata hold.
        show_progress : bool
            Show paths per second, time left and failures on standard error.
        batch_size : int, optional
            Paths per task; by default from their measured cost. Whole blocks of 1024 for a
            ``sample_paths``.
        stream : str, optional
            Name of the stream, as in `montezarr.simulate`: runs with other names are independent.
        dt, times, dtype, labels, on_error, on_nonfinite, retries
            As in `simulate`. ``on_error="mask"`` sets failing paths to NaN, lists them in the
            metadata, and warns.
        timeout : float, optional
            Seconds that a task may take until its worker is killed, on backends of processes.
        **kwargs
            Further arguments for the sampler; also ``keep``, ``chunks``, ``vary`` and ``noise`` of
            `simulate`.

        Returns
        -------
        SimulationResult
            With ``paths``, ``dataset``, ``metadata``.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            For arguments other than these, and for a sampler that a backend of processes cannot
            pickle.
        SamplerError
            If the sampler fails: the error of the lowest failing path, on every backend.
        WorkerDied
            If worker processes die on the same paths again and again.
        WorkerTimeout
            If a task takes longer than `timeout`.
        MissingDependencyError
            If the package of the backend is not installed.
        """
        in_parallel = check_bool("parallel", parallel)
        show = check_bool("show_progress", show_progress)
        size = None if batch_size is None else check_int("batch_size", batch_size, minimum=1)
        count = check_int("n_paths", n_paths, minimum=1)
        self.dataset = simulate(
            self.process, count, T, x0, dt=dt, times=times, seed=seed, stream=stream, dtype=dtype,
            labels=labels,
            on_error=on_error, on_nonfinite=on_nonfinite, retries=retries,
            legacy_global_rng=self._is_legacy(), **kwargs,
        )  # fmt: skip
        run = Run.behind(self.dataset)
        place = _place(run, in_parallel, backend, n_jobs, timeout)
        metadata: dict[str, Any] = {
            "process": run.recipe["process"],
            "n_paths": run.length,
            "T": run.sampler.grid.T,
            "seed": run.recipe["seed"],
            "backend": place.name,
            "reason": place.reason,
            "n_jobs": place.workers,
            "in_memory": run.length * run.path_bytes <= PATHS_IN_MEMORY_SHARE * memory_limit(),
        }
        if not metadata["in_memory"]:
            return SimulationResult(run, self.dataset, metadata)
        started, failure_log = time.perf_counter(), FailureLog()
        with (
            place.running(),
            RunMonitor("simulate", Progress("simulate", enabled=show)) as monitor,
        ):
            size = _batch(run, place, size)
            chunk_buffer = _collect(run, place, size, failure_log, monitor)
        seconds = time.perf_counter() - started
        metadata |= {
            "batch_size": size,
            "seconds": seconds,
            "paths_per_second": run.length / seconds,
            "masked": dict(sorted(failure_log.masked.items())),
            "retried": dict(sorted(failure_log.retried.items())),
        }
        failure_log.warn(run.length)
        return SimulationResult(run, chunk_buffer.dataset(self.dataset), metadata, chunk_buffer)

    def __repr__(self) -> str:
        return f"MonteCarloEngine({self.process!r})"

    def _is_legacy(self) -> bool:
        """Return whether the process draws from the global state; warn if so."""
        if not uses_global_state(self.process):
            return False
        warn(
            f"{type(self.process).__name__}.sample_path takes neither rng nor seed, so it is taken"
            " to draw from the global np.random state, which is seeded for each path. Give it a"
            " parameter rng, and it runs faster, and on threads.",
            MontezarrWarning,
            stacklevel=3,
        )
        return True


def _place(run: Run, parallel: bool, name: Any, n_jobs: int, timeout: float | None) -> Backend:
    """Return the backend of a call."""
    options: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
    if not parallel:
        check_jobs(n_jobs)  # refuse a wrong n_jobs also where it has no effect
        backend(name)
        if n_jobs != -1 or not isinstance(name, str) or name != "auto":
            warn(
                "backend and n_jobs have no effect without parallel=True.",
                MontezarrWarning,
                stacklevel=3,
            )
        return Synchronous(reason="parallel=False", **options)
    if not isinstance(name, str) or name != "auto":
        place = backend(name, n_jobs, **options)
    elif (around := in_force()) is not None:  # the backend of the enclosing with block
        place = backend(around, **options)
        if n_jobs not in (-1, place.workers):
            raise value_error(
                "n_jobs", f"-1 in the block of {place.name!r}, which has {place.workers} workers",
                n_jobs, "Name a backend too, to leave the block.",
            )  # fmt: skip
    else:
        return choose_backend(run, n_jobs, **options)
    check_backend_fits(run, place)
    return place


def _batch(run: Run, place: Backend, asked: int | None) -> int:
    """Return the paths per task."""
    unit = run.sampler.interface.unit
    if unit > 1:
        wanted = run.chunk if asked is None else asked
        return min(-(-wanted // unit) * unit, -(-run.length // unit) * unit)
    if asked is not None:
        return min(asked, run.length)
    largest = max(1, ENGINE_TASK_MAX_BYTES // run.path_bytes)
    if run.sampler.interface.takes_ranges:
        return min(largest, run.chunk)
    seconds = cost.measure(run, place)
    if seconds is None:
        return min(largest, BLOCK)
    return min(
        largest, cost.optimal_batch_size(run.length, place.workers, seconds_per_path=seconds)
    )


def _collect(
    run: Run, place: Backend, size: int, failure_log: FailureLog, monitor: RunMonitor
) -> ChunkBuffer:
    """Draw all paths into memory."""
    chunk_buffer = ChunkBuffer(run)
    done = 0
    ranges = ranges_of(0, run.length, size)
    monitor(0, run.length)
    task = RangeTask(run.sampler)
    try:
        for start, stop, part in run_ranges(run, place, task, ranges, failure_log, monitor):
            chunk_buffer.put(start, part)
            done += stop - start
            monitor(done, run.length, len(failure_log.masked))
    except SamplerError as error:
        line = error.context.get("replay", f"mz.replay(ds, {error.path})")
        raise error.with_replay(line.replace("(ds", "(engine.dataset", 1)) from None
    return chunk_buffer
