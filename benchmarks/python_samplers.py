"""Samplers in Python through the engine: against one future per path, and on 1 and 2 workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import montezarr as mz
from benchmarks import peers
from benchmarks._measure import Row, best
from benchmarks.samplers import STEPS, X0, PythonGBM, VectorPath, one_path, one_vector_path
from montezarr.engine.bench.run import BENCH_STEPS, calibrated
from montezarr.engine.bench.samplers import PythonLoop, Uneven

PATHS = 20_000


def python_paths(sampler: Any, workers: int, n_paths: int = PATHS, steps: int = STEPS) -> Any:
    """The engine as it is called, workers started and ended: the request's `simulate`."""
    engine = mz.MonteCarloEngine(sampler)
    return engine.simulate(
        n_paths, steps, X0, parallel=True, n_jobs=workers, backend="processes", seed=1
    )


def rows() -> Iterator[Row]:
    """Yield the rows."""
    for title, sampler, function in (
        ("Python-loop", PythonGBM(), one_path),
        ("few-call NumPy", VectorPath(), one_vector_path),
    ):
        ours, peer = best(
            lambda s=sampler: python_paths(s, 2),
            lambda f=function: peers.parallel_simulate_process_pool(f, PATHS, 1),
            rounds=3,
        )
        details = f"{ours:.2f} s against {peer:.2f} s for {PATHS:,} paths"
        name = f"{title} sample_path, engine against one future per path"
        yield Row.at_least(name, 3, peer / ours, details)
    yield from scaling_rows()


def scaling_rows() -> Iterator[Row]:
    """A path of 1 ms on 1 and 2 workers; and paths of which one in 100 costs 100 times."""
    work = calibrated(1e-3)
    n_paths = 4000
    single, double = best(
        lambda: python_paths(PythonLoop(work), 1, n_paths, BENCH_STEPS),
        lambda: python_paths(PythonLoop(work), 2, n_paths, BENCH_STEPS),
        rounds=2,
    )
    details = f"{single:.2f} s on 1 worker, {double:.2f} s on 2"
    yield Row.at_least("sample_path of 1 ms, 2 workers against 1", 1.8, single / double, details)
    # Busy is the time that the same paths take one after the other, out of what 2 workers had.
    uneven = Uneven(max(1, work // 2))
    alone, together = best(
        lambda: mz.MonteCarloEngine(uneven).simulate(2 * n_paths, BENCH_STEPS, X0, seed=1),
        lambda: python_paths(uneven, 2, 2 * n_paths, BENCH_STEPS),
        rounds=2,
    )
    details = f"{alone:.2f} s of work in {together:.2f} s on 2 workers, start-up included"
    yield Row.at_least("uneven cost, workers busy", 0.90, alone / (2 * together), details)


def main() -> None:
    """Print the rows."""
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
