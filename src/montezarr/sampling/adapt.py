"""From what the caller calls a process to a `Sampling`: choose the interface, try path 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from montezarr._checks import check_array, show, type_error, value_error
from montezarr.draws import FORMAT
from montezarr.errors import SamplerError
from montezarr.grid import TimeGrid
from montezarr.processes import HasLabels, HasTrial, Process, is_users
from montezarr.sampling import batch, counter, own_copy, scalar
from montezarr.sampling._base import (
    EVENT_TIME,
    OnNonfinite,
    Sampling,
    Variable,
)
from montezarr.sampling.arguments import DTYPES, unknown_argument
from montezarr.sampling.convert import plain_numbers
from montezarr.sampling.interfaces import INTERFACES, Kind
from montezarr.sampling.probe import (
    TRIAL_PATHS,
    check_alone,
    check_block,
    check_repeats,
    first_rows,
    no_global_stream,
)


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
    raise type_error(
        "process",
        "one that offers " + "; or ".join(known.text for known in INTERFACES.values()),
        process,
    )


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
    dtype: str | dict[str, str] | None,
    labels: tuple[str | int, ...] | None,
    on_nonfinite: OnNonfinite,
    options: Mapping[str, Any],
    format: int = FORMAT,
) -> Sampling:
    """Return `process` bound to its arguments, its variables as the first path declares them.

    `first_x0` are the initial states of the first block where they differ (`per_path`); None where
    they are lazy and a process does not need them to be bound. `format` is that of the recipe which
    is to be drawn again; where all formats give the same paths it does not count.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments that the process does not take.
    SamplerError
        If the first path fails.
    """
    free = T is None and times is None
    if free and (kind not in ("rng", "seed") or scalar.accepts(process, "T", by_name=True)):
        raise value_error("T", "a number of steps, or times=", None)
    grid = TimeGrid.of(0 if free else T, dt, times)
    sampling = Sampling(
        target=own_copy(process),
        kind=kind,
        grid=grid,
        seed=seed,
        variables=(),
        x0=None if per_path else own_copy(x0),
        on_nonfinite=on_nonfinite,
        options=own_copy(dict(options)),
        format=format if kind == "sample" else 1,
    )
    if not isinstance(process, Process):
        _check_options(process, kind, options)
        _check_order(process, kind)
    try:
        if kind == "sample" and isinstance(dtype, dict):
            raise type_error("dtype", "one dtype, since sample gives all variables in one", dtype)
        if isinstance(process, Process) and not isinstance(dtype, dict):
            return _bind_process(sampling, process, dtype, labels, per_path, first_x0)
        if kind == "sample" and not isinstance(dtype, dict):
            if labels is not None:
                expected = "None, since sample(draws, grid, x0) gives numbers"
                raise value_error("labels", expected, labels)
            return _bind_counter(sampling, dtype, first_x0)
        free_times = dt is None and times is None
        return _bind_declared(sampling, dtype, labels, first_x0, free, free_times)
    except SamplerError as error:
        # There is no Dataset yet of which a path could be drawn again.
        raise error.with_replay(None) from None


def _check_options(process: Any, kind: Kind, options: Mapping[str, Any]) -> None:
    """Raise for a keyword argument that neither `simulate` nor the sampler knows."""
    function = INTERFACES[kind].function_of(process)
    for name, value in options.items():
        if not scalar.accepts(function, name):
            title = getattr(function, "__qualname__", "the sampler")
            raise unknown_argument(name, value, f" or of {title}")


def check_no_parameter(process: Any, kind: Kind, name: str) -> None:
    """Raise where a sampler has a parameter of its own by the name of an argument of `simulate`.

    Raises
    ------
    ArgumentValueError
        With what to do: it would never be passed on.
    """
    if not isinstance(process, Process):
        function = INTERFACES[kind].function_of(process)
        if scalar.accepts(function, name, by_name=True):
            raise value_error(
                "process", f"a sampler without a parameter {name!r} of its own",
                getattr(function, "__qualname__", process),
                f"{name}= is an argument of simulate, which the sampler does not get: rename the"
                " parameter.",
            )  # fmt: skip


def _check_order(process: Any, kind: Kind) -> None:
    """Raise for a method whose parameters bear the names of arguments that come at other places."""
    method, wanted = INTERFACES[kind].method, INTERFACES[kind].order
    try:
        found = list(scalar.signature(getattr(process, method)).parameters) if wanted else []
    except (TypeError, ValueError):  # written in C, and without a signature
        return
    placed = enumerate(found[: len(wanted)])
    if any(name in wanted and wanted.index(name) != i for i, name in placed):
        got = f"{method}({', '.join(found)})"
        raise value_error("process", f"{method}({', '.join(wanted)}, ...) in this order", got)


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
        raise unknown_argument(*next(iter(sampling.options.items())))
    chosen = dtype or process.dtypes[0]
    if chosen not in process.dtypes:
        raise value_error("dtype", f"one of {', '.join(process.dtypes)}", dtype)
    names = process.labels if isinstance(process, HasLabels) else None
    variables = tuple(Variable(name, chosen, names) for name in process.variables)
    bound = counter.in_its_format(replace(sampling, variables=variables))
    if not per_path or first_x0 is not None:
        process.check_x0(first_x0 if per_path else sampling.x0, chosen)
    if is_users(process):
        with no_global_stream(bound):
            if process.runs_user_code:
                # More paths than variables and noises, so that no axis is taken for another.
                rows = first_rows(bound, first_x0, TRIAL_PATHS)
                if isinstance(process, HasTrial):
                    trial = partial(process.check_trial, bound.grid, rows)
                    bound.attempt(trial, 0, bound.state_at_start(first_x0, 0))
            check_alone(bound, first_x0)
    return bound


def _bind_counter(sampling: Sampling, dtype: str | None, first_x0: Any) -> Sampling:
    """Bind a `sample` of the user's: two paths tell the dtype."""
    names = getattr(sampling.target, "variables", ("x",))
    if isinstance(names, str) or not isinstance(names, (tuple, list)) or not names:
        raise type_error("process", "variables to be a sequence of names", names)
    variables = tuple(Variable(_variable_name(name), dtype or "float64") for name in names)
    start = _in_order(sampling.x0, names)
    trial = counter.in_its_format(replace(sampling, variables=variables, x0=start))
    with no_global_stream(trial):
        rows = first_rows(trial, first_x0, 2)
        count = rows.shape[-1]
        part = None if first_x0 is None else first_x0[..., :count]
        value = counter.raw(trial, 0, count, part)
        check_repeats(trial, rows, value.reshape(rows.shape).astype(rows.dtype))
        check_alone(trial, first_x0)
    if dtype is None and value.dtype.name in DTYPES:
        variables = tuple(Variable(v.name, value.dtype.name) for v in variables)
    return counter.in_its_format(replace(trial, variables=variables, format=sampling.format))


