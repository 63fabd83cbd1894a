"""Select scenarios of a run by their coordinates, as `replay` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.checks import did_you_mean, type_error, value_error
from montezarr.samplers import Sampler, Variable
from montezarr.samplers.varied import Scenario, VariedSampler

Positions = Mapping[str, Sequence[int]]
"""Positions along dimensions of scenarios; a dimension that is not in it is whole."""

SHOWN_VALUES = 8
"""Values of a coordinate that an error lists, at most."""


def positions_of(sampler: Sampler, selectors: Mapping[str, Any]) -> dict[str, list[int]]:
    """Return the positions, along their dimensions, of the scenarios that have some coordinates.

    Parameters
    ----------
    sampler : Sampler
        That of a run.
    selectors : dict of str to number or str
        By name of a coordinate of one dimension of scenarios, one of its values; or by name of a
        dimension without a coordinate a position.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For a name or a value that the run does not have, with the nearest.
    """
    if not selectors:
        return {}
    dims, known = _coordinates(sampler)
    found: dict[str, list[int]] = {}
    for name, wanted in selectors.items():
        if name not in known:
            expected = "no further argument, since no parameter of this run varies by scenario"
            if known:
                expected = f"a coordinate of scenarios: {', '.join(known)}"
            raise value_error(name, expected, wanted, did_you_mean(name, known, quoted=False))
        own, values = known[name]
        if len(own) != 1:
            raise value_error(
                name, "a coordinate of one dimension", f"one of {' and '.join(own)}",
                f"Select by {' and '.join(d for d in own if d in known) or ', '.join(dims)}.",
            )  # fmt: skip
        places = _places(name, wanted, values)
        before = found.get(own[0], places)
        found[own[0]] = [place for place in before if place in places]
        if not found[own[0]]:
            raise value_error(
                name, f"a scenario with this and {', '.join(n for n in selectors if n != name)}",
                wanted, f"There is none along {own[0]!r}.",
            )  # fmt: skip
    return found


def _coordinates(sampler: Sampler) -> tuple[dict[str, int], dict[str, Any]]:
    """Return the length of each dimension of scenarios, and their coordinates by name."""
    if not isinstance(sampler, VariedSampler):
        return {}, {}
    known: dict[str, Any] = {}
    dims = dict(zip(sampler.scenario_dims, sampler.variables[0].sizes, strict=False))
    for dim, length in dims.items():
        known[dim] = (dim,), list(sampler.coords.get(dim, range(length)))
    return dims, known | dict(sampler.other_coords)


def _places(name: str, wanted: Any, values: Sequence[Any]) -> list[int]:
    """Return the positions of a value."""
    value = wanted.item() if isinstance(wanted, (np.generic, np.ndarray)) else wanted
    if isinstance(wanted, xr.DataArray) and wanted.ndim == 0:
        value = wanted.item()
    if not isinstance(value, (bool, int, float, str)):
        raise type_error(name, "one value of this coordinate", wanted)
    is_text = isinstance(value, str)
    places = [i for i, v in enumerate(values) if isinstance(v, str) == is_text and v == value]
    if places:
        return places
    listed = ", ".join(map(repr, values[:SHOWN_VALUES]))
    more = f" and {len(values) - SHOWN_VALUES:,} more" if len(values) > SHOWN_VALUES else ""
    numbers = [v for v in values if not isinstance(v, str)]
    words = [v for v in values if isinstance(v, str)]
    hint = did_you_mean(value, words) if isinstance(value, str) else ""
    if not is_text and numbers:
        hint = f"The nearest is {min(numbers, key=lambda v: abs(v - value))!r}."
    raise value_error(name, f"one of {listed}{more}", value, hint)


def only(sampler: Sampler, positions: Positions) -> Sampler:
    """Return a sampler that draws some scenarios alone, one after the other.

    Its variables have one dimension of all these scenarios, in place of those of the run.
    """
    if not positions:
        return sampler
    assert isinstance(sampler, VariedSampler)
    chosen = tuple(
        scenario for scenario in sampler.scenarios
        if all(scenario.position[dim] in places for dim, places in positions.items())
    )  # fmt: skip
    return of_scenarios(sampler, chosen)


def of_scenarios(sampler: VariedSampler, chosen: tuple[Scenario, ...]) -> VariedSampler:
    """Return a sampler of some scenarios, along one dimension in place of those of the run.

    Parameters that differ from path to path keep their dimensions.
    """
    names = {variable.name for variable in sampler.single.variables}
    variables = tuple(_listed(v, len(chosen)) if v.name in names else v for v in sampler.variables)
    return replace(sampler, scenarios=chosen, variables=variables)


def _listed(variable: Variable, count: int) -> Variable:
    """Return a variable with one dimension of `count` scenarios."""
    dims, sizes = variable.dims[variable.lead :], variable.sizes[variable.lead :]
    return replace(variable, dims=("scenario_number", *dims), sizes=(count, *sizes), lead=1)


def placed(
    variable: Variable, sampler: Sampler, values: NDArray[Any], positions: Positions
) -> tuple[tuple[str, ...], NDArray[Any]]:
    """Return dims and values of a variable of one path at these positions.

    Parameters
    ----------
    variable : Variable
        That of the run.
    sampler : Sampler
        What `only` returned, which drew the values.
    values : array
        The values of the path.
    """
    drawn = next(v for v in sampler.variables if v.name == variable.name)
    kept = tuple(dim for dim in variable.dims if len(positions.get(dim, ())) != 1)
    if drawn is not variable:  # its first dimension is that of all scenarios
        lengths = dict(zip(variable.dims[: variable.lead], variable.sizes, strict=False))
        chosen = [len(positions.get(dim, range(length))) for dim, length in lengths.items()]
        leading = [length for dim, length in zip(lengths, chosen, strict=True) if dim in kept]
        return kept, values.reshape((*leading, *values.shape[1:]))
    for axis, dim in reversed(list(enumerate(variable.dims))):
        if dim in positions:
            values = values.take(positions[dim], axis)
            values = values.squeeze(axis) if dim not in kept else values
    return kept, values


def coords_at(coords: Mapping[str, Any], positions: Positions) -> Mapping[Any, Any]:
    """Return coordinates there; of a dimension of one position a scalar is left, as by ``sel``."""
    places = {dim: p[0] if len(p) == 1 else list(p) for dim, p in positions.items()}
    return xr.Dataset(coords=coords).isel(places, missing_dims="ignore").coords
