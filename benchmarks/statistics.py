"""Print what statistics of huge runs cost: time against the bare simulation, and memory.

    python -m benchmarks.statistics payoff     # 10**8 paths of 252 steps: time and peak memory
    python -m benchmarks.statistics flat       # 10**9 paths of 12 steps: memory every 10 %
    python -m benchmarks.statistics exact      # exact quantiles of 10**7 values against numpy.sort
    python -m benchmarks.statistics quantile   # one pass over 10**7 prices against numpy.quantile
    python -m benchmarks.statistics windows    # a scheduler over 20,000 windows of tasks

A second argument is the number of paths (or windows), for a shorter run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import psutil

import montezarr as mz
from benchmarks.samplers import DT, MU, SIGMA, STEPS, STRIKE, X0
from montezarr.core.tunables.scheduling import TASKS_IN_FLIGHT_PER_WORKER
from montezarr.execute import cores

GBM = mz.GeometricBrownianMotion(mu=MU, sigma=SIGMA)
PAYOFF = [
    mz.Mean(),
    mz.Variance(),
    mz.Quantile([0.01, 0.25, 0.5, 0.75, 0.99]),
    mz.ExpectedShortfall(0.99),
]
MIB = 2**20


def resident() -> int:
    """Return the bytes that this process and its children have in memory."""
    total = 0
    for process in [*(here := psutil.Process()).children(recursive=True), here]:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


class Peak:
    """The largest memory of this process and its children, looked at every 20 ms."""

    def __enter__(self) -> Peak:
        self.bytes, self._end = resident(), Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._end.wait(0.02):
            self.bytes = max(self.bytes, resident())

    def __exit__(self, *error: Any) -> None:
        self._end.set()
        self._thread.join()
        self.bytes = max(self.bytes, resident())


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    value = function()
    return time.perf_counter() - started, value


def simulated(n_paths: int, steps: int = STEPS) -> Any:
    return mz.simulate(GBM, n_paths, steps, X0, dt=DT, seed=1)


def payoff_of(ds: Any) -> Any:
    return (ds.x.isel(time=-1) - STRIKE).clip(min=0).rename("payoff")


def bare(n_paths: int, chunk: int) -> float:
    """The same paths by the kernel alone, in a thread pool; of each its last value is looked at."""
    grid, x0 = mz.TimeGrid.of(STEPS, DT), np.asarray(X0)

    def task(start: int) -> float:
        draws = mz.Draws.of(1, start=start, n=min(chunk, n_paths - start))
        return float(GBM.sample(draws, grid, x0)[-1, 0])

    with ThreadPoolExecutor(cores()) as pool:
        return sum(pool.map(task, range(0, n_paths, chunk)))


def in_one_pass(n_paths: int) -> Any:
    ds = simulated(n_paths)
    return mz.reduce(ds.assign(payoff=payoff_of(ds)), {"payoff": PAYOFF, "x": "mean"})


def payoff(n_paths: int) -> None:
    """Time and memory of the statistics of a payoff, and of the mean of x at every step."""
    few = n_paths // 10
    mz.reduce(payoff_of(simulated(10**5)), PAYOFF)  # compiles the loops
    chunk = min(
        (4096, 8192, 65536), key=lambda size: timed(lambda: bare(few // 10, size))[0]
    )  # the fastest one on this machine
    small, _ = timed(lambda: mz.reduce(payoff_of(simulated(few)), PAYOFF))
    with Peak() as peak:
        large, found = timed(lambda: mz.reduce(payoff_of(simulated(n_paths)), PAYOFF))
    kernel, _ = timed(lambda: bare(n_paths, chunk))
    print(found[["payoff_mean", "payoff_mean_se", "payoff_expected_shortfall"]].to_pandas())
    print(f"payoff statistics: {n_paths:,} paths {large:.1f} s, {few:,} paths {small:.1f} s")
    print(f"  ten times the paths take {large / small:.2f} times the time (wanted <= 10.5)")
    print(f"  bare simulation {kernel:.1f} s: ratio {large / kernel:.2f} (wanted <= 1.25)")
    print(f"  peak memory of all processes {peak.bytes / MIB:,.0f} MiB (wanted < 1,536)")

    small, _ = timed(lambda: in_one_pass(few))
    with Peak() as peak:
        large, _ = timed(lambda: in_one_pass(n_paths))
    print(f"with the mean of x at every step, in one pass: {large:.1f} s, {small:.1f} s")
    print(f"  ten times the paths take {large / small:.2f} times the time (wanted <= 10.5)")
    print(f"  bare simulation {kernel:.1f} s: ratio {large / kernel:.2f}")
    print(f"  peak memory of all processes {peak.bytes / MIB:,.0f} MiB (wanted < 1,536)")


def flat(n_paths: int) -> None:
    """Memory from the first to the last tenth of a run."""
    payoffs = payoff_of(simulated(n_paths, 12))
    first = None
    with Peak() as peak:
        for snapshot in mz.stream(payoffs, PAYOFF, every=n_paths // 100):
            share = round(100 * snapshot.paths / n_paths)
            if share != 1 and share % 10:
                continue
            now = resident()
            first = now if first is None else first
            print(
                f"{share:4d} % {snapshot.paths:>14,} paths {snapshot.seconds:7.1f} s"
                f" {now / MIB:7,.0f} MiB, {(now - first) / MIB:+.1f} MiB since 1 %",
                flush=True,
            )
    print(f"peak memory of all processes {peak.bytes / MIB:,.0f} MiB")


def exact(n_paths: int) -> None:
    """Exact quantiles of simulated and of stored values, against numpy.sort of all of them."""
    levels = [0.001, 0.5, 0.999]
    ds = mz.simulate(GBM, n_paths, STEPS, X0, dt=DT, seed=1, keep=[-1])
    with tempfile.TemporaryDirectory() as folder:
        stored = mz.write(ds, Path(folder) / "paths.zarr")
        found = []
        for name, source in (("simulated", ds), ("stored", stored)):
            before = resident()
            with Peak() as peak:
                seconds, result = timed(
                    lambda s=source: mz.reduce(s.x.isel(time=-1), mz.Quantile(levels, exact=True))
                )
            found.append(result.x_quantile.values)
            print(
                f"{name}: {seconds:.1f} s, {(peak.bytes - before) / MIB:,.0f} MiB more than before;"
                f" the values themselves are {8 * n_paths / MIB:,.0f} MiB"
            )
        ordered = np.sort(stored.x.isel(time=-1).values)
    expected = ordered[np.ceil(np.array(levels) * n_paths).astype(int) - 1]
    print(f"numpy.sort {expected}, simulated {found[0]}, stored {found[1]}")
    print(f"equal: {all(np.array_equal(f, expected) for f in found)}")


def quantile(n_paths: int) -> None:
    """A quantile of prices after one day, less their maximum, against numpy.quantile of all."""
    prices = mz.simulate(GBM, n_paths, 1, 4000.0, dt=1 / 252, seed=1).x.isel(time=-1)
    mz.reduce(prices.isel(path=slice(0, 4096)), ["max", "q95"])  # compiles the loops
    before = resident()
    largest, _ = timed(lambda: mz.reduce(prices, "max"))
    with Peak() as peak:
        seconds, found = timed(lambda: mz.reduce(prices, mz.Quantile(0.95)))
    values = prices.values
    alone, wanted = timed(lambda: np.quantile(values, 0.95, method="inverted_cdf"))
    low, high = found.x_quantile_low.item(), found.x_quantile_high.item()
    print(f"{n_paths:,} prices: {seconds:.3f} s, {largest:.3f} s for their maximum alone")
    print(f"  the quantile {(seconds - largest) / n_paths * 1e9:.1f} ns a value; numpy.quantile")
    print(f"  of values in memory {alone / n_paths * 1e9:.1f} ns (wanted: less than that)")
    print(f"  {(peak.bytes - before) / MIB:,.0f} MiB more; the values {8 * n_paths / MIB:,.0f} MiB")
    off = abs(found.x_quantile.item() - wanted)
    print(f"  off by {off:.1e}, sampling error {(high - low) / 4:.1e} (wanted: a tenth or less)")


@contextmanager
def scheduler(workers: int) -> Any:
    """Yield (address, process) of a scheduler on loopback with workers, each its own process."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scheduler.json"
        dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
        dask += ["--port", "0", "--dashboard-address", "127.0.0.1:0"]
        dask += ["--scheduler-file", str(file)]
        worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--host", "127.0.0.1"]
        worker += ["--nthreads", "1", "--scheduler-file", str(file), "--no-dashboard"]
        quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started = [subprocess.Popen(dask, **quiet)]
        try:
            while not file.exists():
                time.sleep(0.1)
            started += [subprocess.Popen(worker, **quiet) for _ in range(workers)]
            from distributed import Client

            with Client(scheduler_file=str(file), set_as_default=False) as client:
                client.wait_for_workers(workers)
                yield client, psutil.Process(started[0].pid)
        finally:
            for process in reversed(started):
                process.terminate()
            for process in started:
                process.wait()


