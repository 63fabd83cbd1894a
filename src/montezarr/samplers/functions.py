"""Arguments of functions: those of the run that they ask for by name, and the caller's options."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import show, type_error, value_error
from montezarr.core.errors import ArgumentValueError
from montezarr.random.path_streams import path_generators
from montezarr.samplers._base import Sampler
from montezarr.samplers.interfaces import named_parameters, signature

OFFERED = ("rng", "seed", "n", "T", "dt", "times", "x0")
"""Names of the arguments that a function may ask for, besides its options."""

OUT = "out"
"""Argument without a default that a function of one path gets: the array that it fills."""

BY_STREAM = {"rng", "seed", "T", "x0"}
"""Arguments of the older interfaces "rng" and "seed"."""


STREAM_KINDS = ("rng", "seed")
"""Names of these older interfaces."""


PathFunction = Callable[..., Any]
"""A function (number of the stream, x0, own parameters by name) that draws a path or a block."""

NONE: Mapping[str, Any] = MappingProxyType({})
"""No parameters of its own."""


def kind_of_one(target: Any, options: Mapping[str, Any]) -> str | None:
    """Return the interface of a function that returns one path.

    Raises
    ------
    ArgumentTypeError
        If it asks for no stream.
    """
    asked = asks_of(target, options)
    if "n" in asked:
        return None
    check_random_argument(target, asked)
    return kind_of(asked)


def kind_of_many(target: Any, options: Mapping[str, Any]) -> str | None:
    """Return the interface of a function that returns a block of paths."""
    asked = asks_of(target, options)
    if "n" not in asked:
        return None
    check_random_argument(target, asked)
    return "block function"


def asks_of(target: Any, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the offered arguments that a function takes by name, without the caller's options."""
    named = named_parameters(target)
    asked = tuple(name for name in OFFERED if name in named and name not in options)
    if OUT in named and OUT not in options and "n" not in asked:
        default = signature(target).parameters[OUT].default
        asked += (OUT,) if default is inspect.Parameter.empty else ()
    if {"rng", "seed"} <= set(asked):
        default = signature(target).parameters["seed"].default
        if default is not inspect.Parameter.empty:  # a seed of its own, besides the rng
            return tuple(name for name in asked if name != "seed")
    return asked


def kind_of(asked: tuple[str, ...]) -> str:
    """Return the interface of a function that returns one path, by the arguments it asks for."""
    if set(asked) <= BY_STREAM and not {"rng", "seed"} <= set(asked):
        return "rng" if "rng" in asked else "seed"
    return "function"


def check_random_argument(target: Any, asked: tuple[str, ...]) -> None:
    """Raise for a function that takes no random numbers."""
    if not {"rng", "seed"} & set(asked):
        raise type_error(
            "process", "a function with a parameter named rng or seed", target, "Rename it."
        )


def resolved(
    target: Any, options: Mapping[str, Any], *, has_dt: bool, has_times: bool, dt: Any
) -> tuple[str, ...]:
    """Return the arguments that a function gets by name; its defaults apply unless replaced.

    Raises
    ------
    ArgumentValueError
        If it asks for an argument that the run cannot provide.
    """
    parameters = signature(target).parameters
    asked = list(asks_of(target, options))
    for name, is_given in (("dt", has_dt), ("times", has_dt or has_times)):
        has_default = name in asked and parameters[name].default is not inspect.Parameter.empty
        if has_default and not is_given:
            asked.remove(name)
    if "dt" in asked and dt is None:
        if parameters["dt"].default is inspect.Parameter.empty:
            raise value_error(
                "process", f"a function that asks for {_listed()}, or for its own options",
                "dt", "There is no dt where times= gives the grid: ask for times.",
            )  # fmt: skip
        asked.remove("dt")
    check_parameters(target, options, (*OFFERED, *asked))
    return tuple(asked)


def check_parameters(
    target: Any, options: Mapping[str, Any], offered: tuple[str, ...] = OFFERED
) -> None:
    """Raise if a function requires an argument that it does not get.

    Raises
    ------
    ArgumentValueError
        Names the argument, and those that are offered.
    """
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for name, parameter in signature(target).parameters.items():
        is_needed = parameter.default is parameter.empty and parameter.kind not in kinds
        if is_needed and name not in options and name not in offered:
            raise value_error(
                "process", f"a function that asks for {_listed()}, or for options that are passed",
                name, f"Pass {name}= to simulate, or give it a default.",
            )  # fmt: skip


