"""What must not take long, whatever the size of a run: to import, to simulate lazily, to replay.

``python -m benchmarks.limits`` prints a row for each: seconds, over the seconds that are allowed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil

import montezarr as mz
from benchmarks._measure import Row
from benchmarks.every_state import GBM
from benchmarks.samplers import DT, STEPS, X0

ROUNDS, PATHS, MIB = 5, 10**9, 2**20
IMPORT = "import time; t = time.perf_counter(); import montezarr; print(time.perf_counter() - t)"


def lazily() -> Any:
    """Return a run of 10**9 paths, of which none is drawn."""
    return mz.simulate(GBM, PATHS, STEPS, X0, dt=DT, seed=1)


def seconds_of(call: Callable[[], Any]) -> float:
    """Return the least time of some rounds, after one to warm up."""
    least = float("inf")
    for number in range(ROUNDS + 1):
        began = time.perf_counter()
        call()
        if number:
            least = min(least, time.perf_counter() - began)
    return least


def import_seconds() -> float:
    """Return the least time that a new interpreter takes to import the package."""
    command = [sys.executable, "-c", IMPORT]
    runs = (subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(5))
    return min(float(run.stdout) for run in runs)


def rows() -> Iterator[Row]:
    """Yield the rows."""
    before = psutil.Process().memory_info().rss
    simulated = seconds_of(lazily)
    taken = (psutil.Process().memory_info().rss - before) / MIB
    ds = lazily()
    replayed = seconds_of(lambda: mz.replay(ds, PATHS - 1))
    for name, seconds, limit, more in (
        ("simulate of 1e9 paths of 252 steps", simulated, 1.0, f", {taken:.0f} MiB more"),
        ("replay of the last of 1e9 paths", replayed, 0.1, ""),
        ("import montezarr, in a new interpreter", import_seconds(), 0.5, ""),
    ):
        details = f"{seconds:.3f} s of {limit:g} s{more}"
        yield Row.at_most(name, 1.0, seconds / limit, details)


def main() -> None:
    """Print the rows."""
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
