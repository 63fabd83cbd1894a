"""The autocorrelation of a stationary process, pooled over paths and times."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self, cast, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_int, plain_items, value_error
from montezarr.core.value import checked
from montezarr.statistics._base import Along, Estimate, Sample, Source, Statistic
from montezarr.statistics._per_path import Array, check_times, keep_lone, whole_paths
from montezarr.statistics._sums import tree_sum

ONE, P, L, P0, L0 = range(5)
"""Indices of the numbers of a path in the products of the state."""


class PooledSums(NamedTuple):
    r"""Sums of products of a path with itself at each lag: the state of the statistic.

    For a path of m values, less the centre: :math:`p_h = \sum_t x_t x_{t+h} / (m - h)` and
    :math:`l_h = \sum_t (x_t + x_{t+h}) / (m - h)`.

    Attributes
    ----------
    n : array (cells, blocks)
        Number of paths.
    centre : array (cells, blocks)
        Mean over all of their values.
    sums : array (5, 5, lags, cells, blocks)
        Sums over paths of all products of two of :math:`(1, p_h, l_h, p_0, l_0)`.
    """

    n: NDArray[np.int64]
    centre: Array
    sums: Array


def _check_lags(name: str, value: Any) -> int | tuple[int, ...]:
    if np.ndim(value) and len(value):
        lags = plain_items(name, value, "an integer >= 0, or a sequence of them")
        return tuple(check_int(name, lag) for lag in lags)
    return check_int(name, value, hint="Or give a sequence of them.")


@final
@dataclass(frozen=True, slots=True)
class Autocorrelation(Statistic):
    r"""The autocorrelation of a stationary process at given lags, from many paths.

    :math:`\hat\rho_h` is the mean over paths and times t of :math:`(x_t - \mu)(x_{t+h} - \mu)`,
    over that of :math:`(x_t - \mu)^2`, where :math:`\mu` is the mean over all paths and times. It
    assumes that mean, variance and covariances do not depend on t: drop the times before the
    process has forgotten its start (or use `Covariance`, which does not assume this). It does not
    have the bias of order 1/m of the autocorrelation of one path of m values about its own mean;
    the bias from estimating :math:`\mu` is of the order of 1 / (number of paths).

    The standard error is that of a ratio of means over independent paths (delta method), for any
    dependence along them: the influence of path k is :math:`(p_h - \rho_h p_0 - l_h \bar x) /
    \bar p_0` with its own pooled products p_h and mean :math:`\bar x`, and :math:`l_h` for the
    influence of :math:`\mu`, which stationarity makes negligible.

    Results: ``<variable>_autocorrelation`` and ``_autocorrelation_se``, without units, with the
    dimension ``lag`` if `lags` is a sequence. NaN where nothing varies. A path with a missing value
    does not count.

    Parameters
    ----------
    lags : int or sequence of int
        Steps of the grid between the two values, from 0 to the number of times less one. They
        count steps, not time: equal spacing is not required, but only it gives them a meaning.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For other lags; for a variable without times, or with too few.

    References
    ----------
    Brockwell and Davis, Time Series: Theory and Methods, 1991, chapter 7,
    doi:10.1007/978-1-4419-0320-4.

    Examples
    --------
    >>> import montezarr as mz
    >>> ou = mz.OrnsteinUhlenbeck(theta=1.0, mu=0.0, sigma=1.0)
    >>> ds = mz.simulate(ou, n_paths=5000, T=100, dt=0.1, seed=1).isel(time=slice(50, None))
    >>> found = mz.reduce(ds.x, mz.Autocorrelation([1, 10]))
    >>> found.x_autocorrelation.values.round(2)  # exp(-0.1) and exp(-1): 0.90, 0.37
    array([0.91, 0.38])
    """

    lags: int | tuple[int, ...] = field(metadata=checked(_check_lags))

    State: ClassVar[type] = PooledSums
    along: ClassVar[Along | None] = "time"
    order: ClassVar[int] = 4

    def __post_init__(self) -> None:
        self.check_fields()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Statistic.examples`."""
        return cls(1), cls((0, 1, 2))

    def check(self, source: Source) -> None:
        """Raise if the variable has no times, or fewer than the lags need."""
        found = len(check_times(source, increasing=False))
        if max(self._all_lags) >= found:
            raise value_error("lags", f"less than the {found} times of {source.name}", self.lags)

    def chunk(self, sample: Sample) -> PooledSums:
        """Return the sums of each block."""
        counts, lags = whole_paths(sample), self._all_lags
        count = counts.sum(axis=-1, dtype=np.int64)
        sums = np.empty((5, 5, len(lags), *count.shape))
        with np.errstate(over="ignore", invalid="ignore"):
            centre, u = _centred(sample.values, counts, count)
            total = _running_sums(u)
            p0, l0 = _lagged(u, total, 0)
            sample.keep_terms(self, np.where(counts, np.sqrt(p0), np.nan))
            for k, lag in enumerate(lags):
                numbers = (None, *((p0, l0) if lag == 0 else _lagged(u, total, lag)), p0, l0)
                for i, first in enumerate(numbers):
                    for j, second in enumerate(numbers[i:], start=i):
                        sums[i, j, k] = sums[j, i, k] = _product_sum(count, first, second)
        return PooledSums(count, centre, sums)

    def terms(self, sample: Sample) -> Array:
        """Return the root mean square of each path, about the centre of its block.

        The products are divided by its square, whose tails are as heavy as theirs. The centre of
        all blocks is not known yet.
        """
        counts = whole_paths(sample)
        with np.errstate(over="ignore", invalid="ignore"):
            _, u = _centred(sample.values, counts, counts.sum(axis=-1, dtype=np.int64))
            return np.where(counts, np.sqrt(_lagged(u, _running_sums(u), 0)[0]), np.nan)

    def merge(self, a: PooledSums, b: PooledSums) -> PooledSums:
        """Return the sums of both, about the common centre."""
        n = a.n + b.n
        with np.errstate(over="ignore", invalid="ignore"):
            delta = b.centre - a.centre
            share = b.n / np.maximum(n, 1)
            left = _recentred(a.sums, delta * share)
            right = _recentred(b.sums, -delta * (a.n / np.maximum(n, 1)))
            merged = PooledSums(n, a.centre + delta * share, left + right)
        return cast(PooledSums, keep_lone(a, b, merged))

    def finalize(self, state: PooledSums, source: Source) -> dict[str, Estimate]:
        """Return autocorrelations and standard errors."""
        n, sums = state.n.astype(np.float64), state.sums
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            rho = sums[ONE, P] / sums[ONE, P0]
            # l_0 is twice the mean of a path; the mean of l_0 over paths is 0 up to rounding.
            moved = (sums[ONE, L] - rho * sums[ONE, L0]) / (2 * n)
            weights = {P: np.ones_like(rho), P0: -rho, L0: -moved}
            square = np.zeros_like(rho)
            for i, first in weights.items():
                for j, second in weights.items():
                    square = square + first * second * sums[i, j]
            scale = np.sqrt(np.where(n > 1, n / (n - 1), np.nan))
            error = scale * np.sqrt(np.maximum(square, 0.0)) / sums[ONE, P0]
        found = {"autocorrelation": rho, "autocorrelation_se": error}
        is_scalar = isinstance(self.lags, int)
        return {
            name: Estimate(
                values[0] if is_scalar else np.moveaxis(values, 0, -1),
                () if is_scalar else ("lag",),
                {"lag": self.lags if is_scalar else np.array(self.lags, np.int64)},
                power=0,
            )
            for name, values in found.items()
        }

    def powers(self, state: PooledSums, source: Source) -> dict[str, tuple[int, Any, Any, Any]]:
        """Return the sums that reveal heavy tails, as for a variance; see `Statistic.powers`."""
        square = state.sums[P0, P0, 0]
        return {"autocorrelation": (2, state.n, np.zeros(square.shape), square)}

    def reference(self, values: Array, source: Source) -> dict[str, Any]:
        """Return the same by NumPy, from the influence of each path."""
        m, cells = values.shape[:2]
        out = np.full((2, cells, len(self._all_lags)), np.nan)
        for cell in range(cells):
            x = values[:, cell][:, np.isfinite(values[:, cell]).all(axis=0)]
            n = x.shape[1]
            if n == 0 or np.ptp(x) == 0:
                continue
            u = x - x.mean()
            square = (u**2).mean(axis=0)
            for k, lag in enumerate(self._all_lags):
                first, second = u[: m - lag], u[lag:]
                product = (first * second).mean(axis=0)
                rho = out[0, cell, k] = product.mean() / square.mean()
                if n > 1:
                    moved = (first + second).mean() * u.mean(axis=0)
                    influence = (product - rho * square - moved) / square.mean()
                    out[1, cell, k] = influence.std(ddof=1) / np.sqrt(n)
        if isinstance(self.lags, int):
            out = out[..., 0]
        return {"autocorrelation": out[0], "autocorrelation_se": out[1]}

    @property
    def _all_lags(self) -> tuple[int, ...]:
        return (self.lags,) if isinstance(self.lags, int) else self.lags