def _in_order(x0: Any, names: Sequence[str]) -> Any:
    """Return the initial states of variables in the order of these, where it is by their names."""
    if not isinstance(x0, Mapping):
        return x0
    if set(x0) != set(names):
        raise value_error("x0", f"a value for each of {', '.join(names)}", x0)
    return tuple(x0[name] for name in names)


def _bind_declared(
    sampling: Sampling,
    dtype: str | dict[str, str] | None,
    labels: tuple[str | int, ...] | None,
    first_x0: Any,
    free_length: bool,
    free_times: bool,
) -> Sampling:
    with no_global_stream(sampling):
        states, times, plain = _first(sampling, 0, first_x0)
        grid, own_times = sampling.grid, False
        length = next(iter(states.values())).shape[-1]
        if free_length:
            grid = TimeGrid(length - 1, grid.dt)
        asked = dtype if isinstance(dtype, dict) else dict.fromkeys(states, dtype)
        if not set(asked) <= set(states):
            raise value_error("dtype", f"names of variables among {sorted(states)}", dtype)
        explicit = labels is not None
        # Of a block its first path tells.
        paths = {name: array[0] if array.ndim > 1 else array for name, array in states.items()}
        chosen = labels if explicit else _offered_labels(sampling.target)
        variables = [
            _declare(sampling, name, array, asked.get(name), chosen, explicit, name in plain)
            for name, array in paths.items()
        ]
        if times is not None and free_times:
            own_times = True
            if not np.array_equal(times, grid.times[: len(times)]):
                # A grid of its own where the next path has the same, else one variable more.
                if np.array_equal(times, _first(sampling, 1, first_x0)[1]):
                    grid = TimeGrid.of(None, None, check_array("times", times, ndim=1))
                else:
                    own_times = False
                    variables.append(Variable(EVENT_TIME, "float64"))
        bound = replace(sampling, grid=grid, variables=tuple(variables), own_times=own_times)
        if sampling.kind == "sample_paths":
            check_block(bound, states, first_x0)
        else:
            rows = first_rows(bound, first_x0, 1)
            x0 = sampling.state_at_start(first_x0, 0)
            again = scalar.arrange(bound, states, times, 0, x0)[..., None]
            check_repeats(bound, again, rows)
    return bound


