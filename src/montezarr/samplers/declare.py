"""The variables that the first path declares: names, dtypes, dimensions, labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from montezarr.core.checks import check_array, show, type_error, value_error
from montezarr.processes.time_grid import TimeGrid
from montezarr.samplers._base import Sampler
from montezarr.samplers.arguments import DTYPES
from montezarr.samplers.encode import plain_numbers
from montezarr.samplers.events import declared_dims as event_dims
from montezarr.samplers.events import with_numbers
from montezarr.samplers.returned import ReturnedVariable, ReturnedVariables
from montezarr.samplers.schema import EVENT_TIME, PATH, TIME, Asked, Variable


def with_grid(sampler: Sampler, asked: Asked, parts: ReturnedVariables) -> Sampler:
    """Return a sampler whose grid is as long as its first path, if T is not given."""
    if not asked.free_length:
        return sampler
    lengths = set()
    for name, part in parts.items():
        dims = asked.dims.get(name, part.dims)
        if dims is not None:
            lengths |= {n for n, dim in zip(part.array.shape, dims, strict=False) if dim == TIME}
        elif part.array.ndim:
            lengths.add(part.array.shape[0])
    if len(lengths) > 1:
        shapes = sorted({part.array.shape for part in parts.values()})
        message = (
            f"returned shapes {shapes}, expected one state per time, (T+1,). For several variables"
            " return a mapping from names to such arrays; dims={'name': ('dimension',)} tells what"
            " the axes of others are."
        )
        raise sampler.failure(0, sampler.x0, message)
    length = lengths.pop() if lengths else 1
    if length == 0:
        raise sampler.failure(0, sampler.x0, "returned 0 states, expected at least one.")
    return replace(sampler, grid=TimeGrid(length - 1, sampler.grid.dt))


def oriented(asked: Asked, parts: ReturnedVariables) -> dict[str, ReturnedVariable]:
    """Return variables with named axes in the order of the caller's `dims`."""
    found = {}
    for name, part in parts.items():
        wanted = asked.dims.get(name)
        if wanted is not None and part.dims is not None and set(wanted) == set(part.dims):
            order = [part.dims.index(dim) for dim in wanted]
            part = part._replace(array=part.array.transpose(order), dims=wanted)
        found[name] = part
    return found


def labelled(
    bound: Sampler, asked: Asked, told: Mapping[str, tuple[Any, ...]], attributes: Any
) -> Sampler:
    """Return a sampler with the labels and attributes that the first path returned.

    Raises
    ------
    ArgumentValueError
        If the caller gave other labels.
    """
    told = {dim: labels for dim, labels in told.items() if dim not in asked.events}
    for dim in asked.coords.keys() & told.keys():
        if asked.coords[dim] != told[dim]:
            raise value_error(
                "coords", f"the labels of {dim!r} that the sampler returns, or none", told[dim]
            )
    coords = {**told, **asked.coords}
    check_label_lengths(bound, coords)
    variables = tuple(replace(v, attrs=attributes.get(v.name, {})) for v in bound.variables)
    return replace(bound, coords=coords, variables=variables)


def declared_dims(
    sampler: Sampler, asked: Asked, parts: ReturnedVariables
) -> dict[str, tuple[str, ...]]:
    """Return the dimensions of the variables of a path.

    The caller's `dims` take precedence over those of xarray objects. Without either, a first axis
    with one entry per time is the time, a scalar has no dimension if there are several times, and
    further axes are called ``<name>_dim_0`` and so on.

    Raises
    ------
    ArgumentValueError
        If `dims` names an unknown variable, or does not fit a shape.
    SamplerError
        If the dimensions of a variable cannot be determined.
    """
    unknown = sorted(set(asked.dims) - set(parts))
    if unknown:
        raise value_error("dims", f"names of variables among {sorted(parts)}", unknown)
    found, has_events = {}, bool(event_dims(asked, parts))
    for name, part in parts.items():
        dims = asked.dims.get(name, part.dims)
        is_one_state = dims == (TIME,) and part.array.ndim == 0 and sampler.grid.T == 0
        if dims is None or is_one_state:
            dims = _by_shape(sampler, name, part.array.shape, has_events)
        elif len(dims) != part.array.ndim:
            raise value_error(
                "dims", f"one name for each axis of {name!r}, of shape {part.array.shape}", dims
            )
        _check_dims(sampler, name, dims, part.array.shape)
        found[name] = dims
    return found


