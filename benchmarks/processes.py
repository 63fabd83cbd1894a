"""Compiled steps of processes against their NumPy code, path-step by path-step.

``python -m benchmarks.processes`` prints both sides of each row, from the same run: CPU time of one
thread that makes complete paths. Both sides draw compiled random numbers and give the same bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from unittest import mock

import numpy as np

import montezarr as mz
from benchmarks._measure import Row
from benchmarks.samplers import DT, STEPS
from montezarr.processes import (
    _fused,
    diffusion,
    heston,
    markov_chain,
    poisson_process,
    random_walk,
)

N_PATHS, ROUNDS = 32_768, 4
GRID = mz.TimeGrid.of(STEPS, DT)
GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
CALM = mz.Heston(mu=0.05, kappa=2.0, theta=0.04, xi=0.3, rho=-0.7)
MIXED = mz.Heston(mu=0.0, kappa=0.5, theta=0.04, xi=1.0, rho=-0.9)
CHAIN = mz.MarkovChain(transition=((0.2, 0.5, 0.3), (0.0, 0.7, 0.3), (0.1, 0.0, 0.9)))
EULER = mz.Diffusion(drift=lambda t, x: 0.05 * x, diffusion=lambda t, x: 0.2 * x)

CASES = {
    "Heston": (CALM, (100.0, 0.04), "float64", 4.0),
    "Heston, float32": (CALM, (100.0, 0.04), "float32", 4.0),
    "Heston, two thirds in the exponential branch": (MIXED, (100.0, 0.04), "float64", 2.0),
    "Poisson process, 0.1 events a step": (mz.PoissonProcess(rate=30.0), 0, "int64", 2.0),
    "Poisson process, 20 events a step": (mz.PoissonProcess(rate=5000.0), 0, "int64", 2.0),
    "random walk": (mz.RandomWalk(), 0, "int64", 2.0),
    "Markov chain of three states": (CHAIN, 0, "int32", 2.0),
    "Diffusion by Euler": (EULER, 100.0, "float64", 1.4),
}


def sampled(process: mz.Process, x0: object, dtype: str) -> Callable[[], object]:
    start = process.check_x0(x0, dtype)
    real = dtype if dtype.startswith("float") else "float64"
    return lambda: process.sample(mz.Draws.of(1, n=N_PATHS, dtype=real), GRID, start)


def by_numpy(side: Callable[[], object]) -> Callable[[], object]:
    """Return a side whose steps are those of NumPy, on the same compiled draws."""

    def run() -> object:
        never = mock.Mock(return_value=False)
        with (
            mock.patch.object(heston, "_compiled", never),
            mock.patch.object(poisson_process, "is_compiled", never),
            mock.patch.object(random_walk, "is_compiled", never),
            mock.patch.object(markov_chain, "is_compiled", never),
            mock.patch.object(diffusion, "fused", mock.Mock(return_value=None)),
        ):
            return side()

    return run


def cpu_times(*sides: Callable[[], object]) -> list[float]:
    """Return the least CPU time of each side in turn, in ns per path-step."""
    least = [float("inf")] * len(sides)
    for number in range(ROUNDS + 1):
        for i, side in enumerate(sides):
            started = time.thread_time()
            side()
            if number:
                least[i] = min(least[i], time.thread_time() - started)
    return [1e9 * seconds / (N_PATHS * STEPS) for seconds in least]


def rows() -> list[Row]:
    out = []
    with mock.patch.object(_fused, "STEPS_BEFORE", 1):
        for name, (process, x0, dtype, wanted) in CASES.items():
            side = sampled(process, x0, dtype)
            plain, compiled = cpu_times(by_numpy(side), side)
            ratio = plain / compiled
            details = f"{compiled:.2f} against {plain:.2f} ns/step of one thread"
            out.append(
                Row(f"{name}, against NumPy", f">= {wanted:g}", ratio, ratio >= wanted, details)
            )
        euler, exact = cpu_times(sampled(EULER, 100.0, "float64"), sampled(GBM, 100.0, "float64"))
        ratio = euler / exact
        details = f"{euler:.2f} against {exact:.2f} ns/step of one thread"
        out.append(
            Row("Diffusion of its equation, against GBM", "<= 1.3", ratio, ratio <= 1.3, details)
        )
    return out


def main() -> None:
    print(f"NumPy {np.__version__}; {N_PATHS:,} paths of {STEPS} steps")
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
