"""The backend of a run: the one in force, or what its sampler and its measured cost ask for."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import cloudpickle

from montezarr import cost
from montezarr._checks import show, value_error
from montezarr.backends import BACKENDS, Backend, active_client, check_jobs, configured
from montezarr.lazy import Run
from montezarr.sampling import KINDS

VECTORISED = ("sample", "sample_paths")
"""Kinds that spend their time in NumPy or Numba, which release the GIL."""


def backend_of(run: Run) -> Backend:
    """Return where a run executes when nobody names a backend."""
    found = configured()
    if found is not None:
        check_fits(run, found)
        return found
    return choose(run)


def choose(run: Run, n_jobs: int = -1, **options: Any) -> Backend:
    """Return the backend of "auto": by the sampler, and by the measured cost of a few paths.

    An active Client comes first. Samplers that release the GIL run on threads. Others are measured:
    where worker processes end sooner than one process alone, they run on joblib if that is
    installed, else on processes.
    """
    workers = check_jobs(n_jobs)
    client = active_client()
    if client is not None:
        options.pop("timeout", None)
        reason = f"auto: active Client at {client.scheduler.address}"
        return BACKENDS["dask"](client=client, reason=reason, **options)  # type: ignore[call-arg]
    wants_processes = options.get("timeout") is not None
    if _releases_gil(run) and not wants_processes:
        return _local("threads", workers, f"auto: {KINDS[run.sampling.kind]} releases the GIL")
    seconds = cost.measure(run)
    each = "unknown" if seconds is None else f"{_duration(seconds)} a path"
    work = None if seconds is None else seconds * run.n_paths
    small = seconds is not None and not cost.should_parallelize(
        run.n_paths, workers, seconds_per_path=seconds
    )
    if small and not wants_processes:
        reason = f"auto: a loop in Python, {each}, {_duration(work or 0)} in all: too little"
        return _local("synchronous", 1, reason + " for processes")
    try:
        cloudpickle.dumps(run.sampling)
    except Exception as error:
        reason = f"auto: a loop in Python, but it cannot be pickled ({show(str(error), 60)})"
        return _local("synchronous", 1, reason)
    name = "joblib" if find_spec("joblib") is not None else "processes"
    return BACKENDS[name](workers, reason=f"auto: a loop in Python, {each}", **options)


def check_fits(run: Run, backend: Backend) -> None:
    """Raise where a backend cannot run a sampler.

    Raises
    ------
    ArgumentValueError
        For code on the global np.random state on threads, which would draw from one stream.
    """
    if run.sampling.kind == "legacy" and not backend.in_processes and backend.name != "synchronous":
        raise value_error(
            "backend", "one of processes, or 'synchronous', for code on the global np.random state",
            backend.name, "Threads share that state.",
        )  # fmt: skip


def _local(name: str, workers: int, reason: str) -> Backend:
    return BACKENDS[name](workers, reason=reason)


def _releases_gil(run: Run) -> bool:
    if run.sampling.kind in VECTORISED:
        return True
    options = getattr(run.sampling.target, "targetoptions", {})  # of a function that Numba compiled
    return bool(options.get("nogil", False))


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"
