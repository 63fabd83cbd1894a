"""Failure policies: raise, mask or retry paths that fail or are not finite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.errors import SamplerError
from montezarr.samplers._base import Sampler
from montezarr.samplers.schema import FinitePaths, PathArrays, Variable, count_of

FINITE_AT_ONCE = 2**16
"""Values that are tested for NaN and infinities at once."""


@dataclass(frozen=True, slots=True)
class FailureReport:
    """Masked and retried paths of a range.

    Attributes
    ----------
    masked : tuple of (int, str)
        Index of every masked path, and the reason.
    retried : tuple of (int, int)
        Index of every path that was drawn again successfully, and the number of attempts.
    where : tuple of (int, tuple of int)
        Of several scenarios: index of every masked path, and the scenarios in which it is masked.
    """

    masked: tuple[tuple[int, str], ...] = ()
    retried: tuple[tuple[int, int], ...] = ()
    where: tuple[tuple[int, tuple[int, ...]], ...] = ()

    def __add__(self, other: FailureReport) -> FailureReport:
        return FailureReport(
            tuple(sorted(self.masked + other.masked)), tuple(sorted(self.retried + other.retried)),
            tuple(sorted(self.where + other.where)),
        )  # fmt: skip

    def between(self, start: int, stop: int) -> FailureReport:
        """Return the report of the paths start ... stop-1."""
        return FailureReport(
            tuple(entry for entry in self.masked if start <= entry[0] < stop),
            tuple(entry for entry in self.retried if start <= entry[0] < stop),
            tuple(entry for entry in self.where if start <= entry[0] < stop),
        )


def draw_range(
    sampler: Sampler, start: int, stop: int, x0: Any
) -> tuple[PathArrays, FailureReport]:
    """Draw paths start ... stop-1 under the policy `on_error`; return them and the report."""
    try:
        return sampler.draw(start, stop, x0), FailureReport()
    except SamplerError as failure:
        if sampler.on_error == "raise":
            _raise_first(sampler, start, x0, failure)
        first = failure
    # A path failed: draw again, one unit at a time. This is rare, since failures are.
    arrays = sampler.new_arrays(stop - start)
    report = FailureReport()
    for low, high in _units(sampler, start, stop):
        part = take_paths(arrays, low - start, high - start)
        initial = None if x0 is None else x0[..., low - start : high - start]
        known = first if first.path is not None and low <= first.path < high else None
        report += _draw_unit(sampler, part, low, high, initial, known)
    return arrays, report


def draw_as_it_is(
    sampler: Sampler, start: int, stop: int, x0: Any
) -> tuple[PathArrays, FailureReport]:
    """Draw paths start ... stop-1 under no policy; the report is empty."""
    return sampler.draw(start, stop, x0), FailureReport()


def take_paths(arrays: PathArrays, low: int, high: int) -> PathArrays:
    """Return views of the paths from position `low` to `high`."""
    return {name: array[..., low:high] for name, array in arrays.items()}


def _draw_unit(
    sampler: Sampler, part: PathArrays, low: int, high: int, x0: Any, failure: SamplerError | None
) -> FailureReport:
    """Draw one unit of paths into `part`; `failure` is that of a first attempt, if any."""
    paths = range(low, high)
    allowed = 1 + (sampler.retries if sampler.on_error == "retry" else 0)
    for attempt in range(1 if failure is None else 2, allowed + 1):
        try:
            drawn = sampler.draw(low, high, x0)
        except SamplerError as error:
            failure = error
        else:
            for name, array in part.items():
                array[...] = drawn[name]
            return FailureReport(retried=tuple((path, attempt) for path in paths if attempt > 1))
    assert failure is not None
    if sampler.on_error == "retry":
        failure.message += f" (also when drawn again, {sampler.retries} times)"
        raise failure
    _mask(sampler, part)
    reason = failure.message.partition(": ")[2]
    return FailureReport(masked=tuple((path, reason) for path in paths))


def check_finite(
    sampler: Sampler, arrays: PathArrays, start: int, x0: Any, before: FailureReport
) -> FailureReport:
    """Apply the policy `on_nonfinite` to arrays, in place, and report.

    Parameters
    ----------
    before : FailureReport
        Report of paths that are masked already.

    Raises
    ------
    SamplerError
        For the first path that is not finite under "raise", or after all retries under "retry".
    """
    bad = None if isinstance(arrays, FinitePaths) else _not_finite_paths(sampler, arrays)
    if bad is None:
        return FailureReport()
    bad[[path - start for path, _ in before.masked]] = False
    report = FailureReport()
    for position in np.flatnonzero(bad).tolist():
        path = start + position
        if sampler.on_nonfinite == "retry":
            attempt = _draw_finite(sampler, arrays, position, path, x0)
            if attempt:
                report += FailureReport(retried=((path, attempt),))
                continue
        failure = _not_finite(sampler, arrays, position, path, x0, int(bad.sum()))
        if sampler.on_nonfinite == "retry":
            failure.message += f" (also when drawn again, {sampler.retries} times)"
        if sampler.on_nonfinite != "mask":
            raise failure
        reason = failure.message.partition(": ")[2].partition(";")[0]
        _mask(sampler, take_paths(arrays, position, position + 1))
        report += FailureReport(masked=((path, reason),))
    return report


def _not_finite_paths(sampler: Sampler, arrays: PathArrays) -> NDArray[np.bool_] | None:
    """Return a mask of the paths with NaN or infinities; None if there are none."""
    bad: NDArray[np.bool_] | None = None
    for variable in sampler.variables:
        if not variable.is_real:
            continue
        values = arrays[variable.name]
        if variable.has_events or not _all_finite(values):
            finite = _finite(sampler, arrays, variable)
            here = np.asarray(~finite.all(axis=tuple(range(finite.ndim - 1))))
            bad = here if bad is None else bad | here
    return bad


def _finite(sampler: Sampler, arrays: PathArrays, variable: Variable) -> NDArray[np.bool_]:
    """Return where values of a variable are finite, or are no values but padding."""
    finite = np.isfinite(arrays[variable.name])
    padding = sampler.padding(variable, arrays)
    return finite if padding is None else finite | padding


def _all_finite(values: NDArray[Any]) -> bool:
    """Return whether all values are finite; a piece at a time, so that the tests stay in cache."""
    flat = values.reshape(-1)
    return all(
        bool(np.isfinite(flat[low : low + FINITE_AT_ONCE]).all())
        for low in range(0, flat.size, FINITE_AT_ONCE)
    )


def _raise_first(sampler: Sampler, start: int, x0: Any, failure: SamplerError) -> None:
    """Raise the failure, or that of a lower path that is not finite."""
    path = failure.path
    if sampler.on_nonfinite == "raise" and path is not None:
        stop, _ = sampler.interface.drawn_with(path, path)
        if stop > start:
            before = None if x0 is None else x0[..., : stop - start]
            arrays = sampler.draw(start, stop, before)
            check_finite(sampler, arrays, start, before, FailureReport())
    raise failure


def _units(sampler: Sampler, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of paths that are drawn together: single paths, or blocks."""
    low = start
    while low < stop:
        _, high = sampler.interface.drawn_with(low, stop)
        yield low, high
        low = high


