"""The data that a view shows of a stream: its last snapshot, its trace, its progress."""

from __future__ import annotations

import time
from typing import final

import numpy as np
import xarray as xr

from montezarr.core.text import duration
from montezarr.execute.run_monitor import intervals_of, where_in
from montezarr.plot import Trace
from montezarr.plot._hue import has_colours
from montezarr.reduction.sources import TIME
from montezarr.reduction.streaming import Snapshot
from montezarr.reduction.streaming._run import StreamRun

SHOWN_CELLS = 3
"""Scenarios whose estimates are shown, at most."""


@final
class StreamProgress:
    """The run of a stream, with the snapshots so far.

    Parameters
    ----------
    run : StreamRun
        The run.
    name : str or None
        The result to show; None for the first one that is a number with a standard error.

    Attributes
    ----------
    trace : Trace
        The results that are numbers with a standard error, over the snapshots.
    last : Snapshot or None
        The last snapshot so far.
    hue : str or None
        The dimension of the result, if there is none that is one number: each entry has a colour.
    """

    def __init__(self, run: StreamRun, name: str | None):
        self.run, self.name = run, name
        self.trace = Trace()
        self.last: Snapshot | None = None
        self.hue: str | None = None

    def add(self, snapshot: Snapshot) -> None:
        """Add a snapshot.

        Raises
        ------
        ArgumentValueError
            If the result to show is not one number with a standard error.
        """
        if self.last is None or snapshot.paths > self.last.paths:
            self.trace.add(snapshot)
        if self.last is None and (self.name is not None or self.trace.names):
            self.name = self.trace.choose(self.name or self.trace.names[0])
        elif self.last is None:
            self._choose_entries(snapshot)
        self.last = snapshot

    def _choose_entries(self, snapshot: Snapshot) -> None:
        """Show the first result of one further dimension whose entries have colours, if any."""
        ds = snapshot.dataset
        for name, array in ds.data_vars.items():
            if array.ndim != 1 or array.dims[0] == TIME or f"{name}_se" not in ds:
                continue
            dim = str(array.dims[0])
            if has_colours(array, dim):
                self.name, self.hue, self.trace = str(name), dim, Trace([dim])
                self.trace.add(snapshot)
                return

    def estimate(self) -> str:
        """Return the result with its standard error or interval, and confidence sequence."""
        if self.last is None:
            return ""
        if self.name is None or self.hue is not None:
            return self._of_scenarios(self.last.dataset)
        ds = self.last.dataset
        intervals = intervals_of(ds, self.name)
        assert intervals is not None  # the shown result has a standard error
        low, high = (
            ds[f"{self.name}{end}"].item() if f"{self.name}{end}" in ds else None
            for end in ("_cs_low", "_cs_high")
        )
        around = "" if low is None else f", within [{low:.6g}, {high:.6g}] at 95 % at any time"
        return f"{self.name} = {ds[self.name].item():.6g} {intervals.text(())}{around}"

    def _of_scenarios(self, ds: xr.Dataset) -> str:
        """Return the first result that has one number in each scenario, of the first few."""
        known = [str(name) for name, v in ds.data_vars.items() if TIME not in v.dims]
        fitting = known if self.name is None else [self.name]
        for name in fitting:
            intervals = intervals_of(ds, name)
            if intervals is None or not ds[name].size:
                continue
            cells = list(np.ndindex(ds[name].shape))
            shown = ", ".join(
                f"{ds[name].values[at]:.6g} {intervals.text(at)} {where_in(ds[name], at)}".rstrip()
                for at in cells[:SHOWN_CELLS]
            )
            left = len(cells) - SHOWN_CELLS
            return f"{name} = {shown}" + (f" and {left:,} more" if left > 0 else "")
        return ""

    def speed(self) -> str:
        """Return paths, seconds and speed as text."""
        paths, seconds = self.run.partial_state.paths, time.perf_counter() - self.run.began
        if self.last is not None and self.last.stopped is not None:
            paths, seconds = self.last.paths, self.last.seconds
        new = paths - self.run.started_at
        rate = f", {_short(new / seconds)} paths/s" if new and seconds > 0 else ""
        return f"{paths:,} paths in {duration(seconds)}{rate}"

    def outlook(self) -> str:
        """Return why the stream stopped, or which rule will stop it and when."""
        if self.last is not None and self.last.stopped is not None:
            return f"stopped: {self.last.stopped}"
        if self.run.is_stopping:
            return "stopping"
        rule, end = self.run.rule, self.run.block_source.n_paths
        rules = [str(rule)] if rule is not None else []
        rules += [f"all {end:,} paths"] if end is not None else []
        left = self._seconds_left()
        soon = "" if left is None else f"about {duration(left)} left, "
        return f"{soon}until {' or '.join(rules)}"

    def _seconds_left(self) -> float | None:
        """Return the seconds left: the last prediction less the time since then."""
        if self.last is None or self.last.seconds_left is None:
            return None
        since = time.perf_counter() - self.run.began - self.last.seconds
        return max(0.0, self.last.seconds_left - since)


def _short(number: float) -> str:
    """Return a number in words: 3.4 million."""
    for size, word in ((1e9, " billion"), (1e6, " million")):
        if number >= size:
            return f"{number / size:.3g}{word}"
    return f"{number:,.0f}"
