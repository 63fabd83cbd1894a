"""Greeks and the difference of two models, on common noise and on independent noise.

``python -m benchmarks.greeks`` prints a row for each. A run without end goes on until the standard
error of the paired difference is at most a five-hundredth of it, of Heston's model a fiftieth; then
a run of the same number of paths on independent noise gives the error to compare with. z is the
distance from the exact value in standard errors. ``python -m benchmarks.greeks 0.005`` takes
another tolerance.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy import integrate, stats

import montezarr as mz
from benchmarks._measure import Row

RATE, SIGMA, STRIKE, X0 = 0.03, 0.2, 100.0, 100.0
GBM = mz.GeometricBrownianMotion(mu=RATE, sigma=SIGMA)
KAPPA, XI, RHO = 2.0, 0.5, -0.7
ALMOST = 1e-6
"""Of Heston's xi: the variance is constant, and the price that of Black and Scholes."""

TOLERANCE, SEED, FARTHEST = 0.002, 1, 3.0


def black_scholes(x0: float = X0, sigma: float = SIGMA) -> float:
    """Return the price of a call of one year."""
    first = _first(x0, sigma)
    discounted = STRIKE * math.exp(-RATE) * stats.norm.cdf(first - sigma)
    return float(x0 * stats.norm.cdf(first) - discounted)


def _first(x0: float, sigma: float) -> float:
    return (math.log(x0 / STRIKE) + RATE + sigma**2 / 2) / sigma


def heston(xi: float) -> float:
    """Return the price of a call of one year by the characteristic function of the log price.

    In the form without a branch cut of Albrecher, Mayer, Schoutens and Tistaert, "The little Heston
    trap", Wilmott Magazine 2007; the price is the integral of Lewis, 2001.
    """
    variance = SIGMA**2

    def characteristic(u: complex) -> complex:
        b = KAPPA - RHO * xi * 1j * u
        d = np.sqrt(b * b + xi**2 * (1j * u + u * u))
        g = (b - d) / (b + d)
        rest = np.exp(-d)
        common = KAPPA * (b - d - 2 * np.log((1 - g * rest) / (1 - g)))
        start = (b - d) * (1 - rest) / (1 - g * rest)
        return complex(np.exp(variance / xi**2 * (common + start)))

    moneyness = math.log(X0 / STRIKE) + RATE

    def integrand(u: float) -> float:
        value = np.exp(1j * u * moneyness) * characteristic(u - 0.5j) / (u * u + 0.25)
        return float(value.real)

    whole = integrate.quad(integrand, 0.0, 200.0, limit=400)[0]
    return X0 - math.sqrt(X0 * STRIKE) * math.exp(-RATE / 2) / math.pi * whole


@dataclass(frozen=True)
class Difference:
    """A difference of two scenarios, over a step.

    Attributes
    ----------
    name : str
        What it is.
    parameter : str
        What differs.
    low, high : float
        Its values in both scenarios.
    exact : float
        The exact value.
    step : float
        What the difference is divided by.
    least : float
        Wanted ratio of the errors.
    process, x0, steps : Any
        The model, its start, and the number of steps in a year.
    coarser : float
        Factor of the tolerance, of a model whose paths take long.
    """

    name: str
    parameter: str
    low: float
    high: float
    exact: float
    step: float = 1.0
    least: float = 1.0
    process: Any = GBM
    x0: Any = X0
    steps: int = 1
    coarser: float = 1.0


