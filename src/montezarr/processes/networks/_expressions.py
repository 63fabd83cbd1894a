"""Rate expressions as trees: what they use, what they are in text and in Python.

A tree is made by the parser alone, of a fixed set of operations, so that code that is made of it
holds nothing else: names of users never become names of code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

TIME_NAME = "t"
"""The name of the time in expressions."""

INFIX = {"or": 1, "and": 2, "<": 4, "<=": 4, ">": 4, ">=": 4, "==": 4, "!=": 4,
         "+": 5, "-": 5, "*": 6, "/": 6, "**": 8}  # fmt: skip
"""Operators between two operands, and how tightly they bind."""

PREFIX = {"not": 3, "neg": 7}
"""Operators before one operand."""

FUNCTIONS = {
    "abs": 1, "exp": 1, "log": 1, "log10": 1, "sqrt": 1, "sin": 1, "cos": 1, "tan": 1, "asin": 1,
    "acos": 1, "atan": 1, "sinh": 1, "cosh": 1, "tanh": 1, "floor": 1, "ceil": 1, "min": 2,
    "max": 2, "where": 3,
}  # fmt: skip
"""Functions, and their number of arguments; ``where(condition, a, b)`` is as in NumPy."""

COMPARISONS = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
"""Comparisons, and those with both sides times a negative number."""

LOGICAL = {"or", "and", "not", *COMPARISONS}
"""Operations whose value is a condition."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number."""

    value: float