def _first(
    sampling: Sampling, path: int, first_x0: Any
) -> tuple[dict[str, Any], Any, frozenset[str]]:
    """Return what the sampler itself returns for one path, or for a block, unpacked."""
    n = 0 if first_x0 is None else first_x0.shape[-1]
    if sampling.kind == "sample_paths":
        states = batch.call(sampling, 0, batch.block_x0(sampling, first_x0, 0, n, 0))
        # Copies, since the sampler may return its working memory.
        return {name: np.array(array) for name, array in states.items()}, None, frozenset()
    x0 = sampling.state_at_start(first_x0, min(path, n - 1))
    return scalar.call(sampling, scalar.caller(sampling), path, x0)


def _declare(
    sampling: Sampling,
    name: str,
    array: Any,
    dtype: str | None,
    labels: Any,
    explicit: bool,
    is_plain: bool,
) -> Variable:
    """Return the variable that the first path declares.

    `explicit` labels came with labels=, and then also name the states of integer variables. One
    plain number of Python says no dtype: that of the next path may be another.
    """
    numbers = plain_numbers(array)
    integers = labels is not None and all(isinstance(label, int) for label in labels)
    mixed = labels is not None and any(isinstance(label, int) for label in labels)
    may_be_codes = numbers is not None and numbers.dtype.kind in "iu" and mixed
    if labels is not None and (numbers is None or (may_be_codes and (explicit or not integers))):
        kind = dtype if dtype and dtype[0] in "iu" else "int32"
        if len(labels) - 1 > np.iinfo(kind).max:
            raise value_error("dtype", f"one that holds {len(labels)} codes", dtype)
        return Variable(_variable_name(name), kind, labels)
    if numbers is None:
        first = array.tolist()[:3]
        if all(isinstance(state, (str, int)) for state in first):
            raise value_error(
                "labels", "the labels of the states, since the path holds labels", None,
                f"The first path holds {show(first)}. Pass labels=[...].",
            )  # fmt: skip
        raise sampling.failure(0, sampling.x0, f"{name}: expected numbers, got {show(array)}.")
    # What is no dtype of states is held by a wider one: uint64 by int64 as far as it fits.
    wider = "int64" if numbers.dtype.kind in "uO" else "float64"
    declared = numbers.dtype.name if numbers.dtype.name in DTYPES else wider
    if is_plain and dtype is None:
        declared = "float64"
    if dtype is not None and not np.can_cast(declared, dtype, "same_kind"):
        raise value_error("dtype", f"one that holds {declared} states", dtype)
    return Variable(_variable_name(name), dtype or declared)


def _variable_name(name: Any) -> str:
    if not isinstance(name, str) or not name or name in ("path", "time"):
        raise value_error("process", "variables with names other than 'path' and 'time'", name)
    return name


def _offered_labels(process: Any) -> tuple[str | int, ...] | None:
    """Return ``process.state_space.states``, the labels as the stochlab interface has them."""
    states = getattr(getattr(process, "state_space", None), "states", None)
    if states is None:
        return None
    plain = tuple(s.item() if isinstance(s, np.generic) else s for s in states)
    return plain if all(isinstance(s, (str, int)) for s in plain) else None
