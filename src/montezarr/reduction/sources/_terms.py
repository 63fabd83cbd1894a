"""The runs that a block of an expression depends on, and the sign of each."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from montezarr.core.compat.dask import Alias, DataNode, Task, TaskRef
from montezarr.reduction.sources._chunk_function import functions_in
from montezarr.run._task import own_variable

_OPERATORS = ("_operator", "operator")
_FLIPPED = {"lt", "le", "less", "less_equal"}
_COMPARED = _FLIPPED | {"gt", "ge", "eq", "ne", "greater", "greater_equal", "equal", "not_equal"}
_DIVIDED = {"truediv", "itruediv", "divide", "true_divide", "floordiv", "floor_divide"}
_SUMS = {"sum", "nansum", "mean_agg", "mean_combine"}
"""Functions of reductions that add blocks."""

_MASKS = {"isnan", "isfinite", "isnull", "notnull", "isinf"}
"""Functions of missing values, which do not depend on the random numbers."""


class Model(NamedTuple):
    """A run: its noise, and the model that it drives."""

    noise: str
    model: str


@dataclass(frozen=True)
class Terms:
    """The terms of a block.

    Attributes
    ----------
    signs : dict of Model to int
        By run, +1 or -1 where the block increases or decreases with it, to first order; 0 where
        that is not known.
    added : frozenset of frozenset of Model
        Pairs of runs on the same noise that were added with the same sign.
    contrasts : frozenset of str
        Noises of runs that were subtracted, divided or compared.
    value : array or None
        The numbers, if they are known constants.
    starts_alike : bool
        Whether the block is a run as drawn, whose first time is x0.
    """

    signs: Mapping[Model, int] = field(default_factory=dict)
    added: frozenset[frozenset[Model]] = frozenset()
    contrasts: frozenset[str] = frozenset()
    value: Any = None
    starts_alike: bool = False

    def times(self, sign: int) -> Terms:
        """Return the terms multiplied by a number of this sign."""
        return replace(
            self, signs={model: s * sign for model, s in self.signs.items()}, starts_alike=False
        )


def constant(value: Any) -> Terms:
    """Return the terms of numbers."""
    is_number = isinstance(value, (bool, int, float, np.generic, np.ndarray))
    return Terms(value=value if is_number else None)


def made_of(task: Task, known: Mapping[Any, Terms]) -> Terms:
    """Return the terms of a task, given those of its dependencies."""
    parts = [_part(argument, known) for argument in task.args]
    # Dask wraps the function of arrays without dimensions.
    function = task.kwargs.get("enforce_dtype_function", task.func)
    function = function.value if isinstance(function, DataNode) else function
    names = {_name(part) for part in all_functions(function)}
    operator = operator_of(function)
    if names & _MASKS:
        return Terms()
    if "getitem" in names:
        return _selected(task, parts)
    if own_variable.__name__ in names:
        return parts[0]
    if operator in ("add", "iadd") and len(parts) == 2:
        return _sum(parts)
    if operator in ("sub", "isub", "subtract") and len(parts) == 2:
        return _sum([parts[0], parts[1].times(-1)])
    if operator in ("mul", "imul", "multiply") or "chunk_einsum" in names:
        return _product(parts)
    if operator in _DIVIDED and len(parts) == 2:
        return _quotient(*parts)
    if operator in ("neg", "negative"):
        return parts[0].times(-1)
    if operator in _COMPARED and len(parts) == 2:
        return _compared(parts, operator in _FLIPPED)
    needed = [known[key] for key in sorted(task.dependencies, key=str)]
    if names & _SUMS and len(needed) > 1:
        return _sum(needed)
    # In the order of the arguments where that is known: the first one decides.
    ordered = [part for part in parts if part.signs]
    return _other(ordered if ordered else needed)


def all_functions(function: Any) -> Iterator[Any]:
    """Yield the functions that a function is composed of."""
    for part in functions_in(function):
        chain = getattr(part, "funcs", None)  # a composition of toolz, such as of reductions
        if isinstance(chain, tuple) and hasattr(part, "first"):
            yield from (inner for link in (part.first, *chain) for inner in functions_in(link))
        else:
            yield part


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", ""))


def operator_of(function: Any) -> str:
    """Return the name of an operator or ufunc; empty for other functions."""
    if isinstance(function, functools.partial) and not function.args:
        function = function.func
    is_one = isinstance(function, np.ufunc) or getattr(function, "__module__", "") in _OPERATORS
    return _name(function) if is_one else ""


def _part(argument: Any, known: Mapping[Any, Terms]) -> Terms:
    if isinstance(argument, TaskRef):
        return known[argument.key]
    if isinstance(argument, Alias):
        return known[argument.target]
    if isinstance(argument, DataNode):
        return constant(argument.value)
    if isinstance(argument, Task):
        return _other([known[key] for key in sorted(argument.dependencies, key=str)])
    return constant(argument)


def _joined(parts: Iterable[Terms], signs: Mapping[Model, int]) -> Terms:
    """Join parts with these signs, and all that was added or compared in them."""
    parts = list(parts)
    return Terms(
        signs,
        frozenset().union(*(part.added for part in parts)),
        frozenset().union(*(part.contrasts for part in parts)),
    )


def _sum(parts: list[Terms]) -> Terms:
    signs: dict[Model, int] = {}
    added, contrasts = set(), set()
    for part in parts:
        before = dict(signs)
        for model, sign in part.signs.items():
            for other, its in before.items():
                if other != model and other.noise == model.noise:
                    if sign * its > 0:
                        added.add(frozenset((model, other)))
                    elif sign * its < 0:
                        contrasts.add(model.noise)
            signs.setdefault(model, sign)  # an increment x[t] - x[s] increases with its first part
    out = _joined(parts, signs)
    return replace(out, added=out.added | added, contrasts=out.contrasts | contrasts)


def _product(parts: list[Terms]) -> Terms:
    random = [part for part in parts if part.signs]
    if len(random) != 1:
        return _other(random)
    out = random[0]
    for part in parts:
        if not part.signs:
            out = out.times(_sign(part.value))
    return out


def _quotient(over: Terms, under: Terms) -> Terms:
    if not under.signs:
        return over.times(1 if under.value is None else _sign(under.value))
    out = _other([over, under])
    return replace(out, contrasts=out.contrasts | _shared([over, under]))


def _compared(parts: list[Terms], flipped: bool) -> Terms:
    left, right = parts
    if left.signs and right.signs:
        out = _other(parts)
        return replace(out, contrasts=out.contrasts | _shared(parts))
    out = left if left.signs else right.times(-1)
    return out.times(-1 if flipped else 1)


def _shared(parts: list[Terms]) -> frozenset[str]:
    """Return the noises that drive runs in different parts."""
    found = set()
    for model in parts[0].signs:
        found |= {o.noise for o in parts[1].signs if o != model and o.noise == model.noise}
    return frozenset(found)


def _other(parts: list[Terms]) -> Terms:
    """Return the terms of any function: one of a single run is assumed to increase with it."""
    signs: dict[Model, int] = {}
    for part in parts:
        for model, sign in part.signs.items():
            signs.setdefault(model, sign)
    is_one = len(signs) == 1 or len([part for part in parts if part.signs]) == 1
    return _joined(parts, signs if is_one else dict.fromkeys(signs, 0))


def _selected(task: Task, parts: list[Terms]) -> Terms:
    """Return the terms of a selection: x0, the first time of a run, is not random."""
    index: Any = task.args[1] if len(task.args) > 1 else None
    index = index.value if isinstance(index, DataNode) else index
    if parts[0].value is not None and index is not None:
        return constant(np.asarray(parts[0].value)[index])
    is_first = isinstance(index, tuple) and bool(index) and isinstance(index[-1], int)
    if parts[0].starts_alike and is_first and index[-1] == 0:
        return Terms()
    return parts[0]


def _sign(value: Any) -> int:
    """Return the sign of constants, or 0 where they have several or are not known."""
    array = np.asarray(0.0 if value is None else value)
    if array.size == 0 or array.dtype.kind not in "biuf":
        return 0
    return int(bool((array > 0).all())) - int(bool((array < 0).all()))
