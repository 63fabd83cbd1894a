"""The stochastic SIS epidemic: without immunity."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self, final

from montezarr.core.checks import check_int, check_real
from montezarr.core.value import checked
from montezarr.processes.networks._epidemic import check_infected
from montezarr.processes.networks._model import NetworkModel


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SIS(NetworkModel):
    r"""Stochastic epidemic without immunity (logistic): susceptible, infectious, and again. Exact.

    Parameters
    ----------
    beta : float
        Contacts of an infectious person per unit of time that would infect, >= 0.
    gamma : float
        Rate of recovery, >= 0.
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
    Weiss and Dishon, On the asymptotic behavior of the stochastic and deterministic models of an
    epidemic, Mathematical Biosciences 11, 1971, doi:10.1016/0025-5564(71)90087-3.

    Examples
    --------
    >>> import montezarr as mz
    >>> mz.SIS(beta=1.5, gamma=1.0).default_x0()
    (990, 10)
    """

    equation: ClassVar[str] = "S + I → 2 I at rate β S I / N\nI → S at rate γ I"
    species: ClassVar[tuple[str, ...]] = ("S", "I")
    reactions: ClassVar[tuple[str, ...]] = ("S + I -> 2 I @ beta / N", "I -> S @ gamma")
    definitions: ClassVar[tuple[tuple[str, str], ...]] = (("N", "S + I"),)

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

    def default_x0(self) -> tuple[int, int]:
        """Return the default numbers of S and I."""
        return self.population - self.infected, self.infected
