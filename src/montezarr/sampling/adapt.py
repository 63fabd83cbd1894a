"""From what the caller calls a process to a `Sampling`: choose the interface, try path 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from montezarr._checks import check_array, show, type_error, value_error
from montezarr.draws import Draws
from montezarr.errors import ArgumentTypeError, ArgumentValueError, SamplerError
from montezarr.grid import TimeGrid
from montezarr.processes import HasLabels, Process
from montezarr.sampling import counter, sample_range, scalar
from montezarr.sampling._base import EVENT_TIME, KINDS, Kind, Sampling, Variable
from montezarr.sampling.arguments import DTYPES
from montezarr.sampling.convert import plain_numbers, unpack
from montezarr.seeding import BLOCK


def choose_kind(process: Any, legacy_global_rng: bool) -> Kind:
    """Return the first interface that `process` offers.

    Raises
    ------
    ArgumentTypeError
        If it offers none, or its ``sample_path`` takes no stream and legacy code is not asked for.
    """
    if isinstance(process, type):
        raise type_error("process", "an instance, not a class", process, "Call it first.")
    if callable(getattr(process, "sample", None)):
        return "sample"
    if callable(getattr(process, "sample_paths", None)):
        if not scalar.accepts(process.sample_paths, "rng"):
            raise type_error("process", "sample_paths(n, T, x0, rng) with an rng", process)
        return "sample_paths"
    if callable(getattr(process, "sample_path", None)):
        if legacy_global_rng:
            return "legacy"
        if scalar.accepts(process.sample_path, "rng") or scalar.accepts(
            process.sample_path, "seed"
        ):
            return "sample_path"
        raise type_error(
            "process",
            "a sample_path that takes rng= or seed=",
            process,
            "Code on the global np.random state runs with legacy_global_rng=True.",
        )
    if callable(process):
        streams: tuple[Kind, ...] = ("rng", "seed")
        for keyword in streams:
            if scalar.accepts(process, keyword, by_name=True):
                return keyword
        raise type_error(
            "process", "a function with a parameter named rng or seed", process, "Rename it."
        )
    raise type_error("process", "one that offers " + "; or ".join(KINDS.values()), process)


def bind(
    process: Any,
    *,
    kind: Kind,
    T: Any,
    dt: Any,
    times: Any,
    x0: Any,
    per_path: bool,
    first_x0: Any,
    seed: Any,
    dtype: str | None,
    labels: tuple[str | int, ...] | None,
    options: Mapping[str, Any],
) -> Sampling:
    """Return `process` bound to its arguments, its variables as the first path declares them.

    `first_x0` are the initial states of the first block where they differ (`per_path`).

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments that the process does not take.
    SamplerError
        If the first path fails.
    """
    if T is None and times is None and kind not in ("rng", "seed"):
        raise value_error("T", "a number of steps, or times=", None)
    grid = TimeGrid.of(0 if T is None and times is None else T, dt, times)
    sampling = Sampling(
        target=process,
        kind=kind,
        grid=grid,
        seed=seed,
        variables=(),
        x0=None if per_path else x0,
        options=dict(options),
    )
    if isinstance(process, Process):
        return _bind_process(sampling, process, dtype, labels, per_path, first_x0)
    labels = labels if labels is not None else _offered_labels(process)
    if kind == "sample":
        return _bind_counter(sampling, dtype, first_x0)
    free = T is None and times is None
    return _bind_declared(sampling, dtype, labels, first_x0, free, dt is None and times is None)


def _bind_process(
    sampling: Sampling,
    process: Process,
    dtype: str | None,
    labels: Any,
    per_path: bool,
    first_x0: Any,
) -> Sampling:
    if labels is not None:
        raise value_error("labels", "None, since the process has its own states", labels)
    if sampling.options:
        unknown = next(iter(sampling.options))
        raise ArgumentTypeError(f"{unknown}: simulate() takes no such argument.")
    chosen = dtype or process.dtypes[0]
    if chosen not in process.dtypes:
        raise value_error("dtype", f"one of {', '.join(process.dtypes)}", dtype)
    names = process.labels if isinstance(process, HasLabels) else None
    variables = tuple(Variable(name, chosen, names) for name in process.variables)
    bound = replace(sampling, variables=variables)
    if not per_path:
        process.check_x0(sampling.x0, chosen)
    if process.runs_user_code:
        _try_first(bound, first_x0, 2)
    return bound


def _bind_counter(sampling: Sampling, dtype: str | None, first_x0: Any) -> Sampling:
    """Bind a `sample` of the user's: two paths tell the number of variables and the dtype."""
    names = tuple(getattr(sampling.target, "variables", ("x",)))
    variables = tuple(Variable(name, dtype or "float64") for name in names)
    trial = replace(sampling, variables=variables)
    part = None if first_x0 is None else first_x0[..., :2]
    draws = Draws(sampling.seed.philox_key(), 0, 2)
    try:
        value = np.asarray(
            sampling.target.sample(
                draws, sampling.grid, counter.state(trial, part), **sampling.options
            )
        )
    except Exception as error:
        raise trial.failure(0, sampling.x0, f"{type(error).__name__}: {error}", error) from error
    if dtype is None and value.dtype.name in DTYPES:
        variables = tuple(Variable(name, value.dtype.name) for name in names)
    bound = replace(sampling, variables=variables)
    _try_first(bound, first_x0, 2)
    return bound


