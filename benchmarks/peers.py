"""What people use today for the same work, each as its users would write it."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

import dask.array as da
import numpy as np

from benchmarks.samplers import DT, MU, SIGMA, STEPS, STRIKE, X0


def payoff_mean_pathwise(n_paths: int) -> float:
    """pathwise-sde (Rust, all cores), its fastest scheme."""
    import pathwise

    x = pathwise.simulate(
        pathwise.gbm(MU, SIGMA), pathwise.euler(), n_paths, STEPS, 1.0, x0=X0, seed=1
    )
    return float(np.maximum(x[:, -1] - STRIKE, 0).mean())


def payoff_mean_dask_random(n_paths: int, chunk: int = 8192) -> float:
    """dask.array.random, cumsum and exp, on threads."""
    z = da.random.default_rng(1).standard_normal((n_paths, STEPS), chunks=(chunk, STEPS))
    steps = (MU - SIGMA**2 / 2) * DT + SIGMA * np.sqrt(DT) * z
    x = X0 * da.exp(da.cumsum(steps, axis=1))
    return float(da.maximum(x[:, -1] - STRIKE, 0).mean().compute(scheduler="threads"))


def payoff_mean_numpy(n_paths: int, chunk: int = 8192) -> float:
    """Vectorised default_rng in chunks, one core."""
    rng = np.random.default_rng(1)
    total = 0.0
    for start in range(0, n_paths, chunk):
        n = min(chunk, n_paths - start)
        z = rng.standard_normal((n, STEPS))
        x = X0 * np.exp(np.cumsum((MU - SIGMA**2 / 2) * DT + SIGMA * np.sqrt(DT) * z, axis=1))
        total += np.maximum(x[:, -1] - STRIKE, 0).sum()
    return total / n_paths


def parallel_simulate_process_pool(
    sample_fn: Callable[[int], Any], n_paths: int, base_seed: int, n_jobs: int = -1
) -> list[Any]:
    """One future per path on a process pool, the recipe that montezarr grew from."""
    if n_jobs == -1:
        n_jobs = os.cpu_count() or 1
    ss = np.random.SeedSequence(base_seed)
    seeds = [s.generate_state(1)[0] for s in ss.spawn(n_paths)]
    with ProcessPoolExecutor(max_workers=n_jobs) as executor:
        futures = {executor.submit(sample_fn, seed): i for i, seed in enumerate(seeds)}
        return [future.result() for future in as_completed(futures)]
