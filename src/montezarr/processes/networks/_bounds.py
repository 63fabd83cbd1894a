"""Bounds of expressions over an interval of time, as source: interval arithmetic in the time alone.

Thinning (Lewis and Shedler 1979, doi:10.1002/nav.3800260304) needs a number that a rate does not
exceed before the next look at it. The state is fixed meanwhile, so that only the time varies.
"""

from __future__ import annotations

from montezarr.processes.networks._code import Source
from montezarr.processes.networks._expressions import (
    LOGICAL,
    TIME_NAME,
    Expression,
    Name,
    Number,
    Operation,
    names_in,
    power_source,
)

RISING = {"exp", "log", "log10", "sqrt", "atan", "sinh", "tanh", "floor", "ceil", "asin"}
"""Functions that do not fall where they are defined."""

Bounds = tuple[str, str]
"""Names, or source, of the lower and of the upper bound."""

ALL: Bounds = ("-infinity", "infinity")


def varies(tree: Expression) -> bool:
    """Return whether a tree depends on the time."""
    return any(name.name == TIME_NAME for name in names_in(tree))


def bounds_of(source: Source, tree: Expression, label: str) -> Bounds:
    """Add lines that bound a tree over the times from ``t`` to ``until``; return the bounds.

    Names of lines begin with `label`.
    """
    return _Bounding(source, label).of(tree)


class _Bounding:
    def __init__(self, source: Source, label: str):
        self.source, self.label, self.count = source, label, 0

    def kept(self, low: str, high: str) -> Bounds:
        """Add lines that compute two bounds; return their names."""
        name = f"{self.label}_{self.count}"
        self.count += 1
        self.source.add(f"l{name} = {low}", f"h{name} = {high}")
        return f"l{name}", f"h{name}"

    def of(self, tree: Expression) -> Bounds:
        if not varies(tree):
            text = self.source.of(tree)
            return (text, text) if isinstance(tree, (Number, Name)) else self.kept(text, text)
        if isinstance(tree, Name):
            return "t", "until"
        assert isinstance(tree, Operation)
        name, arguments = tree.function, tree.arguments
        if name == "where":
            return self._either(arguments)
        if name in LOGICAL:
            return ALL
        parts = [self.of(argument) for argument in arguments]
        if name == "**":
            return self._power(arguments[1], parts)
        if name in RISING:
            return self.kept(*(f"f_{name}({end})" for end in parts[0]))
        found = getattr(self, f"_{NAMES.get(name, name)}", None)
        return ALL if found is None else found(*parts)

    def _either(self, arguments: tuple[Expression, ...]) -> Bounds:
        condition, *values = arguments
        (a, b), (c, d) = (self.of(value) for value in values)
        if not varies(condition):
            text = self.source.of(condition)
            return self.kept(f"({a} if {text} else {c})", f"({b} if {text} else {d})")
        return self.kept(f"f_min({a}, {c})", f"f_max({b}, {d})")

    def _add(self, x: Bounds, y: Bounds) -> Bounds:
        return self.kept(f"{x[0]} + {y[0]}", f"{x[1]} + {y[1]}")

    def _subtract(self, x: Bounds, y: Bounds) -> Bounds:
        return self.kept(f"{x[0]} - {y[1]}", f"{x[1]} - {y[0]}")

    def _neg(self, x: Bounds) -> Bounds:
        return self.kept(f"-{x[1]}", f"-{x[0]}")

    def _multiply(self, x: Bounds, y: Bounds) -> Bounds:
        return self._of_corners([f"f_times({a}, {b})" for a in x for b in y])

    def _divide(self, x: Bounds, y: Bounds) -> Bounds:
        low, high = self._of_corners([f"{a} / {b}" for a in x for b in y])
        apart = f"({y[0]} > 0.0 or {y[1]} < 0.0)"
        return self.kept(f"({low} if {apart} else -infinity)", f"({high} if {apart} else infinity)")

    def _power(self, exponent: Expression, parts: list[Bounds]) -> Bounds:
        x, y = parts
        number = exponent.value if isinstance(exponent, Number) else 0.0
        if number > 0.0 and number % 1.0 == 0.0:  # rises from 0, or everywhere
            low, high = x if number % 2.0 else self._abs(x)
            return self.kept(*(power_source(exponent, end, y[0]) for end in (low, high)))
        low, high = self._of_corners([f"f_power({a}, {b})" for a in x for b in y])
        defined = f"({x[0]} > 0.0 or ({x[0]} >= 0.0 and {y[0]} > 0.0))"
        return self.kept(
            f"({low} if {defined} else -infinity)", f"({high} if {defined} else infinity)"
        )

    def _abs(self, x: Bounds) -> Bounds:
        low = f"({x[0]} if {x[0]} > 0.0 else (-{x[1]} if {x[1]} < 0.0 else 0.0))"
        return self.kept(low, f"f_max(f_abs({x[0]}), f_abs({x[1]}))")

    def _cosh(self, x: Bounds) -> Bounds:
        low, high = self._abs(x)
        return self.kept(f"f_cosh({low})", f"f_cosh({high})")

    def _sin(self, x: Bounds) -> Bounds:
        return "-1.0", "1.0"

    _cos = _sin

    def _acos(self, x: Bounds) -> Bounds:
        return self.kept(f"f_acos({x[1]})", f"f_acos({x[0]})")

    def _min(self, x: Bounds, y: Bounds) -> Bounds:
        return self.kept(f"f_min({x[0]}, {y[0]})", f"f_min({x[1]}, {y[1]})")

    def _max(self, x: Bounds, y: Bounds) -> Bounds:
        return self.kept(f"f_max({x[0]}, {y[0]})", f"f_max({x[1]}, {y[1]})")

    def _of_corners(self, corners: list[str]) -> Bounds:
        name = f"{self.label}_{self.count}"
        self.count += 1
        names = [f"k{name}_{i}" for i in range(len(corners))]
        self.source.add(
            *(f"{corner} = {text}" for corner, text in zip(names, corners, strict=True))
        )
        nested = {"f_min": names[0], "f_max": names[0]}
        for function in nested:
            for corner in names[1:]:
                nested[function] = f"{function}({nested[function]}, {corner})"
        return self.kept(nested["f_min"], nested["f_max"])


NAMES = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}
