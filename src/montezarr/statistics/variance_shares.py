"""The law of total variance: the share of parameters, and that of noise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_int
from montezarr.core.value import checked
from montezarr.random.designs._base import SIZE_MAX, Grouping
from montezarr.statistics._base import INTERVAL, Estimate, Source
from montezarr.statistics._groups import OfGroups
from montezarr.statistics._moments import MEAN_ROUNDING
from montezarr.statistics._per_path import Array
from montezarr.statistics._student import student
from montezarr.statistics._sums import tree_sum


class ShareSums(NamedTuple):
    """Sums over groups of paths: the state of the statistic.

    Of a group, u is the mean of its values less the centre, w the sum of the squares of their
    distances from their mean.

    Attributes
    ----------
    n : array (cells, blocks)
        Number of groups.
    centre : array (cells, blocks)
        The mean of all values.
    rows : array (8, cells, blocks)
        Sums of u, uu, uuu, uuuu, w, ww, uw, uuw.
    edges, edge_groups : array
        The groups between blocks; see `montezarr.statistics._groups`.
    """

    n: NDArray[np.int64]
    centre: Array
    rows: Array
    edges: Array
    edge_groups: NDArray[np.int64]


@final
@dataclass(frozen=True, slots=True)
class VarianceShares(OfGroups):
    r"""The shares of parameters and of noise in the variance of a run on `montezarr.nested`.

    By the law of total variance, :math:`\mathrm{Var}\, y = \mathrm{Var}\, E[y \mid \theta] +
    E\, \mathrm{Var}[y \mid \theta]`: the first part is the uncertainty of the parameters θ, the
    second one the noise of the model. Of n groups of r paths with the same parameters, with the
    variance B of the means of the groups and the mean W of the variances inside the groups, the
    parts are :math:`B - W / r` and :math:`W` (one-way analysis of variance with random effects;
    both unbiased). A share may come out a little below 0 or above 1.

    Standard errors of the shares are those of a ratio, by the delta method over groups, for any
    distribution; the 95 % intervals use Student's quantile. Take some hundred groups or more.

    Results: ``<variable>_parameter_share`` and ``<variable>_noise_share``, which sum to 1, and
    ``_se``, ``_low``, ``_high`` of both, without units; NaN where the variance is 0. A group counts
    in a cell if all of its paths have a value there.

    Parameters
    ----------
    replicates : int, optional
        Paths of a group, for values in memory without the recipe of their run. By default that of
        the run.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `replicates` is no such number, or not that of the run; if no design is known; if the
        paths are not consecutive ones of the run.

    References
    ----------
    Searle, Casella and McCulloch, Variance Components, 1992, section 3.6,
    doi:10.1002/9780470316856. Law of total variance: Saltelli et al., Global Sensitivity Analysis,
    2008, doi:10.1002/9780470725184.

    Examples
    --------
    >>> import montezarr as mz
    >>> design = mz.nested({"drift": mz.Normal(0.0, 1.0)}, n=5_000, replicates=2)
    >>> def f(rng, n, drift):
    ...     return {"y": drift + 2.0 * rng.normal(size=n)}
    >>> ds = mz.simulate(f, n_paths=design.n_paths, vary=design, dims={"y": ()}, seed=1)
    >>> mz.reduce(ds.y, mz.VarianceShares()).y_parameter_share.round(1).item()  # 1/5
    0.2
    """

    replicates: int | None = field(
        default=None, metadata=checked(check_int, minimum=2, maximum=SIZE_MAX, optional=True)
    )

    State: ClassVar[type] = ShareSums
    design: ClassVar[str] = "nested"
    maker: ClassVar[str] = "mz.nested"
    # Differences of sums, in the errors.
    tolerance: ClassVar[float] = 1e-7

    def __post_init__(self) -> None:
        self.check_fields()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Statistic.examples`."""
        return cls(2), cls(7), cls(60)

    def told(self) -> Grouping | None:
        """Return the grouping of the given number of replicates."""
        return None if self.replicates is None else Grouping(self.design, (), self.replicates)

    def sums(self, values: Array) -> tuple[Any, ...]:
        """Return the sums over groups (size, cells, blocks, groups)."""
        counts = np.asarray((values == values).all(axis=0))
        n = counts.sum(axis=-1, dtype=np.int64)
        with np.errstate(over="ignore", invalid="ignore"):
            y = np.where(counts, values, 0.0)
            mean = _sum_of_rows(y) / len(y)
            centre = tree_sum(mean) / np.maximum(n, 1)
            w = _sum_of_rows((y - mean) ** 2)
            u = np.where(counts, mean - centre[..., None], 0.0)
            square = u * u
            rows = (u, square, square * u, square * square, w, w * w, u * w, square * w)
            return n, centre, np.stack([tree_sum(row) for row in rows])

    def joined(self, a: ShareSums, b: ShareSums) -> tuple[Any, ...]:
        """Return the sums of both, about the common centre."""
        n = a.n + b.n
        with np.errstate(over="ignore", invalid="ignore"):
            apart = b.centre - a.centre
            share = b.n / np.maximum(n, 1)
            left, right = -apart * share, apart * (a.n / np.maximum(n, 1))
            return n, a.centre + apart * share, _rows_at(a, left) + _rows_at(b, right)

    def finalize(self, state: ShareSums, source: Source) -> dict[str, Estimate]:
        """Return both shares with their standard errors and intervals."""
        n, r = state.n.astype(np.float64), self.grouping(source).size
        _, uu, _, uuuu, w, ww, _, uuw = state.rows
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            few = np.where(n > 1, n - 1, np.nan)
            between, within = uu / few, w / (n * (r - 1))
            total = between + within * (1 - 1 / r)
            total[total <= (MEAN_ROUNDING * np.abs(state.centre)) ** 2] = np.nan
            share = (between - within / r) / total
            # Of the share, by the variance between groups and by that inside them.
            by_between = within / total**2
            by_within = -(1 / r + share * (1 - 1 / r)) / total
            squares = (uuuu / n - (uu / n) ** 2, ww / n - (w / n) ** 2)
            cross = (uuw / n - uu / n * (w / n)) / (r - 1)
            variance = by_between**2 * squares[0] + 2 * by_between * by_within * cross
            variance += by_within**2 * squares[1] / (r - 1) ** 2
            error = np.sqrt(np.maximum(variance, 0.0) / few)
            half = INTERVAL * student(np.maximum(few, 2.0)) * error
        found: dict[str, Any] = {}
        for name, values in (("parameter_share", share), ("noise_share", 1 - share)):
            found |= {name: values, f"{name}_se": error}
            found |= {f"{name}_low": values - half, f"{name}_high": values + half}
        return {name: Estimate(values, power=0) for name, values in found.items()}

    def reference(self, values: Array, source: Source) -> dict[str, Any]:
        """Return the same by NumPy, from the influence of each group."""
        r = self.grouping(source).size
        found = np.full((2, len(values)), np.nan)
        for cell, row in enumerate(values):
            y = row[: len(row) // r * r].reshape(-1, r)
            y = y[np.isfinite(y).all(axis=1)]
            if len(y) < 2 or np.ptp(y) == 0:
                continue
            between, within = y.mean(axis=1).var(ddof=1), y.var(axis=1, ddof=1).mean()
            share = found[0, cell] = (between - within / r) / (between + within * (1 - 1 / r))
            u, w = y.mean(axis=1) - y.mean(), y.var(axis=1, ddof=1)
            part = (u**2 - w / r) - share * (u**2 + w * (1 - 1 / r))
            influence = part / (between + within * (1 - 1 / r))
            found[1, cell] = influence.std() / np.sqrt(len(y) - 1)
        return {
            "parameter_share": found[0], "parameter_share_se": found[1],
            "noise_share": 1 - found[0], "noise_share_se": found[1],
        }  # fmt: skip


def _sum_of_rows(values: Array) -> Array:
    """Return the sum over the first axis in a fixed order, which NumPy's own depends on shapes."""
    while len(values) > 1:
        half = len(values) // 2
        rest = values[2 * half :]
        values = np.concatenate([values[:half] + values[half : 2 * half], rest])
    first: Array = values[0]
    return first


def _rows_at(state: ShareSums, h: Array) -> Array:
    """Return the sums about a centre `h` below that of the state."""
    n = state.n
    u, uu, uuu, uuuu, w, ww, uw, uuw = state.rows
    return np.stack([
        u + h * n,
        uu + 2 * h * u + h * h * n,
        uuu + 3 * h * uu + 3 * h * h * u + h**3 * n,
        uuuu + 4 * h * uuu + 6 * h * h * uu + 4 * h**3 * u + h**4 * n,
        w,
        ww,
        uw + h * w,
        uuw + 2 * h * uw + h * h * w,
    ])  # fmt: skip
