"""Print the rate of random batches of a store, against reading it in order.

    python -m benchmarks.batches                # 10**6 paths of 52 float64, in chunks of 32,768
    python -m benchmarks.batches 10000000       # so many paths
    python -m benchmarks.batches 8000000 1      # 3.2 GiB, of which 1 GiB may be in memory

All sides read the same store through the same reader, with one parameter per path; a round has
them all, one after the other. In order, whole chunks are computed, or `mz.batches` yields them.
Wanted: random batches of arrays at 0.70 of the rate by chunk.

Without a limit the files are in the page cache, and the best of the rounds counts. With one, each
side runs in a process of its own that may allocate no more, in pairs: with the page cache dropped
before each, and then with the files in it, as far as the machine has room. Ratios are those of the
pairs, and their median counts.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import montezarr as mz
from benchmarks.statistics import Peak, resident
from benchmarks.virtual import forget

STEPS, CHUNK, ROUNDS, PAIRS, MIB, GIB = 51, 32768, 7, 3, 2**20, 2**30


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

LARGER = ["in order, by chunk", "random, numpy, batches of 1,024"]


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
    print(
        f"{'best of the rounds':<42}{'s':>7}{'cpu s':>7}{'MB/s':>7}{'rate':>7}{'cpu':>7}{'MiB':>6}"
    )
    for name, took in seconds.items():
        best, cpu = min(took), min(work[name])
        rates = [min(side["in order, by chunk"]) / min(side[name]) for side in (seconds, work)]
        row = (
            f"{best:>7.2f}{cpu:>7.2f}{ds.nbytes / 1e6 / best:>7.0f}{rates[0]:>7.2f}{rates[1]:>7.2f}"
        )
        print(f"{name:<42}{row}{peaks[name] / MIB:>6.0f}")
    print("rate, cpu: of reading by chunk, by wall and by CPU time; MiB: memory above that before")


def limited(side: str, path: str, limit: int) -> None:
    """Run one side in this process, with a limit of what it may allocate, and print what it took.

    The limit counts private writable memory, not the code of libraries, nor files that are mapped.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    mz.open(path), mz.batches  # imports are not what is measured
    cpu, started = time.process_time(), time.perf_counter()
    SIDES[side](Path(path))
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    print(wall, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def measured(side: str, path: Path, limit: int) -> list[float]:
    """Return wall time, CPU time and largest resident memory of a side in its own process."""
    call = f"batches.limited({side!r}, {str(path)!r}, {limit})"
    code = f"from benchmarks import batches; {call}"
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE)
    return [float(number) for number in done.stdout.split()]


def larger(n_paths: int, limit: int) -> None:
    """Compare random batches of a store with reading it by chunk, under a limit of memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "paths.zarr"
        ds = mz.write(mz.simulate(walk, n_paths, STEPS, seed=1, chunks=CHUNK), path)
        size = f"{ds.nbytes / GIB:.1f} GiB, may allocate {limit / GIB:.1f} GiB"
        print(f"{n_paths:,} paths, {size}, {os.cpu_count()} cores")
        for cache in ("cold", "warm"):
            pairs = []
            for number in range(PAIRS):
                pair = {}
                for side in LARGER[:: 1 if number % 2 else -1]:  # each is the first in turn
                    how = forget(path) if cache == "cold" else "not dropped"
                    pair[side] = measured(side, path, limit)
                pairs.append(pair)
            print(f"\n{cache}, page cache: {how}")
            print(f"{'medians':<42}{'s':>7}{'cpu s':>7}{'MB/s':>7}{'rate':>7}{'cpu':>7}{'MiB':>6}")
            for side in LARGER:
                _row(side, ds.nbytes, [p[side] for p in pairs], [p[LARGER[0]] for p in pairs])
    print("rate, cpu: of reading by chunk, by wall and by CPU time; MiB: largest resident memory")


def _row(name: str, size: int, mine: Any, others: Any) -> None:
    wall, cpu, peak = (median(run[i] for run in mine) for i in range(3))
    ratios = [median(b[i] / a[i] for a, b in zip(mine, others, strict=True)) for i in range(2)]
    numbers = f"{wall:>7.2f}{cpu:>7.2f}{size / 1e6 / wall:>7.0f}{ratios[0]:>7.2f}{ratios[1]:>7.2f}"
    print(f"{name:<42}{numbers}{peak / MIB:>6.0f}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        larger(int(sys.argv[1]), int(float(sys.argv[2]) * GIB))
    else:
        main(*map(int, sys.argv[1:2]))
