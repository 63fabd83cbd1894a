"""The backend of a run: the one in force, or one by its sampler and its measured cost."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import cloudpickle

from montezarr.core.checks import show, value_error
from montezarr.core.text import duration
from montezarr.execute import Backend, check_jobs, configured
from montezarr.execute._shared_objects import unfit
from montezarr.execute.dask import Dask, address_of, on_active_client
from montezarr.execute.joblib import Joblib
from montezarr.execute.processes import Processes
from montezarr.execute.synchronous import Synchronous
from montezarr.execute.threads import Threads
from montezarr.run import cost
from montezarr.run._run import Run


def backend_of(run: Run) -> Backend:
    """Return the backend of a run for which none is named."""
    found = configured()
    if found is not None:
        check_backend_fits(run, found)
        return found
    return choose_backend(run)


def choose_backend(run: Run, n_jobs: int = -1, **options: Any) -> Backend:
    """Return the backend of "auto": by the sampler, and by the measured cost of a few paths.

    An active Client comes first. Samplers that release the GIL run on threads. Others are measured:
    if worker processes end sooner than one process alone, they run on joblib if that is installed,
    else on processes. A timeout requires processes.
    """
    workers = check_jobs(n_jobs)
    place = on_active_client(
        lambda client: Dask(
            client=client, reason=f"auto: active Client at {address_of(client)}", **options
        )
    )
    if place is not None:
        check_backend_fits(run, place)
        return place
    needs_processes = options.get("timeout") is not None
    if run.sampler.releases_gil and not needs_processes:
        return Threads(workers, reason="auto: the sampler releases the GIL")
    reason = "auto: a loop in Python"
    if not needs_processes:  # a sampler that needs a timeout might hang in a trial here
        seconds = cost.measure(run)
        if seconds is not None:
            work = seconds * run.length
            reason += f", {duration(seconds)} a path"
            if not cost.should_parallelize(run.length, workers, seconds_per_path=seconds):
                reason += f", {duration(work)} in all: too little for processes"
                return Synchronous(reason=reason)
        try:
            cloudpickle.dumps(run.sampler)
        except Exception as error:
            return Synchronous(reason=f"{reason}, but cannot be pickled ({show(str(error), 60)})")
    kind = Joblib if find_spec("joblib") is not None else Processes
    return kind(workers, reason=reason, **options)


def check_backend_fits(run: Run, backend: Backend) -> None:
    """Raise if a backend cannot run a sampler.

    Raises
    ------
    ArgumentValueError
        For code on the global np.random state on threads, which would share one stream.
    ArgumentTypeError
        For a sampler that cannot be pickled, on processes.
    """
    if run.sampler.interface.uses_global_state and backend.has_threads:
        raise value_error(
            "backend", "one of processes, or 'synchronous', for code on the global np.random state",
            backend.name, "Threads share that state.",
        )  # fmt: skip
    if backend.in_processes:
        _check_pickles(run)


def _check_pickles(run: Run) -> None:
    try:
        cloudpickle.dumps(run.sampler)
    except Exception as error:
        raise unfit(run.sampler.target, error) from error
