"""Covariances and correlations between all times of a variable, or between variables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self, cast, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_choice, value_error
from montezarr.core.value import checked
from montezarr.statistics._base import INTERVAL, Along, Estimate, Sample, Source, Statistic
from montezarr.statistics._per_path import Array, check_times, keep_lone, whole_paths
from montezarr.statistics._student import student
from montezarr.statistics._sums import tree_sum
from montezarr.statistics._variance import interval_of_sums

AXES = ("time", "variable")

DEVIATION_ROUNDING = 16 * float(np.finfo(np.float64).eps)
"""Deviation, relative to the mean, that rounding may give to values which are all equal."""


class CrossSums(NamedTuple):
    """Sums of products of m times or variables: the state of the statistic.

    Below, u are the values less their means.

    Attributes
    ----------
    n : array (cells, blocks)
        Number of paths.
    mean : array (m, cells, blocks)
        Mean of each time or variable.
    c11, c21, c31, c22 : array (m, m, cells, blocks)
        Sums of :math:`u_i u_j, u_i^2 u_j, u_i^3 u_j, u_i^2 u_j^2`.
    """

    n: NDArray[np.int64]
    mean: Array
    c11: Array
    c21: Array
    c31: Array
    c22: Array


@final
@dataclass(frozen=True, slots=True)
class Covariance(Statistic):
    r"""The matrix of covariances between all times of a variable, or between variables.

    The covariance of n paths is unbiased, :math:`\sum_k u_{ik} u_{jk} / (n - 1)` with the centred
    values u; all entries use the same n paths, so the matrix is positive semidefinite. In each
    cell, a path counts if it has a value at every time (of every variable).

    Standard errors assume no distribution. With :math:`m_{pq} = \sum_k u_i^p u_j^q / n`, that of
    the covariance is :math:`\sqrt{(m_{22} - \frac{n-2}{n-1} m_{11}^2 + \frac{1}{n-1} m_{20}
    m_{02})/n}`, on the diagonal that of `Variance`. That of the correlation r is, in standardised
    moments, :math:`\sqrt{(m_{22} - r (m_{31} + m_{13}) + r^2 (m_{40} + 2 m_{22} + m_{04})/4)/n}`
    by the delta method: for large samples only, and NaN for two paths, which always give 1 or -1.

    The 95 % intervals, ``_low`` and ``_high``, are those of `Variance` on the diagonal, by
    Student's quantile off the diagonal, and for a correlation by Fisher's transformation
    :math:`\operatorname{artanh} r`, whose standard error is that of r over :math:`1 - r^2`.

    Results: ``<variable>_covariance`` with ``_covariance_se`` and interval in the units squared,
    ``<variable>_correlation`` with ``_correlation_se`` and interval without units, with the
    dimensions ``time`` and ``time_2``, or ``variable`` and ``variable_2``. Correlations with a
    constant, such as a common start, are NaN.

    A block of n paths costs about 6 n m² / 2 multiplications, and the state 32 m² bytes per cell.

    Parameters
    ----------
    along : {"time", "variable"}
        Covariances between the times of one variable, or the variables of a Dataset in each cell.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `along` is neither; for a variable without times, or no variables.

    References
    ----------
    Pébay, "Formulas for robust, one-pass parallel computation of covariances and arbitrary-order
    statistical moments", SAND2008-6212, 2008, doi:10.2172/1028931. Steiger and Hakstian, "The
    asymptotic distribution of elements of a correlation matrix: theory and application", 1982,
    doi:10.1111/j.2044-8317.1982.tb00653.x.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=20_000, T=3, seed=1)
    >>> found = mz.reduce(ds.x.isel(time=slice(1, None)), mz.Covariance())
    >>> found.x_covariance.values.round(1)  # min(s, t)
    array([[1. , 1. , 1.1],
           [1. , 2.1, 2.1],
           [1.1, 2.1, 3.1]])

    Parameters that a run draws per path are variables, so outputs and parameters covary in one
    pass. Here the correlation is 2 over the root of 5:

    >>> def f(rng, n, R0):
    ...     return {"final": 2.0 * R0 + rng.normal(size=n)}
    >>> vary = {"R0": mz.Normal(2.5, 1.0)}
    >>> ds = mz.simulate(f, n_paths=20_000, vary=vary, dims={"final": ()}, seed=1)
    >>> found = mz.reduce(ds[["final", "R0"]], mz.Covariance("variable"))
    >>> found.correlation.sel(variable="final", variable_2="R0").round(2).item()
    0.89
    """

    # Other modules read `axis` instead.
    along: Along = field(  # type: ignore[misc]
        default="time", metadata=checked(check_choice, AXES)
    )

    State: ClassVar[type] = CrossSums

    def __post_init__(self) -> None:
        self.check_fields()

    @property
    def axis(self) -> Along | None:
        """The axis between whose entries the covariances are."""
        return self.along

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Statistic.examples`."""
        return cls(), cls("variable")

    def check(self, source: Source) -> None:
        """Raise if the variable has no times, or there are no variables."""
        if self.along == "time":
            check_times(source, increasing=False)
        elif not source.names:
            raise value_error("along", "a Dataset, for 'variable'", self.along)

    def state_bytes(self, cells: int, source: Source, length: int | None = None) -> int:
        """Return the bytes of four matrices, a vector and a count per cell."""
        m = 1 if length is None else length
        return 8 * cells * (4 * m * m + m + 1)

    def chunk(self, sample: Sample) -> CrossSums:
        """Return the sums of each block."""
        x, counts = sample.values, whole_paths(sample)
        m, count = len(x), counts.sum(axis=-1, dtype=np.int64)
        c11, c21, c31, c22 = (np.empty((m, m, *count.shape)) for _ in range(4))
        square, cube = np.empty_like(x), np.empty_like(x)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = tree_sum(np.where(counts, x, 0.0)) / np.maximum(count, 1)
            u = np.where(counts, x - mean[..., None], 0.0)
            # One lag at a time: whole rows, and each pair of rows once.
            for lag in range(m):
                i, j = np.arange(m - lag), np.arange(lag, m)
                a, b, product = u[: m - lag], u[lag:], square[: m - lag]
                np.multiply(a, b, out=product)
                c11[i, j] = c11[j, i] = tree_sum(product)
                for first, p, q in ((a, i, j), (b, j, i)):
                    higher = np.multiply(product, first, out=cube[: m - lag])
                    c21[p, q] = tree_sum(higher)
                    c31[p, q] = tree_sum(np.multiply(higher, first, out=higher))
                c22[i, j] = c22[j, i] = tree_sum(np.multiply(product, product, out=product))
        return CrossSums(count, mean, c11, c21, c31, c22)

    def merge(self, a: CrossSums, b: CrossSums) -> CrossSums:
        """Return the sums of both, about the common mean."""
        n = a.n + b.n
        with np.errstate(over="ignore", invalid="ignore"):
            delta = b.mean - a.mean
            share = b.n / np.maximum(n, 1)
            left = _shifted(a, -delta * share)
            right = _shifted(b, delta * (a.n / np.maximum(n, 1)))
            sums = (x + y for x, y in zip(left, right, strict=True))
            merged = CrossSums(n, a.mean + delta * share, *sums)
        return cast(CrossSums, keep_lone(a, b, merged))

    def finalize(self, state: CrossSums, source: Source) -> dict[str, Estimate]:
        """Return covariances, correlations and their standard errors."""
        n = state.n.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            free = np.where(n > 1, n - 1, np.nan)
            covariance = state.c11 / free
            m11, m31, m22 = (sums / n for sums in (state.c11, state.c31, state.c22))
            second = _diagonal(m11)
            square = m22 - m11**2 * ((n - 2) / free) + second[:, None] * second[None, :] / free
            error = np.sqrt(np.maximum(square, 0.0) / n)
            deviation = np.sqrt(second)
            deviation[deviation <= DEVIATION_ROUNDING * np.abs(state.mean)] = np.nan
            s, t = deviation[:, None], deviation[None, :]
            r = np.clip(m11 / (s * t), -1.0, 1.0)
            z22 = m22 / (s * t) ** 2
            z31 = m31 / (s**3 * t)
            z40 = _diagonal(z22)
            mixed = (z40[:, None] + z40[None, :]) + 2 * z22
            variance = z22 - r * (z31 + z31.swapaxes(0, 1)) + r**2 / 4 * mixed
            r_error = np.sqrt(np.maximum(variance, 0.0) / np.where(n > 2, n, np.nan))
        # The correlation of a value with itself, without rounding errors.
        itself = np.arange(len(r))
        r[itself, itself] = np.where(np.isnan(deviation), np.nan, 1.0)
        r_error[itself, itself] = np.where(np.isnan(deviation) | (n <= 2), np.nan, 0.0)
        # The covariance of a value with itself has the interval of a variance.
        half = INTERVAL * student(np.maximum(free - 1, 2.0)) * error
        low, high = covariance - half, covariance + half
        low[itself, itself], high[itself, itself] = interval_of_sums(
            n, _diagonal(state.c11), _diagonal(state.c22)
        )
        found = {"covariance": covariance, "covariance_se": error}
        found |= {"covariance_low": low, "covariance_high": high}
        r_low, r_high = _interval_of_correlation(r, r_error, free - 1)
        found |= {"correlation": r, "correlation_se": r_error}
        found |= {"correlation_low": r_low, "correlation_high": r_high}
        dims = (self.along, f"{self.along}_2")
        labels = source.times if self.along == "time" else np.array(source.names, dtype=np.str_)
        return {
            name: Estimate(
                np.moveaxis(values, -1, 0),
                dims,
                dict.fromkeys(dims, labels),
                {} if "_" in name else {"cell_methods": f"path: {name}"},
                2 if name.startswith("cov") else 0,
            )
            for name, values in found.items()
        }

    def powers(self, state: CrossSums, source: Source) -> dict[str, tuple[int, Any, Any, Any]]:
        """Return the sums that reveal heavy tails; see `Statistic.powers`."""
        n = np.broadcast_to(state.n, state.mean.shape).reshape(-1)
        found = 2, n, state.mean.reshape(-1), _diagonal(state.c22).reshape(-1)
        return {"covariance": found, "correlation": found}

    def reference(self, values: Array, source: Source) -> dict[str, Any]:
        """Return the same by NumPy's covariance and the influence of each path."""
        m, cells = values.shape[:2]
        out = np.full((4, cells, m, m), np.nan)
        for cell in range(cells):
            x = values[:, cell][:, np.isfinite(values[:, cell]).all(axis=0)]
            n = x.shape[1]
            if n < 2:
                continue
            out[0, cell] = np.cov(x, ddof=1).reshape(m, m)
            u = x - x.mean(axis=1, keepdims=True)
            varies = np.ptp(x, axis=1) > 0
            z = u / np.where(varies, u.std(axis=1), np.nan)[:, None]
            for i in range(m):
                for j in range(m):
                    r = out[2, cell, i, j] = (z[i] * z[j]).mean()
                    bias = (u[i] ** 2).mean() * (u[j] ** 2).mean() + (u[i] * u[j]).mean() ** 2
                    out[1, cell, i, j] = np.sqrt(((u[i] * u[j]).var() + bias / (n - 1)) / n)
                    if n > 2:
                        influence = z[i] * z[j] - r * (z[i] ** 2 + z[j] ** 2) / 2
                        out[3, cell, i, j] = influence.std() / np.sqrt(n)
        names = ("covariance", "covariance_se", "correlation", "correlation_se")
        return dict(zip(names, out, strict=True))


