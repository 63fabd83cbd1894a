"""Scenarios on common noise against single runs; a number per path against constants.

``python -m benchmarks.scenarios`` prints both sides of each row, in the same run. Both compute all
times, on all cores, but for the table of calls on the last value. The rows of memory are processes
of their own, one after the other.
"""

from __future__ import annotations

import itertools
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xarray as xr

import montezarr as mz
from benchmarks._measure import Row, best
from benchmarks.samplers import DT, STEPS

SCENARIOS, STRIKES = 10, 12
MANY, WEEKS, FEW_PATHS, MANY_PATHS = 1000, 52, 10**4, 10**5
SINGLE, TASKS = 32_768, 8
"""Paths of a task of parameters per path, and the number of tasks."""

GRID = mz.TimeGrid.of(STEPS, DT)
GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
OU = mz.OrnsteinUhlenbeck(theta=2.0, mu=0.05, sigma=0.2)
HESTON = mz.Heston(mu=0.05, kappa=2.0, theta=0.04, xi=0.3, rho=-0.7)
POISSON = mz.PoissonProcess(rate=300.0)
STARTS = {"GeometricBrownianMotion": 100.0, "OrnsteinUhlenbeck": 0.0, "Heston": (100.0, 0.04),
          "PoissonProcess": 0}  # fmt: skip
RANGES = {
    "GeometricBrownianMotion": {"mu": (0.0, 0.1), "sigma": (0.1, 0.4)},
    "OrnsteinUhlenbeck": {"theta": (1.0, 3.0), "mu": (0.0, 0.1), "sigma": (0.1, 0.4)},
    "PoissonProcess": {"rate": (100.0, 1000.0)},
    "Heston": {
        "mu": (0.0, 0.1), "kappa": (1.0, 3.0), "theta": (0.02, 0.06), "xi": (0.2, 0.4),
        "rho": (-0.9, -0.5),
    },
}  # fmt: skip


