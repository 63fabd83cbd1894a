"""Kinds 3 to 5, one path at a time: ``sample_path``, functions, and code on global np.random."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr._checks import show
from montezarr.errors import ArgumentValueError, SamplerError
from montezarr.sampling._base import EVENT_TIME, Rows, Sampling, describe_error
from montezarr.sampling.convert import cast, encode, parts_of, unpack

_global_state = threading.Lock()


def draw(sampling: Sampling, start: int, stop: int, x0: Any) -> Rows:
    """Return the rows of paths start ... stop-1."""
    out = sampling.new_rows(stop - start)
    function = caller(sampling)
    times = sampling.grid.times if sampling.own_times else None
    shape, dtype = (sampling.grid.T + 1,), sampling.dtype
    keep = slice(None) if sampling.keep is None else list(sampling.keep)
    is_plain = len(sampling.variables) == 1 and sampling.variables[0].labels is None
    is_plain = is_plain and times is None and not (dtype.kind in "iu" and sampling.may_mask)
    for path in range(start, stop):
        initial = sampling.state_at_start(x0, path - start)
        value = sampling.attempt(partial(function, path, initial), path, initial)
        # What needs no conversion is most of what there is, and takes a third of the time so.
        if is_plain and type(value) is np.ndarray and value.dtype == dtype and value.shape == shape:
            out[0, :, path - start] = value[keep]
            continue
        states, own = _read(sampling, path, initial, unpack, value)
        if times is not None and (own is None or not np.array_equal(own, times)):
            message = f"returned times {show(own)}, other ones than the first path."
            raise sampling.failure(path, initial, message)
        rows = _read(sampling, path, initial, arrange, sampling, states, own, path, initial)
        if sampling.grid.T == 0:
            _check_digits(sampling, value, path, initial)
        out[..., path - start] = sampling.thin(rows[..., None])[..., 0]
    return out


def _check_digits(sampling: Sampling, value: Any, path: int, x0: Any) -> None:
    """Raise for a plain integer that is not among the real numbers that plain numbers become."""
    parts = parts_of(value)
    for variable in sampling.variables:
        part = parts.get(variable.name)
        if variable.dtype != "float64" or not isinstance(part, int) or abs(part) <= 2**53:
            continue
        rounded = cast(np.array([part], object), np.float64)
        if rounded is None or rounded.item() != part:
            message = (
                f"{variable.name}: expected a number that float64 holds, got {show(part)}."
                " Pass dtype='int64' if that does, or return float(x)."
            )
            raise sampling.failure(path, x0, message)


def call(
    sampling: Sampling, function: Callable[[int, Any], Any], path: int, x0: Any
) -> tuple[dict[str, NDArray[Any]], NDArray[Any] | None, frozenset[str]]:
    """Return what the sampler returns for a path: its variables by name, and its times if any.

    Also the names of the variables of which it is one plain Python number: they say no dtype.
    """
    value = sampling.attempt(lambda: function(path, x0), path, x0)
    states, times = _read(sampling, path, x0, unpack, value)
    parts = parts_of(value)
    return states, times, frozenset(str(name) for name in parts if _is_plain(parts[name]))


def _is_plain(value: Any) -> bool:
    """Return whether a value is one number of Python, which may be whole by chance."""
    return isinstance(value, (int, float)) and not isinstance(value, np.generic)


def _read(
    sampling: Sampling, path: int, x0: Any, function: Callable[..., Any], *arguments: Any
) -> Any:
    """Return what a function reads of a path, or raise the failure of the path: it may be anything.

    Where it is returned as it is, an error would have no path, and no policy would know of it.
    """
    try:
        return function(*arguments)
    except SamplerError:
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, ArgumentValueError) else describe_error(error)
        raise sampling.failure(path, x0, reason) from None


def arrange(
    sampling: Sampling, states: Mapping[str, Any], times: Any, path: int, x0: Any
) -> NDArray[Any]:
    """Return the variables of one path as rows (variables, T+1), labels as their codes."""
    variables = sampling.variables
    if any(variable.name == EVENT_TIME for variable in variables) and times is not None:
        states = {**states, EVENT_TIME: times}
    names = [variable.name for variable in variables]
    if set(states) != set(names):
        raise sampling.failure(path, x0, f"returned {sorted(states)}, expected {names}.")
    rows = np.empty((len(names), sampling.grid.T + 1), sampling.dtype)
    for row, variable in zip(rows, variables, strict=True):
        array = states[variable.name]
        if array.shape != row.shape:
            message = f"returned {array.size} states, expected T+1 = {row.size}."
            raise sampling.failure(path, x0, message)
        row[:] = encode(sampling, variable, array, path, x0)
    return rows


def caller(sampling: Sampling) -> Callable[[int, Any], Any]:
    """Return the function (path, x0) that draws one path of any scalar kind."""
    target, seed, T = sampling.target, sampling.seed, sampling.grid.T
    options = dict(sampling.options)
    if sampling.kind == "sample_path":
        keyword = "rng" if accepts(target.sample_path, "rng") else "seed"
        stream = seed.path_generator if keyword == "rng" else seed.path_seed

        def method(path: int, x0: Any) -> Any:
            return target.sample_path(T, x0, **{keyword: stream(path)}, **options)

        return method
    if sampling.kind == "legacy":

        def legacy(path: int, x0: Any) -> Any:
            with _global_state:  # one path at a time: there is one global state per process
                before = np.random.get_state()
                np.random.seed(seed.path_sequence(path).generate_state(624))
                try:
                    return target.sample_path(T, x0, **options)
                finally:
                    np.random.set_state(before)

        return legacy
    stream = seed.path_generator if sampling.kind == "rng" else seed.path_seed
    parameters = [p for p in signature(target).parameters.values() if p.name not in options]
    offered = (sampling.kind, "T", "x0")
    asked = [p for p in parameters if p.name in offered]
    # By position where that is possible, as compiled functions have it.
    in_order = not options and [p.name for p in asked] == [p.name for p in parameters[: len(asked)]]
    in_order = in_order and all(p.kind is not p.KEYWORD_ONLY for p in asked)
    places = [offered.index(p.name) for p in asked]
    # Without an x0 the function's own default counts, if it has one.
    has_x0 = any(p.name == "x0" and p.default is not p.empty for p in asked)

    def function(path: int, x0: Any) -> Any:
        values = (stream(path), T, x0)
        leave_out = 2 if x0 is None and has_x0 else None
        if in_order and leave_out is None:
            return target(*[values[place] for place in places])
        given = {offered[place]: values[place] for place in places if place != leave_out}
        return target(**given, **options)

    return function


def compiled_from(function: Any) -> Any:
    """Return the Python function that Numba compiled, or `function` itself."""
    is_compiled = type(function).__module__.startswith("numba.")
    return getattr(function, "py_func", function) if is_compiled else function


def signature(function: Any) -> inspect.Signature:
    """Return the signature of a Python or Numba-compiled function."""
    return inspect.signature(compiled_from(function))


def accepts(function: Any, keyword: str, *, by_name: bool = False) -> bool:
    """Return whether a function takes `keyword`, by name or (unless `by_name`) through ``**``."""
    try:
        parameters = signature(function).parameters
    except (TypeError, ValueError):  # written in C, and without a signature
        return False
    if keyword in parameters:
        return True
    kinds = [parameter.kind for parameter in parameters.values()]
    return not by_name and inspect.Parameter.VAR_KEYWORD in kinds