def by_stream(sampler: Sampler) -> PathFunction:
    """Return the function (path, x0, own parameters) of the interfaces "rng" and "seed"."""
    target, seed, T = sampler.target, sampler.seed, sampler.grid.T
    options = dict(sampler.options)
    stream = path_generators(seed) if sampler.kind == "rng" else seed.path_seed
    parameters = [p for p in signature(target).parameters.values() if p.name not in options]
    offered = (sampler.kind, "T", "x0")
    asked = [p for p in parameters if p.name in offered]
    # By position if possible, as is usual for compiled functions.
    in_order = not options and [p.name for p in asked] == [p.name for p in parameters[: len(asked)]]
    in_order = in_order and all(p.kind is not p.KEYWORD_ONLY for p in asked)
    places = [offered.index(p.name) for p in asked]
    # Without an x0 the function's own default applies, if it has one.
    has_x0 = any(p.name == "x0" and p.default is not p.empty for p in asked)

    def function(path: int, x0: Any, own: Mapping[str, Any] = NONE) -> Any:
        values = (stream(path), T, x0)
        leave_out = 2 if x0 is None and has_x0 else None
        if in_order and leave_out is None:
            return target(*[values[place] for place in places], **own)
        given = {offered[place]: values[place] for place in places if place != leave_out}
        return target(**given, **options, **own)

    return function


def by_name(sampler: Sampler) -> PathFunction:
    """Return the function (path, x0, own parameters) of the interface "function"."""
    seed, fixed = sampler.seed, given(sampler)
    streams: dict[str, Callable[[int], Any]] = {
        name: stream
        for name, stream in (("rng", path_generators(seed)), ("seed", seed.path_seed))
        if name in (sampler.asks or ())
    }
    return calling(sampler, fixed, streams)


def given(sampler: Sampler) -> dict[str, Any]:
    """Return the arguments by name that are the same for every path."""
    times = sampler.grid.times
    times.setflags(write=False)
    known = {"T": sampler.grid.T, "dt": sampler.grid.dt, "times": times}
    return {name: value for name, value in known.items() if name in (sampler.asks or ())}


def calling(
    sampler: Sampler, fixed: Mapping[str, Any], streams: Mapping[str, Callable[[int], Any]]
) -> PathFunction:
    """Return the function (number of the stream, x0, own parameters) that calls the target."""
    target, options = sampler.target, dict(sampler.options)
    parameters = signature(target).parameters
    asks_x0 = "x0" in (sampler.asks or ())
    # Without an x0 the function's own default applies, if it has one.
    may_lack = asks_x0 and parameters["x0"].default is not inspect.Parameter.empty
    fills = OUT in (sampler.asks or ())
    known = {*fixed, *streams, *options, *(["x0"] if asks_x0 else []), *([OUT] if fills else [])}
    places = []  # leading arguments by position, as is usual for compiled functions
    for name, parameter in parameters.items():
        if not _by_position(parameter) or name not in known or (name == "x0" and may_lack):
            break
        places.append(name)

    def function(number: int, x0: Any, own: Mapping[str, Any] = NONE) -> Any:
        values = {**fixed, **{name: stream(number) for name, stream in streams.items()}}
        if asks_x0 and not (x0 is None and may_lack):
            values["x0"] = x0
        values.update(options)
        values.update(own)
        if not fills:
            return target(*[values.pop(name) for name in places], **values)
        out = values[OUT] = empty_path(sampler)
        value = target(*[values.pop(name) for name in places], **values)
        if value is not None and value is not out:
            raise ArgumentValueError(f"returned {show(value)}, expected to fill out alone.")
        return out

    return function


def empty_path(sampler: Sampler) -> NDArray[Any]:
    """Return the array of a path for a function to fill: NaN, or zeros for whole numbers."""
    variable = sampler.variables[0]
    shape = variable.shape(sampler.grid.T + 1)
    return np.full(shape, blank_of(variable.dtype), variable.dtype)


def blank_of(dtype: str) -> float | int:
    """Return the value of what a function does not fill."""
    return math.nan if np.dtype(dtype).kind == "f" else 0


def _by_position(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)


def _listed() -> str:
    return f"{', '.join(OFFERED[:-1])} and {OFFERED[-1]}"