def in_threads(task, total: int, size: int) -> None:
    """Run a task for each range of paths, as a run does."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda start: task(start, min(size, total - start)), range(0, total, size)))


def of_draws(x0) -> str:
    return "float32" if x0.dtype == np.float32 else "float64"


def single(process, x0, n_paths: int) -> None:
    def task(start: int, n: int) -> None:
        process.sample(mz.Draws.of(1, start=start, n=n, dtype=of_draws(x0)), GRID, x0)

    in_threads(task, n_paths, SINGLE)


def every_time(ds):
    """The mean of every state."""
    return mz.reduce(ds, "mean")


def prices(underlying):
    """The prices of calls at some strikes, with standard errors."""
    strikes = xr.DataArray(np.linspace(80.0, 130.0, STRIKES), dims="strike")
    return mz.reduce((underlying - strikes).clip(min=0).rename("payoff"), "mean")


def asian_table(ds):
    """Prices of calls on the average over all times."""
    return prices(ds.x.mean("time"))


def table(ds):
    """Prices of calls on the last value, for which neither side computes the other states."""
    return prices(ds.x.isel(time=-1))


REDUCTIONS: dict[str, Callable] = {
    "means of all times": every_time,
    "table of Asian calls": asian_table,
    "table of calls": table,
}


def scenario_row(process, name: str, dtype: str, wanted: float, of="means of all times") -> Row:
    """k values of a parameter in one reduction, against k reductions."""
    reduction = REDUCTIONS[of]
    low, high = RANGES[type(process).__name__][name]
    values = np.linspace(low, high, SCENARIOS)
    n_paths = SINGLE * (TASKS if process.is_one_pass else 2)
    names = process.variables
    start = STARTS[type(process).__name__]
    x0 = dict(zip(names, start, strict=True)) if len(names) > 1 else start
    arguments = {"n_paths": n_paths, "T": STEPS, "dt": DT, "x0": x0, "seed": 1, "dtype": dtype}
    vary = {name: xr.DataArray(values, dims=name)}
    grid = mz.simulate(process, **arguments, vary=vary)
    each = [process.with_parameters(**{name: value}) for value in values.tolist()]
    runs = [mz.simulate(one, **arguments) for one in each]
    several, apart = best(
        lambda: reduction(grid), lambda: [reduction(run) for run in runs], rounds=3
    )
    ratio = several / apart
    per_step = 1e9 / (n_paths * STEPS * SCENARIOS)
    details = f"{several * per_step:.2f} against {apart * per_step:.2f} ns/step"
    title = f"{SCENARIOS} values of {name} of {type(process).__name__}, {dtype}, {of}"
    return Row(f"{title}, against single", f"<= {wanted:g}", ratio, ratio <= wanted, details)


def per_path_row(process, dtype: str) -> Row:
    """All parameters with a number per path against constants."""
    x0 = process.check_x0(STARTS[type(process).__name__], dtype)
    n_paths = SINGLE * (TASKS if process.is_one_pass else 2)
    random = np.random.default_rng(1)
    ranges = RANGES[type(process).__name__].items()
    values = {name: random.uniform(*ends, n_paths) for name, ends in ranges}

    def each(start: int, n: int) -> None:
        some = process.with_arrays({k: v[start : start + n] for k, v in values.items()})
        some.sample(mz.Draws.of(1, start=start, n=n, dtype=of_draws(x0)), GRID, x0)

    own, constant = best(
        lambda: in_threads(each, n_paths, SINGLE),
        lambda: single(process, x0, n_paths),
        rounds=3,
    )
    per_step, ratio = 1e9 / (n_paths * STEPS), own / constant
    details = f"{own * per_step:.2f} against {constant * per_step:.2f} ns/step"
    title = f"parameters per path, {type(process).__name__}, {dtype}, against constants"
    return Row(title, "<= 1.5", ratio, ratio <= 1.5, details)


def rows() -> Iterator[Row]:
    for dtype in ("float64", "float32"):
        for of in REDUCTIONS:
            yield scenario_row(GBM, "sigma", dtype, 0.6, of)
        # Most of its time is the step of the variance, which each scenario has for itself.
        yield scenario_row(HESTON, "xi", dtype, 1.0)
        for process in (GBM, OU, HESTON):
            yield per_path_row(process, dtype)
    yield per_path_row(POISSON, "int64")


def one_reduction(of: str, scenarios: int, steps: int, n_paths: int) -> None:
    """Print seconds and peak memory of a reduction: the work of a process of its own."""
    sigma = xr.DataArray(np.linspace(0.1, 0.4, scenarios), dims="sigma")
    arguments = {"n_paths": n_paths, "T": steps, "dt": 1 / steps, "x0": 100.0, "seed": 1}
    ds = mz.simulate(GBM, **arguments, vary={"sigma": sigma})
    began = time.perf_counter()
    REDUCTIONS[of](ds)
    seconds = time.perf_counter() - began
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measured(of: str, scenarios: int, steps: int, n_paths: int) -> tuple[float, float]:
    """Return seconds and MiB of `one_reduction`."""
    words = [of, str(scenarios), str(steps), str(n_paths)]
    command = [sys.executable, "-m", "benchmarks.scenarios", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, mebibytes = map(float, done.stdout.split())
    return seconds, mebibytes


def memory_rows() -> Iterator[Row]:
    """Ten times the paths in the same memory; and the largest table."""
    for of in ("means of all times", "table of calls"):
        few, many = (measured(of, MANY, WEEKS, n) for n in (FEW_PATHS, MANY_PATHS))
        ratio = many[1] / few[1]
        is_flat = ratio <= 1.1 and many[1] < 1024
        details = f"{many[1]:.0f} MiB, {many[0]:.1f} s against {few[1]:.0f} MiB, {few[0]:.1f} s"
        title = f"{MANY:,} scenarios, {WEEKS} steps, {of}: 10**5 paths against 10**4"
        yield Row(title, "<= 1.1", ratio, is_flat, details)
    for of in ("table of Asian calls", "table of calls"):
        seconds, peak = measured(of, SCENARIOS, STEPS, 10**6)
        title = f"{SCENARIOS} scenarios, 10**6 paths, {STEPS} steps, {of}: GiB"
        details = f"{seconds:.1f} s, {peak:.0f} MiB"
        yield Row(title, "<= 1", peak / 1024, peak <= 1024, details)


def main() -> None:
    if len(sys.argv) > 1:
        of, *sizes = sys.argv[1:]
        one_reduction(of, *map(int, sizes))
        return
    for row in itertools.chain(rows(), memory_rows()):
        print(row, flush=True)


if __name__ == "__main__":
    main()
