"""The linear birth and death process with immigration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, final

import numpy as np

from montezarr.core.checks import check_int, check_real
from montezarr.core.value import checked
from montezarr.processes.networks._model import NetworkModel


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BirthDeath(NetworkModel):
    r"""Linear birth and death process with immigration. Exact.

    Parameters
    ----------
    birth : float
        Rate at which each individual gives birth to one, >= 0.
    death : float
        Rate at which each individual dies, >= 0.
    immigration : float
        Rate at which individuals come from elsewhere, >= 0.
    start : int
        Default initial number, >= 0.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If a rate or the initial number is negative.

    References
    ----------
    Kendall, On the generalized "birth-and-death" process, Annals of Mathematical Statistics 19,
    1948, doi:10.1214/aoms/1177730285.
    Bailey, The Elements of Stochastic Processes, 1964, chapter 8.

    Examples
    --------
    >>> import montezarr as mz
    >>> process = mz.BirthDeath(birth=0.5, death=1.0, start=3)
    >>> float(process.extinction(t=2.0).round(6))
    0.464765
    """

    equation: ClassVar[str] = "X → X + 1 at rate λ X + ν\nX → X − 1 at rate μ X"
    species: ClassVar[tuple[str, ...]] = ("x",)
    reactions: ClassVar[tuple[str, ...]] = (
        "x -> 2 x @ birth", "x -> 0 @ death", "0 -> x @ immigration"
    )  # fmt: skip

    birth: float = field(metadata=checked(check_real, minimum=0.0))
    death: float = field(metadata=checked(check_real, minimum=0.0))
    immigration: float = field(default=0.0, metadata=checked(check_real, minimum=0.0))
    start: int = field(default=1, metadata=checked(check_int, minimum=0))

    def __post_init__(self) -> None:
        self.check_fields()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Process.examples`."""
        return (
            cls(birth=0.3, death=0.5, immigration=2.0, start=4),
            cls(birth=0.25, death=0.25, start=20),
        )

    def default_x0(self) -> int:
        """Return the default initial number."""
        return self.start

    def mean(self, t: Any, x0: Any) -> Any:
        """Return E[X_t] (Bailey, 1964, section 8.7; reference of the class)."""
        growth, gain = self._growth(t)
        return x0 * growth + self.immigration * gain

    def variance(self, t: Any, x0: Any) -> Any:
        """Return Var[X_t] (Bailey, 1964, section 8.7; reference of the class)."""
        growth, gain = self._growth(t)
        own = x0 * (self.birth + self.death) * growth * gain
        return own + self.immigration * gain * (1.0 + self.birth * gain)

    def extinction(self, t: Any, x0: Any = None) -> Any:
        """Return P(X_t = 0), for a process without immigration (Kendall, 1948, equation 16).

        With immigration it is the probability that no individual is there at the time t.

        Parameters
        ----------
        t : float or array
            Time, >= 0; infinity for the probability of extinction at any time.
        x0 : int, optional
            Initial number.
        """
        start = self.start if x0 is None else x0
        with np.errstate(invalid="ignore", over="ignore"):
            _, gain = self._growth(t)
            alive = 1.0 / (1.0 + self.birth * gain)  # 1 - P(0) of one is growth times this
            gone = np.where(
                np.isinf(gain),
                np.minimum(1.0, self.death / np.maximum(self.birth, np.finfo(float).tiny)),
                self.death * gain * alive,
            )
        none_came = 1.0
        if np.any(self.immigration):
            none_came = np.where(
                np.asarray(self.birth) > 0,
                alive ** (self.immigration / np.maximum(self.birth, np.finfo(float).tiny)),
                np.exp(-self.immigration * gain),
            )
        return (gone**start * none_came)[()]

    def _growth(self, t: Any) -> tuple[Any, Any]:
        """Return exp(r t) and (exp(r t) - 1) / r, where r = birth - death; t for r = 0."""
        rate = np.asarray(self.birth - self.death, np.float64)
        safe = np.where(rate == 0.0, 1.0, rate)
        times = np.asarray(t, np.float64)
        gain = np.where(rate == 0.0, times, np.expm1(safe * times) / safe)
        return np.exp(rate * times), gain
