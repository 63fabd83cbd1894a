"""Base class of processes: an equation with parameters that turns draws into paths."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_real, plain_array, type_error, value_error
from montezarr.core.errors import ArgumentValueError
from montezarr.core.public_ids import is_public
from montezarr.core.text import Card
from montezarr.core.value import Value, checks_of
from montezarr.processes._describe import equation_rows, parameter_rows
from montezarr.processes._per_path import checked_numbers, number_fields, unknown_parameter
from montezarr.processes.time_grid import TimeGrid
from montezarr.random.draws import Draws

Rows = NDArray[Any]
"""States with the paths along the last axis: (T+1, n), or (variables, T+1, n) for several."""


class EventVariable(NamedTuple):
    """A variable with one value for each event of a path: name, dtype, and labels of codes."""

    name: str
    dtype: str
    labels: tuple[str | int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Process(Value, ABC):
    """Base of the built-in processes: frozen dataclasses, validated once, with a JSON form.

    A subclass is final, declares its parameters as fields, checks them in ``__post_init__`` and
    implements `sample`. Export it in `montezarr.processes`: the conformance suite
    (`montezarr.testing.ProcessTests`) then finds it and tests its `examples`.

    The repr is the call that makes the process. Printed, and in a notebook, it shows its `equation`
    and its parameters, with the symbols of the equation.

    Examples
    --------
    >>> import montezarr as mz
    >>> gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    >>> isinstance(gbm, mz.Process), gbm.variables
    (True, ('x',))
    >>> gbm.to_dict()
    {'name': 'GeometricBrownianMotion', 'mu': 0.05, 'sigma': 0.2}
    """

    dtypes: ClassVar[tuple[str, ...]] = ("float64", "float32")
    """Supported dtypes of states, the default first."""

    runs_user_code: ClassVar[bool] = False
    """Whether `simulate` tries a few paths at the call, since functions of the user may fail."""

    equation: ClassVar[str] = ""
    """The model in the standard notation of its field, in Unicode, one line per equation.

    Greek letters stand for the parameters named after them. HTML shows symbols in italics, and
    indices raised or lowered. If empty, only name and parameters are shown.
    """

    counts_steps: ClassVar[bool] = False
    """Whether the time of the process is the number of steps, whatever the times of the grid."""

    is_one_pass: ClassVar[bool] = False
    """Whether `sample`, where draws are compiled, is one compiled pass, not calls at each step."""

    is_recursion: ClassVar[bool] = False
    """Whether `sample` is one call of `Draws.gaussian_recursion`, and so one pass."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the components of the state; a single one is called x."""
        return ("x",)

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the components of an initial state: the variables, unless some are not kept."""
        return self.variables

    @property
    def resumes(self) -> bool:
        """Whether `sample` from the float64 or integer states at a time gives the later ones.

        On the draws from there on it then returns the same bits as from the beginning.
        """
        return False

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return a few typical instances, for the conformance suite to test.

        A process with a parameter that has no default must override this.
        """
        return (cls(),)

    @abstractmethod
    def sample(self, draws: Draws, grid: TimeGrid, x0: Rows) -> Rows:
        """Return the paths that `draws` addresses, as rows with the paths contiguous.

        Parameters
        ----------
        draws : Draws
            Random numbers of n consecutive paths.
        grid : TimeGrid
            T+1 times.
        x0 : array
            Initial state, () or (n,) for one variable, (variables, 1 or n) for several.

        Returns
        -------
        array (T+1, n) or (variables, T+1, n)
        """

    @property
    def event_variables(self) -> tuple[EventVariable, ...]:
        """The variables of a process whose paths are events, in place of states at times.

        Then `sample_events` draws the paths, and `sample` is not called.
        """
        return ()

    def sample_events(
        self, draws: Draws, grid: TimeGrid, x0: Rows, room: int
    ) -> tuple[dict[str, Rows], Rows]:
        """Return the events of paths between the first and the last time of a grid.

        Returns
        -------
        values : dict of str to array (room, n)
            Values of the `event_variables`; what comes after the last event does not matter.
        counts : array of int (n,)
            Number of events of each path; more than `room` for a path that has more.
        """
        raise NotImplementedError

    def default_x0(self) -> Any:
        """Return the initial state for runs without ``x0``."""
        return 0.0

    def check_x0(self, x0: Any, dtype: str) -> Rows:
        """Return a constant or per-path initial state as an array, or raise.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If it does not consist of finite numbers, one per variable.
        """
        values = self.default_x0() if x0 is None else x0
        names = self.state_names
        if len(names) == 1:
            return check_state("x0", values, dtype)
        if isinstance(values, Mapping):
            if set(values) != set(names):
                raise value_error("x0", f"one entry for each of {', '.join(names)}", values)
            values = [values[name] for name in names]
        if not isinstance(values, (list, tuple, np.ndarray)):
            raise type_error("x0", f"a mapping or sequence over {', '.join(names)}", x0)
        if len(values) != len(names):
            raise value_error("x0", f"{len(names)} entries: {', '.join(names)}", x0)
        parts = [check_state(f"x0[{k!r}]", v, dtype) for k, v in zip(names, values, strict=True)]
        try:
            stacked = np.stack(np.broadcast_arrays(*parts))
        except ValueError as error:
            raise value_error("x0", "entries of one length", x0) from error
        return stacked.reshape(len(names), -1)

    def with_parameters(self, **values: Any) -> Self:
        """Return the process with other values of some parameters, checked as at its creation.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            For an unknown name, or a value that the process refuses.
        """
        known = [entry.name for entry in fields(self) if entry.init]
        for name in values:
            if name not in known:
                raise unknown_parameter(type(self).__name__, name, known)
        return replace(self, **values)

    def check_values(self, name: str, values: Any) -> NDArray[np.float64]:
        """Return the values of one parameter for n paths as float64 (n,), or raise.

        Each is checked as the metadata of the parameter's field says (`checked`); without such
        metadata it must be finite.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            For an unknown name, a parameter that is not one number, or a value that is no number,
            not finite or out of range; the message has its position and the range.
        """
        kind = type(self)
        if name not in number_fields(self):
            known = [entry.name for entry in fields(self)]
            if name not in known:
                raise unknown_parameter(kind.__name__, name, known)
            expected = "a parameter that is one number, since only these may differ between paths"
            raise type_error(name, expected, getattr(self, name))
        return checked_numbers(name, values, checks_of(kind).get(name, check_real))

    def with_arrays(self, values: Mapping[str, NDArray[np.float64]]) -> Self:
        """Return a copy with one number per path in some parameters, for `sample` alone.

        The numbers are those of the n paths of the draws that `sample` gets, and are not checked
        here: `check_values` has done that for all paths of the run. Such a copy is not hashable.

        Parameters
        ----------
        values : mapping of str to array (n,)
            Values by the name of the parameter.
        """
        known = number_fields(self)
        out = copy.copy(self)
        for name, array in values.items():
            if name not in known:
                raise unknown_parameter(type(self).__name__, name, known)
            out.set_field(name, np.asarray(array, np.float64))
        return out

    def arrays_per_path(self) -> dict[str, NDArray[np.float64]]:
        """Return the parameters that have one number per path, by name; see `with_arrays`."""
        values = {name: getattr(self, name) for name in number_fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}

    def to_dict(self) -> dict[str, Any]:
        """Return the parameters as JSON: ``{"name": class name, parameter: value, ...}``.

        Raises
        ------
        ArgumentTypeError
            If a parameter of a user's class has no JSON form.
        """
        out = Value.to_dict(self)
        for name, value in {} if is_public(type(self)) else out.items():
            if (found := _not_json(value)) is not None:
                raise type_error(
                    name, "numbers, text, and lists and mappings of them, as recipes are JSON",
                    found[0], f"Give {out['name']} a to_dict() that returns these alone.",
                )  # fmt: skip
        return out

    def __str__(self) -> str:
        return self._card().text()

    def _repr_html_(self) -> str:
        return self._card().html()

    def _card(self) -> Card:
        try:
            described: Any = self.to_dict()
        except Exception:  # a user's class may be unfinished
            described = None
        rows = [*equation_rows(type(self).equation), *parameter_rows(described)]
        return Card(type(self).__name__, rows)


