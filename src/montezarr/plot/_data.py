"""The data of a picture: paths, reduced in one pass, or results of `stream` and `reduce`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.checks import check_array, type_error, value_error
from montezarr.plot._figure import showable, whole_numbers
from montezarr.reduction.passes import reduce
from montezarr.reduction.sources import PATH, STEPS, TIME, are_codes, labels_of, seconds_of
from montezarr.reduction.streaming import Snapshot
from montezarr.run._attributes import recipe_told
from montezarr.run._provenance import Provenance
from montezarr.run._variables import LABELS
from montezarr.statistics import Statistic

BOTH = (PATH, TIME)

PLACES = ("hue", "col", "row")
"""Arguments for further dimensions, in the order in which an error offers them."""

STATES = (
    "Draw how often each state is, with plot.density or plot.histogram, or the share of one,"
    ' mz.in_state(x, "storm").'
)
"""Hint in errors about codes of labels."""


def paths_of(
    data: Any, dims: Sequence[str] = BOTH, name: str = "data", *, places: Sequence[str] = ()
) -> xr.DataArray:
    """Return the variable to draw: the only one of a Dataset, or its only one with these dims.

    `places` are the arguments of the picture for further dimensions, which an error then offers.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If there are several, or none, or its dimensions differ, or the run is endless.
    """
    listed = " and ".join(dims)
    if isinstance(data, Snapshot):
        raise type_error(name, f"paths, a DataArray with dims {listed}", data,
                         "A snapshot holds results and no paths.")  # fmt: skip
    if isinstance(data, xr.Dataset):
        names = list(data.data_vars)
        fitting = [key for key in names if set(data[key].dims) == set(dims)]
        # A Dataset may also hold scalars of a path, such as a drawn parameter.
        chosen = fitting if len(names) > 1 else names
        if len(chosen) != 1:
            raise value_error(
                name, f"one variable with dims {listed}", names,
                _hint_to_pick(data, dims, places),
            )  # fmt: skip
        data = _knowing_labels(data[chosen[0]], data.attrs)
    if not isinstance(data, xr.DataArray):
        hint = "Pass its .dataset." if hasattr(data, "dataset") else ""
        raise type_error(name, f"a DataArray with dims {listed}", data, hint)
    if set(data.dims) != set(dims):
        hint = _hint_to_select(data, dims, places)
        raise value_error(name, f"dims {listed}", data.dims, hint)
    if data.dtype.kind not in "iufb":
        raise type_error(name, "numbers", data.dtype)
    if data.sizes[PATH] == 0 or data.size == 0:
        raise value_error(name, "at least one path and one time", dict(data.sizes))
    if Provenance.of(data).is_endless:
        raise value_error(
            name, "a number of paths", None,
            "It was simulated with n_paths=None: stream it, and draw a snapshot.",
        )  # fmt: skip
    return data


def _hint_to_pick(ds: xr.Dataset, dims: Sequence[str], places: Sequence[str]) -> str:
    """Return a hint how to select a variable to draw; an empty text if there is none."""
    for names in ([key for key, v in ds.items() if set(v.dims) == set(dims)], list(ds)):
        for key in names:
            call = _selection(ds[key], dims)
            if call is not None:
                offer = _offer(ds[key], dims, places)
                return f"Pick one, such as ds[{key!r}]{call}{offer}."
    return ""


def _selection(array: xr.DataArray, dims: Sequence[str]) -> str | None:
    """Return the call that reduces an array to these dimensions; None if it lacks one."""
    if not set(dims) <= set(array.dims):
        return None
    others = _others(array, dims)
    if len(others) == 1 and others[0] != TIME and others[0] in array.coords:
        label = array[others[0]].values[:1].tolist()
        if label and others[0].isidentifier():
            return f".sel({others[0]}={label[0]!r})"
    return selection({dim: -1 if dim == TIME else 0 for dim in others}) if others else ""


def _others(array: xr.DataArray, dims: Sequence[str]) -> list[str]:
    return [str(dim) for dim in array.dims if dim not in dims]


def _offer(array: xr.DataArray, dims: Sequence[str], places: Sequence[str]) -> str:
    """Return the end of a hint that offers colours and panels for further dimensions."""
    others = [dim for dim in _others(array, (*dims, TIME)) if dim not in dims]
    pairs = [f"{place}={dim!r}" for place, dim in zip(places, others, strict=False)]
    if not pairs:
        return ""
    rest = ", and select of the others" if len(others) > len(pairs) else ""
    return f", or pass {', '.join(pairs)}{rest}"


def _hint_to_select(array: xr.DataArray, dims: Sequence[str], places: Sequence[str]) -> str:
    """Return a hint for an array with other dimensions than those that are drawn."""
    call = _selection(array, dims)
    if call is not None:
        is_time_alone = TIME not in dims and set(array.dims) == {*dims, TIME}
        if is_time_alone:
            return f"Pick a time: time=, or {call}."
        return f"Select one, with {call}{_offer(array, dims, places)}."
    call = _selection(array, (PATH,))
    if call is None or TIME in array.dims:
        return ""
    of_one = f" of one entry, with {call}" if call else ""
    return f"It has no times: draw a histogram{of_one}."


def selection(positions: Mapping[str, int]) -> str:
    """Return the call that selects one entry of some dimensions: ``.isel(asset=0)``."""
    if not all(dim.isidentifier() for dim in positions):
        return f".isel({dict(positions)})"
    return f".isel({', '.join(f'{dim}={position}' for dim, position in positions.items())})"


def _knowing_labels(array: xr.DataArray, attrs: Mapping[Any, Any]) -> xr.DataArray:
    """Return a variable of a Dataset with the labels of the recipe."""
    labels = labels_of(array, recipe_told(attrs))
    if labels is None or LABELS in array.encoding:
        return array
    out = array.copy(deep=False)
    out.encoding = {**array.encoding, LABELS: labels}
    return out


def check_not_labels(array: xr.DataArray, name: str = "data", hint: str = STATES) -> None:
    """Raise if a variable holds codes of labels, whose mean and quantiles have no meaning.

    Raises
    ------
    ArgumentValueError
        With a hint how to draw the states.
    """
    labels = labels_of(array)
    if labels is not None and are_codes(array, labels):
        raise value_error(
            name, f"numbers, and {display_name(array) or 'it'!r} holds codes of labels",
            [label for _, label in labels], hint,
        )  # fmt: skip


def name_states(axis: Any, array: xr.DataArray) -> None:
    """Label codes with their states; put ticks at other integers on whole numbers."""
    labels = labels_of(array)
    if labels is not None:
        axis.set_ticks([code for code, _ in labels], [showable(str(label)) for _, label in labels])
    elif array.dtype.kind in "iub":
        whole_numbers(axis)


def is_results(data: Any) -> bool:
    """Return whether `data` holds results of `stream` or `reduce`, and no paths."""
    if isinstance(data, Snapshot):
        return True
    is_dataset = isinstance(data, xr.Dataset) and PATH not in data.dims
    return is_dataset and "n_paths" in data.attrs


def results_in(data: Any, statistic: str, dims: Sequence[str], name: str = "data") -> xr.DataArray:
    """Return the only result of a statistic, with the name of its variable.

    Raises
    ------
    ArgumentValueError
        If there are several, or none, or it has other dimensions.
    """
    ds = data.dataset if isinstance(data, Snapshot) else data
    ending = f"_{statistic}"
    named = {str(key): v for key, v in ds.data_vars.items() if str(key).endswith(ending)}
    found = [key for key, v in named.items() if set(v.dims) == set(dims)]
    if len(found) != 1:
        expected = f"one result <variable>{ending} with dims {', '.join(dims)}"
        hint = "" if found else _hint_to_select_result(named.values(), dims)
        raise value_error(name, expected, found or list(ds.data_vars), hint)
    return ds[found[0]].rename(found[0].removesuffix(ending))


def _hint_to_select_result(results: Iterable[xr.DataArray], dims: Sequence[str]) -> str:
    """Return a hint how to select from a result that has more dimensions."""
    for array in results:
        call = _selection(array, dims)
        if call is not None:
            return f"{array.name} has the dims {', '.join(map(str, array.dims))}: take {call}."
    return ""


def reduced(array: xr.DataArray, statistics: Sequence[Statistic]) -> xr.Dataset:
    """Reduce paths in one pass; results are named after a variable x and have its attributes."""
    return reduce(array.rename("x"), statistics)


def named_as(array: xr.DataArray, found: xr.DataArray) -> xr.DataArray:
    """Return a result of `reduced` with name and attributes of the paths."""
    return found.rename(array.name).drop_attrs(deep=False).assign_attrs(array.attrs)


def display_name(array: xr.DataArray) -> str:
    """Return the name of a variable."""
    return "" if array.name is None else str(array.name)


SECONDS_OF_UNIT = {
    "days": 86400.0,
    "hours": 3600.0,
    "minutes": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
}
"""Units of durations, in seconds."""


def times_of(array: xr.DataArray) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return the times of an array for an axis of matplotlib, and their attributes.

    Numbers and dates are unchanged. Durations, and dates of other calendars, become numbers in a
    unit of suitable size, stated in the attributes; without times, positions count steps.
    """
    if TIME not in array.coords:
        return np.arange(array.sizes[TIME]), {"long_name": TIME, "units": STEPS}
    time = array[TIME]
    values, attrs = time.values, {"long_name": TIME, **time.attrs}
    is_other = values.dtype.kind == "O" and not isinstance(values[0], date)
    if values.dtype.kind != "m" and not is_other:
        return values, attrs
    start = values[0] / np.timedelta64(1, "s") if values.dtype.kind == "m" else 0.0
    seconds = seconds_of(values)
    if seconds is None:
        return values, attrs
    span = float(np.abs(seconds + start).max())
    units = next((u for u, size in SECONDS_OF_UNIT.items() if span >= 2 * size), "us")
    since = "" if values.dtype.kind == "m" else f" since {values[0]}"
    return (seconds + start) / SECONDS_OF_UNIT[units], {**attrs, "units": f"{units}{since}"}


def check_band_levels(name: str, quantiles: Any) -> NDArray[np.float64]:
    """Check levels of quantiles that bound bands.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If they are not increasing within (0, 1), or not symmetric around 0.5.
    """
    levels = check_array(name, quantiles, ndim=1)
    is_symmetric = np.allclose(levels + levels[::-1], 1.0)
    if not is_symmetric or (np.diff(levels) <= 0).any() or levels[0] <= 0 or levels[-1] >= 1:
        expected = "increasing levels in (0, 1), symmetric around 0.5"
        raise value_error(name, expected, quantiles)
    return levels


def levels_in(found: xr.DataArray, levels: NDArray[np.float64], *, any_will_do: bool) -> Any:
    """Return a result of `Quantile` at some of its levels, or at all of them.

    Raises
    ------
    ArgumentValueError
        If it lacks a level.
    """
    have = found["quantile"].values
    places = [np.flatnonzero(np.isclose(have, level)) for level in levels]
    if all(place.size for place in places):
        return found.isel(quantile=[int(place[0]) for place in places])
    if any_will_do:
        check_band_levels("data", have)
        return found
    raise value_error("quantiles", f"some of those that data has, {have.tolist()}", levels.tolist())
