"""Check the arguments ``vary`` and ``noise`` of `simulate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.checks import is_frame, show, type_error, value_error
from montezarr.core.errors import ArgumentValueError
from montezarr.random.designs._base import Design
from montezarr.random.distributions._base import Distribution, parameter_slots
from montezarr.random.distributions._built_in import as_distribution
from montezarr.run._entries import data_of
from montezarr.run._vary import DT, X0, Drawn, PathArray, ScenarioValues, Vary
from montezarr.samplers.schema import PATH, TIME

NOISES = ("common", "independent")


def check_vary(vary: Any, noise: Any, n_paths: int | None) -> Vary:
    """Return the checked arguments.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For values that are neither numbers on dimensions, one per path, nor a distribution; for
        dimensions that clash, or lengths that differ.
    """
    if noise not in NOISES:
        raise value_error("noise", "'common' or 'independent'", noise)
    if isinstance(vary, Vary):
        return vary
    if vary is None:
        return Vary()
    if isinstance(vary, Design):
        vary = {vary.names: vary}
    if not isinstance(vary, Mapping):
        raise type_error("vary", "a mapping of parameters to their values", vary, _for_table(vary))
    scenarios, arrays, drawn, designs = [], [], [], []
    lengths: dict[str, int] = {}
    coords: dict[str, tuple[tuple[str, ...], list[Any]]] = {}
    for key, value in vary.items():
        names = key if isinstance(key, tuple) else (key,)
        if not names or not all(isinstance(name, str) and name for name in names):
            raise type_error("vary", "names of parameters, or tuples of them, as keys", key)
        if isinstance(value, Design):
            designs.append(_on_design(names, value, n_paths))
            continue
        distribution = as_distribution(value)
        if distribution is not None:
            drawn.append(_drawn(names, distribution))
            continue
        if len(names) != 1:
            raise type_error(f"vary[{key!r}]", "a joint distribution", value)
        (name,) = names
        if name == X0 and isinstance(value, Mapping):
            for variable, array in _initial_states(value):
                scenarios.append(_scenario_values(X0, array, variable))
                _add_dims(X0, array, lengths, coords, variable)
            continue
        array = _as_array(name, value, n_paths)
        if PATH in array.dims:
            arrays.append(_path_array(name, array, n_paths))
        else:
            scenarios.append(_scenario_values(name, array))
        _add_dims(name, array, lengths, coords)
    if len(designs) > 1:
        raise value_error("vary", "at most one design", [list(d.names) for d in designs])
    # The design is last, where a recipe has it.
    found = Vary(
        scenarios=tuple(scenarios), arrays=tuple(arrays), drawn=(*drawn, *designs),
        lengths=lengths, coords=coords, noise=noise,
    )  # fmt: skip
    _check_names(found, [n for key in vary for n in (key if isinstance(key, tuple) else (key,))])
    return found


def _initial_states(value: Mapping[Any, Any]) -> Iterator[tuple[str, xr.DataArray]]:
    """Yield the initial state of each variable, by scenario.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For values by path, which `simulate` takes as ``x0=``.
    """
    if not value:
        raise value_error(f"vary[{X0!r}]", "an initial state for each variable", value)
    for variable, part in value.items():
        if not isinstance(variable, str) or not variable:
            raise type_error(f"vary[{X0!r}]", "names of variables as keys", variable)
        where = _where(X0, variable)
        if isinstance(part, np.ndarray) and part.ndim == 0:
            part = part[()]
        if isinstance(part, (bool, int, float, str, np.generic)):
            part = xr.DataArray(part)
        if not isinstance(part, xr.DataArray) or PATH in part.dims:
            raise type_error(
                where, "a number, or an xr.DataArray on dimensions of scenarios", part,
                "Initial states of several variables differ from path to path by x0= alone.",
            )  # fmt: skip
        yield variable, part


def _for_table(value: Any) -> str:
    """Return a hint for a table of pandas; an empty text for another value."""
    is_one = is_frame(value)
    return "For a table with a row for each scenario pass mz.scenarios(table)." if is_one else ""


def _on_design(names: tuple[str, ...], design: Design, n_paths: int | None) -> Drawn:
    if names != design.names:
        raise value_error("vary", f"the names of the design, {design.names}, as its key", names)
    design.check_paths(n_paths)
    return Drawn(names, design)


def _drawn(names: tuple[str, ...], distribution: Distribution) -> Drawn:
    """Return parameters with their distribution, checked to be of the same names."""
    if not distribution.names and len(names) > 1:
        raise type_error(f"vary[{names!r}]", "a joint distribution", distribution)
    if distribution.names and set(names) != set(distribution.names):
        expected = f"the key {distribution.names}, the parameters of its joint distribution"
        raise value_error("vary", expected, names)
    return Drawn(distribution.names or names, distribution)


def _as_array(name: str, value: Any, n_paths: int | None) -> xr.DataArray:
    where = f"vary[{name!r}]"
    if isinstance(value, xr.DataArray):
        for dim in value.dims:
            if not isinstance(dim, str):
                raise type_error(where, "dimensions whose names are text", dim)
        return value.copy(data=data_of(value, where)) if PATH in value.dims else value
    data = data_of(value, where)
    if not isinstance(data, (np.ndarray, da.Array)):
        if not isinstance(data, (str, bool, int, float, np.generic)):
            expected = "numbers by scenario or by path, or a distribution, such as mz.Normal(0, 1)"
            raise type_error(where, expected, value)
        data = np.asarray(data)
    if data.ndim == 1:
        if n_paths is None or data.shape[0] != n_paths:
            paths = "a number of paths" if n_paths is None else f"{n_paths} values, one per path"
            raise value_error(
                where, paths, f"{data.shape[0]} values",
                f"For scenarios pass xr.DataArray(values, dims={name!r}).",
            )  # fmt: skip
        return xr.DataArray(data, dims=PATH)
    if data.ndim:
        hint = _for_table(value) or f"Pass xr.DataArray(values, dims=[...]) for {name}."
        raise value_error(where, "an xr.DataArray, which names its dimensions", data.shape, hint)
    return xr.DataArray(data)


def _check_numbers(where: str, array: xr.DataArray, values: NDArray[Any], *, text: bool) -> None:
    """Raise unless all values are finite numbers, or text where that is allowed."""
    if values.size == 0:
        raise value_error(where, "one value or more", dict(array.sizes))
    if values.dtype.kind == "U" and text:
        return
    if values.dtype.kind not in "iufb":
        kinds = "numbers, or text that all paths of a scenario share"
        others = (x for x in values.ravel() if not isinstance(x, (int, float, np.number)))
        raise type_error(where, kinds, next(others, values.ravel()[0]))
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        place = dict(zip(array.dims, bad[0].tolist(), strict=True))
        at = ", ".join(f"{dim}={position}" for dim, position in place.items())
        found = f"{values[tuple(bad[0])]}{' at the position ' if at else ''}{at}"
        raise ArgumentValueError(f"{where}: expected finite numbers, got {found}.")


def _scenario_values(name: str, array: xr.DataArray, variable: str | None = None) -> ScenarioValues:
    values = np.array(array.values)
    if values.dtype == object and all(isinstance(item, str) for item in values.ravel()):
        values = values.astype(str)
    _check_numbers(_where(name, variable), array, values, text=True)
    return ScenarioValues(name, tuple(map(str, array.dims)), _plain(values), variable)


def _where(name: str, variable: str | None = None) -> str:
    return f"vary[{name!r}]" + ("" if variable is None else f"[{variable!r}]")


def _path_array(name: str, array: xr.DataArray, n_paths: int | None) -> PathArray:
    where = f"vary[{name!r}]"
    if n_paths is None:
        raise value_error(
            where, "scenarios, or a distribution, since there is no number of paths",
            dict(array.sizes),
        )  # fmt: skip
    if array.sizes[PATH] != n_paths:
        raise value_error(where, f"{n_paths} paths", f"{array.sizes[PATH]}")
    array = array.transpose(..., PATH)
    data = array.data
    if isinstance(data, da.Array):
        _check_numbers(where, array, np.zeros(min(1, data.size), data.dtype), text=False)
    else:
        data = np.array(array.values)
        _check_numbers(where, array, data, text=False)
        if data.dtype == np.uint64 and data.max() > np.iinfo(np.int64).max:
            raise value_error(where, "integers below 2**63", data.max())
    data = data.astype(np.int64) if data.dtype.kind in "iu" else _plain(data)
    return PathArray(name, tuple(str(dim) for dim in array.dims[:-1]), data)


def _plain(values: Any) -> Any:
    """Return floats in the precision of Python's own, which a separate run would get."""
    return values.astype(np.float64) if values.dtype.kind == "f" else values


