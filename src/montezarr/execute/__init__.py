"""Where runs execute: backends by name, the one in force, and the choice by measured cost."""

from __future__ import annotations

import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dask import config as dask_config

from montezarr.core.checks import did_you_mean, show, type_error, value_error
from montezarr.core.compat.concurrent_futures import workers_of
from montezarr.core.errors import ArgumentTypeError, MontezarrError
from montezarr.execute._base import Backend, ProcessBackend, check_jobs, cores
from montezarr.execute._client import active_client
from montezarr.execute._in_force import configured_scheduler, in_force
from montezarr.execute._supervisor import end_all
from montezarr.execute._window import windowed
from montezarr.execute.dask import Dask, address_of, on_active_client, on_client
from montezarr.execute.joblib import Joblib, JoblibMultiprocessing, JoblibThreading
from montezarr.execute.multiprocessing import Multiprocessing
from montezarr.execute.processes import Processes
from montezarr.execute.ray import Ray
from montezarr.execute.synchronous import Synchronous
from montezarr.execute.threads import Threads

__all__ = [
    "BACKENDS",
    "Backend",
    "ProcessBackend",
    "active_client",
    "backend",
    "check_jobs",
    "configured",
    "cores",
    "end_all",
    "in_force",
    "on_client",
    "windowed",
]

BACKENDS: dict[str, type[Backend]] = {
    kind.name: kind
    for kind in (
        Synchronous,
        Threads,
        Processes,
        Multiprocessing,
        Joblib,
        JoblibMultiprocessing,
        JoblibThreading,
        Ray,
        Dask,
    )
}
"""Every backend by its name. A new one is one file and one line here."""

_BY_ALIAS = {alias: kind for kind in BACKENDS.values() for alias in (kind.name, *kind.aliases)}


def backend(name: Any = "auto", n_jobs: int = -1, **options: Any) -> Backend:
    """Return a backend: in a ``with`` block, runs and lazy collections execute there.

    Parameters
    ----------
    name : str, Client or Backend
        ``"synchronous"``, ``"threads"``, ``"processes"`` (or ``"stdlib"``), ``"multiprocessing"``,
        ``"joblib"`` (loky; also ``"joblib-threading"``, ``"joblib-multiprocessing"``), ``"ray"``,
        ``"dask"``, the address of a scheduler (``"tcp://..."``), a Client of dask.distributed, or
        ``"auto"``: an active Client if there is one, else threads. Outside a block, the engine,
        `write` and `batches` know their sampler and choose by its measured cost.
    n_jobs : int
        Number of workers; -1 is one for each core that this process may use, -2 one less.
    **options
        ``timeout`` (seconds that a task may take, on backends of local processes), ``retries``
        (after the death of a worker; 2 by default), for ``"dask"`` ``address`` or ``client``, and
        for ``"ray"`` ``allow_network=True``, without which no session of Ray is started: it listens
        on all network interfaces.

    Returns
    -------
    Backend
        A context manager; workers start with the first task and end with the block. The backend is
        in force in the thread, or the asyncio task, that entered the block.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If the name, the number or an option is not valid.
    MissingDependencyError
        If the package that the backend needs is not installed; with the line that installs it.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.RandomWalk(), n_paths=5000, T=10, seed=1)
    >>> with mz.backend("threads", n_jobs=2):
    ...     print(float(ds.x.isel(time=-1).mean("path").compute()))
    -0.006
    """
    if isinstance(name, Backend):
        if options:
            raise value_error(
                "backend", f"no {', '.join(options)} beside a Backend, which has its own", name
            )
        return name
    if callable(getattr(name, "get_executor", None)):
        return _made(Dask, n_jobs, {"client": name, **options})
    expected = "one of 'auto', " + ", ".join(repr(key) for key in BACKENDS) + ", or an address"
    if not isinstance(name, str):
        raise type_error("backend", expected, name)
    if "://" in name:
        return _made(Dask, n_jobs, {"address": name, **options})
    if name == "auto":
        reason = {"reason": "auto: a Client is active"}
        found = on_active_client(
            lambda client: _made(Dask, -1, {"client": client} | reason | options)
        )
        if found is not None:
            return found
        return _made(Threads, n_jobs, {"reason": "auto: no sampler is known here"} | options)
    kind = _BY_ALIAS.get(name)
    if kind is None:
        raise value_error("backend", expected, name, did_you_mean(name, _BY_ALIAS))
    made = _made(kind, n_jobs, options)
    made.check_installed()
    made.check_allowed()
    return made


def _made(kind: type[Backend], n_jobs: int, options: dict[str, Any]) -> Backend:
    """Return a backend; name its options in the error where one is unknown."""
    try:
        return kind(n_jobs, **options)
    except TypeError as error:
        if isinstance(error, MontezarrError):
            raise
        known = inspect.signature(kind.__init__).parameters.keys() | {
            "timeout",
            "retries",
            "reason",
        }
        listed = sorted(known - {"self", "reason", "options"})
        unknown = next((key for key in options if key not in known), "options")
        hint = did_you_mean(unknown, listed, quoted=False)
        raise ArgumentTypeError(
            f"{unknown}: expected one of the options of the backend {kind.name!r}"
            f" ({', '.join(listed)}), got {show(options.get(unknown))}.{' ' + hint if hint else ''}"
        ) from error


def configured() -> Backend | None:
    """Return the backend in force: of a with block, an active Client, or Dask's configuration.

    None where none of these is set: then the sampler decides.
    """
    current: Backend | None = in_force()
    if current is not None:
        return current
    found = on_active_client(
        lambda client: Dask(client=client, reason=f"active Client at {address_of(client)}")
    )
    if found is not None:
        return found
    scheduler = configured_scheduler()
    workers = int(dask_config.get("num_workers", None) or -1)
    if isinstance(scheduler, str) and scheduler.lower() in _BY_ALIAS:
        reason = f"dask.config scheduler={show(scheduler)}"
        return _BY_ALIAS[scheduler.lower()](workers, reason=reason)
    if isinstance(scheduler, ThreadPoolExecutor):
        return Threads(workers_of(scheduler), reason="dask.config scheduler is a pool of threads")
    if workers != -1:
        return Threads(workers, reason="dask.config num_workers")
    return None
