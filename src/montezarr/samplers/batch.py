"""A block of 1024 paths at a time: ``sample_paths(n, T, x0, rng)``, and functions of n."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import show, type_error
from montezarr.core.tunables.memory import COMPARED_PATHS_AT_ONCE
from montezarr.core.tunables.scheduling import COEFFICIENT_TRIAL_PATHS
from montezarr.random.seeding import BLOCK
from montezarr.samplers import declare, events, functions
from montezarr.samplers._base import Sampler, own
from montezarr.samplers._code import CodeSampler
from montezarr.samplers.drawing import private
from montezarr.samplers.encode import encode
from montezarr.samplers.interfaces import Interface, accepts
from montezarr.samplers.policy import take_paths
from montezarr.samplers.probe import check_repeats, no_global_stream, probe_first_paths
from montezarr.samplers.returned import (
    ReturnedVariable,
    ReturnedVariables,
    attributes_of,
    coords_of,
    is_xarray,
    unpack_returned,
)
from montezarr.samplers.schema import PATH, Asked, PathArrays, Variable, count_of


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSampler(CodeSampler):
    """Sampler for a method or function that returns a block of paths along the first axis."""

    interfaces: ClassVar[Mapping[str, Interface]] = {
        "sample_paths": Interface(
            text="sample_paths(n, T, x0, rng), a block of paths at a time",
            method="sample_paths",
            order=("n", "T", "x0"),
            unit=BLOCK,
            is_vectorised=True,
            stream="blocks",
        ),
        "block function": Interface(
            text="a function of n and what else it asks for by name, a block of paths at a time",
            unit=BLOCK,
            is_vectorised=True,
            stream="blocks",
        ),
    }

    @classmethod
    def offered(cls, target: Any, options: Mapping[str, Any], legacy: bool) -> str | None:
        """Return the name of the interface that a process or function offers."""
        if callable(getattr(target, "sample_paths", None)):
            if not accepts(target.sample_paths, "rng"):
                raise type_error("process", "sample_paths(n, T, x0, rng) with an rng", target)
            return "sample_paths"
        if callable(getattr(target, "sample_path", None)) or not callable(target):
            return None
        return functions.kind_of_many(target, options)

    def bind(self, declared: Asked) -> Sampler:
        """Return the sampler with the variables that the first path of its first block declares."""
        first_x0 = declared.first_x0
        with no_global_stream(self):
            n = 0 if first_x0 is None else first_x0.shape[-1]
            initial = self.block_x0(first_x0, 0, n, 0)
            has_rows = bool(declared.max_events) or any(
                own[:1] and own[0] in declared.events for own in declared.dims.values()
            )
            value, parts, times = self.block(0, initial, declared.names, has_rows)
            told = self.read(0, self.x0, coords_of, value)
            attributes = attributes_of(value)
            # Copies, since the sampler may return a buffer that it reuses.
            parts = {k: part._replace(array=np.array(part.array)) for k, part in parts.items()}
            del value  # a block of long paths is large
            dims = self._events(declared, parts)
            parts = events.block_events(self, parts, dims, 0, self.x0) if dims else parts
            self._check_times(parts, declared)
            alone = {k: part.row(0) for k, part in parts.items()}
            alone = declare.oriented(declared, alone)
            alone = events.named(self, declared, alone, None, lambda: None)
            bound: Sampler = declare.with_grid(self, declared, alone)
            bound = replace(bound, variables=declare.declared_variables(bound, declared, alone))
            longest = {dims[k]: part.longest for k, part in parts.items() if k in dims}
            bound = bound.with_rooms({d: declared.room(d) or n for d, n in longest.items()})
            bound = declare.with_times(bound, declared, times, lambda: times)
            bound = declare.labelled(bound, declared, told, attributes)
            assert isinstance(bound, BatchSampler)
            check_block(bound.with_rooms(longest), parts, first_x0)
        return bound

    def _events(self, declared: Asked, parts: ReturnedVariables) -> dict[str, str]:
        """Return the dimension of events by variable of the first block."""
        rows = {k: p._replace(array=p.array[0], dims=p.dims) for k, p in parts.items()}
        rows = {k: p for k, p in rows.items() if p.array.ndim}
        return events.declared_dims(
            declared, events.named(self, declared, rows, None, lambda: None)
        )

    def _check_times(self, parts: ReturnedVariables, declared: Asked) -> None:
        """Raise if a second axis without a name is not that of the times."""
        length = self.grid.T + 1
        for name, part in parts.items():
            is_named = part.dims is not None or name in declared.dims or declared.free_length
            is_named |= part.counts is not None
            if not is_named and part.array.ndim > 1 and part.array.shape[1] != length:
                expected = f"expected {(BLOCK, length)}"
                message = f"{self._what()} returned shape {part.array.shape}, {expected}."
                raise self.failure(0, self.x0, message)

    @classmethod
    def examples(cls) -> tuple[tuple[Any, Mapping[str, Any]], ...]:
        """Return an object, and a function of n."""
        return (_Walks(), {"T": 5, "x0": 1.0}), (_several, {"T": 4, "dt": 0.25})

    @classmethod
    def fragile(cls) -> tuple[Any, Mapping[str, Any]]:
        """Return a function of n."""
        return _fragile, {"T": 5}

    def draw(self, start: int, stop: int, x0: Any) -> PathArrays:
        """Return the kept times of paths start ... stop-1, sliced from whole blocks."""
        out = self.new_arrays(stop - start)
        names = tuple(variable.name for variable in self.returned)
        dims = events.event_dims(self.variables)
        for block in range(start // BLOCK, -(-stop // BLOCK)):
            first = block * BLOCK
            low, high = max(first, start), min(first + BLOCK, stop)
            initial = self.block_x0(x0, start, stop, first)
            value, parts, times = self.block(block, initial, names, bool(dims))
            self.check_labels(value, first, initial)
            del value
            if self.own_times and (times is None or not np.array_equal(times, self.grid.times)):
                message = f"returned times {show(times)}, other ones than the first block."
                raise self.failure(first, initial, message)
            parts = events.block_events(self, parts, dims, first, initial) if dims else parts
            self.check_names(parts, first, initial)
            inside = slice(low - start, high - start)
            if dims:  # paths outside of the range may have any length
                parts = {k: part.rows(low - first, high - first) for k, part in parts.items()}
                first = low
                for name, array in events.block_numbers(self, parts, first, initial).items():
                    out[name][inside] = array
            for variable in self.returned:
                # A block of long paths is large: free each variable as soon as it is copied.
                array = self.encoded(variable, parts.pop(variable.name), first, initial)
                kept = self.thin(variable, np.moveaxis(array[low - first : high - first], 0, -1))
                out[variable.name][..., inside] = kept
        return out

    def block_x0(self, x0: Any, start: int, stop: int, first: int) -> Any:
        """Return the initial states of the block from path `first` on; x0 is of start ... stop-1.

        A block is always drawn whole, so that its stream is used in the same way: paths outside the
        range get the initial state of the nearest path inside. So chunks and `replay` pass ranges
        that begin at a block and end with a block or with the last path.
        """
        if x0 is None:
            return self.given_x0(None)
        inside = np.clip(np.arange(first, first + BLOCK), start, stop - 1) - start
        return self.given_x0(x0[..., inside])

    def given_x0(self, x0: Any) -> Any:
        """Return a copy of initial states for the sampler, which may write into them."""
        if x0 is None:
            return self.common_x0()
        names = x0.dtype.names
        return x0.copy() if names is None else own({name: x0[name].copy() for name in names})

    def block(
        self, block: int, x0: Any, names: tuple[str, ...], has_rows: bool = False
    ) -> tuple[Any, ReturnedVariables, Any]:
        """Draw a block; return the returned value, its variables (1024, ...), and its times.

        With `has_rows`, a variable may be a list of arrays of any length; see `unpack_returned`.
        """
        path = block * BLOCK
        where = f"in its block of {BLOCK} paths: "

        value = self.attempt(partial(self.drawn, block, BLOCK, x0), path, x0, where)
        if not is_xarray(value) and hasattr(value, "states") and hasattr(value, "times"):
            message = "returned an object with times; a block has arrays, the paths first."
            raise self.failure(path, x0, message)
        parts, times = self.read(path, x0, unpack_returned, value, names, has_rows)
        leading = {name: self._leading(name, part, path, x0) for name, part in parts.items()}
        return value, leading, times

    def drawn(self, block: int, n: int, x0: Any) -> Any:
        """Call the user's code for `n` paths on the stream of a block."""
        own = self.context.of(block * BLOCK, block * BLOCK + n)
        if self.kind == "sample_paths":
            rng = self.seed.block_generator(block)
            options = {**self.options, **own}
            return self.target.sample_paths(n, self.grid.T, x0, rng=rng, **options)
        fixed = {"n": n, **functions.given(self)}
        streams = {"rng": self.seed.block_generator, "seed": self.seed.block_seed}
        asked = {name: stream for name, stream in streams.items() if name in (self.asks or ())}
        return functions.calling(self, fixed, asked)(block, x0, own)

    def _leading(self, name: str, part: ReturnedVariable, path: int, x0: Any) -> ReturnedVariable:
        """Return a variable of a block with the paths first, and dims without that of the paths."""
        array, dims = part.array, part.dims
        if dims is not None and PATH in dims:
            axis = dims.index(PATH)
            array, dims = np.moveaxis(array, axis, 0), (*dims[:axis], *dims[axis + 1 :])
        elif dims is not None and array.shape == (BLOCK, self.grid.T + 1):
            dims = None  # treated as a plain array of that shape
        elif dims is not None:
            message = f"{name}: returned dimensions {dims}, expected {PATH!r} among them."
            raise self.failure(path, x0, message)
        if array.ndim == 0 or array.shape[0] != BLOCK:
            expected = f"({BLOCK}, {self.grid.T + 1}), the paths first"
            message = f"{self._what()} returned shape {array.shape}, expected {expected}."
            if not self.interface.method:
                message += " Its n is the number of paths of a block: rename it if it is another."
            raise self.failure(path, x0, message)
        return part._replace(array=array, dims=dims, is_plain=False)

    def encoded(
        self, variable: Variable, part: ReturnedVariable, path: int, x0: Any
    ) -> NDArray[Any]:
        """Return a variable (paths, dims ...) of a block that begins with `path`, encoded."""
        shape = variable.shape(self.grid.T + 1)
        array = self.in_order(variable, part, path, x0, lead=1)
        if variable.has_events:
            return events.encoded_rows(self, variable, part._replace(array=array), path, x0)
        if array.shape[1:] != shape:
            if array.shape[1:] == () and shape == (1,):
                array = array[:, np.newaxis]
            else:
                expected = f"{(len(array), *shape)}"
                message = f"{self._what()} returned shape {array.shape}, expected {expected}."
                raise self.failure(path, x0, message)
        return encode(self, variable, array, path, x0)

    def arranged(self, parts: ReturnedVariables, path: int, x0: Any) -> PathArrays:
        """Return the kept times of the variables of a block, with the paths last."""
        self.check_names(parts, path, x0)
        out = events.block_numbers(self, parts, path, x0) if self.has_events else {}
        for variable in self.returned:
            array = self.encoded(variable, parts[variable.name], path, x0)
            out[variable.name] = self.thin(variable, np.moveaxis(array, 0, -1))
        return out

    def _what(self) -> str:
        return self.interface.method or "the function"


