"""The stochastic SEIR epidemic: with a latent period."""

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
class SEIR(NetworkModel):
    r"""Stochastic epidemic with a latent period: susceptible, exposed, infectious, removed. Exact.

    Those who are infected are exposed first, and become infectious at the rate sigma.

    Parameters
    ----------
    beta : float
        Contacts of an infectious person per unit of time that would infect, >= 0.
    sigma : float
        Rate of becoming infectious, >= 0: 1 / sigma is the mean latent period.
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
    >>> mz.SEIR(beta=2.0, sigma=0.5, gamma=1.0).variables
    ('S', 'E', 'I', 'R')
    """

    equation: ClassVar[str] = (
        "S + I → E + I at rate β S I / N\nE → I at rate σ E\nI → R at rate γ I"
    )
    species: ClassVar[tuple[str, ...]] = ("S", "E", "I", "R")
    reactions: ClassVar[tuple[str, ...]] = (
        "S + I -> E + I @ beta / N", "E -> I @ sigma", "I -> R @ gamma"
    )  # fmt: skip
    definitions: ClassVar[tuple[tuple[str, str], ...]] = (("N", "S + E + I + R"),)

    beta: float = field(metadata=checked(check_real, minimum=0.0))
    sigma: float = field(metadata=checked(check_real, minimum=0.0))
    gamma: float = field(metadata=checked(check_real, minimum=0.0))
    population: int = field(default=1000, metadata=checked(check_int, minimum=1))
    infected: int = field(default=10, metadata=checked(check_int, minimum=0))

    def __post_init__(self) -> None:
        self.check_fields()
        check_infected(self.infected, self.population)

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Process.examples`."""
        return (cls(beta=1.5, sigma=2.0, gamma=1.0, population=40, infected=4),)

    @property
    def r0(self) -> float:
        """The basic reproduction number, beta / gamma."""
        return self.beta / self.gamma

    def default_x0(self) -> tuple[int, int, int, int]:
        """Return the default numbers of S, E, I and R."""
        return self.population - self.infected, 0, self.infected, 0

    def final_size(self, x0: Any = None) -> NDArray[np.float64]:
        """Return P(k are infected in all, beside the initial ones), k = 0 ... S.

        A latent period does not change it: it is that of `SIR`, where those exposed are infectious
        (Andersson and Britton, 2000, section 2.4; reference of the class).

        Parameters
        ----------
        x0 : sequence of int, optional
            Numbers of S, E, I and R at the start.
        """
        s, e, i, r = self.check_x0(x0, "int64")[:, 0].tolist()
        return final_size_law(s, e + i, s + e + i + r, self.beta, self.gamma)
