"""`on_grid`: events as states, or numbers, at given times."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.checks import check_array, check_choice, value_error
from montezarr.core.errors import ArgumentValueError
from montezarr.run._events import check_dataset, dim_of, numbers_in, times_of, variable_of
from montezarr.run._grid_kernel import counts_up_to
from montezarr.samplers.schema import TIME

METHODS = ("previous", "linear", "count")


def on_grid(
    ds: xr.Dataset,
    times: Any,
    variable: str,
    *,
    method: str = "previous",
    event_time: str | None = None,
    before: float | None = None,
) -> xr.DataArray:
    """Return what a variable of events is at given times, of each path; lazily if it is lazy.

    Parameters
    ----------
    ds : Dataset
        Paths with events from `simulate`, also read from a store.
    times : array (times,)
        Increasing times, in the units of those of the events.
    variable : str
        Name of the variable with events: the states, or for "count" any one of them.
    method : {"previous", "linear", "count"}
        "previous" is the state of the last event up to a time, itself included, as of a process
        that jumps to it and stays. "linear" joins events by straight lines, and stays at the last
        one. "count" is the number of events up to a time.
    event_time : str, optional
        Name of the variable with the times of the events, which do not decrease. By default
        ``event_time``, or the name of the dimension with ``_time``.
    before : number, optional
        The state before the first event, such as the initial one. By default there is none: NaN,
        or the number in the attribute ``masked_value``.

    Returns
    -------
    DataArray
        With the dimensions of `variable`, those of events replaced by ``time`` at the end, in its
        dtype; float64 for "linear", int64 for "count".

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If there are no such events, or `times` do not increase. When it is computed, if times of
        events decrease.

    Examples
    --------
    >>> import montezarr as mz
    >>> import numpy as np
    >>> def arrivals(rng):
    ...     return {"event_time": rng.exponential(1.0, size=rng.poisson(3.0)).cumsum()}
    >>> ds = mz.simulate(arrivals, 1000, seed=1, max_events=32)
    >>> mz.on_grid(ds, [1.0, 2.0, 4.0], "event_time", method="count").dims
    ('path', 'time')
    """
    check_dataset(ds)
    check_choice("method", method, METHODS)
    grid = check_array("times", times, ndim=1)
    if not (np.diff(grid) > 0).all():
        raise value_error("times", "increasing times", times)
    values = variable_of(ds, variable, "variable")
    dim = dim_of(ds, values, "variable")
    when = times_of(ds, dim, event_time)
    number = numbers_in(ds)[dim]
    if when.dims != (*number.dims, dim):
        raise value_error("event_time", f"one with the dimensions {(*number.dims, dim)}", when.dims)
    if method == "count":
        values = when
    masked = (number if method == "count" else values).attrs.get("masked_value")
    kind = {"count": np.dtype("int64"), "linear": np.dtype("float64")}.get(method, values.dtype)
    first = _fill_of(kind, masked, before)
    others = [d for d in values.dims if d not in when.dims]
    found: xr.DataArray = xr.apply_ufunc(
        _resampled, when, number, values,
        input_core_dims=[[dim], [], [*others, dim]],
        output_core_dims=[[*others, TIME]],
        kwargs={"times": grid, "method": method, "fill": first, "kind": kind, "masked": masked},
        dask="parallelized", output_dtypes=[kind],
        dask_gufunc_kwargs={"output_sizes": {TIME: grid.size}},
    )  # fmt: skip
    found = found.assign_coords({TIME: (TIME, grid, {"axis": "T", "long_name": "time"})})
    if method == "count":
        found = found.rename(str(number.name))
        attrs: dict[Any, Any] = {"long_name": f"number of events along {dim}"}
    else:
        found = found.rename(values.name)
        attrs = {k: v for k, v in values.attrs.items() if k != "masked_value"}
    found.attrs = attrs | ({} if masked is None or kind.kind == "f" else {"masked_value": masked})
    found.encoding = {k: v for k, v in values.encoding.items() if k == "labels"}
    if "masked_value" in found.attrs:
        found.encoding["masked_value"] = masked
    return found


def _fill_of(kind: np.dtype[Any], masked: Any, before: Any) -> Any:
    """Return what is before the first event."""
    if before is None:
        return np.nan if kind.kind == "f" else 0 if masked is None else masked
    if not isinstance(before, (int, float, np.number)) or kind.type(before) != before:
        raise value_error("before", f"a state that {kind} holds", before)
    return before


def _resampled(
    when: NDArray[Any], number: NDArray[np.int64], values: NDArray[Any],
    *, times: NDArray[np.float64], method: str, fill: Any, kind: np.dtype[Any], masked: Any,
) -> NDArray[Any]:  # fmt: skip
    """Return the values of a block of paths on the grid; the last axis is that of times."""
    room = when.shape[-1]
    numbers = np.ascontiguousarray(number, np.int64).reshape(-1)
    index, wrong = counts_up_to(when.reshape(-1, room), numbers, times)
    if wrong >= 0:
        raise ArgumentValueError(
            "event_time: expected times that do not decrease, got"
            f" {when.reshape(-1, room)[wrong, : numbers[wrong]].tolist()[:20]}. Sort the events."
        )
    if method == "count":
        index[numbers < 0] = -1 if masked is None else masked
        return index.reshape(*number.shape, times.size)
    shape = values.shape[number.ndim : -1]
    rows = np.broadcast_to(values, (*number.shape, *values.shape[number.ndim :]))
    rows = rows.reshape(len(numbers), -1, room)
    at = np.maximum(index - 1, 0)[:, np.newaxis]
    out = np.take_along_axis(rows, at, -1).astype(kind)
    if method == "linear":
        after = np.minimum(index, np.maximum(numbers, 1)[:, np.newaxis] - 1)[:, np.newaxis]
        low, high = (
            np.take_along_axis(when.reshape(-1, 1, room), place, -1) for place in (at, after)
        )
        step = high - low
        part = np.divide(times - low, step, out=np.zeros_like(step), where=step > 0)
        gain = np.take_along_axis(rows, after, -1) - out
        out = np.where((step > 0) & np.isfinite(gain), out + part * gain, out)
    out = np.where(index[:, np.newaxis] > 0, out, np.array(fill, kind))
    if fill is not masked and (numbers < 0).any():
        out[numbers < 0] = np.nan if kind.kind == "f" else 0 if masked is None else masked
    return out.reshape(*number.shape, *shape, times.size)
