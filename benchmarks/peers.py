"""What people use today for the same work, each as its users would write it."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from typing import Any

import dask.array as da
import numba
import numpy as np
from numpy.typing import NDArray

from benchmarks.samplers import DT, MU, SIGMA, STEPS, STRIKE, X0

CHUNK = 8192
"""Paths of one call where all paths would not fit: of those tried, the fastest."""


def means_in_chunks(draw: Callable[[int], NDArray[Any]], n_paths: int) -> NDArray[np.float64]:
    """Return the mean at every time of paths (n, times) that come in chunks."""
    total: Any = 0.0
    for start in range(0, n_paths, CHUNK):
        x = draw(min(CHUNK, n_paths - start))
        total = total + x.sum(axis=0, dtype=np.float64)
    return np.asarray(total / n_paths)


def means_pathwise(n_paths: int) -> NDArray[np.float64]:
    """pathwise-sde (Rust, all cores), its fastest scheme; float64 alone."""
    import pathwise

    process, scheme = pathwise.gbm(MU, SIGMA), pathwise.euler()
    return means_in_chunks(
        lambda n: pathwise.simulate(process, scheme, n, STEPS, 1.0, x0=X0, seed=1), n_paths
    )


def means_stochastic_rs(n_paths: int, dtype: str) -> NDArray[np.float64]:
    """stochastic-rs (Rust, all cores): Euler, unseeded, since a seed makes it serial."""
    import stochastic_rs as rs

    name = {"float64": "f64", "float32": "f32"}[dtype]
    return means_in_chunks(
        rs.PyGbm(MU, SIGMA, STEPS + 1, x0=X0, t=1.0, dtype=name).sample_par, n_paths
    )


def means_stochastic_rs_heston(n_paths: int, x0: tuple[float, float], **parameters: float) -> Any:
    """The prices of Heston's model by stochastic-rs, Euler too; its xi is called sigma."""
    import stochastic_rs as rs

    process = rs.PyHeston(**parameters, n=STEPS + 1, s0=x0[0], v0=x0[1], t=1.0)
    return means_in_chunks(lambda n: process.sample_par(n)[0], n_paths)


def means_stochastic_rs_ou(n_paths: int, **parameters: float) -> NDArray[np.float64]:
    """The process of Ornstein and Uhlenbeck by stochastic-rs, by Euler."""
    import stochastic_rs as rs

    return means_in_chunks(rs.PyOu(**parameters, n=STEPS + 1, t=1.0).sample_par, n_paths)


def means_stochastic_rs_cir(n_paths: int, **parameters: float) -> NDArray[np.float64]:
    """The process of Cox, Ingersoll and Ross by stochastic-rs, by Euler."""
    import stochastic_rs as rs

    return means_in_chunks(rs.PyCir(**parameters, n=STEPS + 1, t=1.0).sample_par, n_paths)


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _numba_sums(rng: Any, n: int, sums: Any) -> None:
    a, b = (MU - SIGMA**2 / 2) * DT, SIGMA * np.sqrt(DT)
    for _ in range(n):
        x = X0
        sums[0] += x
        for k in range(STEPS):
            x *= np.exp(a + b * rng.standard_normal())
            sums[k + 1] += x


def means_numba(n_paths: int) -> NDArray[np.float64]:
    """A bare Numba loop on all cores, a Generator for each thread; paths are not even kept."""
    cores = os.cpu_count() or 1
    sums = np.zeros((cores, STEPS + 1))
    with ThreadPoolExecutor(cores) as pool:
        for k in range(cores):
            rng = np.random.default_rng(k)
            pool.submit(_numba_sums, rng, n_paths // cores, sums[k])
    return np.asarray(sums.sum(axis=0) / n_paths)


def means_dask_random(n_paths: int) -> NDArray[np.float64]:
    """dask.array.random, cumsum and exp, on threads."""
    z = da.random.default_rng(1).standard_normal((n_paths, STEPS), chunks=(CHUNK, STEPS))
    steps = (MU - SIGMA**2 / 2) * DT + SIGMA * np.sqrt(DT) * z
    x = X0 * da.exp(da.cumsum(steps, axis=1))
    return np.asarray(x.mean(axis=0).compute(scheduler="threads"))


def means_numpy(n_paths: int) -> NDArray[np.float64]:
    """Vectorised default_rng in chunks, one core."""
    rng = np.random.default_rng(1)

    def draw(n: int) -> NDArray[Any]:
        z = rng.standard_normal((n, STEPS))
        return X0 * np.exp(np.cumsum((MU - SIGMA**2 / 2) * DT + SIGMA * np.sqrt(DT) * z, axis=1))

    return means_in_chunks(draw, n_paths)


def payoff_mean_dask_random(n_paths: int) -> float:
    """The mean payoff of a call from `dask.array.random`: all its steps, the last price alone."""
    z = da.random.default_rng(1).standard_normal((n_paths, STEPS), chunks=(CHUNK, STEPS))
    steps = (MU - SIGMA**2 / 2) * DT + SIGMA * np.sqrt(DT) * z
    last = X0 * da.exp(steps.sum(axis=1))
    return float(da.maximum(last - STRIKE, 0).mean().compute(scheduler="threads"))


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
