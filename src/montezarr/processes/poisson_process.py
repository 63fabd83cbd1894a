"""The Poisson process: the number of independent events at a constant rate."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, Self, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_real, real_numbers
from montezarr.core.errors import ArgumentValueError
from montezarr.core.value import checked
from montezarr.processes._base import Process, Rows, check_reach
from montezarr.processes._discrete import as_integers, elsewhere, is_compiled, poisson
from montezarr.processes._per_path import check_lengths
from montezarr.processes.time_grid import TimeGrid
from montezarr.random.draws import Draws


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PoissonProcess(Process):
    r"""Poisson process, :math:`N_t - N_s \sim \mathrm{Poisson}(\lambda (t - s))`, sampled exactly.

    Each increment inverts the distribution function at one uniform number of 53 bits.

    Parameters
    ----------
    rate : float
        Expected events per unit of time, > 0; rate times the longest step at most 1e7.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For a rate that is not a finite positive number, or a step that expects over 1e7 events.

    References
    ----------
    Kingman, Poisson Processes, 1993, chapter 1. Inversion: Devroye, Non-Uniform Random Variate
    Generation, 1986, section III.2, doi:10.1007/978-1-4613-8643-8.

    Examples
    --------
    >>> import montezarr as mz
    >>> mz.PoissonProcess(rate=3.0).mean(t=2.0)
    6.0
    """

    equation: ClassVar[str] = "N(t) − N(s) ~ Poisson(λ (t − s)), λ = rate"
    dtypes: ClassVar[tuple[str, ...]] = ("int64", "int32")
    is_one_pass: ClassVar[bool] = True

    rate: float = field(metadata=checked(check_real, above=0.0))

    def __post_init__(self) -> None:
        self.check_fields()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Process.examples`."""
        return cls(rate=3.0), cls(rate=5000.0)

    def default_x0(self) -> int:
        """Return the default initial state, 0."""
        return 0

    @property
    def resumes(self) -> bool:
        """Whether a state is all that later ones depend on; see `Process.resumes`."""
        return True

    def sample(self, draws: Draws, grid: TimeGrid, x0: Rows) -> Rows:
        """Return paths of the exact transition; see `Process.sample`."""
        check_lengths(self.arrays_per_path(), draws.n)
        if isinstance(self.rate, np.ndarray):
            return self._sample_each(draws, grid, x0)
        means = self.rate * grid.steps
        _check_means(means, x0)
        rows = draws.empty_rows(grid.T + 1, x0.dtype)
        rows[0] = x0
        if is_compiled(draws):
            _compiled(draws, means, rows)
            return rows
        uniforms = draws.rows("uniform", grid.T)
        for k, (mean, uniform) in enumerate(zip(means.tolist(), uniforms, strict=True)):
            first, cdf = _distribution(mean)
            count = np.searchsorted(cdf, uniform, side="right")
            rows[k + 1] = rows[k] + (count + first).astype(x0.dtype)
        return rows

    def _sample_each(self, draws: Draws, grid: TimeGrid, x0: Rows) -> Rows:
        """Return paths that have a rate each, few at a time, since each has tables of its own."""
        rates: Any = self.rate
        if not draws.n:
            return draws.empty_rows(grid.T + 1, x0.dtype)
        _check_means(rates.max() * grid.steps, x0)
        rows = draws.empty_rows(grid.T + 1, x0.dtype)
        rows[0] = x0
        longest = 2 * int(_reach(rates.max() * grid.steps.max(initial=0.0))) + 1
        size = max(1, TABLE_BYTES // (8 * longest))
        for low in range(0, draws.n, size):
            high = min(low + size, draws.n)
            part, columns = draws.part(low, high), rows[:, low:high]
            for first, last in _equal_steps(grid.steps):
                tables = Tables.of(rates[low:high] * grid.steps[first])
                for at in range(first, last, STEPS_AT_ONCE):
                    uniforms = part.uniform(range(at, min(at + STEPS_AT_ONCE, last)))
                    here = columns[at : at + len(uniforms) + 1]
                    tables.add_counts(uniforms, here, draws.implementation)
        return rows

    def mean(self, t: Any, x0: Any = 0) -> Any:
        """Return E[N_t] = x0 + rate t."""
        return x0 + self.rate * t

    def variance(self, t: Any, x0: Any = 0) -> Any:
        """Return Var[N_t] = rate t."""
        return self.rate * t + 0.0 * x0

    def probability(self, k: Any, t: Any, x0: Any = 0) -> Any:
        r"""Return P(N_t = k); see `HasProbability`.

        :math:`e^{-m} m^j / j!` with :math:`m = \lambda t` and :math:`j = k - x_0` (Kingman, 1993,
        chapter 1; reference of the class), by the method of Loader (2000), accurate for any m.

        Parameters
        ----------
        k : int or array
            Values; unreachable ones have probability 0.
        t : float or array
            Time since the start, >= 0.
        x0 : int or array
            Initial count.

        Returns
        -------
        float or array
        """
        events, is_whole = as_integers(real_numbers(k) - x0)
        mean = self.rate * real_numbers(t)
        is_possible = is_whole & (events >= 0)
        others = elsewhere(events)
        events = np.where(is_possible, events, 0.0)
        return np.where(is_possible, poisson(events, mean), others)[()]


MAX_MEAN = 1e7
"""Largest expected count in one step: the table of probabilities grows with its square root."""

TABLE_BYTES = 2**22
"""Bytes of the tables of paths with a rate each that are in memory together, about."""

STEPS_AT_ONCE = 64
"""Steps whose uniform numbers are drawn together, of paths with a rate each."""


def _equal_steps(steps: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Yield the ranges of steps of one length that follow on one another."""
    ends = np.flatnonzero(np.diff(steps)) + 1
    if len(steps):
        yield from itertools.pairwise([0, *ends.tolist(), len(steps)])


def _check_means(means: NDArray[np.float64], x0: Rows) -> None:
    """Raise if a step expects too many events, or the counts may not fit into the dtype."""
    if (means > MAX_MEAN).any():
        raise ArgumentValueError(
            f"rate: expected rate * dt <= {MAX_MEAN:g}, got {means.max():g}. Take shorter steps."
        )
    check_reach(x0.dtype, int(x0.min()), int(x0.max()) + float((means + _reach(means)).sum()))


def _reach(mean: Any) -> Any:
    """Return the largest distance of a count from the mean: beyond it P is below 2**-53."""
    return 12 * np.sqrt(mean) + 40


def _compiled(draws: Draws, means: NDArray[np.float64], rows: Rows) -> None:
    """Fill rows after the first one by compiled code; all paths have the means."""
    # Imported here, since Numba takes half a second to import and a lazy Dataset needs none.
    from montezarr.processes._kernels import poisson as kernel

    @lru_cache(maxsize=1)
    def table(mean: float) -> tuple[int, NDArray[np.float64], NDArray[np.int32]]:
        first, cdf = _distribution(mean)
        return first, cdf, kernel.guide_of(cdf)

    step = 0
    while step < len(means):
        tables: dict[float, Any] = {}
        which, size = [], 0
        for mean in means[step:].tolist():
            if mean not in tables:
                found = table(mean)
                size += found[1].nbytes + found[2].nbytes
                if tables and size > TABLE_BYTES:
                    break
                tables[mean] = len(tables), found
            which.append(tables[mean][0])
        kernel.fill_paths(
            draws, step, np.array(which), [found for _, found in tables.values()], rows
        )
        step += len(which)


@lru_cache(maxsize=16)
def _distribution(mean: float) -> tuple[int, NDArray[np.float64]]:
    """Return the first count and the distribution function from there on.

    The table holds every count that a uniform number of 53 bits can pick.
    """
    first, cdf = _distributions(np.array([mean]), int(mean), int(_reach(mean)))
    cdf[0].setflags(write=False)
    return first, cdf[0]


def _distributions(
    means: NDArray[np.float64], mode: int, reach: int
) -> tuple[int, NDArray[np.float64]]:
    """Return the first count, and the distribution functions of means with one mode and reach."""
    first = max(0, mode - reach)
    counts = np.arange(first, mode + reach + 1)
    mean = means[:, np.newaxis]
    # Ratios to the probability of the mode, built up outwards: no factorial, no overflow.
    up = np.cumprod(mean / counts[counts > mode], axis=1)
    below_mode = counts[(counts > first) & (counts <= mode)] / mean
    down = np.cumprod(below_mode[:, ::-1], axis=1)[:, ::-1]
    weights = np.concatenate([down, np.ones_like(mean), up], axis=1)
    weights /= weights.sum(axis=1, keepdims=True)
    # The upper half is summed from its far end, so that neither tail has the error of a long sum.
    below = np.cumsum(weights, axis=1)[:, :-1]
    above = np.cumsum(weights[:, :0:-1], axis=1)[:, ::-1]
    return first, np.where(below < 0.5, below, 1 - above)


class Tables(NamedTuple):
    """Distribution functions of several paths, one behind the other."""

    cdf: NDArray[np.float64]
    start: NDArray[np.intp]
    """Place of a path's first entry in `cdf`."""
    length: NDArray[np.intp]
    first: NDArray[np.int64]
    """The count of the first entry."""
    likely: NDArray[np.int64]
    """Place of the most likely count among the entries of the path."""

    @classmethod
    def of(cls, means: NDArray[np.float64]) -> Self:
        """Return the tables of paths with these means; means of one mode and reach together."""
        modes, reaches = means.astype(np.int64), _reach(means).astype(np.int64)
        cdf, place = [], 0
        start, length, first, likely = (np.zeros(len(means), np.int64) for _ in range(4))
        order = np.lexsort((reaches, modes))
        ends = np.flatnonzero(np.diff(modes[order]) | np.diff(reaches[order])) + 1
        for group in np.split(order, ends):
            lowest, table = _distributions(
                means[group], int(modes[group[0]]), int(reaches[group[0]])
            )
            first[group], length[group] = lowest, table.shape[1]
            likely[group] = modes[group] - lowest
            start[group] = place + table.shape[1] * np.arange(len(group))
            cdf.append(table.ravel())
            place += table.size
        return cls(np.concatenate(cdf), start, length, first, likely)

    def add_counts(self, uniforms: Rows, rows: Rows, implementation: str) -> None:
        """Fill rows 1, 2, ... (steps + 1, paths) with the row before and the counts of a step."""
        if implementation == "kernel":
            from montezarr.processes._kernels import poisson as kernel  # late, as in `_compiled`

            kernel.add_counts(*self, uniforms, rows)
            return
        for k, uniform in enumerate(uniforms):
            rows[k + 1] = rows[k] + self.counts(uniform).astype(rows.dtype)

    def counts(self, uniform: Rows) -> NDArray[np.int64]:
        """Return the count of each path at its uniform number."""
        low, high = np.zeros_like(self.length), self.length.copy()
        for _ in range(int(self.length.max()).bit_length()):
            middle = (low + high) // 2
            at = self.start + np.minimum(middle, self.length - 1)
            is_above = (middle < high) & (self.cdf[at] <= uniform)
            low = np.where(is_above, middle + 1, low)
            high = np.where(is_above, high, np.minimum(middle, high))
        return low + self.first
