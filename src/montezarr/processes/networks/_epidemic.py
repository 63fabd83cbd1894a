"""What epidemics have in common: checks of their numbers, and the law of the final size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import value_error


def check_infected(infected: int, population: int) -> None:
    """Raise if more people are infected than there are."""
    if infected > population:
        raise value_error("infected", f"at most the population, {population}", infected)


def final_size_law(
    susceptible: int, infected: int, population: int, beta: float, gamma: float
) -> NDArray[np.float64]:
    """Return P(so many more are infected before none is) for 0 ... `susceptible`.

    The next event is an infection with the probability beta S / (beta S + gamma N), whatever I is.
    """
    out = np.zeros(susceptible + 1)
    # P(that many are infectious when the last one of these susceptible is infected).
    before = np.zeros(susceptible + infected + 2)
    before[infected] = 1.0
    for s in range(susceptible, -1, -1):
        rates = beta * s, gamma * population
        up = rates[0] / (rates[0] + rates[1]) if rates[0] + rates[1] > 0 else 0.0
        here = np.zeros_like(before)
        above = 0.0  # that come from one more infectious person
        for i in range(susceptible - s + infected, 0, -1):
            here[i] = before[i] + above
            above = here[i] * (1.0 - up)
        out[susceptible - s] = before[0] + above
        before = np.zeros_like(before)
        before[2:] = here[1:-1] * up
    return out
