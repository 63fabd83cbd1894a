"""The lazy pipeline, through xarray and Dask, against the bare kernel in a thread pool."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import montezarr as mz
from benchmarks._measure import Row, best
from benchmarks.every_state import GBM, PATHS, paths, per_step
from benchmarks.samplers import DT, STEPS, X0

CHUNKS = (8192, 32768, 65536)


def lazy_means(chunk: int, dtype: str) -> np.ndarray:
    """The mean at every time, through Dask and xarray."""
    total = paths(dtype, chunks=chunk).x.sum("path", dtype=np.float64, skipna=False)
    return total.compute(scheduler="threads").values / PATHS


def bare_means(chunk: int, dtype: str) -> np.ndarray:
    """The same by the kernel alone in a thread pool."""
    grid, x0 = mz.TimeGrid.of(STEPS, DT), np.asarray(X0, dtype)

    def task(start: int) -> np.ndarray:
        draws = mz.Draws.of(1, start=start, n=min(chunk, PATHS - start), dtype=dtype)
        return GBM.sample(draws, grid, x0).sum(axis=1, dtype=np.float64)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return sum(pool.map(task, range(0, PATHS, chunk))) / PATHS


def rows() -> Iterator[Row]:
    """Yield a row for each precision and size of chunks."""
    for dtype in ("float64", "float32"):
        for chunk in CHUNKS:
            lazy, kernel = best(
                lambda c=chunk, t=dtype: lazy_means(c, t),
                lambda c=chunk, t=dtype: bare_means(c, t),
            )
            details = f"{per_step(lazy):.2f} against {per_step(kernel):.2f} ns/step"
            name = f"lazy pipeline against bare kernel, {dtype}, {chunk:,}-path chunks"
            yield Row.at_most(name, 1.10, lazy / kernel, details)


def main() -> None:
    """Print the rows."""
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