@runtime_checkable
class HasMean(Protocol):
    """A process whose mean E[X_t | X_0 = x0] is known."""

    def mean(self, t: Any, x0: Any) -> Any:
        """Return the mean at times `t` >= 0."""


@runtime_checkable
class HasVariance(Protocol):
    """A process whose variance Var[X_t | X_0 = x0] is known."""

    def variance(self, t: Any, x0: Any) -> Any:
        """Return the variance at times `t` >= 0."""


@runtime_checkable
class HasDeviation(Protocol):
    """A process of several variables whose standard deviations are known, at least roughly.

    With these, `simulate` refuses a float32 run whose noise would be lost in rounding.
    """

    def deviation(self, t: float, x0: Rows) -> Rows:
        """Return standard deviations at the time `t` >= 0, in the shape (variables, n) of `x0`."""


@runtime_checkable
class HasDensity(Protocol):
    """A process of real numbers whose transition density is known."""

    def density(self, x: Any, t: Any, x0: Any) -> Any:
        """Return the density of X_t at `x` for t > 0, given X_0 = x0; NaN where none exists.

        X_t has no density at t = 0 or without noise, since it is then one number.
        """


@runtime_checkable
class HasProbability(Protocol):
    """A process of integers, or of codes of states, whose transition probabilities are known."""

    def probability(self, k: Any, t: Any, x0: Any) -> Any:
        """Return P(X_t = k | X_0 = x0) at times `t` >= 0; 0 if `k` is no state, NaN for NaN."""


