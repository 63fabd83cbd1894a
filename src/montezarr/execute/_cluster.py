"""Start a local Dask cluster for the backend ``dask``."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import dask

from montezarr.core.compat.multiprocessing import script_kept_out
from montezarr.core.fork import ForkLock
from montezarr.core.spawn import full_streams_aside, processes_uninterrupted

DASHBOARD_PORT = 8787

SILENT = logging.ERROR
"""Level of Dask's loggers: our own errors and warnings report the lower levels."""

_process_wide = ForkLock()


@contextmanager
def process_wide() -> Iterator[None]:
    """Hold a lock while changing process-wide state, such as warning filters.

    Of two threads that do so at once, the last to end would restore what the other had set.
    """
    with _process_wide, warnings.catch_warnings():
        yield


def start_cluster(stack: ExitStack, client_class: Any, workers: int, retries: int) -> Any:
    """Return a Client of a new cluster; the stack closes both."""
    from distributed import LocalCluster

    stack.enter_context(_logs_silent())
    with (
        process_wide(),
        dask.config.set({"distributed.scheduler.allowed-failures": retries}),
        full_streams_aside(),
        processes_uninterrupted(),
    ):
        # Another program may take the dashboard's port after the check.
        warnings.filterwarnings("ignore", r"Port \d+ is already in use", UserWarning)
        cluster = stack.enter_context(
            LocalCluster(
                n_workers=workers,
                worker_class=_nanny(),
                silence_logs=SILENT,
                threads_per_worker=1,
                host="127.0.0.1",  # the default dashboard would listen on every interface
                dashboard_address=f"127.0.0.1:{_free_port(DASHBOARD_PORT)}",
                worker_dashboard_address="127.0.0.1:0",
            )
        )
    client = client_class(cluster, set_as_default=False)
    client.register_plugin(_calm())
    return client


_silence = ForkLock()
_silent = 0
_levels: list[tuple[logging.Handler, int]] = []


@contextmanager
def _logs_silent() -> Iterator[None]:
    """Make Dask log errors only, until the last of our clusters has ended.

    Dask's own option ends with the first of them.
    """
    global _silent, _levels
    with _silence:
        if _silent == 0:
            _levels = [
                (handler, handler.level)
                for root in ("distributed", "bokeh")
                for handler in logging.getLogger(root).handlers
                if isinstance(handler, logging.StreamHandler)
            ]
            for handler, _ in _levels:
                handler.setLevel(SILENT)
        _silent += 1
    try:
        yield
    finally:
        with _silence:
            _silent -= 1
            if _silent == 0:
                for handler, level in _levels:
                    handler.setLevel(level)


def _nanny() -> Any:
    """Return a Nanny class that starts, and restarts, the worker processes of our cluster.

    Workers do not import the user's script, as on other backends: functions of the script are
    pickled by value.
    """
    from distributed import Nanny

    class Starter(Nanny):
        async def instantiate(self) -> Any:
            with script_kept_out(lambda name: name.startswith("Dask Worker")):
                return await super().instantiate()

    return Starter


def _calm() -> Any:
    """Return a worker plugin that leaves Ctrl-C and shutdown to the driver."""
    from distributed import WorkerPlugin

    class Calm(WorkerPlugin):
        name = "montezarr-calm"

        def setup(self, worker: Any) -> None:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            # A worker that sends a heartbeat while the scheduler ends logs a traceback.
            logging.getLogger("distributed.worker").addFilter(
                lambda record: "during heartbeat" not in record.getMessage()
            )

    return Calm()


def _free_port(wanted: int) -> int:
    """Return the port, or 0 (any) if another program has it, as Dask would warn."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return 0
    return wanted
