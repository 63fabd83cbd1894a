"""Time grids: the T+1 times at which a path has values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_array, check_int, check_real, value_error
from montezarr.core.value import Value
from montezarr.random.draws import MAX_STEPS


@dataclass(frozen=True, slots=True)
class TimeGrid(Value):
    """T+1 increasing times, equally spaced from 0 or listed explicitly.

    Parameters
    ----------
    T : int
        Number of steps.
    dt : float or None
        Step length of an equally spaced grid, in the process's unit of time.
    given : tuple of float or None
        The times, if they were listed explicitly.

    Examples
    --------
    >>> import montezarr as mz
    >>> mz.TimeGrid.of(T=4, dt=0.25).times
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    >>> mz.TimeGrid.of(times=[0.0, 1.0, 5.0]).steps
    array([1., 4.])
    """

    T: int
    dt: float | None = 1.0
    given: tuple[float, ...] | None = None

    @classmethod
    def of(cls, T: Any = None, dt: Any = None, times: Any = None) -> Self:
        """Return the grid of `simulate`'s arguments T, dt and times.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If T is not an integer in [0, 2**32], dt is not positive, times do not increase, or
            both dt and times are given.
        """
        if times is None:
            is_horizon = isinstance(T, Real) and not isinstance(T, Integral)
            hint = "T counts steps; for a horizon of 1 take T=100, dt=0.01." if is_horizon else ""
            steps = check_int("T", T, maximum=MAX_STEPS, hint=hint)
            step = check_real("dt", 1.0 if dt is None else dt, above=0.0)
            check_real("dt", step, minimum=1e-300, hint="Steps this short do not add up.")
            if not np.isfinite(step * max(steps, 1)):
                raise value_error("dt", "T * dt to be a finite time", dt)
            return cls(steps, step)
        if dt is not None:
            raise value_error("dt", "None where times are given", dt)
        grid = check_array("times", times, ndim=1)
        if not (np.diff(grid) > 0).all():
            raise value_error("times", "strictly increasing numbers", times)
        if T is not None and check_int("T", T) != len(grid) - 1:
            raise value_error("T", f"len(times) - 1 = {len(grid) - 1}, or None", T)
        return cls(len(grid) - 1, None, tuple(grid.tolist()))

    @property
    def times(self) -> NDArray[np.float64]:
        """The T+1 times."""
        if self.given is not None:
            return np.array(self.given, dtype=np.float64)
        return np.arange(self.T + 1, dtype=np.float64) * float(self.dt or 0)

    @property
    def steps(self) -> NDArray[np.float64]:
        """The T step lengths; those of an equally spaced grid are all exactly `dt`."""
        if self.given is not None:
            times = self.times
            return np.subtract(times[1:], times[:-1], dtype=np.float64)
        return np.full(self.T, float(self.dt or 0))

    @property
    def whole(self) -> TimeGrid:
        """The grid that this one is a part of: itself, unless it is a part."""
        return self

    def part(self, first: int, last: int) -> TimeGrid:
        """Return the grid of the times first ... last, the same numbers."""
        given = None if self.given is None else self.given[first : last + 1]
        return GridPart(last - first, self.dt, given, first, self)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        if self.given is not None:
            return {"times": list(self.given)}
        return {"T": self.T, "dt": self.dt}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the grid that `to_dict` wrote."""
        if "times" in data:
            return cls(len(data["times"]) - 1, None, tuple(data["times"]))
        return cls(int(data["T"]), float(data["dt"]))


@dataclass(frozen=True, slots=True)
class GridPart(TimeGrid):
    """Some times of a grid that follow on one another, from position `first` on."""

    first: int = 0
    parent: TimeGrid | None = None

    @property
    def times(self) -> NDArray[np.float64]:
        """The T+1 times, as the whole grid has them."""
        if self.given is not None:
            return np.array(self.given, dtype=np.float64)
        positions = np.arange(self.first, self.first + self.T + 1, dtype=np.float64)
        return positions * float(self.dt or 0)

    @property
    def whole(self) -> TimeGrid:
        """The grid that this one is a part of."""
        return self if self.parent is None else self.parent
