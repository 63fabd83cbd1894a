"""The arguments of a compiled loop: how it calls the function for each path, and what it fills."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.compat.numba import may_run_in_a_loop, releases_gil
from montezarr.core.compat.numpy import state_views
from montezarr.random.path_streams import is_as_numpy, prefix_of
from montezarr.samplers import _path_loop
from montezarr.samplers._base import Sampler, own
from montezarr.samplers.functions import OUT, blank_of, empty_path, given
from montezarr.samplers.interfaces import accepts, is_compiled, signature
from montezarr.samplers.schema import EVENT_TIME, PathArrays, Variable

TILE_BYTES, TILE_MIN, TILE_MAX = 2**17, 8, 128
"""Paths whose values wait in rows until they are written side by side, by their bytes.

They fill a part of the second-level cache, and lines of memory are written whole.
"""

PAD = 8
"""Further columns of these rows, so that they lie in other sets of the cache."""

COPIED_BYTES = 2**20
"""Bytes of options that each range gets copies of, since functions may use them as memory."""

NUMBERS = (bool, int, float, np.bool_, np.integer, np.floating)


class NotInALoop(Exception):
    """A function, or a value, that compiled code cannot take."""


@dataclass
class LoopCall:
    """A call of the loop of a function on a range of paths.

    Attributes
    ----------
    loop : Loop
        The loop, which may not be compiled yet.
    text : str
        Its source.
    target : object
        What ``target`` is there.
    nogil : bool
        Whether it releases the GIL.
    """

    loop: _path_loop.Loop
    text: str
    target: Any
    nogil: bool
    before: tuple[Any, ...]
    after: tuple[Any, ...]
    done: NDArray[np.int64]

    def run(self, low: int, high: int) -> None:
        """Draw the paths at the positions low ... high-1 of the range."""
        self.loop.function(*self.before, low, high, *self.after)

    def compile(self) -> None:
        """Compile the loop, if Numba can."""
        empty = (*self.before, 0, 0, *self.after)
        found = _path_loop.compiled(self.text, self.target, empty, self.nogil)
        self.loop.function, self.loop.is_tried = found, True


def loop_call(sampler: Sampler, start: int, stop: int, x0: Any, out: PathArrays) -> LoopCall | None:
    """Return the call that draws paths start ... stop-1 into arrays; None if there is none."""
    if not may_have_loop(sampler) or not is_as_numpy(sampler.seed):
        return None
    stream = _stream()
    if stream is None:
        return None
    try:
        call = _Call(sampler)
        call.add_arguments(start, stop, x0)
        places, values = [], []
        shortest = TILE_MAX
        for variable in sampler.variables:
            shape = variable.shape(sampler.grid.T + 1)
            size = int(np.prod(shape, dtype=np.int64))
            width = size * np.dtype(variable.dtype).itemsize
            shortest = min(shortest, max(TILE_MIN, TILE_BYTES // max(1, width)))
            kept = sampler.thin(variable, np.arange(size).reshape(*shape, 1))
            array = out[variable.name]
            places.append((variable, shape, size, kept.ravel(), array.reshape(-1, stop - start)))
            values.append(_value_of(sampler, variable.name))
        arrays = [
            part
            for variable, shape, size, chosen, array in places
            for part in (np.empty((size, shortest + PAD), variable.dtype), chosen, array, shape)
        ]
        puts = _puts_of_events(sampler.variables, values, call)
        text = _path_loop.text_of(call.lines, tuple(call.names), tuple(values), puts)
        prefix = prefix_of(sampler.seed)
        done = np.ones(3, np.int64)
        before = (*stream, prefix.pool, np.uint64(prefix.constant), start)
        after = (shortest, done, *call.values, *arrays)
        key = text, call.nogil, tuple(map(_kind_of, (*call.values, *arrays)))
    except NotInALoop:
        return None
    loop = _path_loop.loop_of(call.target, key)
    return LoopCall(loop, text, call.target, call.nogil, before, after, done)


def _value_of(sampler: Sampler, name: str) -> str:
    """Return the expression of a variable in the loop, by what the function returns."""
    if sampler.has_events:
        return f"part_of(value, {name!r})"
    return "value" if name == "x" and len(sampler.variables) == 1 else f"value.{name}"


def _puts_of_events(
    variables: tuple[Variable, ...], values: list[str], call: _Call
) -> dict[int, str]:
    """Return the lines that put events, and their numbers, by position of the variable."""
    puts: dict[int, str] = {}
    firsts: dict[str, int] = {}
    numbers = {v.event_dim: v.name for v in variables if v.derived}
    for k, variable in enumerate(variables):
        dim = str(variable.event_dim)
        if variable.has_events:
            blank = call.added(np.dtype(variable.dtype).type(variable.masked))
            told = {"number": numbers[dim], "blank": blank, "cuts": call.added(variable.cuts)}
            puts[k] = _path_loop.PUT_EVENTS.format(k=k, value=values[k], **told)
            first = firsts.setdefault(dim, k)
            puts[k] += _path_loop.SAME_LENGTH.format(k=k, first=first) if first != k else ""
        elif variable.derived and variable.event_dim is None:
            cut = " or ".join(f"length{first} > shape{first}[0]" for first in firsts.values())
            puts[k] = _path_loop.NUMBER.format(k=k, number=cut)
        elif variable.derived:
            first = firsts[dim]
            number = f"min(length{first}, shape{first}[0])"
            puts[k] = _path_loop.NUMBER.format(k=k, number=number)
    return puts


def _stream() -> tuple[Any, ...] | None:
    """Return the Generator of a thread, and views of its state; None where this is unknown."""
    if not hasattr(_of_thread, "stream"):
        bits = np.random.PCG64(0)
        views = state_views(bits)
        _of_thread.stream = None if views is None else (np.random.Generator(bits), *views)
    found: tuple[Any, ...] | None = _of_thread.stream
    return found


_of_thread = threading.local()


def may_have_loop(sampler: Sampler) -> bool:
    """Return whether nothing is known that keeps compiled code from calling the function."""
    if any(v.labels is not None for v in sampler.variables):
        return False
    if any(v.name == EVENT_TIME and not v.has_events for v in sampler.variables):
        return False
    if sampler.own_times or "seed" in (sampler.asks or ()) or sampler.kind == "seed":
        return False
    if len(sampler.variables) > 1 and not all(v.name.isidentifier() for v in sampler.variables):
        return False
    function = sampler.interface.function_of(sampler.target)
    if not accepts(function, "rng"):
        return False
    return may_run_in_a_loop(_unbound(function))


def frees_gil(sampler: Sampler) -> bool:
    """Return whether the loop of a function releases the GIL, if there is one."""
    if not may_have_loop(sampler):
        return False
    function = _unbound(sampler.interface.function_of(sampler.target))
    return releases_gil(function) or not any(map(_is_large, sampler.options.values()))


def compiled_method(target: Any, name: str) -> bool:
    """Return whether Numba compiled a method of an object."""
    method = getattr(target, name, None)
    return method is not None and is_compiled(_unbound(method))


def _unbound(function: Any) -> Any:
    return getattr(function, "__func__", function)


@dataclass
class _Call:
    """How a loop calls the function of a sampler: the text, and the arguments of the loop in it."""

    sampler: Sampler
    parts: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    target: Any = None
    nogil: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)
    filled: tuple[str, str] | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines of the loop that call the function, and name what is its value."""
        call = f"target({', '.join(self.parts)})"
        if self.filled is None:
            return (f"value = {call}",)
        place, blank = self.filled
        return f"{place}.fill({blank})", f"no_value({call})", f"value = {place}"

    def add_arguments(self, start: int, stop: int, x0: Any) -> None:
        """Add all arguments, by name where the interface names them."""
        sampler = self.sampler
        function = sampler.interface.function_of(sampler.target)
        if not sampler.interface.method:
            self.parameters = signature(function).parameters
        bound = getattr(function, "__self__", None)
        self.target = _unbound(function)
        if bound is not None:
            self.parts.append(self.added(bound))
        options = {**sampler.options, **dict.fromkeys(sampler.context.values)}
        for name, value in self._fixed().items():
            if sampler.interface.method:
                self.parts.append(self.added(value))
            elif name not in options:
                self.parts.append(f"{name}={self.added(value)}")
        if "x0" not in options:
            self._add_x0(x0)
        self.parts.append("rng=rng")
        if OUT in (sampler.asks or ()):
            place, blank = empty_path(sampler), blank_of(sampler.variables[0].dtype)
            self.filled = self.added(place), self.added(blank)
            self.parts.append(f"{OUT}={self.filled[0]}")
        self._add_options(start, stop)

    def _fixed(self) -> dict[str, Any]:
        """Return the arguments that are the same for every path."""
        sampler = self.sampler
        if sampler.interface.method:
            return {"T": sampler.grid.T}
        if sampler.kind == "function":
            return given(sampler)
        return {"T": sampler.grid.T} if "T" in self.parameters else {}

    def _add_x0(self, x0: Any) -> None:
        sampler = self.sampler
        label = "" if sampler.interface.method else "x0="
        if label:
            parameter = self.parameters.get("x0")
            asked = sampler.asks is None or "x0" in sampler.asks
            if parameter is None or not asked:
                return
            if x0 is None and sampler.x0 is None and parameter.default is not parameter.empty:
                return
        if x0 is None:
            name = self.added(sampler.common_x0())
            is_array = isinstance(sampler.x0, np.ndarray)
            self.parts.append(f"{label}{name}.copy()" if is_array else f"{label}{name}")
        elif x0.ndim == 1:
            self.parts.append(f"{label}{self.added(_as_python(x0))}[i]")
        else:
            _check_numbers(x0)
            self.parts.append(f"{label}{self.added(x0)}[..., i].copy()")

    def _add_options(self, start: int, stop: int) -> None:
        own_values = self.sampler.context.of(start, stop)
        function = _unbound(self.sampler.interface.function_of(self.sampler.target))
        for name, value in self.sampler.options.items():
            if name in own_values:
                continue
            if _is_large(value):
                self.nogil = self.nogil and releases_gil(function)
            else:
                value = own(value)
            self.parts.append(f"{name}={self.added(value)}")
        for name, array in own_values.items():
            self.parts.append(f"{name}={self.added(_as_python(array))}[i]")

    def added(self, value: Any) -> str:
        """Return the name of an argument with a value."""
        name = f"given{len(self.names)}"
        self.names.append(name)
        self.values.append(value)
        return name


