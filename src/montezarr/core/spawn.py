"""Start worker processes: fresh interpreters, one thread each, without running the user's script.

Little is imported here, and nothing outside the standard library, since every worker process
imports this module.
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
else:  # the docs name the context, and not its class
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
"""Environment variables by which BLAS and Numba take the number of their threads."""

_starting = ForkLock()


def worker_environment() -> dict[str, str]:
    """Return what the environment of a worker has more than ours.

    One process per core, each with as many BLAS threads as cores, would fight for them.
    """
    limits = {name: "1" for name in THREAD_LIMITS if name not in os.environ}
    return {**limits, "MONTEZARR_WORKER": "1"}


class _Process(SpawnProcess):
    """A process that does not import the script which started it.

    Functions of that script travel by value. So a script needs no ``if __name__ == "__main__"``,
    and is not run once more in every worker.
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
    """A spawn context that remembers the processes which it has made, so that they can be watched.

    Attributes
    ----------
    made : list of Process
        In order of their start.
    """

    def __init__(self) -> None:
        super().__init__()
        self.made: list[SpawnProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]
        """Return a new process, not started yet."""
        process = _Process(*args, **kwargs)
        self.made.append(process)
        return process

    def kill(self) -> None:
        """Kill every process, at once, and wait until they are gone."""
        for process in self.made:
            if process.pid is not None and process.exitcode is None:
                process.kill()
        for process in self.made:
            if process.pid is not None:
                process.join()

    def endings(self) -> list[str]:
        """Return how processes ended that nobody told to end, as soon as one of them has."""
        started = [process for process in self.made if process.pid is not None]
        connection.wait([process.sentinel for process in started], timeout=1)
        codes = set()
        for process in started:
            if connection.wait([process.sentinel], timeout=0):
                process.join(1)
                codes.add(process.exitcode)
        # A pool that breaks terminates the rest itself.
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

    A process that starts would print what Ctrl-C has cut, before it comes to ignore that.
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
    """Block SIGINT in the processes that this thread starts, and those that it starts do.

    `multiprocessing` starts a process of its own before the first, and then unblocks SIGINT,
    whatever was blocked before, so that the first would be cut.
    """
    if hasattr(signal, "pthread_sigmask"):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        start_resource_tracker()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with interrupts_blocked():
        yield


@contextmanager
def full_streams_aside() -> Iterator[None]:
    """Have no standard streams that cannot be flushed: `multiprocessing` would start no process.

    It flushes them first, and takes one that is None or closed, but not one whose disk is full.
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
