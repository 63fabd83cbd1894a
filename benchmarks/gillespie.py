"""An epidemic by Gillespie's direct method, event by event: montezarr against rebop.

``python -m benchmarks.gillespie`` prints both sides of each row, in turn. Ours is a Numba function
of a Generator, or a `ReactionNetwork`, through `simulate` and Dask, with a stream of its own for
each path. Theirs is the same SIR model in rebop (Rust), a call for each path; or the bare Numba
loop of one Generator, in one thread. All return the infected at the same 31 times, and draw
waiting times and events alike. rebop is measured twice: its compiled simulation alone, which
returns lists, and `Gillespie.run` as its users call it, which makes a Dataset of each path.

On one core the ratio is of CPU time, on two of elapsed time: ours on two threads, theirs in two
processes, since rebop holds the interpreter's lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
from numba import njit

import montezarr as mz
from benchmarks._measure import Row
from benchmarks.compiled_functions import (
    BETA,
    EPIDEMICS,
    GAMMA,
    ILL,
    PEOPLE,
    TIMES,
    bare_epidemic,
)

ROUNDS, DATASETS = 5, 200


@njit(nogil=True)
def epidemic(rng, T):
    """Return the infected at T + 1 times, one apart."""
    infected = np.zeros(T + 1, np.int64)
    s, i, t, k = PEOPLE - ILL, ILL, 0.0, 0
    while k <= T:
        infection, recovery = BETA * s * i / PEOPLE, GAMMA * i
        total = infection + recovery
        after = t + rng.standard_exponential() / total if total > 0 else np.inf
        while k <= T and k < after:
            infected[k] = i
            k += 1
        t = after
        if rng.random() * total < infection:
            s, i = s - 1, i + 1
        else:
            i -= 1
    return infected


def events_per_path() -> float:
    """Return the mean number of events of an epidemic; the law is the same on both sides."""
    out = np.empty((EPIDEMICS, TIMES + 1), np.int64)
    return float(bare_epidemic(np.random.default_rng(1), TIMES, out) / EPIDEMICS)


def ours(workers: int) -> Callable[[], Any]:
    """Return what draws all epidemics on threads, through Dask."""
    ds = mz.simulate(epidemic, EPIDEMICS, TIMES, seed=1)
    return lambda: ds.x.data.compute(scheduler="threads", num_workers=workers)


def network(workers: int) -> Callable[[], Any]:
    """Return what draws all epidemics as a reaction network on threads, through Dask."""
    sir = mz.SIR(beta=BETA, gamma=GAMMA, population=PEOPLE, infected=ILL).network(record=["I"])
    ds = mz.simulate(sir, EPIDEMICS, TIMES, dt=1.0, seed=1)
    return lambda: ds.I.data.compute(scheduler="threads", num_workers=workers)


def bare() -> Callable[[], Any]:
    """Return the bare loop over all epidemics."""
    out, stream = np.empty((EPIDEMICS, TIMES + 1), np.int64), np.random.default_rng(1)
    return lambda: bare_epidemic(stream, TIMES, out)


def model() -> Any:
    """Return the model of rebop, by the law of mass action, which is its fastest."""
    import rebop

    sir = rebop.Gillespie()
    sir.add_reaction(BETA / PEOPLE, ["S", "I"], ["I", "I"])
    sir.add_reaction(GAMMA, ["I"], ["R"])
    return sir


START = {"S": PEOPLE - ILL, "I": ILL}


def rebop_simulations(seeds: range) -> int:
    """Simulate a path for each seed by the compiled part of rebop alone."""
    compiled = model().gillespie
    compiled.set_init(START)
    last = 0
    for seed in seeds:
        _, counts = compiled.run(TIMES, TIMES, params={}, seed=seed, sparse=None, var_names=["I"])
        last = counts["I"][-1]
    return int(last)


def rebop_datasets(seeds: range) -> int:
    """Simulate a path for each seed as its users do."""
    sir, last = model(), 0
    for seed in seeds:
        ds = sir.run(START, TIMES, TIMES, rng=seed, var_names=["I"])
        last = int(ds.I[-1])
    return last


def timed(clock: Callable[[], float], *sides: Callable[[], Any]) -> list[float]:
    """Return the least time of each side in turn, by a clock."""
    least = [float("inf")] * len(sides)
    for number in range(ROUNDS + 1):
        for k, side in enumerate(sides):
            began = clock()
            side()
            if number:  # the first round compiles
                least[k] = min(least[k], clock() - began)
    return least


def rows() -> list[Row]:
    """Return the rows, per event."""
    events = events_per_path()

    def row(name: str, own: float, other: float, paths: int, kind: str) -> Row:
        each = [1e9 * own / EPIDEMICS / events, 1e9 * other / paths / events]
        details = f"{each[0]:.1f} against {each[1]:.1f} ns {kind} per event"
        return Row.at_least(f"SIR by Gillespie, {name}", 1, each[1] / each[0], details)

    own, of_network, of_loop, simulated, datasets = timed(
        time.process_time, ours(1), network(1), bare(),
        lambda: rebop_simulations(range(EPIDEMICS)), lambda: rebop_datasets(range(DATASETS)),
    )  # fmt: skip
    out = [
        row("one core, against rebop", own, simulated, EPIDEMICS, "CPU"),
        row("one core, against rebop's Datasets", own, datasets, DATASETS, "CPU"),
        row("a network on one core, against the bare loop", of_network, of_loop, EPIDEMICS, "CPU"),
        row("a network on one core, against rebop", of_network, simulated, EPIDEMICS, "CPU"),
        row("a network, against rebop's Datasets", of_network, datasets, DATASETS, "CPU"),
    ]
    halves = range(EPIDEMICS // 2), range(EPIDEMICS // 2, EPIDEMICS)
    with ProcessPoolExecutor(2) as pool:
        own, simulated = timed(
            time.perf_counter, ours(2), lambda: list(pool.map(rebop_simulations, halves))
        )
    return [*out, row("two cores, against rebop", own, simulated, EPIDEMICS, "elapsed")]


def main() -> None:
    """Print the rows."""
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
