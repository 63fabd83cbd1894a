"""Print the rate of random batches of a store, against reading it in order.

    python -m benchmarks.batches                # 10**6 paths of 52 float64, in chunks of 32,768
    python -m benchmarks.batches 10000000       # so many paths

Both sides read the same store through the same reader, with one parameter per path; a round has
them all, one after the other, and the best of the rounds counts. In order, whole chunks are
computed, or `mz.batches` yields them. Wanted: random
batches of arrays at 0.70 of the rate by chunk.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import montezarr as mz
from benchmarks.statistics import Peak, resident

STEPS, CHUNK, ROUNDS, MIB = 51, 32768, 7, 2**20


def walk(n: int, T: int, rng: np.random.Generator) -> dict[str, Any]:
    """Random walks with a drift that is drawn for each path."""
    drift = rng.normal(size=n)
    steps = drift[:, None] / T + rng.normal(size=(n, T + 1))
    return {"x": steps.cumsum(axis=1), "drift": drift}


def by_chunk(path: Path) -> None:
    ds = mz.open(path)
    for start in range(0, ds.sizes["path"], CHUNK):
        ds.isel(path=slice(start, start + CHUNK)).compute()


def in_order(path: Path, size: int) -> None:
    for _ in mz.batches(path, size):
        pass


def at_random(path: Path, size: int, form: str, window: int | None = None) -> None:
    order: dict[str, Any] = {"order": "random", "seed": 1, "window": window}
    for _ in mz.batches(path, size, format=form, **order):
        pass


SIDES: dict[str, Callable[[Path], None]] = {
    "in order, by chunk": by_chunk,
    "in order, batches of 32,768": lambda path: in_order(path, CHUNK),
    "in order, batches of 8,192": lambda path: in_order(path, 8192),
    **{
        f"random, numpy, batches of {size:,}": lambda path, size=size: at_random(
            path, size, "numpy"
        )
        for size in (256, 1024, 8192)
    },
    "random, numpy, 1,024, window of 131,072": lambda path: at_random(path, 1024, "numpy", 131072),
    "random, xarray, batches of 8,192": lambda path: at_random(path, 8192, "xarray"),
}


def main(n_paths: int = 10**6) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in SIDES}
    work: dict[str, list[float]] = {name: [] for name in SIDES}
    peaks = dict.fromkeys(SIDES, 0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "paths.zarr"
        ds = mz.write(mz.simulate(walk, n_paths, STEPS, seed=1, chunks=CHUNK), path)
        print(f"{n_paths:,} paths, {ds.nbytes / MIB:,.0f} MiB, {os.cpu_count()} cores")
        for number in range(ROUNDS + 1):
            # In another order each time: what runs before leaves its mark on the memory.
            for name in np.random.default_rng(number).permutation(list(SIDES)).tolist():
                side = SIDES[name]
                if number == 0:  # looking at the memory takes time
                    before = resident()
                    with Peak() as seen:
                        side(path)
                    peaks[name] = seen.bytes - before
                    continue
                cpu, started = time.process_time(), time.perf_counter()
                side(path)
                seconds[name].append(time.perf_counter() - started)
                work[name].append(time.process_time() - cpu)
    print(f"{'best of the rounds':<42}{'s':>7}{'cpu s':>7}{'MB/s':>7}{'rate':>7}{'MiB':>6}")
    for name, took in seconds.items():
        best, rate = min(took), min(seconds["in order, by chunk"]) / min(took)
        row = f"{best:>7.2f}{min(work[name]):>7.2f}{ds.nbytes / 1e6 / best:>7.0f}{rate:>7.2f}"
        print(f"{name:<42}{row}{peaks[name] / MIB:>6.0f}")
    print("rate: of reading by chunk; MiB: largest memory above that before")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