@dataclass(frozen=True)
class Found:
    """What two runs gave for a difference."""

    difference: Difference
    value: float
    error: float
    paths: int
    independent: float

    @property
    def z(self) -> float:
        """Distance from the exact value in standard errors."""
        return (self.value - self.difference.exact) / self.error

    @property
    def ratio(self) -> float:
        """The standard error on independent noise over that on common noise."""
        return self.independent / self.error

    @property
    def reached(self) -> bool:
        """Whether the value is near the exact one, and the ratio at least the wanted one."""
        return abs(self.z) <= FARTHEST and self.ratio >= self.difference.least

    def __str__(self) -> str:
        mark = "yes" if self.reached else "NO"
        return (
            f"{self.difference.name:<34} {self.value:>10.5f} {self.error:>9.5f}"
            f" {self.difference.exact:>10.5f} {self.z:>6.2f} {self.paths:>11,}"
            f" {self.independent:>11.5f} {self.ratio:>6.1f}  {mark}"
        )


def differences() -> list[Difference]:
    """Return what is printed."""
    first, variance = _first(X0, SIGMA), SIGMA**2
    start = {"s": X0, "v": variance}
    model = mz.Heston(mu=RATE, kappa=KAPPA, theta=variance, xi=XI, rho=RHO)
    delta, vega = stats.norm.cdf(first), X0 * stats.norm.pdf(first)
    between = black_scholes(sigma=0.3) - black_scholes()
    smile = heston(XI) - black_scholes()
    return [
        Difference("delta", "x0", X0 - 0.5, X0 + 0.5, float(delta), 1.0, 10.0),
        Difference("vega", "sigma", 0.195, 0.205, float(vega), 0.01, 10.0),
        Difference("sigma = 0.3 less sigma = 0.2", "sigma", 0.2, 0.3, between),
        Difference(
            "Heston less Black-Scholes", "xi", ALMOST, XI, smile, 1.0, 1.0, model, start, 52, 10.0
        ),
    ]


def found(difference: Difference, tolerance: float = TOLERANCE, seed: int = SEED) -> Found:
    """Return a difference on common noise, to a tolerance, and its error on independent noise."""
    values = [difference.low, difference.high]
    name = difference.parameter
    vary = {name: xr.DataArray(values, dims=name, coords={name: values})}
    start = {} if name == "x0" else {"x0": difference.x0}

    def price(n_paths: int | None, noise: str) -> xr.DataArray:
        ds = mz.simulate(
            difference.process, n_paths=n_paths, T=difference.steps, dt=1 / difference.steps,
            seed=seed, vary=vary, noise=noise, **start,
        )  # fmt: skip
        last = ds[difference.process.variables[0]].isel(time=-1)
        return (math.exp(-RATE) * (last - STRIKE).clip(min=0)).rename("price")

    contrast = mz.Contrast(to={name: difference.low})
    until = mz.StandardError(rel=difference.coarser * tolerance, of="price_contrast")
    *_, snapshot = mz.stream(price(None, "common"), contrast, until=until)
    apart = mz.reduce(price(snapshot.paths, "independent"), contrast)

    def at_high(result: xr.Dataset, name: str) -> float:
        return result[name].isel({difference.parameter: 1}).item() / difference.step

    return Found(
        difference,
        at_high(snapshot.dataset, "price_contrast"),
        at_high(snapshot.dataset, "price_contrast_se"),
        snapshot.paths,
        at_high(apart, "price_contrast_se"),
    )


def rows() -> list[Row]:
    """The rows of the table of ``python -m benchmarks``."""
    out = []
    for one in map(found, differences()):
        title = f"{one.difference.name}, error on independent noise over common"
        details = f"{one.independent:.5f} against {one.error:.5f}; z = {one.z:.2f}"
        wanted = f">= {one.difference.least:g}"
        out.append(Row(title, wanted, one.ratio, one.reached, details))
    return out


def main() -> None:
    tolerance = float(sys.argv[1]) if len(sys.argv) > 1 else TOLERANCE
    print(
        f"{'':<34} {'value':>10} {'s.e.':>9} {'exact':>10} {'z':>6} {'paths':>11}"
        f" {'indep. s.e.':>11} {'ratio':>6}"
    )
    for difference in differences():
        print(found(difference, tolerance), flush=True)


if __name__ == "__main__":
    main()
