"""Base of the rules by which a path stops, and rules that are functions or made of others."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import show, type_error, value_error
from montezarr.core.errors import ArgumentValueError
from montezarr.core.value import Value
from montezarr.samplers.interfaces import signature
from montezarr.samplers.schema import TIME, Variable

Test = Callable[[NDArray[np.float64], Mapping[str, NDArray[Any]]], Any]
"""Function of times (times, 1) and states (times, ..., paths) by variable: bool (times, paths)."""

EXPECTED = (
    "a rule such as mz.Above(level), mz.Below(level), mz.Outside(low, high) or mz.Reaches(state),"
    " several with | and &, or a function of (t, x)"
)


@dataclass(frozen=True, slots=True)
class StoppingRule(Value, ABC):
    """Base of the rules by which a path stops, of ``simulate(..., until=rule)``.

    ``a | b`` stops a path at the first time at which either rule holds, ``a & b`` at the first time
    at which both do. A function of (t, x) may stand in place of one of them.

    Examples
    --------
    >>> import montezarr as mz
    >>> rule = mz.Above(2.0) | mz.Below(-1.0) & (lambda t, x: t > 0.5)
    >>> isinstance(rule, mz.StoppingRule)
    True
    """

    @abstractmethod
    def test(self, variables: Sequence[Variable]) -> Test:
        """Return the function that says at which times the rule holds.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If the rule asks for a variable that is none of these, or that it cannot be about.
        """

    def functions(self) -> tuple[Any, ...]:
        """Return the functions of the user that the rule calls."""
        return ()

    def __or__(self, other: Any) -> StoppingRule:
        return _joined(AnyRule, self, other)

    def __ror__(self, other: Any) -> StoppingRule:
        return _joined(AnyRule, other, self)

    def __and__(self, other: Any) -> StoppingRule:
        return _joined(AllRules, self, other)

    def __rand__(self, other: Any) -> StoppingRule:
        return _joined(AllRules, other, self)


def _joined(kind: Any, first: Any, second: Any) -> StoppingRule:
    """Return one rule of two; of rules of the same kind, that of their parts."""
    parts = (as_rule(first), as_rule(second))
    rules = [rule.rules if isinstance(rule, kind) else (rule,) for rule in parts]
    joined: StoppingRule = kind(tuple(rule for some in rules for rule in some))
    return joined


def as_rule(value: Any) -> StoppingRule:
    """Return a rule, or a function as one.

    Raises
    ------
    ArgumentTypeError
        For anything else, such as a rule of `montezarr.stream`.
    """
    if isinstance(value, StoppingRule):
        return value
    if not callable(value) or isinstance(value, type):
        hint = "Rules about the number of paths, seconds and standard errors are for mz.stream."
        raise type_error("until", EXPECTED, value, hint if hasattr(value, "reason") else "")
    return FunctionRule(value)


@final
@dataclass(frozen=True, slots=True)
class AnyRule(StoppingRule):
    """Stop when one of several rules holds; the result of ``|``."""

    rules: tuple[StoppingRule, ...]

    def test(self, variables: Sequence[Variable]) -> Test:
        """Return the function of all rules; see `StoppingRule.test`."""
        tests = [rule.test(variables) for rule in self.rules]
        return lambda t, values: reduce(or_, (test(t, values) for test in tests))

    def functions(self) -> tuple[Any, ...]:
        """Return the functions of all rules."""
        return tuple(function for rule in self.rules for function in rule.functions())


@final
@dataclass(frozen=True, slots=True)
class AllRules(StoppingRule):
    """Stop when several rules hold at one time; the result of ``&``."""

    rules: tuple[StoppingRule, ...]

    def test(self, variables: Sequence[Variable]) -> Test:
        """Return the function of all rules; see `StoppingRule.test`."""
        tests = [rule.test(variables) for rule in self.rules]
        return lambda t, values: reduce(and_, (test(t, values) for test in tests))

    def functions(self) -> tuple[Any, ...]:
        """Return the functions of all rules."""
        return tuple(function for rule in self.rules for function in rule.functions())


@final
@dataclass(frozen=True, slots=True)
class FunctionRule(StoppingRule):
    """Stop when a function of the user returns True.

    It gets by name what it asks for: ``t`` (times, 1), and variables with times, each (times, ...,
    paths). A function of two other names gets the times and the only variable.
    """

    function: Any

    def test(self, variables: Sequence[Variable]) -> Test:
        """Return the function, with its result checked; see `StoppingRule.test`."""
        function, asked = self.function, self._asked(variables)

        def holds(t: NDArray[np.float64], values: Mapping[str, NDArray[Any]]) -> Any:
            n = next(iter(values.values())).shape[-1]
            given = [t if name == "t" else _read_only(values[name]) for name in asked]
            return _checked(function(*given), (len(t), n))

        return holds

    def functions(self) -> tuple[Any, ...]:
        """Return the function."""
        return (self.function,)

    def to_dict(self) -> dict[str, Any]:
        """Return the name of the function, from which `rule_from_dict` cannot make it."""
        function = self.function
        name = getattr(function, "__qualname__", type(function).__name__)
        return {"name": "function", "function": f"{getattr(function, '__module__', '?')}.{name}"}

    def _asked(self, variables: Sequence[Variable]) -> list[str]:
        """Return what each argument of the function is: ``t``, or a variable."""
        known = [v.name for v in variables if v.time_axis == 0]
        try:
            parameters = list(signature(self.function).parameters.values())
        except (TypeError, ValueError):  # written in C, without a signature
            parameters = []
        by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        needed = [p for p in parameters if p.default is p.empty]
        names = [p.name for p in needed]
        expected = f"a function of t and of {', '.join(known)}, or of some of them"
        if not names or any(p.kind not in by_position for p in needed):
            raise type_error("until", expected, self.function)
        if set(names) <= {"t", *known}:
            return names
        if len(names) == 2 and len(known) == 1 and names[0] not in known and names[1] != "t":
            return ["t", known[0]]
        unknown = next(name for name in names if name not in ("t", *known))
        raise value_error("until", expected, unknown)


def _read_only(values: NDArray[Any]) -> NDArray[Any]:
    view = values.view()
    view.flags.writeable = False
    return view


def _checked(found: Any, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return what a function returned, or raise if it is no array of bool of this shape.

    What depends on the time alone is the same for all paths.
    """
    if isinstance(found, np.ndarray) and found.dtype == np.bool_:
        if found.shape == shape:
            return found
        if found.shape == (shape[0], 1):
            return np.broadcast_to(found, shape)
    got = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else show(found)
    raise ArgumentValueError(
        f"until: expected a function that returns an array of bool (times, paths) = {shape} for t"
        f" of the shape {(shape[0], 1)}, got {got}. Write it for arrays, as in x > 1 + t."
    )


def one_variable(
    name: str | None, variables: Sequence[Variable], rule: StoppingRule, *, labels: bool
) -> Variable:
    """Return the variable that a rule is about: that of this name, or the only one with times.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If there is none, or several; or if its values are labels, unless `labels` may be.
    """
    known = [v for v in variables if v.dims == (TIME,)]
    listed = ", ".join(v.name for v in known) or "none of which there is"
    kind = type(rule).__name__
    if name is None and len(known) != 1:
        expected = f"one of the variables (path, time): {listed}"
        raise value_error("variable", expected, None, f"Pass it as {kind}(..., variable=).")
    found = next((v for v in known if name in (None, v.name)), None)
    if found is None:
        raise value_error("variable", f"one of the variables (path, time): {listed}", name)
    if found.labels is not None and not labels:
        hint = "mz.Reaches(label) stops at a label."
        raise type_error("until", f"a rule for the labels of {found.name!r}", rule, hint)
    return found
