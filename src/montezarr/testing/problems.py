"""Problems with known solutions, to measure the errors of schemes.

The solution of an `ItoProblem` is a function of time and Brownian motion alone, so it can be
evaluated at the draws that drove a scheme, and the error measured path by path. A `HestonCase` has
a published price and the closed form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.processes import Diffusion, Heston
from montezarr.processes.time_grid import TimeGrid
from montezarr.random.draws import Draws
from montezarr.schemes import Scheme
from montezarr.schemes._base import Coefficient


@dataclass(frozen=True, slots=True, kw_only=True)
class ItoProblem:
    """A scalar Itô equation with its solution.

    Attributes
    ----------
    name : str
        Short name for tables.
    equation : str
        The equation, as text.
    drift, diffusion, derivative : function (t, x)
        Coefficients, and the derivative of the diffusion by x.
    x0 : float
        State at time 0.
    solution : function (t, w)
        State at time t where Brownian motion is w.
    additive : bool
        Whether the diffusion does not depend on the state.
    """

    name: str
    equation: str
    drift: Coefficient
    diffusion: Coefficient
    derivative: Coefficient
    x0: float
    solution: Callable[[float, Any], Any]
    additive: bool = False

    def paths(self, scheme: Scheme, T: int, draws: Draws) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the states at time 1 of `scheme` in T steps, and the exact states."""
        grid = TimeGrid.of(T, 1.0 / T)
        process = Diffusion(drift=self.drift, diffusion=self.diffusion, scheme=scheme)
        approximate = process.sample(draws, grid, np.asarray(self.x0))[-1]
        w = draws.normal(range(T)).sum(axis=0) / np.sqrt(T)
        return approximate, np.asarray(self.solution(1.0, w))


GEOMETRIC = ItoProblem(
    name="geometric",
    equation="dX = X dt + 0.7 X dW",
    drift=lambda t, x: x,
    diffusion=lambda t, x: 0.7 * x,
    derivative=lambda t, x: 0.7,
    x0=1.0,
    solution=lambda t, w: np.exp((1 - 0.245) * t + 0.7 * w),
)

ARCTANGENT = ItoProblem(
    name="arctangent",
    equation="dX = (cos²X - 0.49 sin X cos³X) dt + 0.7 cos²X dW",
    drift=lambda t, x: np.cos(x) ** 2 - 0.49 * np.sin(x) * np.cos(x) ** 3,
    diffusion=lambda t, x: 0.7 * np.cos(x) ** 2,
    derivative=lambda t, x: -0.7 * np.sin(2 * x),
    x0=0.0,
    solution=lambda t, w: np.arctan(t + 0.7 * w),
)

HYPERBOLIC = ItoProblem(
    name="hyperbolic sine",
    equation="dX = (√(1+X²) + 0.245 X) dt + 0.7 √(1+X²) dW",
    drift=lambda t, x: np.sqrt(1 + x * x) + 0.245 * x,
    diffusion=lambda t, x: 0.7 * np.sqrt(1 + x * x),
    derivative=lambda t, x: 0.7 * x / np.sqrt(1 + x * x),
    x0=0.0,
    solution=lambda t, w: np.sinh(t + 0.7 * w),
)

ADDITIVE = ItoProblem(
    name="additive",
    equation="dX = (1/√(1+t) - X/(2+2t)) dt + 0.5/√(1+t) dW",
    drift=lambda t, x: 1 / np.sqrt(1 + t) - x / (2 + 2 * t),
    diffusion=lambda t, x: 0.5 / np.sqrt(1 + t),
    derivative=lambda t, x: 0.0,
    x0=1.0,
    solution=lambda t, w: (1 + t + 0.5 * w) / np.sqrt(1 + t),
    additive=True,
)

PROBLEMS = (GEOMETRIC, ARCTANGENT, HYPERBOLIC, ADDITIVE)
"""Linear, bounded, growing and additive noise; after Kloeden and Platen 1992, section 4.4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HestonCase:
    """A European call in the Heston model with its published price.

    Attributes
    ----------
    name : str
        The source of the price.
    process : Heston
        The model; its `mu` is the interest rate.
    v0 : float
        Variance at time 0, where the price is 100.
    years : int
        Time to expiry.
    price : float
        The published price at the strike 100.
    """

    name: str
    process: Heston
    v0: float
    years: int
    price: float

    def call(self, strike: float) -> float:
        """Return the price of a call by numerical integration.

        Lewis, Option Valuation under Stochastic Volatility, 2000, chapter 2, with the
        characteristic function in the form that crosses no branch cut: Albrecher, Mayer, Schoutens
        and Tistaert, "The little Heston trap", 2007. The integrand is even and analytic, so that
        the trapezium rule converges exponentially.
        """
        kappa, theta, xi = self.process.kappa, self.process.theta, self.process.xi
        forward = 100.0 * np.exp(self.process.mu * self.years)
        u = 0.01 * np.arange(100_000)
        b = kappa - self.process.rho * xi * (0.5 + 1j * u)
        d = np.sqrt(b * b + xi * xi * (u * u + 0.25))
        ratio, decay = (b - d) / (b + d), np.exp(-d * self.years)
        rest = (1 - ratio * decay) / (1 - ratio)
        level = kappa * theta / xi**2 * ((b - d) * self.years - 2 * np.log(rest))
        slope = (b - d) / xi**2 * (1 - decay) / (1 - ratio * decay)
        wave = np.exp(1j * u * np.log(forward / strike) + level + slope * self.v0)
        values = wave.real / (u * u + 0.25)
        area = 0.01 * float(values.sum() - values[0] / 2)
        payoff = forward - np.sqrt(forward * strike) / np.pi * area
        return float(np.exp(-self.process.mu * self.years) * payoff)


HESTON_CASES = (
    HestonCase(
        name="Andersen I",
        process=Heston(mu=0.0, kappa=0.5, theta=0.04, xi=1.0, rho=-0.9),
        v0=0.04,
        years=10,
        price=13.085,
    ),
    HestonCase(
        name="Andersen II",
        process=Heston(mu=0.0, kappa=0.3, theta=0.04, xi=0.9, rho=-0.5),
        v0=0.04,
        years=15,
        price=16.649,
    ),
    HestonCase(
        name="Andersen III at 5 %",
        process=Heston(mu=0.05, kappa=1.0, theta=0.09, xi=1.0, rho=-0.3),
        v0=0.09,
        years=5,
        price=33.597,
    ),
    HestonCase(
        name="Broadie and Kaya 1",
        process=Heston(mu=0.0319, kappa=6.21, theta=0.019, xi=0.61, rho=-0.7),
        v0=0.010201,
        years=1,
        price=6.8061,
    ),
    HestonCase(
        name="Broadie and Kaya 2",
        process=Heston(mu=0.05, kappa=2.0, theta=0.09, xi=1.0, rho=-0.3),
        v0=0.09,
        years=5,
        price=34.9998,
    ),
)
"""The cases of Andersen 2008, doi:10.21314/JCF.2008.189, the third with an interest rate, and of
Broadie and Kaya 2006, doi:10.1287/opre.1050.0247."""


def order(steps: Any, errors: Any) -> float:
    """Return the order of an error in the step length: the slope in logarithms."""
    slope = np.polyfit(np.log(np.asarray(steps, np.float64)), np.log(errors), 1)[0]
    return float(-slope)
