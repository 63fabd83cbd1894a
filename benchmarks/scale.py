"""How many workers a scheduler and a driver can feed: both real, and workers whose draws sleep.

``python -m benchmarks.scale 64 reduce`` starts a scheduler in a process on a core of its own, and
64 workers of Dask without nanny on the other cores, many in a process. A run of 10**12 paths (for
`write`, of as many as half of the disk holds), whose sampler sleeps as long as drawing would take,
goes through `reduce` or `write`, window by window, for a while; then it is interrupted. Printed are
the processor time per task of the scheduler, of the driver and of a worker, their memory, and the
number of workers that keep scheduler or driver busy all the time.

Processor time is what is measured, since it hardly depends on other work on the machine. What the
scheduler takes with all workers connected and no task is measured before, and taken off.
The row that is printed is one of the table in ``docs/explanation/scale.md``.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import dask
import numpy as np
import psutil

import montezarr as mz
from benchmarks._machine import machine
from montezarr.run import cost

PATHS = 10**12
WORKERS_PER_PROCESS = 128
TASK_PATHS = 2**13
"""Paths of a task, and of a chunk of a store: so few that folding and writing take no time."""

SETTLING_SECONDS, IDLE_SECONDS = 15.0, 20.0
MIB = 2**20
QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "60s",
    "distributed.admin.system-monitor.disk": False,
}
"""Settings of the workers, of which each would look at its whole process often."""


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


@dataclass(frozen=True)
class Cluster:
    """A Client, the process of its scheduler, and those that hold workers."""

    client: Any
    scheduler: psutil.Process
    hosts: list[psutil.Process]
    workers: int


@contextmanager
def cluster(workers: int, per_process: int) -> Iterator[Cluster]:
    """Start a scheduler on the first core, and all else, this process too, on the others."""
    cores = sorted(os.sched_getaffinity(0))
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scheduler.json"
        command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
        command += ["--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
        os.sched_setaffinity(0, cores[:1])  # a process inherits it
        started = [subprocess.Popen(command, **quiet)]
        os.sched_setaffinity(0, cores[1:] or cores)
        try:
            while not file.exists():
                time.sleep(0.1)
            host = [sys.executable, "-m", "benchmarks.scale", "--host-workers", str(file)]
            for first in range(0, workers, per_process):
                count = min(per_process, workers - first)
                started.append(subprocess.Popen([*host, str(count)], **quiet))
            from distributed import Client

            with Client(scheduler_file=str(file), set_as_default=False) as client:
                client.wait_for_workers(workers, timeout=900)
                scheduler, *hosts = (psutil.Process(process.pid) for process in started)
                yield Cluster(client, scheduler, hosts, workers)
        finally:
            os.sched_setaffinity(0, cores)
            for process in reversed(started):
                process.terminate()
            for process in started:
                process.wait()


async def host_workers(file: str, count: int) -> None:
    """Run several workers in this process, until it is ended."""
    from distributed import Worker

    dask.config.set(QUIET)
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


@dataclass(frozen=True)
class Reading:
    """What the processes have used up to a moment: seconds of processor, and bytes."""

    moment: float
    tasks: int
    task_seconds: float
    scheduler: float
    driver: float
    workers: float
    scheduler_bytes: int
    driver_bytes: int
    workers_bytes: int

    @classmethod
    def of(cls, it: Cluster) -> Reading:
        """Return it now."""
        tasks, task_seconds = it.client.run_on_scheduler(finished_tasks)
        return cls(
            time.perf_counter(),
            tasks,
            task_seconds,
            sum(it.scheduler.cpu_times()[:2]),
            time.process_time(),
            sum(sum(host.cpu_times()[:2]) for host in it.hosts),
            it.scheduler.memory_info().rss,
            psutil.Process().memory_info().rss,
            sum(host.memory_info().rss for host in it.hosts),
        )


def finished_tasks(dask_scheduler: Any) -> tuple[int, float]:
    """Return the number of tasks that the scheduler has seen to their end, and their seconds."""
    found = [
        prefix
        for name, prefix in dask_scheduler.task_prefixes.items()
        if name.startswith(("reduce", "write"))
    ]
    done = sum(prefix.state_counts["memory"] for prefix in found)
    return done, max((prefix.duration_average for prefix in found), default=0.0)


@dataclass
class Watch:
    """Reads the processes from a thread of its own, and interrupts the main thread at the end."""

    cluster: Cluster
    duration: float
    readings: list[Reading] = field(default_factory=list)
    idle: float = 0.0
    """Share of its core that the scheduler takes without tasks."""

    def measure_idle(self) -> None:
        """Measure what the scheduler takes with all workers connected, and no task."""
        time.sleep(SETTLING_SECONDS)
        before = Reading.of(self.cluster)
        time.sleep(IDLE_SECONDS)
        after = Reading.of(self.cluster)
        self.idle = (after.scheduler - before.scheduler) / (after.moment - before.moment)

    def run(self) -> None:
        """Take a reading every tenth of the duration, from when the first task has ended."""
        while not Reading.of(self.cluster).tasks:
            time.sleep(1)
        for _ in range(11):
            self.readings.append(now := Reading.of(self.cluster))
            print(
                f"{now.tasks:>9,} tasks of {now.task_seconds:5.2f} s; processor: scheduler"
                f" {now.scheduler:6.1f} s, driver {now.driver:6.1f} s,"
                f" workers {now.workers:7.1f} s; memory: {now.scheduler_bytes / MIB:.0f},"
                f" {now.driver_bytes / MIB:.0f}, {now.workers_bytes / MIB:.0f} MiB",
                flush=True,
            )
            if len(self.readings) < 11:
                time.sleep(self.duration / 10)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def work(kind: str, client: Any, seconds: float, folder: str) -> None:
    """Go through paths until interrupted."""
    process = Sleeping(seconds=seconds / TASK_PATHS)
    with mz.backend(client), suppress(KeyboardInterrupt):
        if kind == "write":
            # As many paths as the disk has room for, which `write` makes sure of.
            room = min(PATHS, shutil.disk_usage(folder).free // 2 // 4 // TASK_PATHS * TASK_PATHS)
            ds = mz.simulate(process, room, 1, seed=1, keep=[1], dtype="float32", chunks=TASK_PATHS)
            mz.write(ds, Path(folder) / "x.zarr", chunks_per_task=1)
        else:
            # A task gets the power of two of paths that is below the goal.
            with mock.patch.object(cost, "task_seconds", return_value=1.05 * seconds):
                mz.reduce(mz.simulate(process, PATHS, 1, seed=1).x, "mean")


def measure(kind: str, workers: int, seconds: float, duration: float, per_process: int) -> None:
    """Print readings, and the row of the table: the last half of the time."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the shell may have had it ignored
    logging.getLogger("tornado.application").disabled = True  # results that nobody waits for
    with tempfile.TemporaryDirectory() as folder, cluster(workers, per_process) as found:
        watch = Watch(found, duration)
        watch.measure_idle()
        thread = threading.Thread(target=watch.run)
        thread.start()
        work(kind, found.client, seconds, folder)
        thread.join()
        print(f"| {' | '.join(COLUMNS)} |\n|---{'|--:' * (len(COLUMNS) - 1)}|")
        print(row(kind, workers, watch), flush=True)


