"""Bind a process or function to a sampler: choose the class, and draw the first path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from montezarr.core.checks import type_error, value_error
from montezarr.core.errors import ReplayError, SamplerError
from montezarr.processes import Process
from montezarr.processes.time_grid import TimeGrid
from montezarr.random.draws import FORMAT
from montezarr.samplers import functions
from montezarr.samplers._base import OnNonfinite, Sampler
from montezarr.samplers._code import CodeSampler
from montezarr.samplers.arguments import ADDED, unknown_argument
from montezarr.samplers.batch import BatchSampler
from montezarr.samplers.compiled import CompiledSampler
from montezarr.samplers.counter import CounterSampler
from montezarr.samplers.drawing import own_copy
from montezarr.samplers.interfaces import (
    Interface,
    accepts,
    is_compiled,
    named_parameters,
    signature,
)
from montezarr.samplers.legacy import LegacySampler
from montezarr.samplers.path import PathSampler
from montezarr.samplers.schema import Asked

SAMPLERS: tuple[type[CodeSampler], ...] = (
    CounterSampler,
    BatchSampler,
    LegacySampler,
    CompiledSampler,
    PathSampler,
)
"""All classes of samplers, in the order in which `choose` tries them."""

INTERFACES: Mapping[str, Interface] = {
    kind: interface for known in SAMPLERS for kind, interface in known.interfaces.items()
}
"""All interfaces by their names in recipes."""


OF_SEEDS = {"paths": "integers", "blocks": "integers of blocks"}
"""Streams of an interface for functions that take an integer seed and no Generator."""


def recorded_interface(recipe: Mapping[str, Any]) -> Interface:
    """Return the interface recorded in a recipe; a default one for an unknown name."""
    name = str(recipe.get("sampler", ""))
    return INTERFACES.get(name) or Interface(text=name)


def recorded_stream(recipe: Mapping[str, Any]) -> str:
    """Return the kind of stream of a recipe: runs with the same seed and kind share their noise."""
    stream, asks = recorded_interface(recipe).stream, recipe.get("asks")
    by_seed = isinstance(asks, (list, tuple)) and "seed" in asks and "rng" not in asks
    return OF_SEEDS.get(stream, stream) if by_seed else stream


def choose_sampler(
    process: Any,
    legacy: bool = False,
    options: Mapping[str, Any] | None = None,
    recorded: str | None = None,
) -> tuple[type[CodeSampler], str]:
    """Return the first class of samplers that supports a process, and the name of the interface.

    An interface that a recipe has `recorded` takes precedence if the process offers it, since newer
    rules may choose another one for the same function.

    Raises
    ------
    ArgumentTypeError
        If no class supports it, or its ``sample_path`` takes no stream and `legacy` is False.
    """
    if isinstance(process, type):
        raise type_error("process", "an instance, not a class", process, "Call it first.")
    given = {} if options is None else options
    for known in SAMPLERS:
        kind = known.offered(process, given, legacy)
        if kind is None:
            continue
        is_older = recorded in functions.STREAM_KINDS and not known.interfaces[kind].method
        if is_older and recorded in named_parameters(process):
            return CompiledSampler if is_compiled(process) else PathSampler, str(recorded)
        return known, kind
    raise type_error(
        "process",
        "one that offers " + "; or ".join(known.text for known in INTERFACES.values()),
        process,
    )


def bind(
    process: Any,
    chosen: type[CodeSampler],
    kind: str,
    *,
    T: Any,
    dt: Any,
    times: Any,
    x0: Any,
    seed: Any,
    asked: Asked,
    on_nonfinite: OnNonfinite,
    options: Mapping[str, Any],
    recorded: Mapping[str, Any] | None = None,
) -> Sampler:
    """Return `process` bound to its arguments, with the variables that the first path declares.

    `chosen` and `kind` are what `choose_sampler` returned; `recorded` is a recipe that is drawn
    again: its older rules take precedence.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments that the process does not accept.
    SamplerError
        If the first path fails.
    """
    known = {} if recorded is None else recorded
    interface = chosen.interfaces[kind]
    free = T is None and times is None
    if free and (interface.method or "T" in named_parameters(process)):
        raise value_error("T", "a number of steps, or times=", None)
    grid = TimeGrid.of(0 if free else T, dt, times)
    free_times = dt is None and times is None
    asks = _asks(process, kind, options, known, dt, times, grid)
    if kind == "function" and "asks" not in known and asks is not None:
        kind = functions.kind_of(asks)  # an older interface, if that passes all it asks for
        asks = asks if kind == "function" else None
    sampler = chosen(
        target=own_copy(process),
        kind=kind,
        grid=grid,
        seed=seed,
        x0=None if asked.per_path else own_copy(x0),
        on_nonfinite=on_nonfinite,
        options=own_copy(dict(options)),
        asks=asks,
        format=known.get("format", FORMAT) if interface.takes_ranges else 1,
    )
    if not isinstance(process, Process):
        _check_options(process, interface, options)
        _check_order(process, interface)
    try:
        return sampler.bind(replace(asked, free_length=free, free_times=free_times))
    except SamplerError as error:
        # There is no Dataset yet that `replay` could take.
        raise error.with_replay(None) from None


def _asks(
    process: Any,
    kind: str,
    options: Mapping[str, Any],
    recorded: Mapping[str, Any],
    dt: Any,
    times: Any,
    grid: TimeGrid,
) -> tuple[str, ...] | None:
    """Return the arguments that a function gets by name; None if its interface determines them."""
    if INTERFACES[kind].method:
        return None
    if kind in functions.STREAM_KINDS:
        functions.check_parameters(process, options)
        return None
    if "asks" in recorded:
        asks = recorded["asks"]
        is_known = isinstance(asks, (list, tuple)) and all(isinstance(name, str) for name in asks)
        if not is_known or not set(asks) <= named_parameters(process):
            raise ReplayError("process: not the sampler that this Dataset was simulated with.")
        return tuple(asks)
    return functions.resolved(
        process, options, has_dt=dt is not None, has_times=times is not None, dt=grid.dt
    )


def _check_options(process: Any, interface: Interface, options: Mapping[str, Any]) -> None:
    """Raise for a keyword argument that neither `simulate` nor the sampler accepts."""
    function = interface.function_of(process)
    for name, value in options.items():
        if not accepts(function, name):
            title = getattr(function, "__qualname__", "the sampler")
            raise unknown_argument(name, value, f" or of {title}")


def check_no_parameter(process: Any, interface: Interface) -> None:
    """Raise if a sampler has a parameter whose name is now an argument of `simulate`.

    Raises
    ------
    ArgumentValueError
        Since `simulate` would not pass it on; says how to rename it.
    """
    if isinstance(process, Process):
        return
    function = interface.function_of(process)
    named = named_parameters(function)
    for name in ADDED:
        if name in named:
            raise value_error(
                "process", f"a sampler without a parameter {name!r} of its own",
                getattr(function, "__qualname__", process),
                f"{name}= is an argument of simulate, which the sampler does not get: rename the"
                " parameter.",
            )  # fmt: skip


def _check_order(process: Any, interface: Interface) -> None:
    """Raise for a method whose parameters have the right names in another order."""
    method, wanted = interface.method, interface.order
    try:
        found = list(signature(getattr(process, method)).parameters) if wanted else []
    except (TypeError, ValueError):  # written in C, without a signature
        return
    placed = enumerate(found[: len(wanted)])
    if any(name in wanted and wanted.index(name) != i for i, name in placed):
        got = f"{method}({', '.join(found)})"
        raise value_error("process", f"{method}({', '.join(wanted)}, ...) in this order", got)
