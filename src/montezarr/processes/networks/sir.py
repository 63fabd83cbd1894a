"""The stochastic SIR epidemic."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_int, check_real
from montezarr.core.value import checked
from montezarr.processes.networks._epidemic import check_infected, final_size_law
from montezarr.processes.networks._model import NetworkModel


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SIR(NetworkModel):
    r"""General stochastic epidemic: susceptible, infectious, removed. Exact.

    An infectious person meets others at the rate beta, and infects those that are susceptible; they
    are removed at the rate gamma. The population S + I + R is that of the initial state.

    Parameters
    ----------
    beta : float
        Contacts of an infectious person per unit of time that would infect, >= 0.
    gamma : float
        Rate of removal, >= 0: 1 / gamma is the mean infectious period.
    population : int
        Number of people in the default initial state.
    infected : int
        Number of them that are infectious.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If a rate is negative, or more people are infected than there are.

    References
    ----------
    Andersson and Britton, Stochastic Epidemic Models and Their Statistical Analysis, 2000, chapter
    2, doi:10.1007/978-1-4612-1158-7.

    Examples
    --------
    >>> import montezarr as mz
    >>> sir = mz.SIR(beta=2.0, gamma=1.0, population=200, infected=2)
    >>> sir.r0
    2.0
    >>> law = sir.final_size()
    >>> law.shape, float(law.sum().round(12))
    ((199,), 1.0)
    """

    equation: ClassVar[str] = "S + I → 2 I at rate β S I / N\nI → R at rate γ I"
    species: ClassVar[tuple[str, ...]] = ("S", "I", "R")
    reactions: ClassVar[tuple[str, ...]] = ("S + I -> 2 I @ beta / N", "I -> R @ gamma")
    definitions: ClassVar[tuple[tuple[str, str], ...]] = (("N", "S + I + R"),)

    beta: float = field(metadata=checked(check_real, minimum=0.0))
    gamma: float = field(metadata=checked(check_real, minimum=0.0))
    population: int = field(default=1000, metadata=checked(check_int, minimum=1))
    infected: int = field(default=10, metadata=checked(check_int, minimum=0))

    def __post_init__(self) -> None:
        self.check_fields()
        check_infected(self.infected, self.population)

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Process.examples`."""
        return (cls(beta=1.5, gamma=1.0, population=40, infected=4),)

    @property
    def r0(self) -> float:
        """The basic reproduction number, beta / gamma."""
        return self.beta / self.gamma

    def default_x0(self) -> tuple[int, int, int]:
        """Return the default numbers of S, I and R."""
        return self.population - self.infected, self.infected, 0

    def final_size(self, x0: Any = None) -> NDArray[np.float64]:
        """Return P(k are infected in all, beside the initial ones), k = 0 ... S.

        By the walk of infections and removals, which ends where no one is infectious (Andersson and
        Britton, 2000, section 2.4; reference of the class). It takes S (S + I) steps.

        Parameters
        ----------
        x0 : sequence of int, optional
            Numbers of S, I and R at the start.
        """
        s, i, r = self.check_x0(x0, "int64")[:, 0].tolist()
        return final_size_law(s, i, s + i + r, self.beta, self.gamma)
