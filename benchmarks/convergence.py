"""Strong and weak errors of the schemes against exact solutions at the same draws.

    python benchmarks/convergence.py                      # tables, and docs/img/convergence.png
    python benchmarks/convergence.py --heston --paths 1000000   # prices against published ones

The equations and their solutions are those of `montezarr.testing.problems`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import montezarr as mz
from montezarr.testing.problems import HESTON_CASES, PROBLEMS, HestonCase, ItoProblem, order

STEPS = (8, 16, 32, 64, 128, 256, 512)
SEED = 7
BATCH = 50_000
SMALL = 1e-4
"""A variance that is as good as none: a volatility of one percent."""
OUT = Path(__file__).parents[1] / "docs" / "img" / "convergence.png"

EULER, MILSTEIN, FREE = "Euler-Maruyama", "Milstein", "Milstein, derivative-free"
STYLES: dict[str, dict[str, Any]] = {
    EULER: {"color": "#0b6fb8", "marker": "o"},
    MILSTEIN: {"color": "#d1495b", "marker": "s"},
    FREE: {"color": "#2e8b57", "marker": "^", "linestyle": (0, (4, 2))},
}


@dataclass(frozen=True)
class Curve:
    """Errors of one scheme on one equation, by number of steps."""

    strong: list[float]
    weak: list[float]
    weak_error: list[float]

    @property
    def strong_order(self) -> float:
        return order(STEPS, self.strong)

    @property
    def weak_order(self) -> float:
        return order(STEPS, self.weak)


def scheme_of(name: str, problem: ItoProblem) -> mz.Scheme:
    if name == EULER:
        return mz.EulerMaruyama()
    return mz.Milstein(derivative=problem.derivative if name == MILSTEIN else None)


def measure(problem: ItoProblem, name: str, n_paths: int) -> Curve:
    """Return mean |X - Y| and |mean of X² - Y²| at time 1, the latter with its standard error."""
    strong, weak, weak_error = [], [], []
    for T in STEPS:
        away, squares = [], []
        for start in range(0, n_paths, BATCH):
            draws = mz.Draws.of(SEED, start=start, n=min(BATCH, n_paths - start))
            y, x = problem.paths(scheme_of(name, problem), T, draws)
            away.append(np.abs(x - y))
            squares.append(x * x - y * y)
        difference = np.concatenate(squares)
        strong.append(float(np.concatenate(away).mean()))
        weak.append(float(abs(difference.mean())))
        weak_error.append(float(difference.std() / np.sqrt(n_paths)))
    return Curve(strong, weak, weak_error)


def print_table(problem: ItoProblem, curves: dict[str, Curve]) -> None:
    print(f"\n{problem.name}: {problem.equation}")
    for title, pick in (("strong error", "strong"), ("weak error of the square", "weak")):
        print(f"  {title:<28}" + "".join(f"{T:>10}" for T in STEPS) + f"{'order':>8}")
        for name, curve in curves.items():
            values = "".join(f"{value:>10.2e}" for value in getattr(curve, pick))
            print(f"  {name:<28}{values}{getattr(curve, f'{pick}_order'):>8.2f}")


def draw(results: dict[str, dict[str, Curve]], n_paths: int, out: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    dt = 1 / np.array(STEPS)
    figure, axes = plt.subplots(
        2, len(results), figsize=(3.1 * len(results), 6.0), sharex=True, layout="constrained"
    )
    for column, (problem, curves) in zip(axes.T, results.items(), strict=True):
        strong, weak = column
        strong.set_title(problem, fontsize=11)
        for name, curve in curves.items():
            style = {"linewidth": 1.5, "markersize": 4.5, **STYLES[name]}
            strong.plot(dt, curve.strong, label=name, **style)
            low = np.array(curve.weak) - 2 * np.array(curve.weak_error)
            high = np.array(curve.weak) + 2 * np.array(curve.weak_error)
            floor = np.maximum(low, np.array(curve.weak) / 10)
            weak.plot(dt, curve.weak, **style)
            weak.fill_between(dt, floor, high, color=style["color"], alpha=0.15, linewidth=0)
        first = [curve.strong[0] for curve in curves.values()]
        guide(strong, dt, 2.2 * max(first), 0.5, "order ½")
        guide(strong, dt, 0.4 * min(first), 1.0, "order 1", below=True)
        guide(weak, dt, 2.2 * max(curve.weak[0] for curve in curves.values()), 1.0, "order 1")
        weak.set_xlabel("step length")
    for row, label in zip(
        axes, ("strong error  E|X − Y|", "weak error  |E X² − E Y²|"), strict=True
    ):
        row[0].set_ylabel(label)
    for panel in axes.flat:
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.grid(True, which="major", color="0.9", linewidth=0.6)
        panel.minorticks_off()
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    figure.supxlabel(
        f"Error at time 1 over {n_paths:,} paths; bands: two standard errors",
        fontsize=8,
        color="0.4",
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=130)
    plt.close(figure)


def guide(
    panel: Any, dt: Any, start: float, power: float, label: str, *, below: bool = False
) -> None:
    """Draw a dotted line of the given order, with its label above its left or below its right."""
    values = start * (dt / dt[0]) ** power
    panel.plot(dt, values, color="0.55", linewidth=1.0, linestyle=(0, (1, 2)))
    middle = len(dt) // 2
    panel.annotate(
        label,
        (dt[middle], values[middle]),
        xytext=(4, -3) if below else (-4, 3),
        textcoords="offset points",
        ha="left" if below else "right",
        va="top" if below else "bottom",
        fontsize=8,
        color="0.4",
    )


def ends_of(case: HestonCase, steps_a_year: int, n_paths: int) -> Any:
    """Return price and variance at expiry, (2, paths)."""
    grid = mz.TimeGrid.of(case.years * steps_a_year, 1 / steps_a_year)
    x0 = case.process.check_x0((100.0, case.v0), "float64")
    ends = []
    for start in range(0, n_paths, BATCH):
        draws = mz.Draws.of(SEED, start=start, n=min(BATCH, n_paths - start))
        ends.append(case.process.sample(draws, grid, x0)[:, -1].copy())
    return np.concatenate(ends, axis=1)


def price_error(case: HestonCase, strike: float, prices: Any) -> tuple[float, float]:
    """Return the error of a call and its standard error; the price itself is the control."""
    discount = np.exp(-case.process.mu * case.years)
    s = discount * prices
    payoff, control = np.maximum(s - discount * strike, 0), s - 100.0
    estimate = payoff - np.cov(payoff, control)[0, 1] / control.var() * control
    error = estimate.mean() - case.call(strike)
    return float(error), float(estimate.std() / np.sqrt(len(s)))


def variance_below(case: HestonCase, limit: float) -> float:
    """Return the probability of a variance of at most `limit` at expiry, in continuous time.

    Cox, Ingersoll and Ross, "A theory of the term structure of interest rates", 1985,
    doi:10.2307/1911242: a noncentral chi-square law.
    """
    kappa, theta, xi = case.process.kappa, case.process.theta, case.process.xi
    decay = np.exp(-kappa * case.years)
    scale = xi**2 * (1 - decay) / (4 * kappa)
    law = stats.ncx2(4 * kappa * theta / xi**2, case.v0 * decay / scale, scale=scale)
    return float(law.cdf(limit))


def print_heston(n_paths: int) -> None:
    """Print errors of calls in, at and out of the money, and the share of variances that are 0."""
    steps = (1, 2, 4, 8)
    print(f"Heston, errors of calls over {n_paths:,} paths, by steps a year; below them, the share")
    print("of paths whose variance is 0 at expiry, and at most so small, and what it should be")
    print(f"  {'':<19}{'strike':>14}{'exact':>9}" + "".join(f"{count:>18}" for count in steps))
    for case in HESTON_CASES:
        ends = [ends_of(case, count, n_paths) for count in steps]
        for strike in (70.0, 100.0, 140.0) if case.years > 1 else (85.0, 100.0, 115.0):
            cells = [price_error(case, strike, prices) for prices, _ in ends]
            text = "".join(f"{error:>+9.4f} ± {deviation:.4f}" for error, deviation in cells)
            price = case.call(strike)
            print(f"  {case.name:<19}{strike:>14.0f}{price:>9.4f}{text}", flush=True)
        for name, limit, exact in (
            ("P(V = 0)", 0.0, 0.0),
            (f"P(V <= {SMALL:g})", SMALL, variance_below(case, SMALL)),
        ):
            shares = "".join(f"{(v <= limit).mean():>18.4f}" for _, v in ends)
            print(f"  {case.name:<19}{name:>14}{exact:>9.4f}{shares}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paths", type=int, default=200_000)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--heston", action="store_true", help="option prices instead")
    options = parser.parse_args()
    if options.heston:
        print_heston(options.paths)
        return
    results: dict[str, dict[str, Curve]] = {}
    for problem in PROBLEMS:
        curves = {name: measure(problem, name, options.paths) for name in STYLES}
        print_table(problem, curves)
        results[problem.name] = curves
    draw(results, options.paths, options.out)
    print(f"\n{options.out}")


if __name__ == "__main__":
    main()