def _add_dims(
    name: str, array: xr.DataArray, lengths: dict[str, int], coords: dict[str, Any],
    variable: str | None = None,
) -> None:  # fmt: skip
    """Add the dimensions of scenarios of a parameter, and their coordinates, to those known."""
    where = _where(name, variable)
    name = name if variable is None else f"{name}_{variable}"  # that of a variable is taken
    for dim in map(str, array.dims):
        if dim == PATH:
            continue
        if dim == TIME:
            raise value_error(
                where, "dimensions other than 'time'", dim,
                "A parameter has one value at all times.",
            )  # fmt: skip
        if lengths.setdefault(dim, array.sizes[dim]) != array.sizes[dim]:
            raise value_error(
                where, f"{lengths[dim]} values along {dim!r}, as another parameter has",
                array.sizes[dim], "For a grid give each parameter a dimension of its own.",
            )  # fmt: skip
    for label, coordinate in array.coords.items():
        if coordinate.dims and PATH not in coordinate.dims:
            _add_coord(where, str(label), coordinate, coords)
    # A parameter is a coordinate too, unless its own labels, or another dimension, have its name.
    is_free = name not in array.coords and (name not in lengths or array.dims == (name,))
    if array.dims and PATH not in array.dims and is_free:
        values = _plain(np.asarray(array.values)).tolist()
        _enter(where, name, (tuple(map(str, array.dims)), values), coords)


