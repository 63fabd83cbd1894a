"""The rule that a path is in a state: a number, or a label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from montezarr.core.checks import check_real, show, value_error
from montezarr.core.value import checked
from montezarr.samplers.schema import Variable
from montezarr.samplers.stopping._base import StoppingRule, Test, one_variable
from montezarr.samplers.stopping.levels import check_name


def check_state(name: str, value: Any) -> str | float | int:
    """Return a label, or a finite number."""
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, str) or (isinstance(plain, int) and not isinstance(plain, bool)):
        return plain
    return check_real(name, plain)


@final
@dataclass(frozen=True, slots=True)
class Reaches(StoppingRule):
    """Stop a path at the first time at which it is in a state.

    A path of real numbers jumps over most of them: for levels there are `Above` and `Below`.

    Parameters
    ----------
    state : str, int or float
        The state: a label of the variable, or a finite number where its values have none.
    variable : str, optional
        Name of the variable; by default the only one with the dimension ``time`` alone.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If the state is neither; from `simulate`, for a label or a variable that there is not.

    Examples
    --------
    >>> import montezarr as mz
    >>> weather = mz.MarkovChain(transition=((0.9, 0.1), (0.5, 0.5)), states=("calm", "storm"))
    >>> ds = mz.simulate(weather, 10_000, T=200, seed=1, until=mz.Reaches("storm"))
    >>> round(float(ds.stop_time.mean()), 1)  # 1 / 0.1
    10.0
    """

    state: str | int | float = field(metadata=checked(check_state))
    variable: str | None = field(default=None, metadata=checked(check_name, optional=True))

    def __post_init__(self) -> None:
        self.check_fields()

    def test(self, variables: Sequence[Variable]) -> Test:
        """Return the function that compares; see `StoppingRule.test`."""
        variable, state = one_variable(self.variable, variables, self, labels=True), self.state
        name = variable.name
        if variable.labels is not None:
            if state not in variable.labels:
                raise value_error("state", f"a state out of {show(variable.labels)}", state)
            state = variable.labels.index(state)
        elif isinstance(state, str):
            raise value_error("state", f"a number, as {name!r} has no labels", state)
        return lambda t, values: values[name] == state