def _by_shape(
    sampler: Sampler, name: str, shape: tuple[int, ...], has_events: bool
) -> tuple[str, ...]:
    length = sampler.grid.T + 1
    if not shape:
        return (TIME,) if length == 1 and not has_events else ()
    if shape[0] == length:
        return (TIME, *(f"{name}_dim_{k}" for k in range(len(shape) - 1)))
    what = f"{shape[0]} states" if len(shape) == 1 else f"shape {shape}"
    message = (
        f"{name}: returned {what}, expected T+1 = {length}. Where this is no axis of times, name"
        f" its dimensions by dims={{{name!r}: (...)}}; by dims={{{name!r}: ('event',)}} where paths"
        " differ in length."
    )
    raise sampler.failure(0, sampler.x0, message)


def _check_dims(sampler: Sampler, name: str, dims: tuple[str, ...], shape: tuple[int, ...]) -> None:
    if PATH in dims or len(set(dims)) != len(dims):
        raise value_error("dims", f"distinct dimensions of {name!r} other than 'path'", dims)
    if TIME in dims and shape and shape[dims.index(TIME)] != sampler.grid.T + 1:
        count = shape[dims.index(TIME)]
        message = f"{name}: returned {count} states, expected T+1 = {sampler.grid.T + 1}."
        raise sampler.failure(0, sampler.x0, message)


def declared_variables(
    sampler: Sampler, asked: Asked, parts: ReturnedVariables
) -> tuple[Variable, ...]:
    """Return the variables that the first path declares.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If the caller's `dims`, `dtype` or `labels` do not fit the path.
    SamplerError
        If the values are neither numbers nor labels.
    """
    dims = declared_dims(sampler, asked, parts)
    dtypes = asked.dtype if isinstance(asked.dtype, dict) else dict.fromkeys(parts, asked.dtype)
    if not set(dtypes) <= set(parts):
        raise value_error("dtype", f"names of variables among {sorted(parts)}", asked.dtype)
    explicit = asked.labels is not None
    labels = asked.labels if explicit else _offered_labels(sampler.target)
    found = []
    for name, part in parts.items():
        variable = _declared(sampler, name, part, dtypes.get(name), labels, explicit)
        shape = part.array.shape or (1,) * len(dims[name])
        sizes = tuple(n for n, dim in zip(shape, dims[name], strict=True) if dim != TIME)
        found.append(replace(variable, dims=dims[name], sizes=sizes))
    _check_sizes(found, asked.events)
    return with_numbers(found, asked)


def _check_sizes(variables: list[Variable], events: frozenset[str]) -> None:
    """Raise if two variables have one dimension in two sizes, or a dimension a variable's name."""
    known: dict[str, int] = {}
    names = {variable.name for variable in variables}
    for variable in variables:
        others = [dim for dim in variable.dims if dim != TIME]
        for dim, size in zip(others, variable.sizes, strict=True):
            if dim in names:
                raise value_error("dims", "dimensions that do not bear the name of a variable", dim)
            if size == 0 and dim not in events:
                raise value_error("process", "at least one entry along every dimension", dim)
            if known.setdefault(dim, size) != size:
                raise value_error(
                    "dims", f"one size of the dimension {dim!r}", [known[dim], size],
                    "Give them other names.",
                )  # fmt: skip


def filled_variable(asked: Asked) -> Variable:
    """Return the variable x that a function fills as its argument `out`, before it is called.

    Raises
    ------
    ArgumentValueError
        If the shape does not follow from `T`, and from `coords` for further dimensions.
    """
    if asked.free_length:
        raise value_error("T", "a number of steps for a function that fills out, or times=", None)
    dtype = asked.dtype.get("x") if isinstance(asked.dtype, dict) else asked.dtype
    dims = asked.dims.get("x", (TIME,))
    others = [dim for dim in dims if dim != TIME]
    missing = [dim for dim in others if dim not in asked.coords]
    if missing:
        raise value_error(
            "coords", "labels of each dimension of out besides time", missing,
            "Their number is the size of out.",
        )  # fmt: skip
    sizes = tuple(len(asked.coords[dim]) for dim in others)
    return Variable("x", dtype or "float64", None, tuple(dims), sizes)