@runtime_checkable
class HasBound(Protocol):
    """A process that can bound its values before it is sampled.

    The normal draws are bounded by construction (`NORMAL_BOUND`), so many processes can prove
    that no path overflows; their paths need no test for infinities.
    """

    def bound(self, grid: TimeGrid, x0: float) -> float:
        """Return a bound of abs(X) over the grid for initial states within [-x0, x0]."""


@runtime_checkable
class HasTrial(Protocol):
    """A process that runs user code, and checks the first paths at the call of `simulate`."""

    def check_trial(self, grid: TimeGrid, rows: Rows) -> None:
        """Raise if the first paths, rows (variables, T+1, n), show that sampling is not valid."""


@runtime_checkable
class HasLabels(Protocol):
    """A process whose states are labels, stored as their positions in `labels`."""

    @property
    def labels(self) -> tuple[str | int, ...]:
        """The labels in the order of their codes."""


NORMAL_BOUND = float(np.sqrt(2 * 53 * np.log(2)))
"""Bound of abs of all normal draws: the smallest uniform number is 2**-53 (2**-33 in float32)."""


def check_state(name: str, value: Any, dtype: str) -> Rows:
    """Return a scalar, or an array with one entry per path, in `dtype`."""
    expected = "a finite number, or a one-dimensional array with one per path"
    try:
        array = plain_array(name, value)
    except ArgumentValueError:
        raise
    except ValueError as error:
        raise value_error(name, expected, value) from error
    if array.dtype.kind not in "iuf":
        raise type_error(name, expected, value)
    if array.ndim > 1 or array.size == 0 or not np.isfinite(array).all():
        raise value_error(name, expected, value)
    kind = np.dtype(dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        out = array.astype(kind)
    exact = kind.kind == "f" or bool((out == array).all())
    if not exact or not np.isfinite(out).all():
        raise value_error(name, f"{expected}, that fits into {dtype}", value)
    return out


def _not_json(value: Any) -> tuple[Any] | None:
    """Return the first part of a value that has no JSON form, in a tuple; None if all have one."""
    if type(value) in _PLAIN:
        return None
    if isinstance(value, (list, Mapping)):
        parts = list(value.values()) if isinstance(value, Mapping) else value
        if set(map(type, parts)) <= _PLAIN:
            return None
        return next(filter(None, map(_not_json, parts)), None)
    return None if isinstance(value, (bool, int, float, str)) else (value,)


_PLAIN = {type(None), bool, int, float, str}


def check_reach(dtype: np.dtype[Any], low: float, high: float) -> None:
    """Raise if integer states between `low` and `high` would overflow `dtype`."""
    limits = np.iinfo(dtype)
    if low < limits.min or high > limits.max:
        expected = f"one that holds states from {low:.0f} to {high:.0f}"
        raise value_error("dtype", expected, dtype.name)
