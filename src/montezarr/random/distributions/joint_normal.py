"""Several parameters with a joint normal distribution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from typing import Any, Self, final

import numpy as np

from montezarr.core.checks import check_array, check_real, type_error, value_error
from montezarr.core.value import checked
from montezarr.random.distributions._base import (
    Array,
    Distribution,
    checked_range,
    implementation,
    parameter_slots,
    tails,
)
from montezarr.random.distributions._table import LEAST
from montezarr.random.seeding import RootSeed

SYMMETRY = 1e-12
"""Relative deviation of a matrix from its transpose that is taken for rounding."""

Row = tuple[float, ...]


def _named(name: str, value: Any) -> tuple[tuple[str, float], ...]:
    """Return the means by name, in their order, which is the order of the matrix."""
    expected = "a mapping of the names of parameters to their means"
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    if not isinstance(pairs, (list, tuple)) or not all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs
    ):
        raise type_error(name, expected, value)
    if not pairs:
        raise value_error(name, f"{expected}, not empty", value)
    names = [key for key, _ in pairs]
    if len(parameter_slots(names)) < len(names):
        raise value_error(name, "each name once", names)
    return tuple((key, check_real(f"{name}[{key!r}]", entry)) for key, entry in pairs)


@final
@dataclass(frozen=True, slots=True)
class JointNormal(Distribution):
    r"""Joint normal distribution of several parameters, :math:`X = \mu + L z`.

    L is the lower Cholesky root of the covariance, and :math:`z_j = \Phi^{-1}(u_j)`, with the
    uniform number :math:`u_j` of component j: that of a parameter of its name, see `Distribution`.
    So :math:`X_i = \mu_i + \sum_{j \le i} L_{ij} z_j`, summed in the order of j.

    Parameters
    ----------
    mean : mapping of str to float
        Name and mean of each parameter, in the order of the matrix.
    covariance : array (k, k), optional
        Covariance matrix, symmetric and positive definite.
    sd : sequence of float, optional
        Standard deviations, > 0, with `correlation` in place of `covariance`.
    correlation : array (k, k), optional
        Correlation matrix, with ones on its diagonal; by default none are correlated.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For a name that occurs twice, numbers that are not finite, a matrix of another size, or one
        that is not symmetric and positive definite.

    References
    ----------
    Gentle, Random Number Generation and Monte Carlo Methods, 2003, section 5.3,
    doi:10.1007/b97336. The normal quantile is that of `Normal`.

    Examples
    --------
    >>> import montezarr as mz
    >>> prior = mz.JointNormal(
    ...     mean={"kappa": 2.0, "theta": 0.04}, sd=[0.5, 0.01], correlation=[[1, -0.5], [-0.5, 1]]
    ... )
    >>> {name: values.round(4).tolist() for name, values in prior.draw(42, n=2).items()}
    {'kappa': [2.3378, 3.2077], 'theta': [0.0255, 0.037]}
    """

    mean: Any = field(metadata=checked(_named))
    covariance: Any = None
    sd: InitVar[Any] = None
    correlation: InitVar[Any] = None

    def __post_init__(self, sd: Any, correlation: Any) -> None:
        self.check_fields()
        size = len(self.mean)
        if self.covariance is None:
            self.set_field("covariance", _of_correlation(sd, correlation, size))
        elif sd is not None or correlation is not None:
            given, value = ("correlation", correlation) if sd is None else ("sd", sd)
            raise value_error(given, "None where covariance is given", value)
        else:
            matrix = _matrix("covariance", self.covariance, size)
            self.set_field("covariance", tuple(tuple(row) for row in matrix.tolist()))
        self._root()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests."""
        return (cls({"a": 1.0, "b": -2.0}, [[0.25, -0.1], [-0.1, 4.0]]),)

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that are drawn together."""
        return tuple(name for name, _ in self.mean)

    @property
    def low(self) -> dict[str, float]:
        """The smallest value that a draw of each parameter can have, all its terms at their end."""
        return {name: mean - reach for name, mean, reach in self._reach()}

    @property
    def high(self) -> dict[str, float]:
        """The largest value that a draw of each parameter can have, all its terms at their end."""
        return {name: mean + reach for name, mean, reach in self._reach()}

    def moments(self) -> dict[str, tuple[float, float]]:
        """Return the mean and the variance of each parameter."""
        return {name: (mean, self.covariance[j][j]) for j, (name, mean) in enumerate(self.mean)}

    def at_tails(self, tail: Array) -> Array:
        """Return the parameters (k, n) for signed tail probabilities (k, n) of the components."""
        z = implementation(tail.size).normal(tail.ravel()).reshape(tail.shape)
        out: Array = np.empty_like(tail)
        for i, ((_, mean), row) in enumerate(zip(self.mean, self._root(), strict=True)):
            # Term by term: with @ or einsum the last bits would depend on the number of paths.
            out[i] = mean
            for j in range(i + 1):
                out[i] += row[j] * z[j]
        return out

    def draw(
        self, seed: Any, name: str | None = None, *,
        start: int = 0, n: int = 1, stream: str | None = None,
    ) -> dict[str, Array]:  # fmt: skip
        """Return the values of all parameters by name; see `Distribution.draw`."""
        if name is not None:
            raise value_error("name", f"None, since this draws {', '.join(self.names)}", name)
        key, first, count = checked_range(seed, start, n, stream)
        return dict(zip(self.names, self.together(key, first, count), strict=True))

    def by_name(
        self, names: tuple[str, ...], seed: RootSeed, start: int, n: int
    ) -> dict[str, Array]:
        """Return the values of all parameters; see `Distribution.by_name`."""
        return dict(zip(self.names, self.together(seed.philox_key(), start, n), strict=True))

    def together(self, key: tuple[int, int], start: int, n: int) -> Array:
        """Return the values (k, n) of paths start ... start+n-1 under a Philox key."""
        slots = parameter_slots(self.names).values()
        return self.at_tails(np.stack([tails(key, slot, start, n) for slot in slots]))

    def of_paths(self, key: tuple[int, int], slot: int, start: int, n: int) -> Array:
        """Return the values of the parameter that has this slot; see `Distribution.of_paths`."""
        index = list(parameter_slots(self.names).values()).index(slot)
        row: Array = self.together(key, start, n)[index]
        return row

    def quantile(self, p: Any) -> Any:
        """Raise: several parameters together have no quantile.

        Raises
        ------
        ArgumentTypeError
            Always.
        """
        raise type_error("p", "a distribution of one parameter", self)

    def _root(self) -> tuple[Row, ...]:
        return _cholesky(self.covariance)

    def _reach(self) -> list[tuple[str, float, float]]:
        farthest = float(implementation(1).normal(np.array([LEAST]))[0])
        roots = self._root()
        return [
            (name, mean, farthest * math.fsum(abs(entry) for entry in roots[j]))
            for j, (name, mean) in enumerate(self.mean)
        ]


def _matrix(name: str, value: Any, size: int) -> Array:
    """Return a symmetric matrix of this size; each pair of entries becomes that below."""
    matrix = check_array(name, value, ndim=2)
    if matrix.shape != (size, size):
        expected = f"a matrix ({size}, {size}), for {size} parameters"
        raise value_error(name, expected, matrix.shape)
    if (np.abs(matrix - matrix.T) > SYMMETRY * np.abs(matrix)).any():
        raise value_error(name, "a symmetric matrix", value)
    return np.tril(matrix) + np.tril(matrix, -1).T


def _of_correlation(sd: Any, correlation: Any, size: int) -> tuple[Row, ...]:
    """Return the covariance of these standard deviations and correlations."""
    if sd is None:
        raise value_error("covariance", "a matrix, or sd=", None)
    scales = check_array("sd", sd, ndim=1).tolist()
    if len(scales) != size:
        raise value_error("sd", f"{size} numbers, one for each parameter", sd)
    for scale in scales:
        check_real("sd", scale, above=0.0)
    given = np.eye(size) if correlation is None else correlation
    matrix = _matrix("correlation", given, size)
    if (np.diag(matrix) != 1).any():
        raise value_error("correlation", "ones on the diagonal", np.diag(matrix).tolist())
    rows = zip(scales, matrix.tolist(), strict=True)
    return tuple(
        tuple(scale * other * entry for other, entry in zip(scales, row, strict=True))
        for scale, row in rows
    )


def _cholesky(matrix: tuple[Row, ...]) -> tuple[Row, ...]:
    """Return the lower root, by the loops of the textbook: libraries round in their own order."""
    root: list[list[float]] = []
    for i, row in enumerate(matrix):
        root.append([])
        for j in range(i + 1):
            rest = row[j]
            for k in range(j):
                rest -= root[i][k] * root[j][k]
            if i > j:
                root[i].append(rest / root[j][j])
            elif rest > 0:
                root[i].append(math.sqrt(rest))
            else:
                expected = "a positive definite matrix"
                raise value_error("covariance", expected, [list(line) for line in matrix])
    return tuple(tuple(line) for line in root)