def row(kind: str, workers: int, watch: Watch) -> str:
    """Return the row of the table of a measurement."""
    start, middle, end = (watch.readings[i] for i in (1, 5, 10))
    tasks, elapsed = end.tasks - middle.tasks, end.moment - middle.moment
    scheduler = (end.scheduler - middle.scheduler - watch.idle * elapsed) / tasks
    driver = (end.driver - middle.driver) / tasks
    worker = (end.workers - middle.workers) / tasks
    saturated = min((1 - watch.idle) / scheduler, 1 / driver)
    return (
        f"| {kind} | {workers:,} | {end.task_seconds:.1f} | {tasks / elapsed:,.0f}"
        f" | {watch.idle:.1%} | {1e3 * scheduler:.2f} | {1e3 * driver:.2f} | {1e3 * worker:.2f}"
        f" | {start.scheduler_bytes / MIB:,.0f} → {end.scheduler_bytes / MIB:,.0f}"
        f" | {start.driver_bytes / MIB:,.0f} → {end.driver_bytes / MIB:,.0f}"
        f" | {start.workers_bytes / MIB / workers:,.1f} → {end.workers_bytes / MIB / workers:,.1f}"
        f" | {saturated:,.0f} |"
    )


COLUMNS = (
    "", "workers", "s per task", "tasks/s", "scheduler without tasks", "scheduler, ms per task",
    "driver, ms per task", "worker, ms per task", "scheduler, MiB", "driver, MiB", "a worker, MiB",
    "workers at most, per s of a task",
)  # fmt: skip


def main() -> None:
    """Measure, or host workers for a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workers", type=int, nargs="?", default=64)
    parser.add_argument("kind", nargs="?", choices=["reduce", "write"], default="reduce")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a task")
    parser.add_argument("--duration", type=float, default=600.0, help="seconds to measure")
    parser.add_argument("--per-process", type=int, default=WORKERS_PER_PROCESS, help="workers")
    parser.add_argument("--host-workers", metavar="FILE", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.host_workers:
        asyncio.run(host_workers(chosen.host_workers, chosen.workers))
        return
    print(machine(), flush=True)
    measure(chosen.kind, chosen.workers, chosen.seconds, chosen.duration, chosen.per_process)


if __name__ == "__main__":
    main()
