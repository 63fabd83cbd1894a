"""The simple random walk on the integers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, final

import numpy as np

from montezarr.core.checks import check_real, real_numbers
from montezarr.core.value import checked
from montezarr.processes._base import Process, Rows, check_reach
from montezarr.processes._discrete import as_integers, binomial, elsewhere, is_compiled
from montezarr.processes._per_path import check_lengths
from montezarr.processes.time_grid import TimeGrid
from montezarr.random.draws import Draws


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RandomWalk(Process):
    r"""Simple random walk: each step is +1 with probability p, else -1. Exact.

    Parameters
    ----------
    p : float
        Probability of a step up, in [0, 1].

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If p is not a number in [0, 1].

    References
    ----------
    Feller, An Introduction to Probability Theory and Its Applications I, 1968, chapter III.
    Spitzer, Principles of Random Walk, 1976, doi:10.1007/978-1-4757-4229-9.

    Examples
    --------
    >>> import montezarr as mz
    >>> mz.RandomWalk(p=0.75).mean(t=10)
    5.0
    """

    equation: ClassVar[str] = "Xₖ₊₁ = Xₖ + 1 with probability p, else Xₖ − 1"
    dtypes: ClassVar[tuple[str, ...]] = ("int64", "int32")
    counts_steps: ClassVar[bool] = True
    is_one_pass: ClassVar[bool] = True

    p: float = field(default=0.5, metadata=checked(check_real, minimum=0.0, maximum=1.0))

    def __post_init__(self) -> None:
        self.check_fields()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Process.examples`."""
        return cls(), cls(p=0.3)

    def default_x0(self) -> int:
        """Return the default initial state, 0."""
        return 0

    @property
    def resumes(self) -> bool:
        """Whether a state is all that later ones depend on; see `Process.resumes`."""
        return True

    def sample(self, draws: Draws, grid: TimeGrid, x0: Rows) -> Rows:
        """Return paths, one step of the walk per step of the grid; see `Process.sample`."""
        check_lengths(self.arrays_per_path(), draws.n)
        check_reach(x0.dtype, int(x0.min()) - grid.T, int(x0.max()) + grid.T)
        rows = draws.empty_rows(grid.T + 1, x0.dtype)
        rows[0] = x0
        if is_compiled(draws):
            from montezarr.processes._kernels import random_walk as kernel

            kernel.fill_paths(draws, self.p, rows)
            return rows
        for k, uniform in enumerate(draws.rows("uniform", grid.T)):
            up = uniform < self.p
            np.add(rows[k], np.where(up, 1, -1), out=rows[k + 1], casting="unsafe")
        return rows

    def mean(self, t: Any, x0: Any = 0) -> Any:
        """Return E[X_t] = x0 + (2p - 1) t after t steps."""
        return x0 + (2 * self.p - 1) * t

    def variance(self, t: Any, x0: Any = 0) -> Any:
        """Return Var[X_t] = 4p(1 - p) t after t steps."""
        return 4 * self.p * (1 - self.p) * t + 0.0 * x0

    def probability(self, k: Any, t: Any, x0: Any = 0) -> Any:
        r"""Return P(X_t = k) after t steps; see `HasProbability`.

        With :math:`u = (t + k - x_0)/2` steps up it is :math:`\binom{t}{u} p^u (1 - p)^{t-u}`, and
        0 where u is not an integer from 0 to t (Feller, 1968, sections III.2 and VI.2; reference of
        the class), by the method of Loader (2000), accurate for any t.

        Parameters
        ----------
        k : int or array
            Values; unreachable ones have probability 0.
        t : int or array
            Number of steps, >= 0.
        x0 : int or array
            Initial state.

        Returns
        -------
        float or array

        Examples
        --------
        >>> import montezarr as mz
        >>> mz.RandomWalk().probability([-2, 0, 2], t=2).round(9)
        array([0.25, 0.5 , 0.25])
        """
        steps = real_numbers(t)
        ups, is_whole = as_integers((steps + real_numbers(k) - x0) / 2)
        is_possible = is_whole & (ups >= 0) & (ups <= steps) & (steps == np.floor(steps))
        others = elsewhere(ups)
        ups, steps = np.where(is_possible, ups, 0.0), np.where(is_possible, steps, 0.0)
        return np.where(is_possible, binomial(ups, steps, self.p), others)[()]
