"""Bind a process to the parameters of its first scenario, and make the sampler of all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import dask.array as da
import numpy as np

from montezarr.core.checks import value_error
from montezarr.processes import Process
from montezarr.processes.time_grid import TimeGrid
from montezarr.random.seeding import RootSeed
from montezarr.run._first_scenario import naming, with_parameters
from montezarr.run._vary import DT, X0, PathArray, Vary
from montezarr.samplers import Sampler, Variable
from montezarr.samplers.drawing import sample_range
from montezarr.samplers.probe import check_alone
from montezarr.samplers.resolution import check_resolution
from montezarr.samplers.schema import PATH, TIME
from montezarr.samplers.varied import (
    PathParameters,
    Scenario,
    VariedSampler,
)


def varied_sampler(
    vary: Vary, single: Sampler, process: Any, options: Mapping[str, Any], x0: Any,
    seed: RootSeed,
) -> VariedSampler:  # fmt: skip
    """Return the sampler of all scenarios.

    Parameters
    ----------
    single : Sampler
        That of path 0 in the first scenario, bound.
    process, options, x0 : object
        As the caller gave them.
    seed : RootSeed
        Seed of the run.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If a scenario has a value that the process does not accept, or a name clashes.
    """
    single = replace(single, options=options, x0=x0)
    scenarios = tuple(
        _scenario(vary, position, single, process, options, seed) for position in vary.positions()
    )
    dims, sizes = tuple(vary.lengths), tuple(vary.lengths.values())
    variables = tuple(
        replace(v, dims=(*dims, *v.dims), sizes=(*sizes, *v.sizes), lead=len(dims))
        for v in single.variables
    )
    own = _own_parameters(vary, seed)
    parameters = () if own is None else own.variables
    _check_clashes(vary, single, [v.name for v in parameters])
    has_steps = DT in vary.names
    index = {dim: tuple(vary.coords[dim][1]) for dim in dims if dim in vary.coords}
    others = {name: entry for name, entry in vary.coords.items() if name not in dims}
    return VariedSampler(
        target=process, kind=single.kind, seed=single.seed, x0=x0,
        grid=TimeGrid.of(single.grid.T) if has_steps else single.grid,
        variables=(*variables, *parameters), coords={**index, **single.coords},
        keep=single.keep, on_nonfinite=single.on_nonfinite, own_times=single.own_times,
        options=options,
        asks=single.asks, format=single.format, single=single, scenarios=scenarios,
        per_path=own, scenario_dims=dims, other_coords=others,
        step_dims=next((p.dims for p in vary.scenarios if p.name == DT), ()),
    )  # fmt: skip


def check_resolutions(sampler: VariedSampler, vary: Vary, x0: Any, is_lazy: bool) -> None:
    """Raise as `check_resolution` does, for any scenario.

    Raises
    ------
    ArgumentValueError
        Names the scenario.
    """
    if sampler.format == 1 or X0 in vary.by_path:
        return
    for scenario in sampler.scenarios:
        with naming(scenario.position):
            check_resolution(replace(sampler.single, **scenario.replaced), x0, is_lazy)


def check_varied(sampler: VariedSampler, inputs: Any) -> None:
    """Draw the first paths of code of the user with the parameters of these paths.

    Raises
    ------
    SamplerError
        If it fails, or if a path comes out otherwise alone.
    """
    if sampler.interface.takes_ranges:
        check_alone(sampler, inputs)
    elif sampler.interface.unit > 1:
        sample_range(sampler, 0, sampler.interface.unit if inputs is None else len(inputs), inputs)


def _scenario(
    vary: Vary, position: Mapping[str, int], single: Sampler, process: Any,
    options: Mapping[str, Any], seed: RootSeed,
) -> Scenario:  # fmt: skip
    values = vary.values_of(position)
    replaced: dict[str, Any] = {}
    with naming(position):
        target, given = with_parameters(process, options, values)
        if X0 in values and isinstance(target, Process):
            target.check_x0(values[X0], single.variables[0].dtype)
        if DT in values:
            replaced["grid"] = TimeGrid.of(single.grid.T, values[DT])
    if target is not process:
        replaced["target"] = target
    if given is not options:
        replaced["options"] = given
    if X0 in values:
        replaced["x0"] = values[X0]
    if vary.noise == "independent":
        own = {a.name: a.digest_at(position) for a in vary.arrays if a.dims}
        replaced["seed"] = replace(seed, stream=scenario_stream(values | own, seed.stream))
    return Scenario(label=values, replaced=replaced, position=dict(position))


def scenario_stream(values: Mapping[str, Any], stream: str | None = None) -> str:
    """Return the name of the stream of a scenario on independent noise.

    It is the canonical JSON of its parameters: numbers as float64, so that 1 is 1.0, and -0.0 is
    0.0; the values of a parameter that also differs from path to path by their digest. Scenarios
    of equal values share their noise.

    Parameters
    ----------
    values : dict of str to number or str
        The parameters of the scenario; initial states of several variables are a dict of them.
    stream : str, optional
        The stream of the run, which then comes first.
    """
    text = json.dumps(_canonical(values), sort_keys=True)
    return text if stream is None else f"{stream} {text}"


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _canonical(part) for name, part in value.items()}
    return value if isinstance(value, str) else float(value) + 0.0


def _own_parameters(vary: Vary, seed: RootSeed) -> PathParameters | None:
    variables = [
        _variable(array.name, _kept_dtype(array), array.dims, vary) for array in vary.arrays
    ]
    variables += [_variable(name, "float64", (), vary) for d in vary.drawn for name in d.names]
    if not variables:
        return None
    return PathParameters(
        distributions=tuple((d.names, d.distribution) for d in vary.drawn),
        seed=seed, variables=tuple(variables),
        lazy=tuple(array.name for array in vary.arrays if isinstance(array.values, da.Array)),
    )  # fmt: skip


def _kept_dtype(array: PathArray) -> str:
    kind = np.dtype(array.values.dtype).kind
    return {"i": "int64", "u": "int64", "b": "int8"}.get(kind, "float64")


def _variable(name: str, dtype: str, dims: tuple[str, ...], vary: Vary) -> Variable:
    sizes = tuple(vary.lengths[dim] for dim in dims)
    return Variable(name, dtype, dims=dims, sizes=sizes, lead=len(dims))


def _check_clashes(vary: Vary, single: Sampler, parameters: list[str]) -> None:
    """Raise for a dimension, coordinate or parameter with a name that is something else's."""
    variables = [variable.name for variable in single.variables]
    own = dict.fromkeys(single.coords, "a coordinate")
    own |= {dim: "a dimension" for v in single.variables for dim in v.dims}
    if DT in vary.names:
        own["t"] = "the coordinate of the times"
    taken = {**own, PATH: "a dimension", TIME: "a dimension"}
    taken |= dict.fromkeys([*variables, *parameters], "a variable")
    for name in [*vary.lengths, *vary.coords]:
        if name in taken:
            raise value_error(
                "vary", "dimensions and coordinates with names of their own", name,
                f"{name!r} is {taken[name]} of the Dataset already: rename that of the scenarios.",
            )  # fmt: skip
    known = {**own, **dict.fromkeys(variables, "a variable")}
    twice = next((name for name in parameters if name in known), None)
    if twice is not None:
        raise value_error(
            "vary", "parameters whose names no variable, dimension or coordinate has", twice,
            "A parameter that differs from path to path becomes a variable of the Dataset.",
        )  # fmt: skip
