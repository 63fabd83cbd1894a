"""Numba functions of a Generator, through `simulate`, against the bare Numba loop.

``python -m benchmarks.compiled_functions`` prints both sides of each row, measured in turn. The
bare loop has one PCG64 per thread, which it never seeds again, and writes its paths, path after
path, into one array per thread, made before and written again and again. Ours has a stream of its
own for each path, and ends in the chunks of a run, in which the paths lie side by side; each chunk
is looked at and forgotten. Ratios are of CPU time of all threads, which other work on the machine
disturbs less, and of elapsed time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba import njit

import montezarr as mz
from benchmarks._measure import Row
from montezarr.run._run import Run
from montezarr.samplers.path import PathSampler

STEPS, PATHS, EPIDEMICS, THREADS, ROUNDS = 252, 100_000, 4_000, 2, 5
MU, SIGMA, DT, X0 = 0.05, 0.2, 1 / 252, 100.0
PEOPLE, ILL, BETA, GAMMA, TIMES = 1000, 10, 2.0, 1.0, 30


@njit(nogil=True)
def gbm(rng, T, x0):
    x = np.empty(T + 1)
    x[0] = x0
    a, b = (MU - SIGMA**2 / 2) * DT, SIGMA * np.sqrt(DT)
    for k in range(T):
        x[k + 1] = x[k] * np.exp(a + b * rng.standard_normal())
    return x


@njit(nogil=True)
def gbm_into(rng, T, x0, out):
    """The same into an array that the caller has made."""
    out[0] = x0
    a, b = (MU - SIGMA**2 / 2) * DT, SIGMA * np.sqrt(DT)
    for k in range(T):
        out[k + 1] = out[k] * np.exp(a + b * rng.standard_normal())


@njit(nogil=True)
def epidemic(rng, T):
    """A SIR epidemic by Gillespie's direct method: the infected at T + 1 times, one apart."""
    infected = np.zeros(T + 1, np.int64)
    s, i, t, k = PEOPLE - ILL, ILL, 0.0, 0
    while k <= T:
        infection, recovery = BETA * s * i / PEOPLE, GAMMA * i
        total = infection + recovery
        after = t - np.log(1.0 - rng.random()) / total if total > 0 else np.inf
        while k <= T and k < after:
            infected[k] = i
            k += 1
        t = after
        if rng.random() * total < infection:
            s, i = s - 1, i + 1
        else:
            i -= 1
    return infected


@njit(nogil=True)
def bare_gbm(rng, T, x0, out):
    a, b = (MU - SIGMA**2 / 2) * DT, SIGMA * np.sqrt(DT)
    for j in range(len(out)):
        out[j, 0] = x0
        for k in range(T):
            out[j, k + 1] = out[j, k] * np.exp(a + b * rng.standard_normal())


@njit(nogil=True)
def bare_epidemic(rng, T, out):
    events = 0
    for j in range(len(out)):
        s, i, t, k = PEOPLE - ILL, ILL, 0.0, 0
        while k <= T:
            infection, recovery = BETA * s * i / PEOPLE, GAMMA * i
            total = infection + recovery
            after = t - np.log(1.0 - rng.random()) / total if total > 0 else np.inf
            while k <= T and k < after:
                out[j, k] = i
                k += 1
            t = after
            events += 1
            if rng.random() * total < infection:
                s, i = s - 1, i + 1
            else:
                i -= 1
    return events