class _Walks:
    def sample_paths(self, n: int, T: int, x0: Any, rng: Any) -> Any:
        return np.reshape(x0, (-1, 1)) + rng.standard_normal((n, T + 1)).cumsum(axis=1)


def _several(n: int, T: int, dt: float, rng: Any) -> Any:
    jumps = rng.poisson(dt, (n, T + 1))
    return {"jumps": jumps, "total": jumps.sum(axis=1)}


def _fragile(n: int, T: int, rng: Any, limit: float, ceiling: float) -> Any:
    x = rng.standard_normal((n, T + 1))
    if x.max() > limit:
        raise ValueError("above the limit")
    x[x.max(axis=1) > ceiling, -1] = np.inf
    return x


def check_block(sampler: BatchSampler, parts: ReturnedVariables, first_x0: Any) -> None:
    """Raise if a block differs when it is drawn again, or is transposed."""
    paths = probe_first_paths(sampler, first_x0, BLOCK)
    for low in range(0, count_of(paths), COMPARED_PATHS_AT_ONCE):  # a block of long paths is large
        high = min(low + COMPARED_PATHS_AT_ONCE, count_of(paths))
        some = {name: part.rows(low, high) for name, part in parts.items()}
        again = sampler.arranged(some, low, sampler.state_at_start(first_x0, low))
        check_repeats(sampler, again, take_paths(paths, low, high))
    if sampler.grid.T + 1 == BLOCK:  # a block of another size shows which axis is that of the paths
        _check_other_size(sampler, first_x0)


def _check_other_size(sampler: BatchSampler, first_x0: Any) -> None:
    given = None if first_x0 is None else first_x0[..., :COEFFICIENT_TRIAL_PATHS]
    count = COEFFICIENT_TRIAL_PATHS if given is None else given.shape[-1]
    try:
        drawn = private(sampler)
        assert isinstance(drawn, BatchSampler)
        parts = unpack_returned(drawn.drawn(0, count, sampler.given_x0(given)))[0]
    except Exception:  # the sampler supports blocks of one size alone
        return
    wrong = (BLOCK, count)
    if any(part.dims is None and part.array.shape[:2] == wrong for part in parts.values()):
        message = (
            f"sample_paths returned shape {wrong} for {count} paths, expected"
            f" {wrong[::-1]}, the paths first."
        )
        raise sampler.failure(0, sampler.state_at_start(first_x0, 0), message)
