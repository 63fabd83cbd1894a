"""Nested sampling: several paths, each with noise of its own, for each draw of the parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from montezarr.core.checks import check_int
from montezarr.random.designs._base import SIZE_MAX, Design, check_entries, check_groups
from montezarr.random.distributions._base import Array
from montezarr.random.seeding import RootSeed


@dataclass(frozen=True, slots=True)
class Nested(Design):
    """Groups of paths that share their parameters; see `nested`."""

    name: ClassVar[str] = "nested"

    replicates: int

    @property
    def size(self) -> int:
        """Number of paths of a group."""
        return self.replicates

    def by_name(
        self, names: tuple[str, ...], seed: RootSeed, start: int, n: int
    ) -> dict[str, Array]:
        """Return the parameters of paths start ... start+n-1; see `Design.by_name`."""
        group = np.arange(start, start + n) // self.size
        first = start // self.size
        count = (start + max(n, 1) - 1) // self.size - first + 1
        out: dict[str, Array] = {}
        for own, distribution in self.entries:
            out |= distribution.by_name(own, seed, first, count)
        return {name: out[name][group - first] for name in names}

    def more(self) -> dict[str, Any]:
        """Return what else the JSON form has."""
        return {"replicates": self.replicates}


def nested(parameters: Mapping[Any, Any], n: int | None, *, replicates: int) -> Nested:
    """Return the nested design, on which `VarianceShares` are estimated.

    It makes n draws of the parameters, each for `replicates` consecutive paths: path i has the
    parameters that path ``i // replicates`` gets where ``vary=parameters`` draws them, and noise of
    its own. So the paths of a draw differ by their noise alone.

    Parameters
    ----------
    parameters : mapping of str to distribution
        Names and distributions of the parameters; the key of a joint distribution is a tuple.
    n : int or None
        Number of draws; None for any number.
    replicates : int
        Paths of each draw, from 2 to 1024. Two are best where a path costs the same anyway: more
        draws tell more of the parameters.

    Returns
    -------
    Nested
        The design: pass it as ``vary=``, and its ``n_paths``, n times `replicates`, as n_paths.
        Where something else varies too, its key is the tuple of its ``names``.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For a name that is no identifier, for what is no distribution, or another number.

    Examples
    --------
    >>> import montezarr as mz
    >>> design = mz.nested({"mu": mz.Normal(0.05, 0.01)}, n=3, replicates=2)
    >>> gbm = mz.GeometricBrownianMotion(mu=0.0, sigma=0.2)
    >>> ds = mz.simulate(gbm, n_paths=design.n_paths, T=4, dt=0.25, x0=1.0, vary=design, seed=1)
    >>> ds.mu.values.round(3)
    array([0.068, 0.068, 0.069, 0.069, 0.04 , 0.04 ])
    """
    entries = check_entries(parameters)
    size = check_int("replicates", replicates, minimum=2, maximum=SIZE_MAX)
    return Nested(entries, check_groups(n, size), size)
