"""The design of Saltelli for Sobol indices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from montezarr.core.checks import value_error
from montezarr.random.designs._base import (
    SIZE_MAX,
    Design,
    check_entries,
    check_groups,
)
from montezarr.random.distributions._base import Array, parameter_slot, parameter_slots
from montezarr.random.seeding import RootSeed

SECOND = "{} B"
"""Name of the second, independent draws of a parameter: no parameter of a design has a blank."""


@dataclass(frozen=True, slots=True)
class Saltelli(Design):
    """Groups of d + 2 paths for d parameters; see `saltelli`."""

    name: ClassVar[str] = "saltelli"

    @property
    def size(self) -> int:
        """Number of paths of a group."""
        return len(self.entries) + 2

    def slot_names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of all that is drawn: A and B of each parameter."""
        return (*names, *(SECOND.format(name) for name in names))

    def by_name(
        self, names: tuple[str, ...], seed: RootSeed, start: int, n: int
    ) -> dict[str, Array]:
        """Return the parameters of paths start ... start+n-1; see `Design.by_name`."""
        group, role = np.divmod(np.arange(start, start + n), self.size)
        first = start // self.size
        count = (start + max(n, 1) - 1) // self.size - first + 1
        key, out = seed.philox_key(), {}
        for k, ((name,), distribution) in enumerate(self.entries):
            a, b = (
                distribution.of_paths(key, parameter_slot(drawn), first, count)
                for drawn in (name, SECOND.format(name))
            )
            is_b = (role == 1) | (role == k + 2)
            out[name] = np.where(is_b, b[group - first], a[group - first])
        return out


def saltelli(parameters: Mapping[str, Any], n: int | None) -> Saltelli:
    r"""Return the design of Saltelli, on which `SobolIndices` are estimated.

    Of d independent parameters it makes n base points, each of two independent draws A and B of all
    parameters. To base point j belong the d + 2 consecutive paths from :math:`(d + 2) j` on: path i
    has the role :math:`i \bmod (d + 2)`. Role 0 has all parameters from A, role 1 all from B, and
    role 2 + k those of A, but parameter k from B (k = 0 ... d - 1, in the order of `parameters`).

    Parameter ``name`` of A at base point j is the value that path j gets where ``vary={name:
    distribution}`` draws it; that of B is the value of path j for a parameter of the name
    ``f"{name} B"``. So any value can be made by hand, and the design can be extended.

    The noise of a path goes by its index, as in every run: the d + 2 paths of a base point have
    different noise. `SobolIndices` says what that means for the indices of a stochastic model.

    Parameters
    ----------
    parameters : mapping of str to distribution
        Names and distributions of the parameters, such as ``{"mu": mz.Normal(0.05, 0.01)}``. They
        are independent: the indices of parameters with a joint distribution have no such meaning.
    n : int or None
        Number of base points; None for any number.

    Returns
    -------
    Saltelli
        The design: pass it as ``vary=``, and its ``n_paths``, n (d + 2), as n_paths. Where
        something else varies too, its key is the tuple of its ``names``:
        ``vary={design.names: design, "x0": DataArray}``.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For a name that is no identifier, for what is no distribution of one parameter, or for more
        than 1022 parameters.

    References
    ----------
    Saltelli et al., "Variance based sensitivity analysis of model output. Design and estimator for
    the total sensitivity index", 2010, doi:10.1016/j.cpc.2009.09.018.

    Examples
    --------
    >>> import montezarr as mz
    >>> design = mz.saltelli({"a": mz.Normal(0.0, 1.0), "b": mz.Normal(0.0, 2.0)}, n=2)
    >>> design.names, design.size, design.n_paths
    (('a', 'b'), 4, 8)
    >>> def f(rng, n, a, b):
    ...     return {"y": a + b}
    >>> ds = mz.simulate(f, n_paths=design.n_paths, vary=design, seed=1)
    >>> ds.a.values.round(2)  # A, B, a from B, b from B, and so on
    array([-1.42, -0.33, -0.33, -1.42, -1.44, -2.89, -2.89, -1.44])
    """
    entries = check_entries(parameters)
    for names, distribution in entries:
        if distribution.names:
            raise value_error(
                "parameters", "independent parameters, one for each distribution", names,
                "Of a joint distribution, the share of a single parameter is not defined.",
            )  # fmt: skip
    if len(entries) > SIZE_MAX - 2:
        raise value_error("parameters", f"at most {SIZE_MAX - 2} parameters", len(entries))
    design = Saltelli(entries, check_groups(n, len(entries) + 2))
    parameter_slots(design.slot_names(design.names))
    return design