def windows(count: int) -> None:
    """What a scheduler holds over many windows of tasks."""
    from montezarr.reduction.sources import DrawnBlocks

    with scheduler(2) as (client, process):
        tasks = count * TASKS_IN_FLIGHT_PER_WORKER * 2
        DrawnBlocks.size = lambda block_source: 1024  # type: ignore[method-assign]  # the smallest task
        paths = tasks * 1024
        ds = mz.simulate(mz.BrownianMotion(), paths, 1, seed=1)
        print(f"{count:,} windows of {TASKS_IN_FLIGHT_PER_WORKER * 2} tasks, {paths:,} paths")

        def held(dask_scheduler: Any) -> int:
            return len(dask_scheduler.tasks)

        with mz.backend(client):
            for snapshot in mz.stream(ds, ["mean"], every=paths // 20):
                done = snapshot.paths // (1024 * TASKS_IN_FLIGHT_PER_WORKER * 2)
                print(
                    f"{done:>7,} windows {snapshot.seconds:7.1f} s: scheduler"
                    f" {process.memory_info().rss / MIB:6.1f} MiB,"
                    f" {client.run_on_scheduler(held)} tasks",
                    flush=True,
                )


DEFAULTS = {"payoff": 10**8, "flat": 10**9, "exact": 10**7, "quantile": 10**7, "windows": 20_000}


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in DEFAULTS:
        sys.exit(__doc__)
    globals()[name](int(float(sys.argv[2])) if len(sys.argv) > 2 else DEFAULTS[name])


if __name__ == "__main__":
    main()