@dataclass(frozen=True, slots=True)
class Name:
    """A species, a parameter or the time; `at` is its position in the text."""

    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator or function with its arguments."""

    function: str
    arguments: tuple[Expression, ...]


Expression = Number | Name | Operation


def names_in(tree: Expression) -> Iterator[Name]:
    """Yield the names in a tree, in the order of the text."""
    if isinstance(tree, Name):
        yield tree
    elif isinstance(tree, Operation):
        for argument in tree.arguments:
            yield from names_in(argument)


def size_of(tree: Expression) -> int:
    """Return the number of nodes of a tree, also if parts of it are one object."""
    known: dict[int, int] = {}

    def size(part: Expression) -> int:
        if not isinstance(part, Operation):
            return 1
        if id(part) not in known:
            known[id(part)] = 1 + sum(size(argument) for argument in part.arguments)
        return known[id(part)]

    return size(tree)


def with_time_alone(condition: Expression) -> Expression | None:
    """Return a condition in which the time stands alone in comparisons: ``t >= 5``.

    The time on the right is then the very number at which the comparison turns while the state is
    fixed. None if the time is in the condition other than in comparisons that are linear in it.
    """
    if not any(name.name == TIME_NAME for name in names_in(condition)):
        return condition
    assert isinstance(condition, Operation)
    if condition.function not in COMPARISONS:
        parts = [with_time_alone(part) for part in condition.arguments]
        found = tuple(part for part in parts if part is not None)
        return Operation(condition.function, found) if len(found) == len(parts) else None
    line = _line_in_time(Operation("-", condition.arguments))
    if line is None or line[0] == 0.0:
        return None
    slope, rest = line
    function = COMPARISONS[condition.function] if slope < 0.0 else condition.function
    point = Operation("/", (Operation("neg", (rest,)), Number(slope)))
    return Operation(function, (Name(TIME_NAME), point))


def turning_points(condition: Expression) -> Iterator[Expression]:
    """Yield the times at which a condition may turn, in which the time stands alone."""
    if isinstance(condition, Operation):
        if condition.function in COMPARISONS and condition.arguments[0] == Name(TIME_NAME):
            yield condition.arguments[1]
        else:
            for part in condition.arguments:
                yield from turning_points(part)


def _line_in_time(tree: Expression) -> tuple[float, Expression] | None:
    """Return slope and rest of a tree that is linear in the time, with a number as its slope."""
    if not any(name.name == TIME_NAME for name in names_in(tree)):
        return 0.0, tree
    if isinstance(tree, Name):
        return 1.0, Number(0.0)
    assert isinstance(tree, Operation)
    parts = [_line_in_time(argument) for argument in tree.arguments]
    lines = [part for part in parts if part is not None]
    if len(lines) < len(parts) or tree.function not in ("neg", "+", "-", "*", "/"):
        return None
    rests = tuple(rest for _, rest in lines)
    slopes = [slope for slope, _ in lines]
    if tree.function == "neg":
        return -slopes[0], Operation("neg", rests)
    if tree.function in ("+", "-"):
        slope = slopes[0] + slopes[1] if tree.function == "+" else slopes[0] - slopes[1]
        return slope, Operation(tree.function, rests)
    at = 0 if tree.function == "/" or slopes[0] else 1  # the factor with the time
    number = tree.arguments[1 - at]
    if slopes[1 - at] or not isinstance(number, Number) or number.value == 0.0:
        return None
    slope = slopes[at] / number.value if tree.function == "/" else slopes[at] * number.value
    return slope, Operation(tree.function, rests)


def is_condition(tree: Expression) -> bool:
    """Return whether a tree is true or false, not a number."""
    return isinstance(tree, Operation) and tree.function in LOGICAL


def replaced(tree: Expression, values: Mapping[str, Expression]) -> Expression:
    """Return a tree with other trees in place of some names."""
    if isinstance(tree, Name):
        return values.get(tree.name, tree)
    if isinstance(tree, Operation):
        return Operation(tree.function, tuple(replaced(a, values) for a in tree.arguments))
    return tree


def product(*factors: Expression) -> Expression:
    """Return the product of factors from left to right, without ones; 1 for none."""
    out: Expression | None = None
    for factor in factors:
        if factor == Number(1.0):
            continue
        out = factor if out is None else Operation("*", (out, factor))
    return Number(1.0) if out is None else out


def text_of(tree: Expression, outer: int = 0) -> str:
    """Return the text of a tree, from which the parser makes one with the same values.

    Parameters
    ----------
    tree : Expression
        A tree; its numbers are not NaN.
    outer : int
        How tightly the operator around it binds.
    """
    if isinstance(tree, Number):
        text = _digits(tree.value).removesuffix(".0")
        return f"({text})" if text.startswith("-") and PREFIX["neg"] < outer else text
    if isinstance(tree, Name):
        return tree.name
    name, parts = tree.function, tree.arguments
    if name in INFIX:
        level = INFIX[name]
        # Of equal operators the left one is inside, but for powers.
        left, right = (level + 1, level) if name == "**" else (level, level + 1)
        text = f"{text_of(parts[0], left)} {name} {text_of(parts[1], right)}"
    elif name in PREFIX:
        level = PREFIX[name]
        text = f"{'-' if name == 'neg' else 'not '}{text_of(parts[0], level)}"
    else:
        return f"{name}({', '.join(text_of(part) for part in parts)})"
    return f"({text})" if level < outer else text


def _digits(value: float) -> str:
    """Return the shortest number that is read as a value, also an infinite one."""
    return repr(float(value)).replace("inf", "1e999")


def source_of(tree: Expression, place: Callable[[str], str]) -> str:
    """Return Python source of a tree, in which names stand for the places of their values.

    The source computes in float64, by operators and by the functions of `_functions`.
    """
    if isinstance(tree, Number):
        return _digits(tree.value)
    if isinstance(tree, Name):
        return place(tree.name)
    name = tree.function
    parts = [source_of(argument, place) for argument in tree.arguments]
    if name == "**":
        return power_source(tree.arguments[1], *parts)
    if name in ("or", "and"):
        return f"({parts[0]} {name} {parts[1]})"
    if name in INFIX:
        return f"({parts[0]} {name} {parts[1]})"
    if name in PREFIX:
        return f"({'-' if name == 'neg' else 'not '}{parts[0]})"
    if name == "where":
        return f"({parts[1]} if {parts[0]} else {parts[2]})"
    return f"f_{name}({', '.join(parts)})"


def power_source(exponent: Expression, base: str, power: str) -> str:
    """Return the source of a power, of those of its parts.

    Of a small whole exponent it is a product, which rounds alike everywhere.
    """
    whole = exponent.value if isinstance(exponent, Number) else 0.0
    if whole in (2.0, 3.0, 4.0):
        return f"f_power{int(whole)}({base})"
    return f"f_power({base}, {power})"
