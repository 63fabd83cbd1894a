"""Sobol indices: which share of the variance each parameter explains."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import type_error, value_error
from montezarr.core.value import checked
from montezarr.random.designs._base import SIZE_MAX, Grouping
from montezarr.statistics._base import INTERVAL, Estimate, Source
from montezarr.statistics._groups import OfGroups
from montezarr.statistics._moments import MEAN_ROUNDING
from montezarr.statistics._per_path import Array
from montezarr.statistics._student import student
from montezarr.statistics._sums import tree_sum


class SobolSums(NamedTuple):
    r"""Sums over base points: the state of the statistic.

    Of a base point, :math:`y_A, y_B, y_k` are its values, and with the centre c

    .. math:: s = y_A + y_B - 2c, \quad v = ((y_A - c)^2 + (y_B - c)^2) / 2, \quad
        \delta_k = y_k - y_A, \quad q_k = (y_B - c)\, \delta_k, \quad e_k = \delta_k^2 / 2.

    Attributes
    ----------
    n : array (cells, blocks)
        Number of base points.
    centre : array (cells, blocks)
        The mean of :math:`y_A` and :math:`y_B` over these.
    common : array (5, cells, blocks)
        Sums of s, v, ss, sv, vv.
    own : array (12, parameters, cells, blocks)
        Sums of δ, e, q, δs, es, qs, δv, ev, qv, ee, δq, qq.
    edges, edge_groups : array
        The base points between blocks; see `montezarr.statistics._groups`.
    """

    n: NDArray[np.int64]
    centre: Array
    common: Array
    own: Array
    edges: Array
    edge_groups: NDArray[np.int64]


def _names(name: str, value: Any) -> tuple[str, ...]:
    """Return the names of parameters, checked."""
    expected = "the names of all parameters of the design, in its order"
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise type_error(name, expected, value)
    if not all(isinstance(entry, str) for entry in value):
        raise type_error(name, expected, value)
    if not 0 < len(set(value)) == len(value) <= SIZE_MAX - 2:
        raise value_error(name, f"{expected}, each once", value)
    return tuple(value)


@final
@dataclass(frozen=True, slots=True)
class SobolIndices(OfGroups):
    r"""Sobol indices of first order and total ones, of a run on a design of `montezarr.saltelli`.

    The first-order index of parameter k is the share of the variance that it explains alone,
    :math:`S_k = \mathrm{Var}\, E[y \mid x_k] / \mathrm{Var}\, y`; the total index, what is left
    where all other parameters are known, :math:`T_k = E\, \mathrm{Var}[y \mid x_{\sim k}] /
    \mathrm{Var}\, y`. Over n base points with the values :math:`y_A, y_B`, and :math:`y_k` where k
    is that of B,

    .. math:: \hat S_k = \frac{\sum (y_B - c)(y_k - y_A)}{n \hat V}, \quad
        \hat T_k = \frac{\sum (y_A - y_k)^2}{2 n \hat V}, \quad
        \hat V = \frac{\sum (y_A - c)^2 + (y_B - c)^2}{2 n}

    with the mean c of all :math:`y_A, y_B`: Saltelli's estimator (2010, table 2 b), whose error the
    centre makes smaller, and Jansen's (1999; table 2 f). Estimates may be a little below 0 or above
    1. Standard errors are those of a ratio, by the delta method over base points; the 95 %
    intervals use Student's quantile. Take some hundred base points or more.

    **Stochastic models.** The paths of a base point have noise of their own, which belongs to no
    parameter. The variance is that of paths, with their noise; :math:`S_k` is the share that k
    explains of it, and the shares of all parameters and the noise, with their interactions, sum to
    1. What is left where all other parameters are known includes the noise, so every
    :math:`T_k` does: it is the share of k and its interactions plus that of the noise, which alone
    is the total index of a parameter without any effect. `VarianceShares` estimates the share of
    the noise. For the indices of an expectation, average over noise in your function.

    Results: ``<variable>_first_order`` and ``<variable>_total`` with the dimension ``parameter``,
    and ``_se``, ``_low``, ``_high`` of both, without units; NaN where the variance is 0. A base
    point counts in a cell if all of its paths have a value there. So a stored run may be extended
    to any number of paths, and paths may be left out by ``.where(...)``, but not selected in
    another order.

    Parameters
    ----------
    parameters : sequence of str, optional
        All parameters of the design, in its order, for values in memory without the recipe of
        their run: then path i has the role ``i % (d + 2)``. By default those of the run.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `parameters` are no names, or not those of the run; if no design is known; if the paths
        are not consecutive ones of the run.

    References
    ----------
    Saltelli et al., "Variance based sensitivity analysis of model output. Design and estimator for
    the total sensitivity index", 2010, doi:10.1016/j.cpc.2009.09.018. Jansen, "Analysis of variance
    designs for model output", 1999, doi:10.1016/S0010-4655(98)00154-4. Sobol, "Global sensitivity
    indices for nonlinear mathematical models and their Monte Carlo estimates", 2001,
    doi:10.1016/S0378-4754(00)00270-6.

    Examples
    --------
    >>> import montezarr as mz
    >>> design = mz.saltelli({"a": mz.Normal(0.0, 1.0), "b": mz.Normal(0.0, 2.0)}, n=5_000)
    >>> def f(rng, n, a, b):
    ...     return {"y": a + b}
    >>> ds = mz.simulate(f, n_paths=design.n_paths, vary=design, dims={"y": ()}, seed=1)
    >>> mz.reduce(ds.y, mz.SobolIndices()).y_first_order.round(1).values  # 1/5 and 4/5
    array([0.2, 0.8])
    """

    parameters: tuple[str, ...] | None = field(
        default=None, metadata=checked(_names, optional=True)
    )

    State: ClassVar[type] = SobolSums
    design: ClassVar[str] = "saltelli"
    maker: ClassVar[str] = "mz.saltelli"
    # Differences of sums, in the errors.
    tolerance: ClassVar[float] = 1e-7

    def __post_init__(self) -> None:
        self.check_fields()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Statistic.examples`."""
        return cls(("a", "b", "c")), cls(tuple(f"p{k}" for k in range(40)))

    def told(self) -> Grouping | None:
        """Return the grouping of the given parameters."""
        if self.parameters is None:
            return None
        return Grouping(self.design, self.parameters, len(self.parameters) + 2)

    def sums(self, values: Array) -> tuple[Any, ...]:
        """Return the sums over base points (size, cells, blocks, groups)."""
        counts = np.asarray((values == values).all(axis=0))
        n = counts.sum(axis=-1, dtype=np.int64)
        with np.errstate(over="ignore", invalid="ignore"):
            y = np.where(counts, values, 0.0)
            centre = tree_sum((y[0] + y[1]) / 2) / np.maximum(n, 1)
            a, b = (np.where(counts, part - centre[..., None], 0.0) for part in y[:2])
            s, v = a + b, (a * a + b * b) / 2
            common = np.stack([tree_sum(x) for x in (s, v, s * s, s * v, v * v)])
            own = np.empty((12, len(y) - 2, *n.shape))
            for k, part in enumerate(y[2:]):  # one at a time, to hold few products
                d = part - y[0]
                e, q = d * d / 2, b * d
                products = (d, e, q, d * s, e * s, q * s, d * v, e * v, q * v, e * e, d * q, q * q)
                own[:, k] = [tree_sum(x) for x in products]
        return n, centre, common, own

    def joined(self, a: SobolSums, b: SobolSums) -> tuple[Any, ...]:
        """Return the sums of both, about the common centre."""
        n = a.n + b.n
        with np.errstate(over="ignore", invalid="ignore"):
            apart = b.centre - a.centre
            share = b.n / np.maximum(n, 1)
            left, right = -apart * share, apart * (a.n / np.maximum(n, 1))
            common = _common_at(a, left) + _common_at(b, right)
            own = _own_at(a, left) + _own_at(b, right)
            return n, a.centre + apart * share, common, own

    def finalize(self, state: SobolSums, source: Source) -> dict[str, Estimate]:
        """Return the indices with their standard errors and intervals, by parameter."""
        n = state.n.astype(np.float64)
        _, v, *_, vv = state.common
        e, q, ev, qv, ee, qq = state.own[[1, 2, 7, 8, 9, 11]]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            is_constant = v <= n * (MEAN_ROUNDING * np.abs(state.centre)) ** 2
            v = np.where(is_constant, np.nan, v)
            few = np.where(n > 1, n - 1, np.nan)
            half = INTERVAL * student(np.maximum(few, 2.0))
            found: dict[str, Any] = {}
            for name, x, xv, xx in (("first_order", q, qv, qq), ("total", e, ev, ee)):
                index = x / v
                square = xx - 2 * index * xv + index**2 * vv
                error = np.sqrt(np.maximum(square, 0.0) * (n / few)) / v
                found |= {name: index, f"{name}_se": error}
                found |= {f"{name}_low": index - half * error}
                found |= {f"{name}_high": index + half * error}
        names = np.array(self.grouping(source).names, dtype=np.str_)
        return {
            name: Estimate(np.moveaxis(x, 0, -1), ("parameter",), {"parameter": names}, power=0)
            for name, x in found.items()
        }

    def reference(self, values: Array, source: Source) -> dict[str, Any]:
        """Return the same by NumPy, from the influence of each base point."""
        size = self.grouping(source).size
        found = np.full((4, len(values), size - 2), np.nan)
        for cell, row in enumerate(values):
            y = row[: len(row) // size * size].reshape(-1, size)
            y = y[np.isfinite(y).all(axis=1)]
            if not len(y) or np.ptp(y[:, :2]) == 0:
                continue
            a, b = (y[:, :2] - y[:, :2].mean()).T
            delta, v = y[:, 2:] - y[:, :1], (a**2 + b**2) / 2
            for i, x in ((0, b[:, None] * delta), (2, delta**2 / 2)):
                found[i, cell] = x.mean(axis=0) / v.mean()
                influence = (x - found[i, cell] * v[:, None]) / v.mean()
                if len(y) > 1:
                    found[i + 1, cell] = influence.std(axis=0, ddof=1) / np.sqrt(len(y))
        names = ("first_order", "first_order_se", "total", "total_se")
        return dict(zip(names, found, strict=True))


def _common_at(state: SobolSums, h: Array) -> Array:
    """Return the sums of both values of a base point about a centre `h` below that of the state."""
    n = state.n
    s, v, ss, sv, vv = state.common
    return np.stack([
        s + 2 * h * n,
        v + h * s + h * h * n,
        ss + 4 * h * s + 4 * h * h * n,
        sv + h * ss + h * h * s + 2 * h * v + 2 * h * h * s + 2 * h**3 * n,
        vv + 2 * h * sv + 2 * h * h * v + h * h * ss + 2 * h**3 * s + h**4 * n,
    ])  # fmt: skip


def _own_at(state: SobolSums, h: Array) -> Array:
    """Return the sums of each parameter about a centre `h` below that of the state."""
    d, e, q, ds, es, qs, dv, ev, qv, ee, dq, qq = state.own
    return np.stack([
        d,
        e,
        q + h * d,
        ds + 2 * h * d,
        es + 2 * h * e,
        qs + 2 * h * q + h * ds + 2 * h * h * d,
        dv + h * ds + h * h * d,
        ev + h * es + h * h * e,
        qv + h * qs + h * h * q + h * dv + h * h * ds + h**3 * d,
        ee,
        dq + 2 * h * e,
        qq + 2 * h * dq + 2 * h * h * e,
    ])  # fmt: skip
