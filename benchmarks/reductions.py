"""`mz.reduce` against plain Dask on the same expression, for every process and sampler class.

``python -m benchmarks reductions`` prints the rows. Both sides take the mean over paths; that of
montezarr has its standard error too.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import montezarr as mz
from benchmarks._measure import Row, best
from benchmarks.samplers import (
    DT,
    MU,
    SIGMA,
    STEPS,
    X0,
    BatchGBM,
    PythonGBM,
    VectorPath,
    compiled_path,
)

WANTED = 1.05
GBM = mz.GeometricBrownianMotion(mu=MU, sigma=SIGMA)
HESTON = mz.Heston(mu=0.05, kappa=2.0, theta=0.04, xi=0.3, rho=-0.7)
HESTON_X0 = {"s": 100.0, "v": 0.04}
CHAIN = mz.MarkovChain(transition=((0.2, 0.5, 0.3), (0.0, 0.7, 0.3), (0.1, 0.0, 0.9)))


class NumpyProcess(mz.Process):
    """A mean-reverting process as a user writes it: a loop over the steps, NumPy over the paths."""

    def sample(self, draws, grid, x0):
        x = np.empty((grid.T + 1, draws.n))
        x[0] = x0
        for k in range(grid.T):
            z = draws.normal(k)
            x[k + 1] = x[k] + 2.0 * (1.0 - x[k]) * grid.dt + SIGMA * np.sqrt(grid.dt) * z
        return x


CASES: dict[str, tuple[Any, Any, int]] = {
    "Brownian motion": (mz.BrownianMotion(), 0.0, 400_000),
    "GBM": (GBM, X0, 400_000),
    "Ornstein-Uhlenbeck": (mz.OrnsteinUhlenbeck(theta=2.0, mu=1.0, sigma=0.2), 1.0, 400_000),
    "Heston": (HESTON, HESTON_X0, 200_000),
    "Poisson process": (mz.PoissonProcess(rate=30.0), 0, 400_000),
    "random walk": (mz.RandomWalk(), 0, 400_000),
    "Markov chain": (CHAIN, 0, 400_000),
    "Diffusion": (
        mz.Diffusion(drift=lambda t, x: 0.05 * x, diffusion=lambda t, x: 0.2 * x), X0, 200_000,
    ),
    "Diffusion of NumPy": (
        mz.Diffusion(drift=lambda t, x: np.tanh(x), diffusion=lambda t, x: np.sqrt(np.abs(x))),
        X0,
        100_000,
    ),
    "NumPy sample of a Process": (NumpyProcess(), 1.0, 100_000),
    "NumPy sample_paths": (BatchGBM(), X0, 50_000),
    "Numba function of a Generator": (compiled_path(), X0, 100_000),
    "few-call NumPy sample_path": (VectorPath(), X0, 10_000),
    "Python-loop sample_path": (PythonGBM(), X0, 2_000),
}  # fmt: skip


def lazy(name: str) -> xr.Dataset:
    """Return a lazy run of a case."""
    process, x0, n_paths = CASES[name]
    return mz.simulate(process, n_paths, STEPS, x0, dt=DT, seed=1)


def expressions(ds: Callable[[], xr.Dataset]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield what is reduced: each variable alone, at the last time, and all together."""
    names = list(ds().data_vars)
    for name in names:
        yield name, lambda v=name: ds()[v]
        yield f"{name} at the last time", lambda v=name: ds()[v].isel(time=-1)
    if len(names) > 1:
        yield "whole Dataset", ds


def without_labels(values: Any) -> Any:
    """Return states as the numbers that they are, of which a mean can be taken."""
    return values.drop_attrs()


def compared(case: str, ds: Callable[[], xr.Dataset], rounds: int = 4) -> Iterator[Row]:
    """Yield a row for each expression of a Dataset."""
    for what, made in expressions(ds):
        sides = [
            lambda make=made: mz.reduce(without_labels(make()), "mean"),
            lambda make=made: make().mean("path").compute(scheduler="threads"),
            lambda make=made: make().mean("path", skipna=False).compute(scheduler="threads"),
        ]
        own, plain, no_skip = best(*sides, rounds=rounds)
        details = (
            f"{own * 1e3:.0f} against {plain * 1e3:.0f} ms; skipna=False {no_skip * 1e3:.0f} ms"
        )
        title = f"mz.reduce against Dask: {case}, {what}"
        yield Row.at_most(title, WANTED, own / plain, details)


def rows(only: str = "") -> Iterator[Row]:
    """Yield the rows; those of cases whose name contains `only`."""
    for name in CASES:
        if only in name:
            yield from compared(name, lambda n=name: lazy(n))
    if only in "store of Heston":
        yield from stored_rows()


def stored_rows() -> Iterator[Row]:
    """Yield the rows of paths in a store."""
    place = Path(tempfile.mkdtemp()) / "heston.zarr"
    try:
        mz.write(lazy("Heston"), place)
        yield from compared("store of Heston", lambda: mz.open(place))
    finally:
        shutil.rmtree(place.parent)


def main() -> None:
    """Print the rows; the first argument chooses cases."""
    import sys

    for row in rows(sys.argv[1] if len(sys.argv) > 1 else ""):
        print(row, flush=True)


if __name__ == "__main__":
    main()
