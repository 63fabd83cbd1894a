"""A drift-diffusion that stops at ±1 after 300 of 100,000 steps, against the run without the rule.

The unstopped side computes all times of each path and keeps the last one: it is the fastest way to
draw them, and does not look for passages.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import montezarr as mz
from benchmarks._measure import Row, best

STEPS, DT, PATHS, FEW = 100_000, 1 / 300, 8192, 256

RULE = mz.Outside(-1.0, 1.0)


def rows() -> Iterator[Row]:
    """Yield the rows."""
    process, run = mz.BrownianMotion(), {"T": STEPS, "dt": DT, "seed": 1}
    plain = mz.simulate(process, PATHS, **run)
    stopped = mz.simulate(process, PATHS, **run, until=RULE)
    some = stopped[["stop_time", "stopped", "stopped_x"]]
    _check(mz.simulate(process, FEW, **run).x.values, stopped.stop_time[:FEW].values)
    ours, other = best(
        lambda: mz.reduce(some, "mean"),
        lambda: mz.reduce(plain.x.isel(time=-1), "mean"),
        rounds=2,
    )
    steps = float(mz.reduce(some.stop_time, "mean").stop_time_mean) / DT
    details = (
        f"{1e6 * ours / PATHS:.1f} against {1e6 * other / PATHS:.0f} µs/path; {steps:.0f} of"
        f" {STEPS:,} steps"
    )
    yield Row.at_least("stopped paths: stop_time, stopped, stopped_x", 20, other / ours, details)
    few = mz.simulate(process, FEW, **run), mz.simulate(process, FEW, **run, until=RULE)
    with_x, without = best(
        lambda: few[1].x.data.map_blocks(_last, drop_axis=1).compute(),
        lambda: few[0].x.data.map_blocks(_last, drop_axis=1).compute(),
        rounds=2,
    )
    details = f"{1e6 * with_x / FEW:.0f} against {1e6 * without / FEW:.0f} µs/path, x in memory"
    yield Row.at_least("stopped paths: x at all times", 0.5, without / with_x, details)


def _last(x: np.ndarray) -> np.ndarray:
    return x[:, -1]


def _check(x: np.ndarray, stop_time: np.ndarray) -> None:
    """Raise unless the stopping times are those of the unstopped paths."""
    at = (abs(x) >= 1).argmax(axis=1)
    np.testing.assert_array_equal(at * DT, stop_time)


def main() -> None:
    """Print the rows."""
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
