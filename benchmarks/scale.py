"""How many workers a scheduler can drive: a real scheduler, and many workers whose draws sleep.

``python -m benchmarks.scale 64 reduce`` starts a scheduler in a process on a core of its own, and
64 workers of Dask without nanny on the other cores, in a few processes. A run of 10**12 paths (for
`write`, of as many as half of the disk holds), whose sampler sleeps as long as drawing would take,
goes through `stream` (as `reduce` does, window by window) or `write` for a while; then it is
stopped. Printed are the scheduler's processor time per task, its memory and that of the workers,
and the number of workers that keep the scheduler's one core busy: the seconds of a task over the
scheduler's seconds for it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

import montezarr as mz
from benchmarks._machine import machine

PATHS = 10**12
WORKERS_PER_PROCESS = 64
TASK_PATHS = 2**16
"""Paths of a task of a reduction: few enough that folding takes no time.

A task has the power of two whose measured cost is below a second, so their cost is 0.96 seconds.
"""

CHUNK = 2**13
"""Paths of a chunk of a store, which is a task: small, as the disk is."""

MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Sleeping(mz.Process):
    """A process whose paths are 0, and take their time.

    Attributes
    ----------
    seconds : float
        Seconds that a path takes.
    """

    seconds: float = 1e-5

    def sample(self, draws: mz.Draws, grid: mz.TimeGrid, x0: Any) -> Any:
        """Sleep, and return zeros (times, paths)."""
        time.sleep(draws.n * self.seconds)
        return np.zeros((grid.T + 1, draws.n), draws.dtype)

    def mean(self, t: Any, x0: Any = 0.0) -> Any:
        """Return 0."""
        return 0.0 * t

    def variance(self, t: Any, x0: Any = 0.0) -> Any:
        """Return 0."""
        return 0.0 * t


@contextmanager
def cluster(workers: int) -> Iterator[tuple[Any, psutil.Process, list[psutil.Process]]]:
    """Yield a Client, the process of the scheduler, and those of the workers."""
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scheduler.json"
        dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
        dask += ["--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
        quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started = [subprocess.Popen(dask, **quiet)]
        try:
            psutil.Process(started[0].pid).cpu_affinity(cores[:1])
            others = cores[1:] or cores
            os.sched_setaffinity(0, others)  # this process and the workers that it starts
            while not file.exists():
                time.sleep(0.1)
            left = workers
            while left:
                here = min(left, WORKERS_PER_PROCESS)
                command = [sys.executable, "-m", "benchmarks.scale", "--host-workers", str(file)]
                started.append(subprocess.Popen([*command, str(here)], **quiet))
                left -= here
            from distributed import Client

            with Client(scheduler_file=str(file), set_as_default=False) as client:
                client.wait_for_workers(workers, timeout=600)
                processes = [psutil.Process(process.pid) for process in started]
                yield client, processes[0], processes[1:]
        finally:
            os.sched_setaffinity(0, cores)
            for process in reversed(started):
                process.terminate()
            for process in started:
                process.wait()


async def host_workers(file: str, count: int) -> None:
    """Run several workers in this process, until it is ended."""
    from distributed import Worker

    with tempfile.TemporaryDirectory() as folder:
        workers = [
            Worker(
                scheduler_file=file, nthreads=1, host="127.0.0.1", memory_limit=0,
                local_directory=folder, dashboard=False,
            )
            for _ in range(count)
        ]  # fmt: skip
        await asyncio.gather(*workers)
        await asyncio.gather(*(worker.finished() for worker in workers))


@dataclass
class Reading:
    """What the processes have used up to a moment."""

    moment: float
    tasks: int
    scheduler_seconds: float
    workers_seconds: float
    scheduler_bytes: int
    worker_bytes: int

    @classmethod
    def of(cls, client: Any, scheduler: psutil.Process, workers: list[psutil.Process]) -> Reading:
        """Return it now."""
        return cls(
            time.perf_counter(),
            client.run_on_scheduler(finished_tasks),
            sum(scheduler.cpu_times()[:2]),
            sum(sum(process.cpu_times()[:2]) for process in workers),
            scheduler.memory_info().rss,
            sum(process.memory_info().rss for process in workers),
        )


def finished_tasks(dask_scheduler: Any) -> int:
    """Return the number of tasks that the scheduler has seen to their end."""
    return sum(
        prefix.state_counts["memory"]
        for name, prefix in dask_scheduler.task_prefixes.items()
        if name.startswith(("reduce", "write"))
    )


class Stopped(Exception):
    """The measurement is over."""


def stopper(stop: threading.Event) -> Callable[[int, int, int], None]:
    """Return a callback that raises once it is told to."""

    def check(done: int, total: int, failed: int) -> None:
        if stop.is_set():
            raise Stopped

    return check


def work(kind: str, client: Any, seconds: float, stop: threading.Event, folder: str) -> None:
    """Go through paths until told to stop."""
    with mz.backend(client):
        if kind == "write":
            # As many paths as the disk has room for, which `write` makes sure of.
            room = shutil.disk_usage(folder).free // 2 // 4 // CHUNK * CHUNK
            process = Sleeping(seconds=seconds / CHUNK)
            ds = mz.simulate(process, room, 1, seed=1, keep=[1], dtype="float32", chunks=CHUNK)
            with suppress(Stopped):
                mz.write(ds, Path(folder) / "x.zarr", on_progress=stopper(stop))
            return
        ds = mz.simulate(Sleeping(seconds=0.96 * seconds / TASK_PATHS), PATHS, 1, seed=1)
        for _ in mz.stream(ds.x, "mean", every=TASK_PATHS * 1000):
            if stop.is_set():
                return


def measure(kind: str, workers: int, seconds: float, duration: float) -> None:
    """Print a row every tenth of the duration, and the figures of its second half."""
    with cluster(workers) as (client, scheduler, processes):
        stop, folder = threading.Event(), tempfile.mkdtemp()
        thread = threading.Thread(target=work, args=(kind, client, seconds, stop, folder))
        began, readings = time.perf_counter(), []
        thread.start()
        try:
            while time.perf_counter() - began < duration:
                stop.wait(duration / 10)
                readings.append(Reading.of(client, scheduler, processes))
                told(readings, workers)
        finally:
            stop.set()
            thread.join()
            shutil.rmtree(folder, ignore_errors=True)
    first, last = readings[len(readings) // 2], readings[-1]
    tasks, elapsed = last.tasks - first.tasks, last.moment - first.moment
    per_task = (last.scheduler_seconds - first.scheduler_seconds) / tasks
    print(
        f"{kind}, {workers:,} workers, tasks of {seconds:g} s: {tasks / elapsed:,.0f} tasks/s of"
        f" {workers / seconds:,.0f}; scheduler {1e3 * per_task:.2f} ms of processor per task,"
        f" {(last.scheduler_seconds - first.scheduler_seconds) / elapsed:.0%} of its core,"
        f" {last.scheduler_bytes / MIB:,.0f} MiB; a worker"
        f" {1e3 * (last.workers_seconds - first.workers_seconds) / tasks:.2f} ms per task,"
        f" {last.worker_bytes / workers / MIB:,.1f} MiB.\n"
        f"Saturated by {seconds / per_task:,.0f} workers with tasks of {seconds:g} s."
    )


def told(readings: list[Reading], workers: int) -> None:
    """Print the last reading."""
    now = readings[-1]
    print(
        f"{now.tasks:>9,} tasks, scheduler {now.scheduler_seconds:6.1f} s"
        f" {now.scheduler_bytes / MIB:6.0f} MiB, workers {now.workers_seconds:7.1f} s"
        f" {now.worker_bytes / workers / MIB:6.1f} MiB each",
        flush=True,
    )


def main() -> None:
    """Measure, or host workers for a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workers", type=int, nargs="?", default=64)
    parser.add_argument("kind", nargs="?", choices=["reduce", "write"], default="reduce")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a task")
    parser.add_argument("--duration", type=float, default=600.0, help="seconds to measure")
    parser.add_argument("--host-workers", metavar="FILE", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.host_workers:
        asyncio.run(host_workers(chosen.host_workers, chosen.workers))
        return
    print(machine(), flush=True)
    measure(chosen.kind, chosen.workers, chosen.seconds, chosen.duration)


if __name__ == "__main__":
    main()
