"""Print the speed table: each row both sides in the same run, with the ratio reached."""

from __future__ import annotations

import json
import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor

import dask
import numpy as np

import montezarr as mz
from benchmarks import greeks, peers, scenarios
from benchmarks._measure import Row, best
from benchmarks.samplers import (
    DT,
    MU,
    SIGMA,
    STEPS,
    STRIKE,
    X0,
    PythonGBM,
    VectorPath,
    one_path,
    one_vector_path,
)
from montezarr.engine.bench.run import BENCH_STEPS, calibrated
from montezarr.engine.bench.samplers import PythonLoop, Uneven

GBM = mz.GeometricBrownianMotion(mu=MU, sigma=SIGMA)
PATHS = 800_000
PYTHON_PATHS = 20_000


def payoff_mean(dtype: str = "float64", chunks: int | None = None, n_paths: int = PATHS) -> float:
    ds = mz.simulate(GBM, n_paths, STEPS, X0, dt=DT, seed=1, dtype=dtype, chunks=chunks)
    payoff = (ds.x.isel(time=-1) - STRIKE).clip(min=0)
    return float(payoff.mean("path").compute(scheduler="threads"))


def lazy_means(chunk: int | None, dtype: str) -> np.ndarray:
    """The mean at every time, through Dask and xarray."""
    ds = mz.simulate(GBM, PATHS, STEPS, X0, dt=DT, seed=1, dtype=dtype, chunks=chunk)
    total = ds.x.sum("path", dtype=np.float64, skipna=False)
    return total.compute(scheduler="threads").values / PATHS


def bare_means(chunk: int, dtype: str) -> np.ndarray:
    """The same by the kernel alone in a thread pool."""
    grid, x0 = mz.TimeGrid.of(STEPS, DT), np.asarray(X0, dtype)

    def task(start: int) -> np.ndarray:
        draws = mz.Draws.of(1, start=start, n=min(chunk, PATHS - start), dtype=dtype)
        return GBM.sample(draws, grid, x0).sum(axis=1, dtype=np.float64)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return sum(pool.map(task, range(0, PATHS, chunk))) / PATHS


def python_paths(sampler: object, workers: int, n_paths: int = PYTHON_PATHS, steps: int = STEPS):
    """The engine as it is called, workers started and ended: the request's `simulate`."""
    engine = mz.MonteCarloEngine(sampler)
    return engine.simulate(
        n_paths, steps, X0, parallel=True, n_jobs=workers, backend="processes", seed=1
    )


def per_step(seconds: float) -> str:
    return f"{seconds / PATHS / STEPS * 1e9:.2f} ns/step"


def rows_of(dtype: str) -> list[Row]:
    """Rows 1 and 2 in one precision; the peers have float64 alone."""
    ours, pathwise, dask_random, numpy_one = best(
        lambda: payoff_mean(dtype),
        lambda: peers.payoff_mean_pathwise(PATHS),
        lambda: peers.payoff_mean_dask_random(PATHS),
        lambda: peers.payoff_mean_numpy(PATHS // 8),
        rounds=3,
    )
    numpy_one *= 8
    out = []
    for name, seconds, wanted in (
        ("pathwise-sde (Rust, all cores)", pathwise, 4.0),
        ("dask.array.random + cumsum (threads)", dask_random, 4.0),
        ("vectorised default_rng (one core)", numpy_one, 5.0),
    ):
        ratio = seconds / ours
        out.append(
            Row(
                f"GBM {dtype}, simulate + reduce, against {name}",
                f">= {wanted:g}",
                ratio,
                ratio >= wanted,
                f"{per_step(ours)} against {per_step(seconds)}",
            )
        )
    return out


def precision_row() -> Row:
    double, single = best(payoff_mean, lambda: payoff_mean("float32"))
    ratio = double / single
    details = f"{per_step(single)} against {per_step(double)}"
    return Row("GBM float32 against our float64", ">= 1.8", ratio, ratio >= 1.8, details)


def overhead_row(dtype: str, chunk: int) -> Row:
    lazy, kernel = best(lambda: lazy_means(chunk, dtype), lambda: bare_means(chunk, dtype))
    ratio = lazy / kernel
    details = f"{per_step(lazy)} against {per_step(kernel)}"
    name = f"lazy pipeline against bare kernel, {dtype}, {chunk:,}-path chunks"
    return Row(name, "<= 1.10", ratio, ratio <= 1.10, details)


def python_rows() -> list[Row]:
    out = []
    for title, sampler, function in (
        ("Python-loop", PythonGBM(), one_path),
        ("few-call NumPy", VectorPath(), one_vector_path),
    ):
        ours, peer = best(
            lambda s=sampler: python_paths(s, 2),
            lambda f=function: peers.parallel_simulate_process_pool(f, PYTHON_PATHS, 1),
            rounds=3,
        )
        details = f"{ours:.2f} s against {peer:.2f} s for {PYTHON_PATHS:,} paths"
        name = f"{title} sample_path, engine against one future per path"
        out.append(Row(name, ">= 3", peer / ours, peer / ours >= 3, details))
    return out


def scaling_rows() -> list[Row]:
    """A path of 1 ms on 1 and 2 workers; and paths of which one in 100 costs 100 times."""
    work = calibrated(1e-3)
    n_paths = 4000
    single, double = best(
        lambda: python_paths(PythonLoop(work), 1, n_paths, BENCH_STEPS),
        lambda: python_paths(PythonLoop(work), 2, n_paths, BENCH_STEPS),
        rounds=2,
    )
    ratio = single / double
    details = f"{single:.2f} s on 1 worker, {double:.2f} s on 2"
    out = [Row("sample_path of 1 ms, 2 workers against 1", ">= 1.8", ratio, ratio >= 1.8, details)]
    # Busy is the time that the same paths take one after the other, out of what 2 workers had.
    uneven = Uneven(max(1, work // 2))
    alone, together = best(
        lambda: mz.MonteCarloEngine(uneven).simulate(2 * n_paths, BENCH_STEPS, X0, seed=1),
        lambda: python_paths(uneven, 2, 2 * n_paths, BENCH_STEPS),
        rounds=2,
    )
    busy = alone / (2 * together)
    details = f"{alone:.2f} s of work in {together:.2f} s on 2 workers, start-up included"
    return [*out, Row("uneven cost, workers busy", ">= 0.90", busy, busy >= 0.9, details)]


def main() -> None:
    dask.config.set(num_workers=os.cpu_count())
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()},"
        f" NumPy {np.__version__}, {PATHS:,} paths of {STEPS} steps; best of several rounds\n"
    )
    print(f"{'':<62} {'ratio':>7}  {'wanted':<14} {'':<4}")
    table: list[Row] = []
    for make in (
        lambda: rows_of("float64"),
        lambda: rows_of("float32"),
        lambda: [precision_row()],
        lambda: [overhead_row(t, c) for t in ("float64", "float32") for c in (8192, 32768, 65536)],
        python_rows,
        scaling_rows,
        scenarios.rows,
        greeks.rows,
    ):
        for row in make():
            print(row, flush=True)
            table.append(row)
    if "--json" in sys.argv:
        print(json.dumps([row.__dict__ for row in table], indent=2))


if __name__ == "__main__":
    main()
