"""Epidemics with R0 from a prior: stored, killed, resumed, extended, merged from ranges.

    python -m benchmarks.priors                     # 10**6 paths of each sampler
    python -m benchmarks.priors 100000 one          # so many, of one sampler

The model is the stochastic SIR epidemic by tau-leaping, as users write it: `many`, in NumPy, gets
the R0 of a block of paths as an array; `one` gets that of its path. Each store is compared, file by
file, with the one that was written undisturbed. At last R0 groups the epidemics.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import montezarr as mz

POPULATION, FIRST, STEPS, DT, SEED = 1000, 10, 24, 0.5, 11
PRIOR = mz.Gamma(shape=36.0, scale=0.05)  # mean 1.8, standard deviation 0.3, and never below 0
EDGES = [1.6, 2.0]


def many(n: int, T: int, dt: float, rng: np.random.Generator, R0: Any) -> dict[str, Any]:
    """Epidemics of n paths, with an R0 each; recovery takes 1 unit of time on average."""
    rate = np.broadcast_to(R0, n) / POPULATION
    s, i = np.full(n, POPULATION - FIRST), np.full(n, FIRST)
    infected = np.empty((n, T + 1), np.int64)
    infected[:, 0] = i
    for t in range(T):
        new = np.minimum(rng.poisson(rate * s * i * dt), s)
        gone = np.minimum(rng.poisson(i * dt), i)
        s, i = s - new, i + new - gone
        infected[:, t + 1] = i
    return {"infected": infected, "ever": POPULATION - s}


def one(rng: np.random.Generator, T: int, dt: float, R0: float) -> dict[str, Any]:
    """The epidemic of one path."""
    rate = R0 / POPULATION
    s, i = POPULATION - FIRST, FIRST
    infected = np.empty(T + 1, np.int64)
    infected[0] = i
    for t in range(T):
        new = min(int(rng.poisson(rate * s * i * dt)), s)
        gone = min(int(rng.poisson(i * dt)), i)
        s, i = s - new, i + new - gone
        infected[t + 1] = i
    return {"infected": infected, "ever": POPULATION - s}


SAMPLERS: dict[str, Callable[..., Any]] = {"many": many, "one": one}


def epidemics(name: str, n_paths: int, chunk: int, R0: Any = PRIOR) -> xr.Dataset:
    return mz.simulate(
        SAMPLERS[name], n_paths, STEPS, dt=DT, seed=SEED, chunks=chunk, vary={"R0": R0}
    )


def files(root: Path) -> dict[str, str]:
    """Return every file below `root` with a digest of its content."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


WRITER = """
import os, sys
name, path, n_paths, chunk, commits = sys.argv[1:]
os.environ["MONTEZARR_FAULT"] = f"commit.torn@{commits}={os.getpid()}"
from benchmarks import priors
import montezarr as mz
if __name__ == "__main__":
    mz.write(priors.epidemics(name, int(n_paths), int(chunk)), path)
"""


def killed(name: str, path: Path, n_paths: int, chunk: int) -> int:
    """Write a store in a process that is killed while it commits; return the paths it shows."""
    file, here = path.with_suffix(".py"), str(Path(__file__).parents[1])
    file.write_text(WRITER, encoding="utf-8")
    given = map(str, (name, path, n_paths, chunk, n_paths // chunk // 2))
    places = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    writer = subprocess.run(
        [sys.executable, str(file), *given], check=False, env=os.environ | {"PYTHONPATH": places}
    )
    if writer.returncode != -signal.SIGKILL:
        raise RuntimeError(f"it ended with {writer.returncode} and was not killed")
    return int(mz.open(path).sizes["path"])


def ribbons(path: Path) -> tuple[xr.Dataset, xr.Dataset]:
    """Return quantiles of those infected by group of R0: by an expression, and by a transform."""
    ds, statistics = mz.open(path), [mz.Quantile([0.05, 0.5, 0.95])]
    group = (ds.R0 - EDGES[0] >= 0).astype(int) + (ds.R0 - EDGES[1] >= 0)
    by_expression = mz.reduce(ds[["infected"]].assign(group=group), statistics, by="group")

    def grouped(part: xr.Dataset) -> xr.Dataset:
        return part[["infected"]].assign(group=("path", np.digitize(part.R0, EDGES)))

    return by_expression, mz.reduce(ds, statistics, by="group", transform=grouped)


def shown(name: str, n_paths: int, chunk: int, folder: Path) -> dict[str, Any]:
    """Write stores in each way, and return what was found of each, and how long it took."""
    seconds: dict[str, float] = {}
    begun = time.perf_counter()

    def lap(step: str) -> None:
        nonlocal begun
        seconds[step] = time.perf_counter() - begun
        begun = time.perf_counter()

    whole, fewer = folder / "whole.zarr", n_paths // 2 + 77
    mz.write(epidemics(name, n_paths, chunk), whole)
    lap("undisturbed")
    wanted = files(whole)
    lap("digests")
    seen = killed(name, folder / "killed.zarr", fewer, chunk)
    lap("killed")
    mz.write(epidemics(name, fewer, chunk), folder / "killed.zarr")
    lap("resumed")
    mz.extend(folder / "killed.zarr", n_paths, process=SAMPLERS[name])
    lap("extended")
    bound = fewer // chunk * chunk
    for part, paths in {"a": range(bound), "b": range(bound, n_paths)}.items():
        mz.write(epidemics(name, n_paths, chunk), folder / f"{part}.zarr", paths=paths)
    lap("two ranges")
    mz.merge([folder / "b.zarr", folder / "a.zarr"], folder / "merged.zarr")
    lap("merged")
    by_expression, by_transform = ribbons(whole)
    lap("ribbons, twice")
    return {
        "seconds": seconds, "shown after the kill": seen, "bytes": mz.open(whole).nbytes,
        "killed, resumed, extended": files(folder / "killed.zarr") == wanted,
        "merged": files(folder / "merged.zarr") == wanted,
        "ribbons alike": by_expression.infected_quantile.equals(by_transform.infected_quantile),
        "ribbons": by_expression,
    }  # fmt: skip


def main(n_paths: int = 10**6, *names: str) -> None:
    for name in names or SAMPLERS:
        chunk = min(32768, max(1, n_paths // 16384) * 1024)
        with tempfile.TemporaryDirectory() as folder:
            found = shown(name, n_paths, chunk, Path(folder))
        ribbons = found.pop("ribbons")
        print(f"\n{name}: {n_paths:,} paths of {STEPS} steps, {os.cpu_count()} cores")
        for key, value in found.pop("seconds").items():
            print(f"  {key:<28}{value:>8.1f} s")
        for key, value in found.items():
            print(f"  {key:<28}{value}")
        table = ribbons.infected_quantile.isel(time=[10, 20])
        print(table.to_series().unstack().to_string(), flush=True)


if __name__ == "__main__":
    from benchmarks import priors  # whose functions have the same names in each process

    priors.main(*map(int, sys.argv[1:2]), *sys.argv[2:])