def _diagonal(matrix: Array) -> Array:
    """Return the entries (i, i) of a matrix (m, m, ...), as (m, ...)."""
    i = np.arange(len(matrix))
    return matrix[i, i]


def _interval_of_correlation(r: Array, error: Array, free: Array) -> tuple[Array, Array]:
    """Return the ends of the 95 % interval, by Fisher's transformation and Student's quantile."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        half = INTERVAL * student(np.maximum(free, 2.0)) * error / (1.0 - r * r)
        middle = np.arctanh(r)
        low, high = np.tanh(middle - half), np.tanh(middle + half)
    sure = (error == 0) | (np.abs(r) == 1)
    known = np.where(np.isnan(error), np.nan, r)
    low, high = np.where(sure, known, low), np.where(sure, known, high)
    return np.fmin(low, known), np.fmax(high, known)  # in spite of rounding


def _shifted(state: CrossSums, shift: Array) -> tuple[Array, ...]:
    """Return the four sums about points `shift` (m, cells, blocks) below the means.

    Expand :math:`(u + a)^p (v + b)^q`: sums of u and of v are 0. Terms are grouped so that
    symmetric matrices stay symmetric to the bit.
    """
    n, c11, c21, c31, c22 = state.n, state.c11, state.c21, state.c31, state.c22
    a, b = shift[:, None], shift[None, :]
    second = _diagonal(c11)
    uu, vv, uuu = second[:, None], second[None, :], _diagonal(c21)[:, None]
    ab, c12 = a * b, c21.swapaxes(0, 1)
    return (
        c11 + n * ab,
        c21 + 2 * a * c11 + b * uu + n * (a * ab),
        c31 + 3 * a * c21 + b * uuu + 3 * ab * uu + 3 * a**2 * c11 + n * (a**2 * ab),
        c22 + 2 * (b * c21 + a * c12) + (b**2 * uu + a**2 * vv) + 4 * ab * c11 + n * (ab * ab),
    )
