"""What to do about paths that fail, or are not finite: raise, mask or draw again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from montezarr.errors import SamplerError
from montezarr.sampling._base import Draw, Rows, Sampling


@dataclass(frozen=True, slots=True)
class Report:
    """What happened to a range of paths, beside their being drawn.

    Attributes
    ----------
    masked : tuple of (int, str)
        Index of every masked path, and why.
    retried : tuple of (int, int)
        Index of every path that was drawn again with success, and the number of attempts.
    """

    masked: tuple[tuple[int, str], ...] = ()
    retried: tuple[tuple[int, int], ...] = ()

    def __add__(self, other: Report) -> Report:
        return Report(
            tuple(sorted(self.masked + other.masked)), tuple(sorted(self.retried + other.retried))
        )


def draw(function: Draw, sampling: Sampling, start: int, stop: int, x0: Any) -> tuple[Rows, Report]:
    """Return the rows of paths start ... stop-1 under the policy `on_error`, and the report."""
    try:
        return function(sampling, start, stop, x0), Report()
    except SamplerError as failure:
        if sampling.on_error == "raise":
            _raise_first(function, sampling, start, x0, failure)
        first = failure
    # Some path fails: now one unit after the other. Failures are rare, so this is too.
    rows = sampling.new_rows(stop - start)
    report = Report()
    for low, high in _units(sampling, start, stop):
        part = rows[..., low - start : high - start]
        initial = None if x0 is None else x0[..., low - start : high - start]
        known = first if first.path is not None and low <= first.path < high else None
        report += _draw_unit(function, sampling, part, low, high, initial, known)
    return rows, report


def _draw_unit(
    function: Draw,
    sampling: Sampling,
    part: Rows,
    low: int,
    high: int,
    x0: Any,
    failure: SamplerError | None,
) -> Report:
    """Draw what can fail alone into its part of the rows; `failure` is that of a first attempt."""
    paths = range(low, high)
    allowed = 1 + (sampling.retries if sampling.on_error == "retry" else 0)
    for attempt in range(1 if failure is None else 2, allowed + 1):
        try:
            part[:] = function(sampling, low, high, x0)
        except SamplerError as error:
            failure = error
        else:
            return Report(retried=tuple((path, attempt) for path in paths if attempt > 1))
    assert failure is not None
    if sampling.on_error == "retry":
        failure.message += f" (also when drawn again, {sampling.retries} times)"
        raise failure
    _mask(sampling, part)
    reason = failure.message.partition(": ")[2]
    return Report(masked=tuple((path, reason) for path in paths))


def check_finite(
    function: Draw, sampling: Sampling, rows: Rows, start: int, x0: Any, before: Report
) -> Report:
    """Apply the policy `on_nonfinite` to rows, in place, and report.

    Parameters
    ----------
    before : Report
        Of the paths that are masked already.

    Raises
    ------
    SamplerError
        For the first path that is not finite, where the policy is to raise, or to retry and that
        did not help.
    """
    if np.isfinite(rows).all():
        return Report()
    bad = np.asarray(~np.isfinite(rows).all(axis=(0, 1)))
    bad[[path - start for path, _ in before.masked]] = False
    report = Report()
    for position in np.flatnonzero(bad):
        path = start + int(position)
        if sampling.on_nonfinite == "retry":
            attempt = _draw_finite(function, sampling, rows, int(position), path, x0)
            if attempt:
                report += Report(retried=((path, attempt),))
                continue
        failure = _not_finite(sampling, rows, int(position), path, x0, int(bad.sum()))
        if sampling.on_nonfinite == "retry":
            failure.message += f" (also when drawn again, {sampling.retries} times)"
        if sampling.on_nonfinite != "mask":
            raise failure
        reason = failure.message.partition(": ")[2].partition(";")[0]
        _mask(sampling, rows[..., position : position + 1])
        report += Report(masked=((path, reason),))
    return report


def _raise_first(
    function: Draw, sampling: Sampling, start: int, x0: Any, failure: SamplerError
) -> None:
    """Raise the failure, unless a path before it is not finite: the lowest path is reported."""
    path = failure.path
    if sampling.on_nonfinite == "raise" and path is not None:
        stop, _ = sampling.interface.drawn_with(path, path)
        if stop > start:
            before = None if x0 is None else x0[..., : stop - start]
            rows = function(sampling, start, stop, before)
            check_finite(function, sampling, rows, start, before, Report())
    raise failure


def _units(sampling: Sampling, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges that can fail alone: paths, or for a batch sampler its blocks."""
    low = start
    while low < stop:
        _, high = sampling.interface.drawn_with(low, stop)
        yield low, high
        low = high


def _mask(sampling: Sampling, part: Rows) -> None:
    for variable, row in zip(sampling.variables, part, strict=True):
        row[:] = variable.masked


def _draw_finite(
    function: Draw, sampling: Sampling, rows: Rows, position: int, path: int, x0: Any
) -> int:
    """Draw a path again until it is finite; return at which attempt it was, or 0."""
    first = path - position
    low, high = sampling.interface.drawn_with(path, first + rows.shape[-1])
    initial = None if x0 is None else x0[..., low - first : high - first]
    for attempt in range(2, sampling.retries + 2):
        try:
            again = function(sampling, low, high, initial)[..., path - low]
        except SamplerError:  # one more attempt that did not help
            continue
        if np.isfinite(again).all():
            rows[..., position] = again
            return attempt
    return 0


def _not_finite(
    sampling: Sampling, rows: Rows, position: int, path: int, x0: Any, count: int
) -> SamplerError:
    bad = ~np.isfinite(rows[..., position])
    variable, step = (int(index) for index in np.argwhere(bad)[0])
    value = rows[variable, step, position]
    name = sampling.variables[variable].name
    message = (
        f"{name} is {value} at time {sampling.times[step]:g}; {count} of {rows.shape[-1]} paths in"
        " this chunk are not finite. on_nonfinite='keep' lets them pass, 'mask' sets them to NaN."
    )
    return sampling.failure(path, sampling.state_at_start(x0, position), message)
