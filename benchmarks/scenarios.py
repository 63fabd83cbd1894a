"""Scenarios on common noise against single runs; a number per path against constants.

``python -m benchmarks.scenarios`` prints both sides of each row, in the same run. Both compute all
times, on all cores.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xarray as xr

import montezarr as mz
from benchmarks._measure import Row, best
from benchmarks.samplers import DT, STEPS

SCENARIOS = 10
SINGLE, TASKS = 32_768, 8
"""Paths of a task of parameters per path, and the number of tasks."""

GRID = mz.TimeGrid.of(STEPS, DT)
GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
OU = mz.OrnsteinUhlenbeck(theta=2.0, mu=0.05, sigma=0.2)
HESTON = mz.Heston(mu=0.05, kappa=2.0, theta=0.04, xi=0.3, rho=-0.7)
STARTS = {"GeometricBrownianMotion": 100.0, "OrnsteinUhlenbeck": 0.0, "Heston": (100.0, 0.04)}
RANGES = {
    "GeometricBrownianMotion": {"mu": (0.0, 0.1), "sigma": (0.1, 0.4)},
    "OrnsteinUhlenbeck": {"theta": (1.0, 3.0), "mu": (0.0, 0.1), "sigma": (0.1, 0.4)},
    "Heston": {
        "mu": (0.0, 0.1), "kappa": (1.0, 3.0), "theta": (0.02, 0.06), "xi": (0.2, 0.4),
        "rho": (-0.9, -0.5),
    },
}  # fmt: skip


def in_threads(task, total: int, size: int) -> None:
    """Run a task for each range of paths, as a run does."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda start: task(start, min(size, total - start)), range(0, total, size)))


def single(process, x0, dtype: str, n_paths: int) -> None:
    def task(start: int, n: int) -> None:
        process.sample(mz.Draws.of(1, start=start, n=n, dtype=dtype), GRID, x0)

    in_threads(task, n_paths, SINGLE)


def scenario_row(process, name: str, dtype: str, wanted: float) -> Row:
    """k values of a parameter in one reduction of all states, against k reductions."""
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
        lambda: mz.reduce(grid, "mean"), lambda: [mz.reduce(run, "mean") for run in runs], rounds=3
    )
    ratio = several / apart
    per_step = 1e9 / (n_paths * STEPS * SCENARIOS)
    details = f"{several * per_step:.2f} against {apart * per_step:.2f} ns/step"
    title = f"{SCENARIOS} values of {name} of {type(process).__name__}, {dtype}"
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
        some.sample(mz.Draws.of(1, start=start, n=n, dtype=dtype), GRID, x0)

    own, constant = best(
        lambda: in_threads(each, n_paths, SINGLE),
        lambda: single(process, x0, dtype, n_paths),
        rounds=3,
    )
    per_step, ratio = 1e9 / (n_paths * STEPS), own / constant
    details = f"{own * per_step:.2f} against {constant * per_step:.2f} ns/step"
    title = f"parameters per path, {type(process).__name__}, {dtype}, against constants"
    return Row(title, "<= 1.5", ratio, ratio <= 1.5, details)


def rows() -> list[Row]:
    out = []
    for dtype in ("float64", "float32"):
        out.append(scenario_row(GBM, "sigma", dtype, 0.6))
        # Most of its time is the step of the variance, which each scenario has for itself.
        out.append(scenario_row(HESTON, "xi", dtype, 1.0))
        out += [per_path_row(process, dtype) for process in (GBM, OU, HESTON)]
    return out


def main() -> None:
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
