"""Print what random chunks cost: read from a written store, and from one that is nowhere.

    python -m benchmarks.virtual               # 5 GiB of GBM paths, chunks of 8192 paths
    python -m benchmarks.virtual 1 4096        # gibibytes, paths per chunk

Both are opened by `xarray.open_zarr` and read by the same Dask graph on threads: a random 1 % of
the chunks, at least 16. The page cache is dropped before each round, where that is permitted; else
the kernel is asked to forget the files.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import dask
import xarray as xr

import montezarr as mz
from benchmarks._measure import ROUNDS, Row
from benchmarks.samplers import DT, MU, SIGMA, STEPS, X0

GIB = 2**30
SHARE = 0.01
LEAST = 16
DROP = Path("/proc/sys/vm/drop_caches")


def forget(root: Path) -> str:
    """Take the files below `root` out of the page cache; return how."""
    os.sync()
    try:
        DROP.write_text("3")
    except OSError:
        for path in root.rglob("*"):
            if path.is_file():
                handle = os.open(path, os.O_RDONLY)
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(handle)
        return "posix_fadvise"
    return "drop_caches"


def seconds(ds: Any, chosen: list[int]) -> float:
    blocks = [ds.x.data.blocks[i] for i in chosen]
    started = time.perf_counter()
    # Each chunk is made whole in memory and let go, as a statistic of it would.
    dask.compute(*[dask.delayed(len)(block) for block in blocks], scheduler="threads")
    return time.perf_counter() - started


def compared(root: Path, ds: xr.Dataset) -> None:
    stored, virtual = (xr.open_zarr(store) for store in (root, mz.VirtualStore(ds)))
    n_chunks = stored.x.data.numblocks[0]
    count = min(n_chunks, max(LEAST, round(SHARE * n_chunks)))
    size = count * ds.x.data.chunks[0][0] * (STEPS + 1) * 8
    print(f"{n_chunks} chunks, {count} of them at random, {size / 2**20:,.0f} MiB", flush=True)
    seconds(virtual, [0]), seconds(stored, [0])
    ratios = []
    for number in range(ROUNDS + 2):
        chosen = random.Random(number).sample(range(n_chunks), count)
        how = forget(root)
        disk = seconds(stored, chosen)
        forget(root)  # so that both sides begin with the same
        drawn = seconds(virtual, chosen)
        warm = seconds(stored, chosen), seconds(stored, chosen)
        ratios.append(disk / drawn)
        print(
            f"  disk, cold {disk:6.3f} s   drawn {drawn:6.3f} s   ratio {disk / drawn:5.2f}"
            f"   (disk, warm {warm[1]:6.3f} s; {how})",
            flush=True,
        )
    ratio = median(ratios)
    name = "random chunks of GBM paths, drawn against read from a cold disk"
    print(Row(name, "at least 1", ratio, ratio >= 1, f"{min(ratios):.2f} to {max(ratios):.2f}"))


def main(gibibytes: float = 5, chunk: int = 8192) -> None:
    n_paths = int(gibibytes * GIB / ((STEPS + 1) * 8)) // chunk * chunk
    gbm = mz.GeometricBrownianMotion(mu=MU, sigma=SIGMA)
    ds = mz.simulate(gbm, n_paths, STEPS, X0, dt=DT, seed=1, chunks=chunk)
    folder = Path(tempfile.mkdtemp(prefix="montezarr-"))
    try:
        mz.write(ds, folder / "paths.zarr")
        compared(folder / "paths.zarr", ds)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(*(float(sys.argv[1]),) * (len(sys.argv) > 1), *map(int, sys.argv[2:3]))
