"""Print what writing a store costs, against plain files and against xarray's own to_zarr.

    python -m benchmarks.store            # 2 GiB of geometric Brownian motion
    python -m benchmarks.store 6          # so many GiB

Each side writes the same paths; a round has them all, one after the other. `cached` ends when the
system has taken the bytes, `on the disk` when they lie there.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
import xarray as xr
import zarr

import montezarr as mz
from benchmarks.samplers import DT, MU, SIGMA, STEPS, X0
from benchmarks.statistics import Peak, resident
from montezarr.execute import cores
from montezarr.run import Run
from montezarr.samplers import sample_range

GBM = mz.GeometricBrownianMotion(mu=MU, sigma=SIGMA)
GIB, MIB = 2**30, 2**20
ROUNDS = 3


def plain(ds: xr.Dataset, target: Path) -> None:
    """Write as many bytes to as many files, from memory, by as many threads."""
    sizes = [8 * n * (STEPS + 1) for n in ds.x.chunks[0]]
    data = np.random.default_rng(1).bytes(max(sizes))
    target.mkdir()

    def one(i: int) -> None:
        with (target / str(i)).open("wb", buffering=0) as file:
            file.write(memoryview(data)[: sizes[i]])

    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(one, range(len(sizes))))


def drawn_plain(ds: xr.Dataset, target: Path) -> None:
    """Draw the paths as montezarr does, and write them to plain files: the same bytes, no store."""
    run = Run.behind(ds)
    target.mkdir()

    def one(i: int) -> None:
        (rows,) = sample_range(run.sampler, *run.range_of(i)).values()
        with (target / str(i)).open("wb", buffering=0) as file:
            file.write(memoryview(rows).cast("B"))

    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(one, range(run.n_chunks)))


def simulate_alone(ds: xr.Dataset, target: Path) -> None:
    """Draw all paths, and let go of them."""
    target.mkdir()
    mz.reduce(ds.x.isel(time=-1), "count")


def by_montezarr(ds: xr.Dataset, target: Path) -> None:
    mz.write(ds, target)


def by_xarray(ds: xr.Dataset, target: Path) -> None:
    ds.to_zarr(target, zarr_format=3, consolidated=False)


def by_xarray_uncompressed(ds: xr.Dataset, target: Path) -> None:
    encoding = {"x": {"compressors": [zarr.codecs.Crc32cCodec()]}}
    ds.to_zarr(target, zarr_format=3, consolidated=False, encoding=encoding)


SIDES: dict[str, Callable[[xr.Dataset, Path], None]] = {
    "plain files, of drawn paths": drawn_plain,
    "plain files, from memory": plain,
    "montezarr": by_montezarr,
    "to_zarr": by_xarray,
    "to_zarr, crc32c": by_xarray_uncompressed,
    "simulation alone": simulate_alone,
}


def main(size: float = 2.0) -> None:
    n_paths = int(size * GIB / (8 * (STEPS + 1))) // 16384 * 16384
    ds = mz.simulate(GBM, n_paths, STEPS, X0, dt=DT, seed=1)
    plan = mz.plan(ds)
    print(f"{n_paths:,} paths, {ds.nbytes / GIB:.2f} GiB, chunks of {plan.chunk_paths:,} paths")
    cached: dict[str, list[float]] = {name: [] for name in SIDES}
    synced: dict[str, list[float]] = {name: [] for name in SIDES}
    peak = 0
    root = Path(tempfile.mkdtemp())
    try:
        for number in range(ROUNDS + 1):
            for name, side in SIDES.items():
                os.sync()
                started, before = time.perf_counter(), resident()
                with Peak() as seen:
                    side(ds, root / "x")
                ended = time.perf_counter()
                os.sync()
                if number:
                    cached[name].append(ended - started)
                    synced[name].append(time.perf_counter() - started)
                if name == "montezarr":
                    peak = max(peak, seen.bytes - before)
                shutil.rmtree(root / "x")
    finally:
        shutil.rmtree(root)
    for title, times in (("cached", cached), ("on the disk", synced)):
        mine = median(times["montezarr"])
        print(f"\n{title:<28}{'s':>8}{'MB/s':>8}   rate of montezarr by that of it")
        for name, seconds in times.items():
            took = median(seconds)
            print(f"{name:<28}{took:>8.2f}{ds.nbytes / 1e6 / took:>8.0f}   {took / mine:.2f}")
    print(f"\nmemory of write: {peak / MIB:.0f} MiB more than before; plan said"
          f" {plan.peak_bytes / MIB:.0f} MiB")  # fmt: skip


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))
