"""Check the parameters that vary, and give those of the first scenario to a process."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np

from montezarr.core.checks import did_you_mean, value_error
from montezarr.core.errors import ArgumentTypeError, ArgumentValueError, SamplerError
from montezarr.processes import Process
from montezarr.processes._built_in import runs_user_code
from montezarr.random.distributions._base import Distribution
from montezarr.random.seeding import RootSeed
from montezarr.run._vary import DT, X0, PathArray, ScenarioValues, Vary
from montezarr.samplers import Interface
from montezarr.samplers.arguments import ARGUMENTS
from montezarr.samplers.functions import OFFERED
from montezarr.samplers.interfaces import accepts, named_parameters
from montezarr.samplers.schema import PATH

RESERVED = (X0, DT)
"""Parameters that are arguments of `simulate`."""


N = "n"
"""A function gets the number of paths of a block under this name, unless it is a parameter."""


def check_no_argument(vary: Vary, process: Any) -> None:
    """Raise for a parameter of code of the user that is an argument of the run.

    Raises
    ------
    ArgumentValueError
        Names it.
    """
    for name in () if isinstance(process, Process) else vary.names:
        if name in {*OFFERED, *ARGUMENTS} - {*RESERVED, N}:
            raise value_error(
                "vary", f"parameters of the process, {X0} or {DT}", name,
                f"{name} is an argument of the run: if your code means another, rename it there.",
            )  # fmt: skip


def check_parameters(
    vary: Vary,
    process: Any,
    interface: Interface,
    options: Mapping[str, Any],
    arguments: Mapping[str, Any],
) -> None:
    """Check that a process, or a function, has the parameters that vary.

    Parameters
    ----------
    arguments : dict of str to object
        The arguments x0, dt and times of `simulate`, which cannot vary too.

    Raises
    ------
    ArgumentValueError
        For an unknown parameter, with the nearest; for one that is given twice; for a value out of
        its range.
    """
    for name in vary.names:
        if name in options or (name in RESERVED and arguments[name] is not None):
            raise value_error(
                f"vary[{name!r}]", "a parameter that is not given as an argument too", name,
                f"Leave out {name}=.",
            )  # fmt: skip
    if DT in vary.names and arguments["times"] is not None:
        raise value_error("vary['dt']", "no times=, which are those of all scenarios", "times")
    for entry in vary.scenarios:
        if entry.name == DT and not (entry.values > 0).all():
            place = np.argwhere(~(entry.values > 0))[0].tolist()
            at = ", ".join(f"{dim}={k}" for dim, k in zip(entry.dims, place, strict=True))
            raise ArgumentValueError(
                f"vary[{DT!r}]: expected steps > 0, got {entry.values[tuple(place)]} at the"
                f" position {at}."
            )
    if isinstance(process, Process):
        _check_x0(vary, process)
        _check_ranges(vary, process)
        return
    function = interface.function_of(process)
    taken = {*OFFERED, *interface.order} - ({N} if not interface.method else set())
    known = sorted(named_parameters(function) - taken - {"self"})
    for name in vary.own_names:
        if not accepts(function, name) or name in taken:
            title = getattr(function, "__qualname__", "the sampler")
            expected = f"parameters of {title}: {', '.join([*known, X0, DT])}"
            raise value_error("vary", expected, name, did_you_mean(name, [*known, X0, DT]))


def _check_x0(vary: Vary, process: Process) -> None:
    """Raise where x0 varies, but not as a process of one, or of several variables has it."""
    if X0 not in vary.names:
        return
    title, names = type(process).__name__, process.state_names
    given = [entry.variable for entry in vary.scenarios if entry.name == X0]
    if len(names) > 1 and set(given) != set(names):
        raise value_error(
            f"vary[{X0!r}]", f"a mapping with an initial state for each of {', '.join(names)}",
            ", ".join(map(str, given)) if any(given) else f"one for a {title}",
            "Initial states of several variables differ from path to path by x0= alone.",
        )  # fmt: skip
    if len(names) == 1 and any(given):
        raise value_error(
            f"vary[{X0!r}]", f"one initial state, since a {title} has one variable",
            f"a mapping of {', '.join(map(str, given))}", "Leave out the mapping.",
        )  # fmt: skip


def _check_ranges(vary: Vary, process: Process) -> None:
    """Check the values of all scenarios and paths, and the ends of what is drawn."""
    entries: list[ScenarioValues | PathArray] = [*vary.scenarios, *vary.arrays]
    for entry in entries:
        if entry.name in RESERVED:
            continue
        if isinstance(entry.values, np.ndarray):
            dims = entry.dims if isinstance(entry, ScenarioValues) else (*entry.dims, PATH)
            _check_values(process, entry.name, entry.values, dims)
        else:  # lazy values are checked when a path gets them; now the name and the kind
            kind = np.float64 if entry.values.dtype.kind in "iuf" else entry.values.dtype
            process.check_values(entry.name, np.ravel(getattr(process, entry.name, 0)).astype(kind))
    for drawn in vary.drawn:
        for name, distribution in drawn.each():
            if name in RESERVED:
                continue
            for which in ("low", "high"):
                end = getattr(distribution, which)
                end = end[name] if isinstance(end, Mapping) else end
                _check_end(process, name, end, which, distribution)


def _check_values(process: Process, name: str, values: Any, dims: tuple[str, ...]) -> None:
    """Check the values of a parameter; an error has the position along each dimension."""
    try:
        process.check_values(name, values.ravel())
    except (ArgumentTypeError, ArgumentValueError) as error:
        found = PLACED.fullmatch(str(error))
        if found is None:
            raise _about(name, error) from error
        places = np.unravel_index(int(found["place"]), values.shape)
        at = ", ".join(f"{dim}={place}" for dim, place in zip(dims, places, strict=True))
        where = f" at the position {at}" if at else ""
        raise type(error)(f"vary[{name!r}]: {found['problem']}{where}.") from error


def _check_end(
    process: Process, name: str, end: float, which: str, distribution: Distribution
) -> None:
    """Check the smallest or largest value that a distribution can give a parameter."""
    try:
        process.check_values(name, np.array([end]))
    except (ArgumentTypeError, ArgumentValueError) as error:
        found = PLACED.fullmatch(str(error))
        if found is None:
            raise _about(name, error) from error
        extreme = "smallest" if which == "low" else "largest"
        raise type(error)(
            f"vary[{name!r}]: {found['problem']}, the {extreme} value that {distribution} can draw."
            " Take a distribution inside the range of the parameter."
        ) from error


def _about(name: str, error: Exception) -> Exception:
    """Return an error about all values of a parameter that says that these are of ``vary=``."""
    text = str(error)
    if text.startswith(f"{name}: "):
        text = f"vary[{name!r}]{text.removeprefix(name)}"
    elif name in ARGUMENTS:
        text = f"{text} {name} is an argument of simulate, the same in all scenarios."
    return type(error)(text)


PLACED = re.compile(r"[^:]*\[(?P<place>\d+)\]: (?P<problem>.*?)\.?", re.S)
"""The error of `Process.check_values` about the value at a place."""


@dataclass(frozen=True, slots=True)
class FirstScenario:
    """The arguments of path 0 in the first scenario, with which a sampler is bound.

    Attributes
    ----------
    process, options, x0, dt : object
        As arguments of `simulate`.
    has_x0 : bool
        Whether x0 is that of path 0: a lazy one is not computed for a process without user code.
    is_tried : bool
        Whether the process runs code of the user, which is tried on the first paths.
    """

    process: Any
    options: Mapping[str, Any]
    x0: Any
    dt: Any
    has_x0: bool
    is_tried: bool


def first_scenario(
    vary: Vary, process: Any, options: Mapping[str, Any], arguments: Mapping[str, Any],
    seed: RootSeed, unit: int = 1,
) -> FirstScenario:  # fmt: skip
    """Return the arguments of path 0 in the first scenario.

    Code that draws `unit` paths at a time gets arrays of what differs from path to path.
    """
    is_tried = not isinstance(process, Process) or runs_user_code(process)
    own = values = first_values(vary, seed, is_tried)
    if unit > 1 and not isinstance(process, Process):
        own = {k: np.full(unit, v) if k in vary.by_path else v for k, v in values.items()}
    with naming(dict.fromkeys(vary.lengths, 0)):
        target, given = with_parameters(process, options, own)
    x0, dt = (values.get(name, arguments[name]) for name in RESERVED)
    has_x0 = X0 not in vary.names or X0 in values
    return FirstScenario(target, given, x0, dt, has_x0, is_tried)


def first_values(vary: Vary, seed: RootSeed, compute: bool = True) -> dict[str, Any]:
    """Return the parameters of path 0 in the first scenario; lazy ones if they may be computed."""
    first = vary.values_of(dict.fromkeys(vary.lengths, 0))
    for entry in vary.arrays:
        if isinstance(entry.values, da.Array) and not compute:
            continue
        value = np.asarray(entry.values[..., :1]).ravel()[0]
        first[entry.name] = value.item()
    for drawn in vary.drawn:
        values = drawn.distribution.by_name(drawn.names, seed, 0, 1)
        first.update({name: array[0].item() for name, array in values.items()})
    return first


def with_parameters(process: Any, options: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    """Return a process and options with other parameters: of the process, or as options."""
    own = {name: value for name, value in values.items() if name not in RESERVED}
    if isinstance(process, Process):
        return (process.with_parameters(**own) if own else process), options
    return process, {**options, **own}


@contextmanager
def telling_of_arrays(vary: Vary, unit: int) -> Iterator[None]:
    """Have errors of code that draws `unit` paths at a time say which parameters are arrays."""
    try:
        yield
    except SamplerError as error:
        if unit > 1 and vary.by_path:
            listed = ", ".join(vary.by_path)
            error.add_note(
                f"{listed}: one value per path: code that draws n paths gets arrays (n,)."
            )
        raise


@contextmanager
def naming(position: Mapping[str, int]) -> Iterator[None]:
    """Have errors about a parameter name the scenario."""
    try:
        yield
    except (ArgumentTypeError, ArgumentValueError) as error:
        at = f", scenario {dict(position)}" if position else ""
        raise type(error)(f"vary{at}: {error}") from error
