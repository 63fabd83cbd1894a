"""Kinds 3 to 5, one path at a time: ``sample_path``, functions, and code on global np.random."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from montezarr.errors import ArgumentValueError, SamplerError
from montezarr.sampling._base import EVENT_TIME, Rows, Sampling
from montezarr.sampling.convert import encode, unpack

_global_state = threading.Lock()


def draw(sampling: Sampling, start: int, stop: int, x0: Any) -> Rows:
    """Return the rows of paths start ... stop-1."""
    out = sampling.new_rows(stop - start)
    call = caller(sampling)
    for path in range(start, stop):
        initial = sampling.state_at_start(x0, path - start)
        out[..., path - start] = sampling.thin(_one(sampling, call, path, initial)[..., None])[
            ..., 0
        ]
    return out


def _one(sampling: Sampling, call: Callable[[int, Any], Any], path: int, x0: Any) -> Rows:
    try:
        states, times = unpack(call(path, x0))
    except (KeyboardInterrupt, SamplerError):
        raise
    except ArgumentValueError as error:
        raise sampling.failure(path, x0, str(error), error) from error
    except BaseException as error:  # also SystemExit, which would end a worker without a word
        message = f"{type(error).__name__}: {error}"
        raise sampling.failure(path, x0, message, error) from error
    if any(variable.name == EVENT_TIME for variable in sampling.variables) and times is not None:
        states[EVENT_TIME] = times
    names = [variable.name for variable in sampling.variables]
    if set(states) != set(names):
        raise sampling.failure(path, x0, f"returned {sorted(states)}, expected {names}.")
    rows = np.empty((len(names), sampling.grid.T + 1), sampling.dtype)
    for row, variable in zip(rows, sampling.variables, strict=True):
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
    # By position, as compiled functions have it; T and x0 where the function asks for them.
    parameters = [name for name in signature(target).parameters if name not in options]
    stream = seed.path_generator if sampling.kind == "rng" else seed.path_seed

    def function(path: int, x0: Any) -> Any:
        values = {sampling.kind: stream(path), "T": T, "x0": x0}
        chosen = {name: values[name] for name in parameters if name in values}
        if options or list(chosen) != parameters:
            return target(**chosen, **options)
        return target(*chosen.values())

    return function


def signature(function: Any) -> inspect.Signature:
    """Return the signature of a Python or Numba-compiled function."""
    return inspect.signature(getattr(function, "py_func", function))


def accepts(function: Any, keyword: str, *, by_name: bool = False) -> bool:
    """Return whether a function takes `keyword`, by name or (unless `by_name`) through ``**``."""
    parameters = signature(function).parameters
    if keyword in parameters:
        return True
    kinds = [parameter.kind for parameter in parameters.values()]
    return not by_name and inspect.Parameter.VAR_KEYWORD in kinds