def _bind_declared(
    sampling: Sampling,
    dtype: str | None,
    labels: tuple[str | int, ...] | None,
    first_x0: Any,
    free_length: bool,
    free_times: bool,
) -> Sampling:
    try:
        states, times = _first(sampling, 0, first_x0)
    except SamplerError:
        raise
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        x0 = sampling.state_at_start(first_x0, 0)
        raise sampling.failure(0, x0, message, error) from error
    grid = sampling.grid
    length = len(next(iter(states.values())))
    if free_length:
        grid = TimeGrid(length - 1, grid.dt)
    variables = [_declare(name, array, dtype, labels) for name, array in states.items()]
    if times is not None and free_times and not np.array_equal(times, grid.times[: len(times)]):
        # Times of its own: a grid where the next path has the same, else one variable more.
        other = _first(sampling, 1, first_x0)[1]
        if np.array_equal(times, other):
            grid = TimeGrid.of(None, None, check_array("times", times, ndim=1))
        else:
            variables.append(Variable(EVENT_TIME, "float64"))
    bound = replace(sampling, grid=grid, variables=tuple(variables))
    _try_first(bound, first_x0, 1)
    return bound


def _first(sampling: Sampling, path: int, first_x0: Any) -> tuple[dict[str, Any], Any]:
    """Return what the sampler itself returns for one path, unpacked."""
    if sampling.kind == "sample_paths":
        x0 = sampling.x0 if first_x0 is None else first_x0
        rng = sampling.seed.block_generator(0)
        value = sampling.target.sample_paths(
            BLOCK, sampling.grid.T, x0, rng=rng, **sampling.options
        )
        parts = value if isinstance(value, Mapping) else {"x": value}
        arrays = {str(name): np.asarray(part) for name, part in parts.items()}
        for array in arrays.values():
            if array.ndim != 2 or len(array) != BLOCK:
                raise ArgumentValueError(
                    f"process: expected sample_paths to return ({BLOCK}, T+1), got {array.shape}."
                )
        return {name: array[path] for name, array in arrays.items()}, None
    position = None if first_x0 is None else min(path, first_x0.shape[-1] - 1)
    x0 = sampling.x0 if position is None else sampling.state_at_start(first_x0, position)
    return unpack(scalar.caller(sampling)(path, x0))


def _declare(name: str, array: Any, dtype: str | None, labels: Any) -> Variable:
    numbers = plain_numbers(array)
    if labels is not None and (numbers is None or not all(isinstance(x, int) for x in labels)):
        return Variable(name, dtype if dtype and dtype[0] in "iu" else "int32", labels)
    if numbers is None:
        raise value_error(
            "labels", "the labels of the states, since the path holds labels", None,
            f"The first path holds {show(array.tolist()[:3])}. Pass labels=[...].",
        )  # fmt: skip
    declared = numbers.dtype.name if numbers.dtype.name in DTYPES else "float64"
    if dtype is None:
        return Variable(name, declared)
    if not np.can_cast(declared, dtype, "same_kind"):
        raise value_error("dtype", f"one that holds {declared} states", dtype)
    return Variable(name, dtype)


def _offered_labels(process: Any) -> tuple[str | int, ...] | None:
    """Return ``process.state_space.states``, the labels as the stochlab interface has them."""
    states = getattr(getattr(process, "state_space", None), "states", None)
    if states is None:
        return None
    plain = tuple(s.item() if isinstance(s, np.generic) else s for s in states)
    return plain if all(isinstance(s, (str, int)) for s in plain) else None


def _try_first(sampling: Sampling, first_x0: Any, n: int) -> None:
    count = n if first_x0 is None else min(n, first_x0.shape[-1])
    sample_range(sampling, 0, count, None if first_x0 is None else first_x0[..., :count])
