"""How often intervals of quantiles of prices hold: GBM from 4000 after a day, up to 10**8 paths.

``python -m benchmarks.prices`` prints the table; ``--docs`` writes it into the page
``docs/explanation/calibration.md``. Seeds are 0, 1, ... and never chosen.
"""

from __future__ import annotations

import argparse
import math
import sys
import time

import xarray as xr
from scipy import stats

import montezarr as mz
from benchmarks._pages import write_between
from benchmarks.calibration import LEAST, LEVEL
from montezarr.statistics._base import INTERVAL

RUNS = {10**4: 1000, 10**5: 300, 10**6: 300, 10**7: 100, 10**8: 40}
"""Runs of each size: fixed beforehand."""

LEVELS = (0.01, 0.5, 0.99)

LAW = stats.norm(-0.02 / 252, 0.2 / math.sqrt(252))
"""Of the logarithm of the price over that of the day before."""


def after_a_day(n: int, seed: int) -> xr.DataArray:
    """Prices after a day, of n paths."""
    gbm = mz.GeometricBrownianMotion(mu=0.0, sigma=0.2)
    ds = mz.simulate(gbm, n_paths=n, T=1, dt=1 / 252, x0=4000.0, seed=seed)
    return ds.x.isel(time=-1)


def shortfall(level: float) -> float:
    """The mean of the prices above their quantile of a level."""
    sd, mean = LAW.std(), LAW.mean()
    above = stats.norm.sf(stats.norm.ppf(level) - sd) / (1 - level)
    return 4000 * math.exp(mean + sd**2 / 2) * above


def claims(found: xr.Dataset) -> dict[str, tuple[float, float, float]]:
    """What is claimed: by name the true value and both ends."""
    out = {}
    for q in LEVELS:
        one = found.sel(quantile=q)
        ends = one.x_quantile_low.item(), one.x_quantile_high.item()
        out[f"quantile {q:g}"] = (4000 * math.exp(LAW.ppf(q)), *ends)
    for name, truth in {
        "value_at_risk": 4000 * math.exp(LAW.ppf(0.99)),
        "expected_shortfall": shortfall(0.99),
    }.items():
        value, se = found[f"x_{name}"].item(), found[f"x_{name}_se"].item()
        out[f"{name} 0.99"] = (truth, value - INTERVAL * se, value + INTERVAL * se)
    return out


def resolution(n: int) -> float:
    """The width of the bin in which a quantile lies over its standard error, at most."""
    found = [mz.reduce(after_a_day(n, 0), mz.Quantile(q)) for q in LEVELS]
    return max(one.x_quantile.attrs["resolution"] / one.x_quantile_se.item() for one in found)


def coverage(n: int, runs: int) -> tuple[dict[str, float], float]:
    """The share of the runs in which each claim holds, and seconds of processor time of a run."""
    held: dict[str, int] = {}
    before = time.process_time()
    for seed in range(runs):
        found = mz.reduce(after_a_day(n, seed), [mz.Quantile(LEVELS), mz.ExpectedShortfall(0.99)])
        for name, (truth, low, high) in claims(found).items():
            held[name] = held.get(name, 0) + (low <= truth <= high)
    seconds = (time.process_time() - before) / runs
    return {name: count / runs for name, count in held.items()}, seconds


def table(sizes: dict[int, int]) -> str:
    """A Markdown table: a row for each number of paths."""
    lines: list[str] = []
    for n, runs in sizes.items():
        shares, seconds = coverage(n, runs)
        if not lines:
            head = ["paths", "runs", *shares, "at least", "bin / error", "CPU s"]
            lines = ["| " + " | ".join(head) + " |", "|" + "--:|" * len(head)]
        least = LEAST - 3 * math.sqrt(LEVEL * (1 - LEVEL) / runs)
        shown = [f"{100 * share:.1f}" if share >= least else f"**{100 * share:.1f}** too low"
                 for share in shares.values()]  # fmt: skip
        cells = [f"{n:,}", f"{runs:,}", *shown, f"{100 * least:.1f}", f"{resolution(n):.3f}"]
        lines.append("| " + " | ".join([*cells, f"{seconds:.2f}"]) + " |")
        print(lines[-1], file=sys.stderr)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", action="store_true", help="write the table into the docs")
    parser.add_argument("--quick", action="store_true", help="up to a million paths, fewer runs")
    chosen = parser.parse_args()
    sizes = {n: 40 for n in RUNS if n <= 10**6} if chosen.quick else RUNS
    text = table(sizes)
    print(text)
    if chosen.docs:
        write_between("explanation/calibration.md", "prices", text)


if __name__ == "__main__":
    main()