def _centred(x: Array, counts: Any, count: Any) -> tuple[Array, Array]:
    """Return the mean over the paths that count, and values less the mean, 0 for other paths."""
    total = _running_sums(x)
    centre = tree_sum(np.where(counts, total[-1], 0.0)) / (np.maximum(count, 1) * len(x))
    u = x - centre[..., None]
    if not counts.all():
        u[:, ~counts] = 0.0
    return centre, u


def _running_sums(x: Array) -> Array:
    """Return the running sums over time, as the slower `np.cumsum` does."""
    out = np.empty_like(x)
    out[0] = x[0]
    for t in range(1, len(x)):
        np.add(out[t - 1], x[t], out=out[t])
    return out


def _lagged(u: Array, total: Array, lag: int) -> tuple[Array, Array]:
    """Return p and l of each path at a lag, from its values and their running sums over time."""
    pairs = len(u) - lag
    products, part = np.zeros_like(u[0]), np.empty_like(u[0])
    # Time by time: the order of NumPy's own sum over an axis may depend on the shape.
    for t in range(pairs):
        np.multiply(u[t], u[t + lag], out=part)
        np.add(products, part, out=products)
    ends = total[-1] + total[pairs - 1]
    if lag:
        ends -= total[lag - 1]
    return products / pairs, ends / pairs


def _product_sum(count: Any, first: Array | None, second: Array | None) -> Any:
    """Return the sums over paths of the products of two numbers; None stands for 1."""
    if second is None:
        return count
    return tree_sum(second if first is None else first * second)


def _recentred(sums: Array, shift: Array) -> Array:
    r"""Return the sums about a centre that is higher by `shift`.

    There :math:`p \mapsto p - d l + d^2` and :math:`l \mapsto l - 2 d`, a linear map of
    :math:`(1, p, l)`, which acts on the rows of the products and then on their columns.
    """
    for _ in range(2):
        out = sums.copy()
        for p, ends in ((P, L), (P0, L0)):
            out[p] = sums[p] - shift * sums[ends] + shift**2 * sums[ONE]
            out[ends] = sums[ends] - 2 * shift * sums[ONE]
        sums = out.swapaxes(0, 1)
    return sums
