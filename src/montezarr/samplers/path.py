"""Samplers of one path at a time: ``sample_path(T, x0, rng)``, and functions of rng or seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import show, type_error
from montezarr.core.stopwatch import Stopwatch
from montezarr.random.path_streams import path_generators
from montezarr.samplers import declare, events, functions
from montezarr.samplers._base import Sampler
from montezarr.samplers._code import CodeSampler
from montezarr.samplers.encode import cast, encode
from montezarr.samplers.functions import NONE
from montezarr.samplers.interfaces import Interface, accepts
from montezarr.samplers.probe import check_repeats, no_global_stream, probe_first_paths
from montezarr.samplers.returned import (
    ReturnedVariable,
    ReturnedVariables,
    attributes_of,
    coords_of,
    unpack_returned,
)
from montezarr.samplers.schema import EVENT_TIME, TIME, Asked, PathArrays, Variable


@dataclass(frozen=True, slots=True, kw_only=True)
class PathSampler(CodeSampler):
    """Sampler for a method or function that returns one path."""

    interfaces: ClassVar[Mapping[str, Interface]] = {
        "sample_path": Interface(
            text="sample_path(T, x0, rng), one path at a time",
            method="sample_path",
            order=("T", "x0"),
        ),
        "rng": Interface(text="a function of a Generator, one path at a time"),
        "seed": Interface(
            text="a function of an integer seed, one path at a time", stream="integers"
        ),
        "function": Interface(text="a function of what it asks for by name, one path at a time"),
    }

    @classmethod
    def offered(cls, target: Any, options: Mapping[str, Any], legacy: bool) -> str | None:
        """Return the name of the interface that a process or function offers."""
        if callable(getattr(target, "sample_path", None)):
            if accepts(target.sample_path, "rng", "seed"):
                return "sample_path"
            raise type_error(
                "process", "a sample_path that takes rng= or seed=", target,
                "Code on the global np.random state runs with legacy_global_rng=True.",
            )  # fmt: skip
        return functions.kind_of_one(target, options) if callable(target) else None

    def bind(self, declared: Asked) -> Sampler:
        """Return the sampler with the variables of its first path, which is drawn twice."""
        if functions.OUT in (self.asks or ()):
            self = replace(self, variables=(declare.filled_variable(declared),))
        with no_global_stream(self):
            value, parts, times = self._first(0, declared)
            others = partial(self._next_times, declared)
            parts = events.named(self, declared, parts, times, others)
            dims = events.declared_dims(declared, parts)
            parts = self.read(0, self.x0, events.cut_to_numbers, parts, dims)
            bound: Sampler = declare.with_grid(self, declared, parts)
            bound = replace(bound, variables=declare.declared_variables(bound, declared, parts))
            bound = declare.with_times(bound, declared, times, others)
            labels = self.read(0, declared.first_x0, coords_of, value)
            bound = declare.labelled(bound, declared, labels, attributes_of(value))
            assert isinstance(bound, PathSampler)
            x0 = self.state_at_start(declared.first_x0, 0)
            whole = bound.arranged(parts, times, 0, x0)
            again = {v.name: bound.thin(v, whole[v.name][..., None]) for v in bound.variables}
            watch = Stopwatch()
            check_repeats(bound, again, probe_first_paths(bound, declared.first_x0, 1))
            declared.took.append(watch.seconds())
        return bound

    def _next_times(self, declared: Asked) -> Any:
        """Return the times of the second path."""
        return self._first(1, declared)[2]

    def _first(self, path: int, declared: Asked) -> tuple[Any, ReturnedVariables, Any]:
        """Draw one of the first paths; return the returned value, its variables, and its times."""
        first_x0 = declared.first_x0
        n = 0 if first_x0 is None else first_x0.shape[-1]
        x0 = self.state_at_start(first_x0, min(path, n - 1))
        watch = Stopwatch()
        value = self.attempt(partial(self.caller(), path, x0), path, x0)
        if path == 0:
            declared.took.append(watch.seconds())
        parts, times = self.read(path, x0, unpack_returned, value, declared.names)
        return value, declare.oriented(declared, parts), times

    @classmethod
    def examples(cls) -> tuple[tuple[Any, Mapping[str, Any]], ...]:
        """Return an object, and functions of a Generator, of a seed, and of the times."""
        return (
            (_Walk(), {"T": 5, "x0": 1.0}),
            (_of_rng, {}),
            (_of_seed, {"T": 4}),
            (_of_times, {"times": [0.0, 1.0, 4.0]}),
        )

    @classmethod
    def fragile(cls) -> tuple[Any, Mapping[str, Any]]:
        """Return a function of a Generator."""
        return _fragile, {"T": 5}

    def draw(self, start: int, stop: int, x0: Any) -> PathArrays:
        """Return the kept times of paths start ... stop-1."""
        out = self.new_arrays(stop - start)
        self.fill(out, start, stop, x0)
        return out

    def fill(self, out: PathArrays, start: int, stop: int, x0: Any) -> None:
        """Write the kept times of paths start ... stop-1 into arrays."""
        function, plain = self.caller(), self._plain_variable()
        own_of = self._own_parameters(start, stop)
        times = self.grid.times if self.own_times else None
        names = tuple(v.name for v in self.returned if v.name != EVENT_TIME)
        keep: Any = slice(None) if self.keep is None else list(self.keep)
        single = any(v.shape(self.grid.T + 1) in ((), (1,)) for v in self.variables)
        if plain is not None:
            target, dtype = out[plain.name], np.dtype(plain.dtype)
            shape = plain.shape(self.grid.T + 1)
        for path in range(start, stop):
            initial = self.state_at_start(x0, path - start)
            call = partial(function, path, initial, own_of(path - start))
            value = self.attempt(call, path, initial)
            # Most paths need no conversion; this shortcut takes a third of the time.
            if (
                plain is not None
                and type(value) is np.ndarray
                and value.dtype == dtype
                and value.shape == shape
            ):
                target[..., path - start] = value[keep]
                continue
            parts, own = self.read(path, initial, unpack_returned, value, names)
            self.check_labels(value, path, initial)
            if times is not None and (own is None or not np.array_equal(own, times)):
                message = f"returned times {show(own)}, other ones than the first path."
                raise self.failure(path, initial, message)
            whole = self.read(path, initial, self.arranged, parts, own, path, initial)
            if single:
                self._check_digits(parts, path, initial)
            for variable in self.variables:
                array = whole[variable.name]
                out[variable.name][..., path - start] = self.thin(variable, array)

    def _own_parameters(self, start: int, stop: int) -> Callable[[int], Mapping[str, Any]]:
        """Return the function of a position in a range with the parameters of its path."""
        own = {name: array.tolist() for name, array in self.context.of(start, stop).items()}
        if not own:
            return lambda position: {}
        return lambda position: {name: values[position] for name, values in own.items()}

    def _plain_variable(self) -> Variable | None:
        """Return the variable of a run whose arrays need no conversion, or None."""
        variable = self.variables[0]
        is_one = len(self.variables) == 1 and variable.labels is None and not self.own_times
        at_first = variable.time_axis == 0
        masks = self.may_mask and not variable.is_real
        return variable if is_one and at_first and not masks else None

    def arranged(
        self, parts: ReturnedVariables, times: Any, path: int, x0: Any
    ) -> dict[str, NDArray[Any]]:
        """Return the variables of one path with all times, encoded; labels as codes."""
        if times is not None and any(v.name == EVENT_TIME for v in self.variables):
            parts = {**parts, EVENT_TIME: ReturnedVariable(times, None, False)}
        dims = events.event_dims(self.variables)
        parts = events.cut_to_numbers(parts, dims) if dims else parts
        self.check_names(parts, path, x0)
        out = {}
        for variable in self.returned:
            array = self._fitted(variable, parts[variable.name], path, x0)
            out[variable.name] = encode(self, variable, array, path, x0)
        return events.padded(self, out, path, x0) if dims else out

    def _fitted(
        self, variable: Variable, part: ReturnedVariable, path: int, x0: Any
    ) -> NDArray[Any]:
        """Return the values of a variable in its shape, or raise the failure of the path."""
        shape = variable.shape(self.grid.T + 1)
        array = self.in_order(variable, part, path, x0)
        if variable.has_events and array.ndim == len(shape):
            shape = (len(array), *shape[1:])
        if array.shape != shape and array.shape == () and shape == (1,):
            array = array.reshape(shape)
        if array.shape != shape:
            if len(shape) == 1 and array.ndim <= 1 and variable.time_axis == 0:
                message = f"returned {array.size} states, expected T+1 = {shape[0]}."
                message += f" Where paths differ in length: dims={{{variable.name!r}: ('event',)}}."
            else:
                message = f"{variable.name}: returned shape {array.shape}, expected {shape}."
                dim = variable.dims[0] if variable.dims else TIME
                if dim != TIME and array.shape[1:] == shape[1:] and not variable.has_events:
                    message += f" Where paths differ in length: max_events={{{dim!r}: None}}."
            raise self.failure(path, x0, message)
        return array

    def _check_digits(self, parts: ReturnedVariables, path: int, x0: Any) -> None:
        """Raise for a plain Python integer that float64 cannot represent exactly."""
        for variable in self.variables:
            part = parts.get(variable.name)
            if part is None or part.array.ndim or variable.dtype != "float64":
                continue
            number = part.array.item()
            if not isinstance(number, int) or abs(number) <= 2**53:
                continue
            rounded = cast(np.array([number], object), np.float64)
            if rounded is None or rounded.item() != number:
                message = (
                    f"{variable.name}: expected a number that float64 holds, got {show(number)}."
                    " Pass dtype='int64' if that does, or return float(x)."
                )
                raise self.failure(path, x0, message)

    def caller(self) -> functions.PathFunction:
        """Return the function (path, x0, its own parameters) that draws one path."""
        if self.interface.method:
            return self._method()
        if self.kind == "function":
            return functions.by_name(self)
        return functions.by_stream(self)

    def _method(self) -> functions.PathFunction:
        target, T, options = self.target, self.grid.T, dict(self.options)
        keyword = "rng" if accepts(target.sample_path, "rng") else "seed"
        stream = path_generators(self.seed) if keyword == "rng" else self.seed.path_seed

        def method(path: int, x0: Any, own: Mapping[str, Any] = NONE) -> Any:
            return target.sample_path(T, x0, **{keyword: stream(path)}, **options, **own)

        return method


class _Walk:
    def sample_path(self, T: int, x0: Any, rng: Any) -> Any:
        return x0 + rng.standard_normal(T + 1).cumsum()


def _of_rng(rng: Any) -> Any:
    counts = rng.poisson(3.0, 6)
    return {"counts": counts, "largest": counts.max(), "mean": float(counts.mean())}


def _of_seed(seed: int, T: int) -> Any:
    return np.random.default_rng(seed).random((T + 1, 2))


def _of_times(rng: Any, times: Any) -> Any:
    return times * rng.random()


def _fragile(rng: Any, T: int, limit: float, ceiling: float) -> Any:
    x = rng.standard_normal(T + 1)
    if x.max() > limit:
        raise ValueError("above the limit")
    if x.max() > ceiling:
        x[-1] = np.inf
    return x