def _mask(sampler: Sampler, part: PathArrays) -> None:
    for variable in sampler.variables:
        part[variable.name][...] = variable.masked


def _draw_finite(sampler: Sampler, arrays: PathArrays, position: int, path: int, x0: Any) -> int:
    """Draw a path again until it is finite; return the number of the attempt, or 0."""
    first = path - position
    low, high = sampler.interface.drawn_with(path, first + count_of(arrays))
    low = max(low, first)
    initial = None if x0 is None else x0[..., low - first : high - first]
    for attempt in range(2, sampler.retries + 2):
        try:
            again = take_paths(sampler.draw(low, high, initial), path - low, path - low + 1)
        except SamplerError:  # counts as a failed attempt
            continue
        if _not_finite_paths(sampler, again) is None:
            for name, array in arrays.items():
                array[..., position : position + 1] = again[name]
            return attempt
    return 0


def _not_finite(
    sampler: Sampler, arrays: PathArrays, position: int, path: int, x0: Any, count: int
) -> SamplerError:
    one = take_paths(arrays, position, position + 1)
    for variable in sampler.variables:
        if variable.is_real and not (finite := _finite(sampler, one, variable)[..., 0]).all():
            break
    values = one[variable.name][..., 0]
    place = tuple(int(index) for index in np.argwhere(~finite)[0])
    axis = variable.time_axis
    when = "" if axis is None else f" at time {sampler.times[place[axis]]:g}"
    when = f" at {variable.event_dim} {place[0]}" if variable.has_events else when
    message = (
        f"{variable.name} is {values[place]}{when}; {count} of {count_of(arrays)} paths in"
        " this chunk are not finite. on_nonfinite='keep' lets them pass, 'mask' sets them to NaN."
    )
    return sampler.failure(path, sampler.state_at_start(x0, position), message)
