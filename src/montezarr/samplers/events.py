"""Events: arrays that differ in length from path to path, padded, with their numbers beside."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import value_error
from montezarr.core.errors import ArgumentValueError, SamplerError
from montezarr.processes import Process
from montezarr.samplers._base import Sampler
from montezarr.samplers.encode import encode
from montezarr.samplers.returned import ReturnedVariable, ReturnedVariables
from montezarr.samplers.schema import EVENT, EVENT_TIME, Asked, Variable, padding_in, rooms_of

TRUNCATED = "truncated"
"""Variable of a run that cuts longer paths off: 1 for a path that was cut, else 0."""


def number_name(dim: str) -> str:
    """Return the name of the number of events along a dimension: n_events, n_arrivals."""
    return f"n_{dim}" if dim.endswith("s") else f"n_{dim}s"


def event_dims(variables: Iterable[Variable]) -> dict[str, str]:
    """Return the dimension of events by variable."""
    return {v.name: str(v.event_dim) for v in variables if v.has_events}


def declared_dims(asked: Asked, parts: ReturnedVariables) -> dict[str, str]:
    """Return the dimension of events by variable of the first path, before it is declared."""
    found = {name: asked.dims.get(name, part.dims) for name, part in parts.items()}
    return {name: dims[0] for name, dims in found.items() if dims and dims[0] in asked.events}


# --- declared by the first path ----------------------------------------------------------------


def named(
    sampler: Sampler, asked: Asked, parts: ReturnedVariables, times: Any, others: Callable[[], Any]
) -> ReturnedVariables:
    """Return the variables of the first path, with the dimension of events where it is clear.

    It is for an object with times of its own, if its length is no number of steps, or that of
    another path; then these times are a variable. And without a grid it is for every array whose
    axes nobody has named, if the caller has named one dimension of events alone.

    Parameters
    ----------
    times : array or None
        The times that the first path returned.
    others : callable
        Returns those of the next path.
    """
    told = {dims[0] for dims in asked.dims.values() if dims and dims[0] in asked.events}
    dims = [*asked.max_events] if asked.max_events else sorted(told)
    is_object = times is not None and all(part.dims is None for part in parts.values())
    if is_object and (dims or _differ(sampler, asked, times, others)):
        dim = dims[0] if len(dims) == 1 else EVENT
        parts = {**parts, EVENT_TIME: ReturnedVariable(times, None, False)}
        return {name: _along(name, part, dim) for name, part in parts.items()}
    if asked.free_length and len(asked.max_events) == 1:
        unknown = {k: p for k, p in parts.items() if k not in asked.dims and p.dims is None}
        along = {name: _along(name, part, dims[0]) for name, part in unknown.items()}
        return {**parts, **along}
    return parts


def _differ(sampler: Sampler, asked: Asked, times: Any, others: Callable[[], Any]) -> bool:
    """Return whether the times that a path returned are those of events, not of a grid."""
    dt = sampler.grid.dt
    if not asked.free_times or dt is None or np.array_equal(times, np.arange(len(times)) * dt):
        return False
    if not asked.free_length and len(times) != sampler.grid.T + 1:
        return True
    return len(times) != len(others())


def _along(name: str, part: ReturnedVariable, dim: str) -> ReturnedVariable:
    further = tuple(f"{name}_dim_{k}" for k in range(part.array.ndim - 1))
    return part._replace(dims=(dim, *further) if part.array.ndim else ())


def with_numbers(variables: list[Variable], asked: Asked) -> tuple[Variable, ...]:
    """Return declared variables, those of events marked, and the numbers of events after them.

    Raises
    ------
    ArgumentValueError
        If events are not the first dimension, or a name is taken.
    """
    found, dims = [], dict[str, None]()
    for variable in variables:
        if variable.dims and variable.dims[0] in asked.events:
            dim = variable.dims[0]
            room = asked.max_events.get(dim) or max(1, variable.sizes[0])
            variable = replace(variable, event_dim=dim, cuts=asked.cuts).with_room({dim: room})
            dims[dim] = None
        elif asked.events.intersection(variable.dims):
            raise value_error(
                "dims", f"the events first among the dimensions of {variable.name!r}",
                variable.dims,
            )  # fmt: skip
        found.append(variable)
    unknown = sorted(set(asked.max_events) - set(dims))
    if unknown:
        raise value_error(
            "max_events", f"dimensions of events among {sorted(dims)}", unknown,
            "dims={'name': ('dimension',)} says which dimension a variable has.",
        )  # fmt: skip
    derived = [
        Variable(number_name(dim), "int64", dims=(), event_dim=dim, derived=True) for dim in dims
    ]
    if dims and asked.cuts:
        told = {"long_name": "whether later events of the path are left out"}
        derived.append(Variable(TRUNCATED, "int8", dims=(), attrs=told, derived=True))
    taken = {name for v in variables for name in (v.name, *v.dims)}
    clash = next((v.name for v in derived if v.name in taken), None)
    if clash is not None:
        raise value_error(
            "process", f"no variable or dimension {clash!r}, which says how long paths are", clash,
            "Rename it.",
        )  # fmt: skip
    return (*found, *derived)


# --- drawn --------------------------------------------------------------------------------------


def cut_to_numbers(parts: ReturnedVariables, dims: Mapping[str, str]) -> ReturnedVariables:
    """Return the variables of a path without the padding that it returned, and its numbers.

    Code may return longer arrays, and beside them a whole number under the name of the number of
    events.

    Raises
    ------
    ArgumentValueError
        If it is no such number.
    """
    out = dict(parts)
    for dim in dict.fromkeys(dims.values()):
        told = out.pop(number_name(dim), None)
        if told is None:
            continue
        mine = [name for name, own in dims.items() if own == dim and name in out]
        longest = min((len(out[name].array) for name in mine), default=0)
        number: Any = told.array.item() if told.array.ndim == 0 else None
        is_whole = isinstance(number, (int, float)) and number == math.floor(number)
        if not is_whole or not 0 <= number <= longest:
            raise ArgumentValueError(
                f"{number_name(dim)}: expected a number from 0 to {longest}, got {told.array}."
            )
        out |= {n: out[n]._replace(array=out[n].array[: int(number)]) for n in mine}
    return out


def padded(
    sampler: Sampler, arrays: Mapping[str, NDArray[Any]], path: int, x0: Any
) -> dict[str, NDArray[Any]]:
    """Return the encoded variables of one path with events padded, and the numbers of these.

    Raises
    ------
    SamplerError
        If variables of one dimension differ in length, or there is no room for so many events.
    """
    out = dict(arrays)
    counts = {v.name: np.array([len(arrays[v.name])]) for v in sampler.variables if v.has_events}
    numbers = numbers_of(sampler, counts, path, x0)
    for variable in sampler.variables:
        if not variable.has_events:
            continue
        array = arrays[variable.name]
        if len(array) > variable.room and not variable.cuts:
            raise overflow(sampler, variable, len(array), path, x0)
        whole = np.full(variable.shape(sampler.grid.T + 1), variable.masked, variable.dtype)
        kept = array[: variable.room]
        whole[: len(kept)] = kept
        out[variable.name] = whole
    return out | {name: number[0] for name, number in numbers.items()}


def numbers_of(
    sampler: Sampler, counts: Mapping[str, NDArray[np.int64]], path: int, x0: Any
) -> dict[str, NDArray[Any]]:
    """Return the numbers of events of paths, and which were cut off, by name.

    Parameters
    ----------
    counts : dict of str to array (paths,)
        By variable with events, how many were returned.
    path : int
        The first of the paths.

    Raises
    ------
    SamplerError
        If variables of one dimension differ in length.
    """
    lengths, rooms = dict[str, NDArray[np.int64]](), rooms_of(sampler.variables)
    for variable in sampler.variables:
        if not variable.has_events:
            continue
        mine, dim = counts[variable.name], str(variable.event_dim)
        first = lengths.setdefault(dim, mine)
        differ = first != mine
        if differ.any():
            at = int(differ.argmax())
            message = (
                f"{variable.name}: returned {mine[at]:,} values along {dim!r}, expected"
                f" {first[at]:,} as of the variable before it."
            )
            raise sampler.failure(path + at, x0, message)
    out: dict[str, NDArray[Any]] = {}
    for variable in sampler.variables:
        if variable.derived and variable.event_dim is None:
            is_cut = np.any([lengths[dim] > rooms[dim] for dim in lengths], axis=0)
            out[variable.name] = is_cut.astype(variable.dtype)
        elif variable.derived:
            dim = str(variable.event_dim)
            out[variable.name] = np.minimum(lengths[dim], rooms[dim])
    return out


def overflow(sampler: Sampler, variable: Variable, length: int, path: int, x0: Any) -> SamplerError:
    """Return the error of a path with more events than there is room for."""
    return _no_room(sampler, path, x0, f"{length:,}", variable, 2 * length)


def _no_room(
    sampler: Sampler, path: int | None, x0: Any, length: str, variable: Variable, wanted: int = 0
) -> SamplerError:
    dim, wanted = str(variable.event_dim), wanted or 2 * variable.room
    return sampler.failure(
        path, x0,
        f"returned {length} events along {dim!r}, expected at most max_events ="
        f" {variable.room:,}. Pass max_events={{{dim!r}: {wanted}}}, which changes no path, and"
        " with which write or extend goes on from what a store has; or on_overflow='truncate'.",
    )  # fmt: skip


# --- drawn by a process -----------------------------------------------------------------------


def variables_of(process: Process, asked: Asked) -> tuple[Variable, ...]:
    """Return the variables of a process whose paths are events, and their numbers.

    Raises
    ------
    ArgumentValueError
        If the caller asks for other dtypes, labels, dims or coords than the process has.
    """
    variables = [
        Variable(name, dtype, labels, (EVENT,), (1,))
        for name, dtype, labels in process.event_variables
    ]
    dtypes = {v.name: v.dtype for v in variables}
    known: dict[str, Any] = {"dtype": dtypes, "dims": {v.name: v.dims for v in variables}}
    told: dict[str, Any] = {"dtype": asked.dtype, "dims": dict(asked.dims)}
    told |= {"labels": asked.labels, "coords": dict(asked.coords)}
    for name, value in told.items():
        is_own = isinstance(value, dict) and value.items() <= known.get(name, {}).items()
        if value is not None and not is_own:
            expected = "none, since the process has its own for the events of its paths"
            raise value_error(name, expected, value)
    return with_numbers(variables, asked)


def of_process(
    sampler: Sampler, values: Mapping[str, NDArray[Any]], counts: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    """Return the events of a range of paths that a process has drawn, padded and numbered.

    Raises
    ------
    SamplerError
        If there is no room for the events of a path.
    """
    events = [variable for variable in sampler.variables if variable.has_events]
    for variable in events:
        if not variable.cuts and counts.max(initial=0) > variable.room:
            raise _no_room(sampler, None, None, f"more than {variable.room:,}", variable)
    lengths = dict.fromkeys((variable.name for variable in events), counts.reshape(len(counts)))
    out = {variable.name: values[variable.name] for variable in events}
    out |= numbers_of(sampler, lengths, 0, None)
    for variable in events:
        array = out[variable.name]
        padding = padding_in(variable, sampler.variables, out)
        array[np.broadcast_to(padding, array.shape)] = variable.masked
    return out


# --- drawn by blocks ----------------------------------------------------------------------------


def block_events(
    sampler: Sampler, parts: ReturnedVariables, dims: Mapping[str, str], path: int, x0: Any
) -> ReturnedVariables:
    """Return the variables of a block with the numbers of events of its paths in `counts`.

    Code returns a list of arrays, one for each path; or an array with the events along the second
    axis, and beside it the numbers of events (paths,).
    """
    out = dict(parts)
    told = {dim: out.pop(number_name(dim), None) for dim in dict.fromkeys(dims.values())}
    for name, dim in dims.items():
        part, number = out.get(name), told[dim]
        if part is None or part.counts is not None:
            continue
        counts = None if number is None else number.array
        expected = "a list of arrays, one for each path"
        if counts is None or counts.ndim != 1 or counts.dtype.kind not in "iu":
            message = (
                f"{name}: expected {expected}, or an array (paths, {dim}) and the numbers of its"
                f" events as {number_name(dim)}, (paths,), got {part.array.shape} alone."
            )
            raise sampler.failure(path, x0, message)
        wrong = (counts < 0) | (counts > part.array.shape[1])
        if wrong.any():
            at = int(wrong.argmax())
            message = (
                f"{number_name(dim)}: expected from 0 to {part.array.shape[1]}, got {counts[at]}."
            )
            raise sampler.failure(path + at, x0, message)
        out[name] = part._replace(counts=counts.astype(np.int64))
    return out


def encoded_rows(
    sampler: Sampler, variable: Variable, part: ReturnedVariable, path: int, x0: Any
) -> NDArray[Any]:
    """Return the events of a block (paths, events, ...) in the room for them, encoded and padded.

    Raises
    ------
    SamplerError
        Names the path, if there is no room for so many events.
    """
    array, counts = part.array, part.counts
    assert counts is not None
    if not variable.cuts and counts.max(initial=0) > variable.room:
        at = int((counts > variable.room).argmax())
        raise overflow(sampler, variable, int(counts[at]), path + at, x0)
    shape = variable.shape(sampler.grid.T + 1)
    if array.shape[2:] != shape[1:]:
        expected = ("paths", variable.event_dim, *shape[1:])
        message = f"{variable.name}: returned shape {array.shape}, expected {expected}."
        raise sampler.failure(path, x0, message)
    kept = array[:, : variable.room]
    is_event = np.arange(kept.shape[1]) < counts[:, np.newaxis]
    out = np.full((len(array), *shape), variable.masked, variable.dtype)
    try:
        values = encode(sampler, variable, kept[is_event], path, x0)
    except SamplerError:
        for i, row in enumerate(is_event):  # which path it is
            encode(sampler, variable, kept[i][row], path + i, x0)
        raise
    out[:, : kept.shape[1]][is_event] = values
    return out


def block_numbers(
    sampler: Sampler, parts: ReturnedVariables, path: int, x0: Any
) -> dict[str, NDArray[Any]]:
    """Return the numbers of events of the paths of a block, and which paths were cut off."""
    counts = {name: part.counts for name, part in parts.items() if part.counts is not None}
    return numbers_of(sampler, counts, path, x0)
