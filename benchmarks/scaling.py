"""One worker against two, for every class of sampler on every backend.

``python -m benchmarks.scaling`` prints the seconds of both and their ratio; workers are started and
warm. Names of backends after it choose some of them; ``--docs`` writes the table into
``docs/explanation/speed.md``. Slow paths are a part of ``python -m benchmarks`` (`slow_samplers`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import montezarr as mz
from benchmarks._machine import machine
from benchmarks._measure import Row, best, markdown
from benchmarks._pages import write_between
from benchmarks.samplers import (
    DT,
    MU,
    SIGMA,
    STEPS,
    X0,
    BatchGBM,
    PythonGBM,
    VectorPath,
    compiled_path,
)

LOCAL = ("threads", "processes", "joblib", "multiprocessing", "dask")
WANTED = 1.8


def runs() -> dict[str, Callable[[], Any]]:
    """Return a lazy run of each class of sampler, of about two seconds of work."""
    gbm = mz.GeometricBrownianMotion(mu=MU, sigma=SIGMA)
    heston = mz.Heston(mu=MU, kappa=2.0, theta=0.04, xi=0.3, rho=-0.7)

    def run(process: Any, n_paths: int, x0: Any = X0) -> Callable[[], Any]:
        return lambda: mz.simulate(process, n_paths, STEPS, x0, dt=DT, seed=1)

    return {
        "compiled process (GBM)": run(gbm, 4_000_000),
        "Heston": run(heston, 400_000, {"s": 100.0, "v": 0.04}),
        "sample_paths, NumPy": run(BatchGBM(), 800_000),
        "sample_path, NumPy": run(VectorPath(), 60_000),
        "sample_path, loop in Python": run(PythonGBM(), 15_000),
        "Numba function of a Generator": run(compiled_path(), 200_000),
    }


def reduced(make: Callable[[], Any]) -> Callable[[], Any]:
    """Return a call that reduces a run to the mean of its last state."""

    def call() -> Any:
        ds = make()
        return mz.reduce(ds[next(iter(ds.data_vars))].isel(time=-1), "mean")

    return call


def class_rows(backends: list[str]) -> Iterator[Row]:
    """Yield a row for each class of sampler and backend."""
    for title, make in runs().items():
        for name in backends:
            with mz.backend(name, n_jobs=1) as one, mz.backend(name, n_jobs=2) as two:
                call = reduced(make)
                single, double = best(_within(one, call), _within(two, call), rounds=3)
            details = f"{single:.2f} s on 1 worker, {double:.2f} s on 2"
            yield Row.at_least(f"{title}, {name}", WANTED, single / double, details)


def _within(place: mz.Backend, call: Callable[[], Any]) -> Callable[[], Any]:
    """Return the call made on a backend."""

    def run() -> Any:
        with mz.backend(place):
            return call()

    return run


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backends", nargs="*", help=f"of {', '.join(LOCAL)}")
    parser.add_argument("--docs", action="store_true", help="write the table into the docs")
    chosen = parser.parse_args()
    print(machine())
    table: list[Row] = []
    for row in class_rows(chosen.backends or list(LOCAL)):
        print(row, flush=True)
        table.append(row)
    if chosen.docs:
        write_between("explanation/speed.md", "scaling", f"{machine()}.\n\n{markdown(table)}")


if __name__ == "__main__":
    main()
