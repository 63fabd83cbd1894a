"""Rules about levels: at or above one, at or below one, outside of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

from montezarr.core.checks import check_real, type_error, value_error
from montezarr.core.value import checked
from montezarr.samplers.schema import Variable
from montezarr.samplers.stopping._base import StoppingRule, Test, one_variable


def check_name(name: str, value: object) -> str:
    """Return the name of a variable."""
    if not isinstance(value, str):
        raise type_error(name, "the name of a variable", value)
    return value


@final
@dataclass(frozen=True, slots=True)
class Above(StoppingRule):
    """Stop a path at the first time at which it is at or above a level.

    Parameters
    ----------
    level : float
        The level, finite, in units of the variable.
    variable : str, optional
        Name of the variable; by default the only one with the dimension ``time`` alone.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If the level is not a finite number; from `simulate`, for a variable that there is not, or
        whose values are labels.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.RandomWalk(p=0.7), n_paths=4, T=100, seed=1, until=mz.Above(3))
    >>> ds.stopped_x.values
    array([3, 3, 3, 3])
    """

    level: float = field(metadata=checked(check_real))
    variable: str | None = field(default=None, metadata=checked(check_name, optional=True))

    def __post_init__(self) -> None:
        self.check_fields()

    def test(self, variables: Sequence[Variable]) -> Test:
        """Return the function that compares; see `StoppingRule.test`."""
        name, level = one_variable(self.variable, variables, self, labels=False).name, self.level
        return lambda t, values: values[name] >= level


@final
@dataclass(frozen=True, slots=True)
class Below(StoppingRule):
    """Stop a path at the first time at which it is at or below a level.

    Parameters
    ----------
    level : float
        The level, finite, in units of the variable.
    variable : str, optional
        Name of the variable; by default the only one with the dimension ``time`` alone.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        As for `Above`.

    Examples
    --------
    >>> import montezarr as mz
    >>> gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    >>> ds = mz.simulate(gbm, 1000, T=252, x0=100.0, dt=1 / 252, seed=1, until=mz.Below(80.0))
    >>> bool(((ds.stopped_x <= 80.0) == ds.stopped).all())
    True
    """

    level: float = field(metadata=checked(check_real))
    variable: str | None = field(default=None, metadata=checked(check_name, optional=True))

    def __post_init__(self) -> None:
        self.check_fields()

    def test(self, variables: Sequence[Variable]) -> Test:
        """Return the function that compares; see `StoppingRule.test`."""
        name, level = one_variable(self.variable, variables, self, labels=False).name, self.level
        return lambda t, values: values[name] <= level


@final
@dataclass(frozen=True, slots=True)
class Outside(StoppingRule):
    """Stop a path at the first time at which it is not strictly between two levels.

    Parameters
    ----------
    low, high : float
        The levels, finite, low < high, in units of the variable.
    variable : str, optional
        Name of the variable; by default the only one with the dimension ``time`` alone.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        As for `Above`, and if the levels are not in this order.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.RandomWalk(), n_paths=4, T=100, seed=1, until=mz.Outside(-3, 3))
    >>> abs(ds.stopped_x).values
    array([3, 3, 3, 3])
    """

    low: float = field(metadata=checked(check_real))
    high: float = field(metadata=checked(check_real))
    variable: str | None = field(default=None, metadata=checked(check_name, optional=True))

    def __post_init__(self) -> None:
        self.check_fields()
        if not self.low < self.high:
            raise value_error("high", f"a number > low = {self.low:g}", self.high)

    def test(self, variables: Sequence[Variable]) -> Test:
        """Return the function that compares; see `StoppingRule.test`."""
        name = one_variable(self.variable, variables, self, labels=False).name
        low, high = self.low, self.high
        return lambda t, values: (values[name] <= low) | (values[name] >= high)
