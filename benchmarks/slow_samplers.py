"""Slow samplers: 200 paths of 50 ms on 1 and 2 worker processes, in every call that draws."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import montezarr as mz
from benchmarks._measure import Row
from montezarr.engine.bench.run import BENCH_STEPS, calibrated
from montezarr.engine.bench.samplers import PythonLoop

PATHS, STEPS, SECONDS = 200, 10, 0.05


class Sleeping:
    """A path that waits, as for another program: other load on the machine hardly matters."""

    def sample_path(self, T: int, x0: float, rng: Any) -> Any:
        time.sleep(SECONDS)
        return x0 + rng.standard_normal(T + 1)


def _written(ds: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        mz.write(ds, f"{folder}/paths.zarr")


CALLS: dict[str, Callable[[Any], Any]] = {
    "compute": lambda ds: ds.compute(),
    "reduce": lambda ds: mz.reduce(ds, "mean"),
    "stream(every=50)": lambda ds: list(mz.stream(ds, "mean", every=50)),
    "write": _written,
    "batches of 50": lambda ds: list(mz.batches(ds, 50)),
}


def rows() -> Iterator[Row]:
    """Yield the rows."""
    busy = PythonLoop(round(calibrated(SECONDS) * BENCH_STEPS / STEPS))
    for title, sampler in (("sleeping", Sleeping()), ("busy", busy)):
        ds = mz.simulate(sampler, PATHS, STEPS, 0.0, seed=1)
        taken: dict[str, list[float]] = {name: [] for name in CALLS}
        for workers in (1, 2):
            few = mz.simulate(sampler, 4 * workers, STEPS, 0.0, seed=2)
            with mz.backend("processes", workers):
                for call in CALLS.values():  # start the workers, and import what they need
                    call(few)
                for name, call in CALLS.items():
                    began = time.perf_counter()
                    call(ds)
                    taken[name].append(time.perf_counter() - began)
        for name, (single, double) in taken.items():
            details = f"{single:.2f} s on 1 worker, {double:.2f} s on 2"
            text = (
                f"{name} of {PATHS} {title} paths of {1000 * SECONDS:.0f} ms, 2 workers against 1"
            )
            yield Row.at_least(text, 1.8, single / double, details)
    yield from _counts()


def _counts() -> Iterator[Row]:
    """Snapshots at single paths, and a rule beyond which no path is drawn."""
    with mz.backend("processes", 2):
        ds = mz.simulate(Sleeping(), PATHS, STEPS, 0.0, seed=1)
        found = [snapshot.paths for snapshot in mz.stream(ds, "mean", every=50)]
        endless = mz.simulate(Sleeping(), None, STEPS, 0.0, seed=1)
        *_, last = mz.stream(endless, "mean", until=mz.PathCount(100))
    share = float(np.mean([count % 50 == 0 for count in found]))
    yield Row.at_least("snapshots at multiples of 50", 1, share, f"at {found}")
    yield Row.at_least(
        "PathCount(100): paths in the result", 100, last.paths, f"{last.paths} paths"
    )


def main() -> None:
    """Print the rows."""
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