def in_threads(function: Callable[..., Any], dtype: Any, paths: int, *arguments: Any) -> Any:
    """Run a bare loop on all threads, each with a Generator and an array of its own."""
    width = arguments[0] + 1
    places = [np.empty((paths // THREADS, width), dtype) for _ in range(THREADS)]
    streams = [np.random.default_rng(k) for k in range(THREADS)]

    def run() -> list[Any]:
        with ThreadPoolExecutor(THREADS) as pool:
            found = pool.map(lambda k: function(streams[k], *arguments, places[k]), range(THREADS))
            return list(found)

    return run


def timed(*sides: Callable[[], Any], rounds: int = ROUNDS) -> list[tuple[float, float]]:
    """Return the least CPU time, and the least elapsed time, of each side in turn."""
    found = [(float("inf"), float("inf"))] * len(sides)
    for number in range(rounds + 1):
        for k, side in enumerate(sides):
            cpu, wall = time.process_time(), time.perf_counter()
            side()
            if number:  # the first round compiles
                cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
                found[k] = min(found[k][0], cpu), min(found[k][1], wall)
    return found


def drawn(function: Any, paths: int, T: int, **options: Any) -> Callable[[], Any]:
    """Return what draws all paths through Dask, a chunk at a time, and looks at each."""
    ds = mz.simulate(function, paths, T, seed=1, **options)
    return lambda: _looked_at(ds)


def _looked_at(ds: Any) -> Any:
    looks = ds.x.data.map_blocks(_look, dtype=float, chunks=(1, 1))
    return looks.compute(scheduler="threads", num_workers=THREADS)


def _look(block: Any) -> Any:
    return np.array(block[:1, :1], float)  # no view, which would keep the chunk in memory


def row(
    name: str,
    wanted: float,
    unit: str,
    count: float,
    ours: Callable[[], Any],
    bare: Callable[[], Any],
) -> Row:
    (cpu, wall), (bare_cpu, bare_wall) = timed(ours, bare)
    ratio = cpu / bare_cpu
    each = [1e9 * seconds / count for seconds in (cpu, bare_cpu, wall, bare_wall)]
    details = (
        f"{each[0]:.2f} against {each[1]:.2f} ns CPU per {unit};"
        f" elapsed {each[2]:.2f} against {each[3]:.2f}, ratio {wall / bare_wall:.2f}"
    )
    return Row(name, f"<= {wanted:g}", ratio, ratio <= wanted, details)


def rows() -> list[Row]:
    """Return the rows of the compiled functions."""
    bare = in_threads(bare_gbm, float, PATHS, STEPS, X0)
    steps = PATHS * STEPS
    out = [
        row(
            "GBM that returns an array", 1.15, "step", steps,
            drawn(gbm, PATHS, STEPS, x0=X0), bare,
        ),
        row(
            "GBM that fills out=", 1.15, "step", steps,
            drawn(gbm_into, PATHS, STEPS, x0=X0), bare,
        ),
    ]  # fmt: skip
    bare = in_threads(bare_epidemic, np.int64, EPIDEMICS, TIMES)
    events = sum(bare())
    name = f"SIR by Gillespie, {events / EPIDEMICS:,.0f} events a path"
    return [*out, row(name, 1.2, "event", events, drawn(epidemic, EPIDEMICS, TIMES), bare)]


def first_call() -> str:
    """Return how long the first runs take, which compile, and the same paths from Python."""

    @njit
    def walk(rng, T):
        x = np.zeros(T + 1)
        for k in range(T):
            x[k + 1] = x[k] + rng.standard_normal()
        return x

    seconds = []
    began = time.perf_counter()
    ds = mz.simulate(walk, PATHS, STEPS, seed=1)
    seconds.append(time.perf_counter() - began)
    for _ in range(2):
        began = time.perf_counter()
        _looked_at(ds)
        seconds.append(time.perf_counter() - began)
    sampler = Run.behind(ds).sampler
    n = 2000
    began = time.perf_counter()
    PathSampler.draw(sampler, 0, n, None)
    python = (time.perf_counter() - began) / n * PATHS
    return (
        f"a function that is new: simulate (Numba compiles it) {seconds[0]:.2f} s; first"
        f" computation of {PATHS:,} paths (the loop is compiled) {seconds[1]:.2f} s, second"
        f" {seconds[2]:.2f} s; path by path from Python {python:.2f} s on one thread"
    )


def main() -> None:
    for line in rows():
        print(line, flush=True)
    print(first_call())


if __name__ == "__main__":
    sys.exit(main())
