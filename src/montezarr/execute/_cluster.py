"""A cluster of Dask on this machine, of our own."""

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
"""What Dask logs from here on: what our errors and warnings do not say already."""

_process_wide = ForkLock()


@contextmanager
def process_wide() -> Iterator[None]:
    """Change what the whole process has, such as filters of warnings: one thread at a time.

    Of two that did so at once, the one that ends last would put back what the other had set.
    """
    with _process_wide, warnings.catch_warnings():
        yield


def start_cluster(stack: ExitStack, client_class: Any, workers: int, retries: int) -> Any:
    """Return a Client, set to be closed by the stack, of a new cluster, which is as well."""
    from distributed import LocalCluster

    stack.enter_context(_logs_silent())
    with (
        process_wide(),
        dask.config.set({"distributed.scheduler.allowed-failures": retries}),
        full_streams_aside(),
        processes_uninterrupted(),
    ):
        # Another program may take the port of the dashboard after we have looked.
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
    """Have Dask log no more than errors, until the last of the clusters has ended.

    Left to itself, it does so until the first of them has.
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
    """Return what starts the worker processes of a cluster of ours, also those after a death.

    It keeps the script from them, as from those of other backends: functions of the script travel
    by value.
    """
    from distributed import Nanny

    class Starter(Nanny):
        async def instantiate(self) -> Any:
            with script_kept_out(lambda name: name.startswith("Dask Worker")):
                return await super().instantiate()

    return Starter


def _calm() -> Any:
    """Return what makes workers leave Ctrl-C, and their end, to the driver."""
    from distributed import WorkerPlugin

    class Calm(WorkerPlugin):
        name = "montezarr-calm"

        def setup(self, worker: Any) -> None:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            # When the scheduler ends, a worker whose heart beats then prints a traceback.
            logging.getLogger("distributed.worker").addFilter(
                lambda record: "during heartbeat" not in record.getMessage()
            )

    return Calm()


def _free_port(wanted: int) -> int:
    """Return the port, or 0 (any) where another program has it, which Dask would warn of."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return 0
    return wanted