def with_times(sampler: Sampler, asked: Asked, times: Any, others: Any) -> Sampler:
    """Return a sampler on the times that its first path returned, if the caller gave none.

    `others` returns the times of the next path: if they are the same, they become the grid, else an
    additional variable.
    """
    if times is None or not asked.free_times or sampler.has_events:
        return sampler
    if np.array_equal(times, sampler.grid.times[: len(times)]):
        return replace(sampler, own_times=True)
    if np.array_equal(times, others()):
        grid = TimeGrid.of(None, None, check_array("times", times, ndim=1))
        return replace(sampler, grid=grid, own_times=True)
    event_time = Variable(EVENT_TIME, "float64")
    return replace(sampler, variables=(*sampler.variables, event_time))


def check_label_lengths(sampler: Sampler, coords: Mapping[str, tuple[Any, ...]]) -> None:
    """Raise for labels of an unknown dimension, or of the wrong number.

    Raises
    ------
    ArgumentValueError
        Names the known dimensions, or the number of labels.
    """
    sizes: dict[str, int] = {}
    events = {variable.event_dim for variable in sampler.variables}
    for dim in coords:
        if dim in events:
            raise value_error("coords", "labels of dimensions that all paths have alike", dim)
    for variable in sampler.variables:
        others = [dim for dim in variable.dims if dim != TIME]
        sizes |= dict(zip(others, variable.sizes, strict=True))
    for dim, labels in coords.items():
        if dim not in sizes:
            raise value_error("coords", f"labels of dimensions among {sorted(sizes)}", dim)
        if len(labels) != sizes[dim]:
            raise value_error("coords", f"{sizes[dim]} labels of {dim!r}", len(labels))


def _declared(
    sampler: Sampler,
    name: str,
    part: ReturnedVariable,
    dtype: str | None,
    labels: Any,
    explicit: bool,
) -> Variable:
    """Return the variable that a part of the first path declares.

    `explicit` labels come from the argument ``labels``, and also name the states of integer
    variables. A plain Python number declares no dtype, since the next path may return another type.
    """
    numbers = plain_numbers(part.array)
    integers = labels is not None and all(isinstance(label, int) for label in labels)
    mixed = labels is not None and any(isinstance(label, int) for label in labels)
    may_be_codes = numbers is not None and numbers.dtype.kind in "iu" and mixed
    if labels is not None and (numbers is None or (may_be_codes and (explicit or not integers))):
        kind = dtype if dtype and dtype[0] in "iu" else "int32"
        if len(labels) - 1 > np.iinfo(kind).max:
            raise value_error("dtype", f"one that holds {len(labels)} codes", dtype)
        return Variable(variable_name(name), kind, labels)
    if numbers is None:
        first = part.array.ravel().tolist()[:3]
        if all(isinstance(state, (str, int)) for state in first):
            raise value_error(
                "labels", "the labels of the states, since the path holds labels", None,
                f"The first path holds {show(first)}. Pass labels=[...].",
            )  # fmt: skip
        raise sampler.failure(0, sampler.x0, f"{name}: expected numbers, got {show(part.array)}.")
    # Other dtypes are widened to one of DTYPES: uint64 to int64, whose range is checked later.
    wider = "int64" if numbers.dtype.kind in "uO" else "float64"
    declared = numbers.dtype.name if numbers.dtype.name in DTYPES else wider
    if part.is_plain and dtype is None:
        declared = "float64"
    if dtype is not None and not np.can_cast(declared, dtype, "same_kind"):
        raise value_error("dtype", f"one that holds {declared} states", dtype)
    return Variable(variable_name(name), dtype or declared)


def variable_name(name: Any) -> str:
    """Return the name of a variable, checked.

    Raises
    ------
    ArgumentValueError
        If it is not a valid name.
    """
    if not isinstance(name, str) or not name or name in (PATH, TIME):
        raise value_error("process", "variables with names other than 'path' and 'time'", name)
    return name


def offered_names(target: Any) -> tuple[str, ...]:
    """Return the names in the attribute `variables` of a process; x without that attribute.

    Raises
    ------
    ArgumentTypeError
        If the attribute is not a sequence of names.
    """
    names = getattr(target, "variables", ("x",))
    if isinstance(names, str) or not isinstance(names, (tuple, list)) or not names:
        raise type_error("process", "variables to be a sequence of names", names)
    return tuple(variable_name(name) for name in names)


def _offered_labels(process: Any) -> tuple[str | int, ...] | None:
    """Return the labels ``process.state_space.states`` of the stochlab interface, or None."""
    states = getattr(getattr(process, "state_space", None), "states", None)
    if states is None:
        return None
    plain = tuple(s.item() if isinstance(s, np.generic) else s for s in states)
    return plain if all(isinstance(s, (str, int)) for s in plain) else None
