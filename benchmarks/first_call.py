"""What the first call costs, what the compiler keeps on the disk, and how many threads run.

``python -m benchmarks.first_call`` prints it. Each figure of a first call comes from a fresh
process, with an empty directory for the compiled code and then with the full one; CPU time and
elapsed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks._machine import machine

IMPORT = """
import time
cpu, wall = time.process_time(), time.perf_counter()
def lap(name):
    global cpu, wall
    took = time.process_time() - cpu, time.perf_counter() - wall
    print(f"    {name:<40} {took[0]:6.2f} s CPU {took[1]:7.2f} s elapsed", flush=True)
    cpu, wall = time.process_time(), time.perf_counter()
"""

CALLS = (
    IMPORT
    + """
import montezarr as mz
lap("import montezarr")
gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
ds = mz.simulate(gbm, 100_000, T=252, dt=1 / 252, x0=100.0, seed=1)
lap("first simulate")
mz.reduce(ds.x.isel(time=-1), "mean")
lap("first reduce, 100,000 paths of 252 steps")
mz.reduce(ds.x.isel(time=-1), "mean")
lap("the same again")
"""
)

PARTS = (
    IMPORT
    + """
import numpy
lap("import numpy")
import pandas
lap("import pandas")
import xarray
lap("import xarray")
import montezarr
lap("import montezarr after these")
"""
)

REFERENCE = (
    IMPORT
    + """
import sys
sys.modules["numba"] = None
try:
    import montezarr as mz
    mz.simulate(mz.BrownianMotion(), 1024, T=8, dt=1.0, x0=0.0, seed=1).x.compute()
    print("    without Numba: runs")
except ImportError as error:
    print("    without Numba:", error)
brownian = mz.BrownianMotion()
lap("import and a first, small run")
for name in ("without Numba", "again"):
    mz.simulate(brownian, 16_384, T=252, dt=1 / 252, x0=0.0, seed=1).x.compute(scheduler="sync")
    lap(f"16,384 paths of 252 steps {name}")
"""
)

THREADS = """
import os, sys
import numpy as np
import montezarr as mz

def threads(rng, T):
    a = rng.standard_normal((300, 300))
    a @ a
    return np.full(T + 1, len(os.listdir("/proc/self/task")))

if __name__ == "__main__":
    ds = mz.simulate(threads, 64, 1, seed=1, dtype="int64", chunks=16)
    with mz.backend(sys.argv[1], 2):
        print(int(ds.x.max().compute()))
"""


def run(code: str, cache: str, *arguments: str) -> str:
    """Return what a fresh process prints."""
    file = Path(cache) / "code.py"
    file.write_text(code, encoding="utf-8")
    env = {**os.environ, "NUMBA_CACHE_DIR": cache, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, str(file), *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr[-400:]).rstrip()


def main() -> None:
    print(machine())
    with tempfile.TemporaryDirectory() as cache:
        for name in ("nothing compiled yet", "compiled before"):
            print(f"{name}:\n{run(CALLS, cache)}", flush=True)
        kept = [p.stat().st_size for p in Path(cache).rglob("*.nb[ic]")]
        print(f"compiled code on the disk: {len(kept)} files, {sum(kept) / 2**20:.1f} MiB")
        print(f"parts of the import:\n{run(PARTS, cache)}", flush=True)
        print(run(REFERENCE, cache), flush=True)
        for backend in ("threads", "processes"):
            print(
                f"threads of a process, 2 workers on {backend}, BLAS in the function:"
                f" {run(THREADS, cache, backend)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