def _add_coord(where: str, label: str, coordinate: xr.DataArray, coords: dict[str, Any]) -> None:
    values = np.asarray(coordinate.values)
    is_text = values.dtype.kind == "U" or all(isinstance(x, str) for x in values.ravel())
    if not is_text and (values.dtype.kind not in "iufb" or not np.isfinite(values).all()):
        raise type_error(
            where, f"finite numbers or text in its coordinate {label!r}", values.ravel()[0],
            f"Drop it, by .drop_vars({label!r}), or give it numbers or text.",
        )  # fmt: skip
    plain = values if is_text else _plain(values)
    _enter(where, label, (tuple(map(str, coordinate.dims)), plain.tolist()), coords)


def _enter(where: str, label: str, entry: tuple[tuple[str, ...], Any], coords: Any) -> None:
    """Add a coordinate to those known, or raise if another one has its name."""
    if coords.setdefault(label, entry) != entry:
        raise value_error(
            where, f"the coordinate {label!r} of another parameter, {show(coords[label][1])}",
            entry[1], "Parameters that share a dimension share its coordinates.",
        )  # fmt: skip


def _check_names(vary: Vary, names: list[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise value_error("vary", "each parameter once", twice, "It is in two keys.")
    clash = next(
        (name for name in vary.by_path if name in vary.lengths or name in (PATH, TIME)), None
    )
    if clash is not None:
        raise value_error(
            "vary", "parameters by path whose names are no dimensions", clash,
            "Such a parameter becomes a variable: rename the dimension.",
        )  # fmt: skip
    parameter_slots(name for drawn in vary.drawn for name in drawn.slot_names)
    if DT in vary.by_path:
        raise value_error(
            f"vary[{DT!r}]", "values by scenario, not by path", "one per path",
            "All paths of a scenario have one grid of times.",
        )  # fmt: skip
