"""The two stages of gene expression."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, final

import numpy as np

from montezarr.core.checks import check_real
from montezarr.core.value import checked
from montezarr.processes.networks._model import NetworkModel


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GeneExpression(NetworkModel):
    r"""Two stages of gene expression: a gene makes mRNA, and mRNA makes protein. Exact.

    Parameters
    ----------
    transcription : float
        Rate at which mRNA is made, >= 0.
    translation : float
        Rate at which each mRNA makes protein, >= 0.
    mrna_decay : float
        Rate at which each mRNA decays, > 0.
    protein_decay : float
        Rate at which each protein decays, > 0.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If a rate is out of its range.

    References
    ----------
    Thattai and van Oudenaarden, Intrinsic noise in gene regulatory networks, PNAS 98, 2001,
    doi:10.1073/pnas.151588598.

    Examples
    --------
    >>> import montezarr as mz
    >>> gene = mz.GeneExpression(transcription=2.0, translation=5.0)
    >>> gene.fano_factor
    3.5
    """

    equation: ClassVar[str] = (
        "0 → M at rate k₁\nM → M + P at rate k₂ M\nM → 0 at rate d₁ M\nP → 0 at rate d₂ P"
    )
    species: ClassVar[tuple[str, ...]] = ("M", "P")
    reactions: ClassVar[tuple[str, ...]] = (
        "0 -> M @ transcription", "M -> M + P @ translation", "M -> 0 @ mrna_decay",
        "P -> 0 @ protein_decay",
    )  # fmt: skip

    transcription: float = field(metadata=checked(check_real, minimum=0.0))
    translation: float = field(metadata=checked(check_real, minimum=0.0))
    mrna_decay: float = field(default=1.0, metadata=checked(check_real, above=0.0))
    protein_decay: float = field(default=1.0, metadata=checked(check_real, above=0.0))

    def __post_init__(self) -> None:
        self.check_fields()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Process.examples`."""
        return (cls(transcription=2.0, translation=1.5, mrna_decay=1.0, protein_decay=0.5),)

    def default_x0(self) -> tuple[int, int]:
        """Return the default numbers of mRNA and protein, 0."""
        return 0, 0

    @property
    def fano_factor(self) -> float:
        """Stationary variance of the protein over its mean (Thattai and van Oudenaarden, 2001)."""
        return 1.0 + self.translation / (self.mrna_decay + self.protein_decay)

    def mean(self, t: Any, x0: Any) -> dict[str, Any]:
        """Return E[M_t] and E[P_t], the solution of the linear rate equations.

        Parameters
        ----------
        t : float or array
            Time, >= 0.
        x0 : (float, float)
            Initial numbers of mRNA and protein.
        """
        m0, p0 = x0
        slow, fast = self.protein_decay, self.mrna_decay
        level = self.transcription / fast
        times = np.asarray(t, np.float64)
        left, rest = np.exp(-fast * times), np.exp(-slow * times)
        gap = np.asarray(slow - fast, np.float64)
        safe = np.where(gap == 0.0, 1.0, gap)
        both = left * np.where(gap == 0.0, times, -np.expm1(-safe * times) / safe)
        protein = (m0 - level) * both + level * (1.0 - rest) / slow
        return {
            "M": m0 * left + level * (1.0 - left),
            "P": p0 * rest + self.translation * protein,
        }
