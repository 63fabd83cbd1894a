"""Start worker processes: fresh interpreters, one thread each, without running the user's script.

This module imports little, and nothing outside the standard library, since every worker process
imports it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import connection, get_context
from typing import TYPE_CHECKING, Any

from montezarr.core.compat.multiprocessing import script_kept_out, start_resource_tracker
from montezarr.core.fork import ForkLock

if TYPE_CHECKING:
    from multiprocessing.context import SpawnContext, SpawnProcess
else:  # the documentation of Python has the context, but not its class
    SpawnContext = type(get_context("spawn"))
    SpawnProcess = SpawnContext.Process

THREAD_LIMITS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
"""Environment variables that set the number of threads of BLAS and Numba."""

_starting = ForkLock()


def worker_environment() -> dict[str, str]:
    """Return the variables that a worker's environment has in addition to this process's.

    One process per core, each with a BLAS thread per core, would oversubscribe the cores.
    """
    limits = {name: "1" for name in THREAD_LIMITS if name not in os.environ}
    return {**limits, "MONTEZARR_WORKER": "1"}


class _SpawnedProcess(SpawnProcess):
    """A process that does not import the script which started it.

    Functions of that script are pickled by value. So a script needs no
    ``if __name__ == "__main__"``, and is not run again in every worker.
    """

    def start(self) -> None:
        """Start the interpreter."""
        thread = threading.get_ident()
        environment = _environment(worker_environment())
        with (
            _starting,
            environment,
            full_streams_aside(),
            processes_uninterrupted(),
            script_kept_out(lambda name: threading.get_ident() == thread),
        ):
            super().start()


class Context(SpawnContext):
    """A spawn context that keeps the processes that it has made, so that they can be monitored.

    Attributes
    ----------
    made : list of Process
        The processes, in order of creation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.made: list[SpawnProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]
        """Return a new process, not started yet."""
        process = _SpawnedProcess(*args, **kwargs)
        self.made.append(process)
        return process

    def kill(self) -> None:
        """Kill all processes, and wait until they have ended."""
        for process in self.made:
            if process.pid is not None and process.exitcode is None:
                process.kill()
        for process in self.made:
            if process.pid is not None:
                process.join()

    def endings(self) -> list[str]:
        """Return how processes ended unasked; wait at most 1 s for the first to end."""
        started = [process for process in self.made if process.pid is not None]
        connection.wait([process.sentinel for process in started], timeout=1)
        codes = set()
        for process in started:
            if connection.wait([process.sentinel], timeout=0):
                process.join(1)
                codes.add(process.exitcode)
        # A broken pool terminates the other processes itself.
        codes -= {None, -signal.SIGTERM}
        return [describe_exit(code) for code in sorted(codes)]  # type: ignore[type-var, arg-type]


def describe_exit(code: int) -> str:
    """Return in words how a process ended."""
    if code == -9:
        return "killed by SIGKILL, as the kernel does when memory runs out"
    if code == -11:
        return "segmentation fault"
    return f"killed by signal {-code}" if code < 0 else f"exit status {code}"


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Block SIGINT in this thread, and in the threads and processes that it starts.

    Ctrl-C in a starting process would print a traceback, before the worker ignores the signal.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def processes_uninterrupted() -> Iterator[None]:
    """Block SIGINT in the processes that this thread starts, and in their child processes.

    Before the first process `multiprocessing` starts its resource tracker, and then unblocks SIGINT
    even if it was blocked before, so that Ctrl-C would interrupt the first process.
    """
    if hasattr(signal, "pthread_sigmask"):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        start_resource_tracker()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with interrupts_blocked():
        yield


@contextmanager
def full_streams_aside() -> Iterator[None]:
    """Replace standard streams that cannot be flushed by None while the block lasts.

    `multiprocessing` flushes them before it starts a process. It accepts a stream that is None or
    closed, but raises for one whose disk is full.
    """
    full = {}
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            full[name] = stream
            setattr(sys, name, None)
        except (AttributeError, ValueError):
            continue
    try:
        yield
    finally:
        for name, stream in full.items():
            if getattr(sys, name) is None:
                setattr(sys, name, stream)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
