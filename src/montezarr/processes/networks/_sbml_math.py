"""Expressions of SBML as trees: MathML, read by libsbml, in the operations of rates."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NoReturn

from montezarr.core.errors import ArgumentValueError
from montezarr.core.optional import import_optional
from montezarr.processes.networks._expressions import TIME_NAME, Expression, Name, Number, Operation

AVOGADRO = 6.02214179e23
"""The number that SBML level 3 gives its symbol, section 3.4.6."""

PLAIN = {
    "abs": "abs", "exp": "exp", "ln": "log", "sin": "sin", "cos": "cos", "tan": "tan",
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "sinh": "sinh", "cosh": "cosh",
    "tanh": "tanh", "floor": "floor", "ceiling": "ceil",
}  # fmt: skip
"""Functions of one argument, by their names in SBML."""

RELATIONS = {"eq": "==", "neq": "!=", "gt": ">", "lt": "<", "geq": ">=", "leq": "<="}


def unsupported(what: str) -> NoReturn:
    """Raise for what a network cannot be."""
    raise ArgumentValueError(f"path: expected SBML without {what}, which is not supported.")


def tree_of(node: Any, place: Callable[[str], Expression]) -> Expression:
    """Return the tree of a node of libsbml; `place` gives that of a name in the model.

    Raises
    ------
    ArgumentValueError
        For an operation that rates do not have, named.
    """
    libsbml: Any = import_optional("libsbml", extra="sbml", purpose="from_sbml")

    kind = node.getType()
    if node.isNumber():
        value = float(node.getValue())
        return unsupported("numbers that are not defined") if math.isnan(value) else Number(value)
    if kind == libsbml.AST_NAME_TIME:
        return Name(TIME_NAME)
    if kind == libsbml.AST_NAME_AVOGADRO:
        return Number(AVOGADRO)
    if kind == libsbml.AST_NAME:
        return place(node.getName())
    constants = {
        libsbml.AST_CONSTANT_E: math.e,
        libsbml.AST_CONSTANT_PI: math.pi,
    }
    if kind in constants:
        return Number(constants[kind])
    if kind in (libsbml.AST_CONSTANT_TRUE, libsbml.AST_CONSTANT_FALSE):
        return Operation("==", (Number(1.0), Number(float(kind == libsbml.AST_CONSTANT_TRUE))))
    parts = [tree_of(node.getChild(i), place) for i in range(node.getNumChildren())]
    name = _name_of(libsbml, node, kind)
    return _operation(name, parts)


def _name_of(libsbml: Any, node: Any, kind: int) -> str:
    known = {
        libsbml.AST_PLUS: "plus", libsbml.AST_TIMES: "times", libsbml.AST_MINUS: "minus",
        libsbml.AST_DIVIDE: "divide", libsbml.AST_POWER: "power",
        libsbml.AST_FUNCTION_POWER: "power", libsbml.AST_FUNCTION_DELAY: "delay",
        libsbml.AST_FUNCTION_PIECEWISE: "piecewise", libsbml.AST_FUNCTION_RATE_OF: "rateOf",
    }  # fmt: skip
    return known.get(kind) or str(node.getName() or node.getOperatorName() or kind)


def _operation(name: str, parts: list[Expression]) -> Expression:
    if name in PLAIN and len(parts) == 1:
        return Operation(PLAIN[name], tuple(parts))
    if name in ("plus", "times"):
        return _folded("+" if name == "plus" else "*", parts, 0.0 if name == "plus" else 1.0)
    if name == "minus":
        return Operation("neg", tuple(parts)) if len(parts) == 1 else Operation("-", tuple(parts))
    if name in ("divide", "power"):
        return Operation("/" if name == "divide" else "**", tuple(parts))
    if name == "root":
        degree, inside = parts if len(parts) == 2 else (Number(2.0), parts[0])
        if degree == Number(2.0):
            return Operation("sqrt", (inside,))
        return Operation("**", (inside, Operation("/", (Number(1.0), degree))))
    if name == "log":
        if len(parts) == 1 or parts[0] == Number(10.0):
            return Operation("log10", (parts[-1],))
        return Operation("/", (Operation("log", (parts[1],)), Operation("log", (parts[0],))))
    if name in ("min", "max"):
        out = parts[0]
        for part in parts[1:]:
            out = Operation(name, (out, part))
        return out
    if name in ("and", "or"):
        return _folded(name, parts, 0.0)
    if name == "not":
        return Operation("not", tuple(parts))
    if name == "xor" and len(parts) == 2:
        either, both = Operation("or", tuple(parts)), Operation("and", tuple(parts))
        return Operation("and", (either, Operation("not", (both,))))
    if name in RELATIONS:
        pairs = [Operation(RELATIONS[name], pair) for pair in pairwise(parts)]
        return _folded("and", list(pairs), 0.0)
    if name == "piecewise" and len(parts) % 2:
        out = parts[-1]
        for value, condition in zip(parts[-3::-2], parts[-2::-2], strict=True):
            out = Operation("where", (condition, value, out))
        return out
    return unsupported(f"the function {name!r}")


def _folded(operator: str, parts: list[Expression], empty: float) -> Expression:
    """Return parts with an operator between them, from left to right."""
    if not parts:
        return Number(empty)
    out = parts[0]
    for part in parts[1:]:
        out = Operation(operator, (out, part))
    return out
