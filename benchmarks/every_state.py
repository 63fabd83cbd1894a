"""Paths of which every state is computed and read: GBM and Heston against other libraries.

``python -m benchmarks.every_state`` prints both sides of each row, in the same run. The work is the
mean over paths at every time. A row whose expression needs the last time alone stands apart: there
montezarr computes no other states, and no library that makes whole paths is compared with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import montezarr as mz
from benchmarks import peers
from benchmarks._measure import Row, best
from benchmarks.samplers import DT, MU, SIGMA, STEPS, STRIKE, X0

PATHS = 800_000
GBM = mz.GeometricBrownianMotion(mu=MU, sigma=SIGMA)
HESTON = {"kappa": 2.0, "theta": 0.04, "rho": -0.7, "mu": 0.05}
XI, HESTON_X0 = 0.3, (100.0, 0.04)
OU, OU_X0 = {"theta": 2.0, "mu": 0.05, "sigma": 0.2}, 0.1
CIR, CIR_X0 = {"theta": 2.0, "mu": 0.04, "sigma": 0.3}, 0.09
CIR_EULER = mz.Diffusion(
    drift=lambda t, x: 2.0 * (0.04 - x), diffusion=lambda t, x: 0.3 * np.sqrt(np.maximum(x, 0.0))
)


def paths(dtype: str = "float64", **options: Any) -> Any:
    """A lazy run of geometric Brownian motion."""
    return mz.simulate(GBM, PATHS, STEPS, X0, dt=DT, seed=1, dtype=dtype, **options)


def _run(process: mz.Process, x0: float) -> Any:
    """A lazy run of another process."""
    return mz.simulate(process, PATHS, STEPS, x0, dt=DT, seed=1)


def heston() -> Any:
    """A lazy run of Heston's model."""
    x0 = {"s": HESTON_X0[0], "v": HESTON_X0[1]}
    return mz.simulate(mz.Heston(xi=XI, **HESTON), PATHS, STEPS, x0, dt=DT, seed=1)


def per_step(seconds: float) -> float:
    """Nanoseconds per step of a path."""
    return seconds / PATHS / STEPS * 1e9


def against(
    title: str, ours: Callable[[], Any], others: list[tuple[str, Callable[[], Any], float]]
) -> Iterator[Row]:
    """Yield a row for each other library, all measured in turn."""
    own, *times = best(ours, *(call for _, call, _ in others), rounds=3)
    for (name, _, wanted), seconds in zip(others, times, strict=True):
        details = f"{per_step(own):.2f} against {per_step(seconds):.2f} ns/step"
        yield Row.at_least(f"{title}, against {name}", wanted, seconds / own, details)


def rows() -> Iterator[Row]:
    """Yield the rows."""
    for dtype, rust in (("float64", 9.0), ("float32", 10.0)):
        others: list[tuple[str, Callable[[], Any], float]] = [
            ("stochastic-rs", lambda t=dtype: peers.means_stochastic_rs(PATHS, t), rust)
        ]
        if dtype == "float64":  # these have no other precision
            others += [
                ("pathwise-sde", lambda: peers.means_pathwise(PATHS), 8.0),
                ("a bare Numba loop", lambda: peers.means_numba(PATHS), 2.0),
                ("dask.array.random", lambda: peers.means_dask_random(PATHS), 4.0),
                ("NumPy on one core", lambda: peers.means_numpy(PATHS), 5.0),
            ]
        title = f"GBM {dtype}, mean at every time"
        yield from against(title, lambda t=dtype: mz.reduce(paths(t).x, "mean"), others)

    def other() -> Any:
        return peers.means_stochastic_rs_heston(PATHS, HESTON_X0, **HESTON, sigma=XI)

    yield from against(
        "Heston, mean price at every time",
        lambda: mz.reduce(heston().s, "mean"),
        [("stochastic-rs", other, 5.0)],
    )
    yield from against(
        "Ornstein-Uhlenbeck, mean at every time",
        lambda: mz.reduce(_run(mz.OrnsteinUhlenbeck(**OU), OU_X0).x, "mean"),
        [("stochastic-rs", lambda: peers.means_stochastic_rs_ou(PATHS, **OU, x0=OU_X0), 5.0)],
    )
    yield from against(
        "CIR as a Diffusion by Euler, mean at every time",
        lambda: mz.reduce(_run(CIR_EULER, CIR_X0).x, "mean"),
        [("stochastic-rs", lambda: peers.means_stochastic_rs_cir(PATHS, **CIR, x0=CIR_X0), 1.0)],
    )
    yield from own_rows()


def own_rows() -> Iterator[Row]:
    """Yield rows that compare montezarr with itself."""
    double, single = best(
        lambda: mz.reduce(paths().x, "mean"), lambda: mz.reduce(paths("float32").x, "mean")
    )
    details = f"{per_step(single):.2f} against {per_step(double):.2f} ns/step"
    yield Row.at_least("GBM float32 against our float64", 1.8, double / single, details)
    plain, no_skip, ours = best(
        lambda: paths().x.mean("path").compute(scheduler="threads"),
        lambda: paths().x.mean("path", skipna=False).compute(scheduler="threads"),
        lambda: mz.reduce(paths().x, "mean"),
    )
    for name, seconds in (("", plain), (", skipna=False", no_skip)):
        details = f"{per_step(ours):.2f} against {per_step(seconds):.2f} ns/step"
        title = f'mz.reduce(ds.x, "mean") against ds.x.mean("path"{name})'
        yield Row.at_least(title, 1 / 1.05, seconds / ours, details)
    yield from terminal_rows()


def terminal_rows() -> Iterator[Row]:
    """Yield rows of a payoff at the last time, of which no other states need be computed."""

    def payoff(x: Any) -> float:
        return float((x - STRIKE).clip(min=0).mean("path").compute(scheduler="threads"))

    def reduced(x: Any) -> Any:
        return mz.reduce((x - STRIKE).clip(min=0), "mean")

    looked, kept, whole, dask_random, ours, ours_kept = best(
        lambda: payoff(paths().x.isel(time=-1)),
        lambda: payoff(paths(keep=[-1]).x.isel(time=-1)),
        lambda: mz.reduce(paths().x, "mean"),
        lambda: peers.payoff_mean_dask_random(PATHS),
        lambda: reduced(paths().x.isel(time=-1)),
        lambda: reduced(paths(keep=[-1]).x.isel(time=-1)),
    )
    details = f"{per_step(ours):.2f} against {per_step(ours_kept):.2f} ns/step"
    title = "payoff of isel(time=-1) by mz.reduce, against keep=[-1]"
    yield Row.at_most(title, 1.05, ours / ours_kept, details)
    details = f"{per_step(looked):.2f} against {per_step(kept):.2f} ns/step"
    title = "payoff of isel(time=-1) by Dask, against keep=[-1]"
    yield Row.at_most(title, 1.05, looked / kept, details)
    details = f"{per_step(looked):.2f} against {per_step(whole):.2f} ns/step"
    title = "payoff of isel(time=-1) by Dask, against the mean at every time"
    yield Row.at_most(title, 1.0, looked / whole, details)
    details = f"{per_step(looked):.2f} against {per_step(dask_random):.2f} ns/step"
    title = "payoff of isel(time=-1) by Dask, against dask.array.random, last alone"
    yield Row.at_least(title, 4, dask_random / looked, details)


def main() -> None:
    """Print the rows."""
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
