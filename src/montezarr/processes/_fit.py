"""The result of fitting a process to data."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_array, check_real, value_error
from montezarr.core.text import Card, Formula, count_text, for_terminal
from montezarr.processes._base import Process
from montezarr.processes._describe import equation_rows, symbol

ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}($|[T ])")

SHOWN_ROWS = 3
"""Rows of a matrix that are shown number by number in a notebook, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A fitted process with the standard errors of its parameters.

    Attributes
    ----------
    process : Process
        The process at the estimates.
    standard_errors : dict
        Asymptotic standard error of each parameter, under the parameter's name.
    n : int
        Number of transitions that the fit used.
    intervals : dict
        95 % interval (low, high) of each parameter, valid for short series too, unlike an estimate
        plus and minus standard errors. It may be unbounded.

    Examples
    --------
    >>> import montezarr as mz
    >>> fit = mz.MarkovChain.fit(["calm", "calm", "storm", "calm", "storm", "storm", "calm"])
    >>> fit.n
    6
    >>> print(fit)
    MarkovChain, 6 transitions
      transition
        0.3333 ± 0.27       0.6667 ± 0.27
        0.6667 ± 0.27       0.3333 ± 0.27
    """

    process: Process
    standard_errors: dict[str, Any]
    n: int
    intervals: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{type(self.process).__name__}, {self.n} transitions"]
        for name, error in self.standard_errors.items():
            value = getattr(self.process, name)
            if isinstance(error, float):
                low, high = self.intervals.get(name, (np.nan, np.nan))
                within = "" if np.isnan(low) else f", within [{low:.4g}, {high:.4g}]"
                lines.append(f"  {name:<6} {value:.6g} ± {error:.2g}{within}")
            else:
                lines.append(f"  {name}")
                lines += [_matrix_row(*pair) for pair in zip(value, error, strict=True)]
        return for_terminal("\n".join(lines))

    def _repr_html_(self) -> str:
        kind = type(self.process)
        rows = [*equation_rows(kind.equation), ("data", count_text(self.n, "transition"))]
        table = [("parameter", "estimate", "standard error")]
        for name, error in self.standard_errors.items():
            value = getattr(self.process, name)
            if isinstance(error, float):
                table.append((Formula(symbol(name)), f"{value:.6g}", f"{error:.2g}"))
            elif len(value) > SHOWN_ROWS:
                table.append((name, f"{len(value):,} × {len(value):,} numbers", ""))
            else:
                table += [
                    (f"{name}[{i}, {j}]", f"{one:.4g}", f"{its:.2g}")
                    for i, pair in enumerate(zip(value, error, strict=True))
                    for j, (one, its) in enumerate(zip(*pair, strict=True))
                ]
        return Card(f"Fit of {kind.__name__}", rows, table).html()


def _matrix_row(values: Any, errors: Any) -> str:
    cells = [f"{value:.4g} ± {error:.2g}" for value, error in zip(values, errors, strict=True)]
    return "    " + "  ".join(f"{cell:<18}" for cell in cells).rstrip()


def check_time_steps(
    name: str, values: Any, dt: Any, times: Any, count: int
) -> float | NDArray[np.float64]:
    """Return the time between values: one number if it is constant, else one per step.

    Parameters
    ----------
    values : array
        The series; a DataArray or a Series may have times of its own.
    dt, times : float, array, or None
        The caller's arguments.
    count : int
        Number of values.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If both are given, times do not increase, or they differ from those of a DataArray or
        Series.
    """
    own = own_times(name, values)
    if own is not None and own.dtype.kind not in "iuf":
        if dt is None and times is None:
            raise value_error(
                name, "dt= or times= beside dates, to say in which unit of time rates are", values,
                "Such as dt=1/252 for trading days and rates per year; or times= in years.",
            )  # fmt: skip
        own = None
    if times is None:
        if own is None or (dt is not None and len(own) < 2):
            return 1.0 if dt is None else check_real("dt", dt, above=0.0)
        steps = _increments("times", own, count)
        if dt is None:
            return steps
        step = check_real("dt", dt, above=0.0)
        if not np.allclose(steps, step, rtol=1e-6, atol=0.0):
            span = f"{np.min(steps):g} to {np.max(steps):g}"
            raise value_error(
                "dt", f"the step of the times of {name}, {span}", dt,
                "Leave it out, so that these are used; or pass .values.",
            )  # fmt: skip
        return step
    if dt is not None:
        raise value_error("times", "dt or times, not both", times)
    given = check_array("times", times, ndim=1)
    if own is not None and not np.array_equal(own, given):
        raise value_error("times", f"those that {name} has itself", times, "Leave them out.")
    return _increments("times", given, count)


def own_times(name: str, values: Any) -> NDArray[Any] | None:
    """Return the times of a one-dimensional DataArray, a Series or a table, or None.

    Times are a coordinate or an index that is named `time`, or holds dates or floats. Under another
    name, consecutive whole numbers count the values and are no times.

    Raises
    ------
    ArgumentValueError
        For dates that do not increase.
    """
    own, is_named = _own_coordinate(values)
    if own is None or own.ndim != 1:
        return None
    if own.dtype.kind in "mM" or _are_dates(own):
        if not all(later > earlier for earlier, later in pairwise(own)):
            raise value_error(name, "dates that increase, oldest first", values)
        return own
    if own.dtype.kind not in "iuf":
        return None
    is_count = own.dtype.kind in "iu" or np.array_equal(own, np.arange(len(own)) + np.round(own[0]))
    return own if is_named or not is_count else None


def _own_coordinate(values: Any) -> tuple[NDArray[Any] | None, bool]:
    """Return the coordinate or index of the values, and whether it is named `time`."""
    dims, coords = getattr(values, "dims", None), getattr(values, "coords", None)
    if isinstance(dims, tuple) and len(dims) == 1 and coords is not None:
        for name in ("time", dims[0]):
            if name in coords and coords[name].dims == dims:
                return np.asarray(coords[name].values), name == "time"
    index = getattr(values, "index", None)
    if not hasattr(values, "iloc") or index is None:
        return None, False
    if hasattr(index, "asi8"):  # dates of pandas, also with a time zone, and periods
        return np.asarray(index.asi8).view("timedelta64[ns]"), False
    return np.asarray(index), index.name == "time"


def _are_dates(labels: NDArray[Any]) -> bool:
    """Return whether labels are dates of Python, dates of another calendar, or ISO 8601 text."""
    if labels.dtype.kind not in "OUT" or len(labels) == 0:
        return False
    if all(hasattr(label, "year") for label in labels):
        return True
    if not all(isinstance(label, str) and ISO_DATE.match(label) for label in labels):
        return False
    return len({len(label) for label in labels}) == 1  # of one form, so that text sorts by date


def _increments(name: str, times: NDArray[Any], count: int) -> float | NDArray[np.float64]:
    steps = np.diff(np.asarray(times, np.float64))
    if len(steps) != count - 1:
        raise value_error(name, f"{count} times, one for each value", len(steps) + 1)
    if not (steps > 0).all():
        raise value_error(name, "times that increase", times)
    same = np.allclose(steps, steps[0], rtol=1e-9, atol=0.0)
    return float((times[-1] - times[0]) / len(steps)) if same else steps


def check_series(
    name: str, values: Any, *, minimum: int, positive: bool = False
) -> NDArray[np.float64]:
    """Return a time series as a one-dimensional array of at least `minimum` finite numbers."""
    series = check_array(name, values, ndim=1)
    if len(series) < minimum:
        raise value_error(name, f"at least {minimum} values", values)
    if positive and not (series > 0).all():
        worst = float(series.min())
        raise value_error(name, "positive numbers only", worst)
    return series
