"""A snapshot as text and HTML: estimates, errors, confidence sequences, speed, time left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from montezarr.core.text import Card, count_text, duration, for_terminal, number, plain, speed
from montezarr.execute.run_monitor import intervals_of, where_in

EXPANDED = 9
"""Values of a result that are shown one by one; of more, its dimensions."""

TEXT_LINES = 12
"""Estimates in a text."""

COMPANIONS = ("_se", "_cs_low", "_cs_high", "_low", "_high")
"""Suffixes of the results that belong to an estimate."""


class _Line(NamedTuple):
    name: str
    value: str
    interval: str = ""
    low: str = ""
    high: str = ""

    @property
    def text(self) -> str:
        """The estimate with both 95 % intervals; the level is printed once."""
        interval = self.interval and f" {self.interval}"
        if (self.low, self.high) == ("-inf", "inf"):
            return f"{self.value}{interval}, bounded by nothing yet"
        interval = interval.removesuffix(" at 95 %")
        return f"{self.value}{interval}, always in [{self.low}, {self.high}] (95 %)"


def as_text(snapshot: Any) -> str:
    """Return speed and time left, and a line for each estimate that has a standard error.

    The line has the standard error, or the 95 % interval where that is not ± 1.96 standard errors.
    """
    state = f"stopped: {snapshot.stopped}" if snapshot.stopped is not None else _to_go(snapshot)
    took, rate = duration(snapshot.seconds), speed(snapshot.paths_per_second)
    parts = [f"{snapshot.paths:,} paths in {took}, {rate}"]
    parts[0] += f"; {state}" if state else ""
    lines = [line for line in _lines(snapshot.dataset) if line.low]
    width = max((len(line.name) for line in lines[:TEXT_LINES]), default=0)
    parts += [f"  {line.name:<{width}} = {line.text}" for line in lines[:TEXT_LINES]]
    if len(lines) > TEXT_LINES:
        parts.append(f"  and {len(lines) - TEXT_LINES:,} more")
    shown = {line.name.partition("[")[0] for line in lines}
    others = [name for name in _names(snapshot.dataset) if name not in shown]
    if others:
        parts.append(Card("", note=f"also {', '.join(others)}").text())
    return for_terminal("\n".join(parts))


def as_card(snapshot: Any) -> Card:
    """Return the card for a notebook: speed, time left or reason of the stop, table of results."""
    is_last = snapshot.stopped is not None
    rows = [
        ("speed", f"{duration(snapshot.seconds)}, {speed(snapshot.paths_per_second)}"),
        (
            "stopped" if is_last else "to go",
            snapshot.stopped if is_last else _to_go(snapshot) or "unknown",
        ),
    ]
    head = ("result", "estimate", "± standard error, or 95 %", "95 %, at any time")
    body = [
        (line.name, line.value, line.interval, f"{line.low} … {line.high}" if line.low else "")
        for line in sorted(_lines(snapshot.dataset), key=lambda line: not line.low)
    ]
    return Card(f"Snapshot of {count_text(snapshot.paths, 'path')}", rows, [head, *body])


def _to_go(snapshot: Any) -> str:
    if snapshot.paths_needed is None:
        return ""
    left = "" if snapshot.seconds_left is None else f", {duration(snapshot.seconds_left)}"
    return f"about {count_text(snapshot.paths_needed, 'path')}{left} to go"


def _names(ds: xr.Dataset) -> list[str]:
    """Return the names of results, without those of `COMPANIONS`."""
    with_error = [name for name in ds.data_vars if f"{name}_se" in ds]
    beside = {f"{name}{end}" for name in with_error for end in COMPANIONS}
    return [plain(str(name)) for name in ds.data_vars if name not in beside]


def _lines(ds: xr.Dataset) -> Iterator[_Line]:
    for name in _names(ds):
        array = ds.get(name)
        if array is None:  # its name cannot be printed safely
            continue
        if array.size > EXPANDED:
            sizes = ", ".join(f"{dim}: {size:,}" for dim, size in array.sizes.items())
            yield _Line(name, f"({sizes})")
            continue
        ends = [ds.get(f"{name}{end}") for end in ("_cs_low", "_cs_high")]
        intervals = intervals_of(ds, name)
        for index in np.ndindex(array.shape):
            low, high = (None if b is None else b.values[index] for b in ends)
            yield _Line(
                f"{name}{where_in(array, index)}",
                number(array.values[index]),
                "" if intervals is None else intervals.text(index),
                "" if low is None else number(low),
                "" if high is None else number(high),
            )
