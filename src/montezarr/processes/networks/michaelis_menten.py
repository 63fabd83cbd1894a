"""Michaelis and Menten's enzyme kinetics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self, final

from montezarr.core.checks import check_int, check_real
from montezarr.core.value import checked
from montezarr.processes.networks._model import NetworkModel


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MichaelisMenten(NetworkModel):
    r"""Enzyme kinetics: an enzyme binds its substrate, and makes it a product or lets go. Exact.

    Numbers are molecules: `bind` is a rate per pair of molecules, that is a constant of
    concentrations divided by the volume.

    Parameters
    ----------
    bind : float
        Rate at which a molecule of enzyme and one of substrate bind, >= 0.
    release : float
        Rate at which a complex falls apart again, >= 0.
    convert : float
        Rate at which a complex becomes enzyme and product, >= 0.
    enzymes : int
        Default initial number of enzymes, >= 0.
    substrates : int
        Default initial number of substrate molecules, >= 0.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If a rate or a number is negative.

    References
    ----------
    Rao and Arkin, Stochastic chemical kinetics and the quasi-steady-state assumption, Journal of
    Chemical Physics 118, 2003, doi:10.1063/1.1545446.

    Examples
    --------
    >>> import montezarr as mz
    >>> mz.MichaelisMenten().variables
    ('S', 'E', 'C', 'P')
    """

    equation: ClassVar[str] = (
        "S + E → C at rate k₁ S E\nC → S + E at rate k₋₁ C\nC → E + P at rate k₂ C"
    )
    species: ClassVar[tuple[str, ...]] = ("S", "E", "C", "P")
    reactions: ClassVar[tuple[str, ...]] = (
        "S + E <-> C @ bind, release", "C -> E + P @ convert"
    )  # fmt: skip

    bind: float = field(default=0.00166, metadata=checked(check_real, minimum=0.0))
    release: float = field(default=1e-4, metadata=checked(check_real, minimum=0.0))
    convert: float = field(default=0.1, metadata=checked(check_real, minimum=0.0))
    enzymes: int = field(default=120, metadata=checked(check_int, minimum=0))
    substrates: int = field(default=301, metadata=checked(check_int, minimum=0))

    def __post_init__(self) -> None:
        self.check_fields()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Process.examples`."""
        return (cls(bind=0.05, release=0.5, convert=1.0, enzymes=6, substrates=20),)

    def default_x0(self) -> tuple[int, int, int, int]:
        """Return the default numbers of substrate, enzyme, complex and product."""
        return self.substrates, self.enzymes, 0, 0