def _arrays_in(value: Any) -> Iterator[NDArray[Any]]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _arrays_in(part)


def _is_large(value: Any) -> bool:
    """Return whether a value holds an array that a function may write to, too large to copy."""
    return sum(a.nbytes for a in _arrays_in(value) if a.flags.writeable) > COPIED_BYTES


def _check_numbers(array: NDArray[Any]) -> None:
    if array.dtype.kind not in "iufb" or not array.dtype.isnative:
        raise NotInALoop


def _as_python(array: NDArray[Any]) -> NDArray[Any]:
    """Return values of paths as Numba types the Python numbers that these would be."""
    _check_numbers(array)
    if array.dtype == np.uint64:  # a large one is of another type than a small one
        raise NotInALoop
    kind = {"f": np.float64, "b": np.bool_}.get(array.dtype.kind, np.int64)
    return np.ascontiguousarray(array, kind)


def _kind_of(value: Any) -> Any:
    """Return what the type that Numba gives a value depends on.

    Raises
    ------
    NotInALoop
        For a value of another than the usual types.
    """
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "iufbc":
            raise NotInALoop
        flags = value.flags
        is_usual = flags.writeable and flags.aligned
        return value.dtype.str, value.ndim, flags.c_contiguous, flags.f_contiguous, is_usual
    if isinstance(value, tuple):
        return (type(value), *map(_kind_of, value))
    if may_run_in_a_loop(value):
        return value
    if value is None or isinstance(value, (*NUMBERS, str)):
        return type(value)
    raise NotInALoop
