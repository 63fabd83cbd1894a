"""Execute a run: ranges of paths on a backend, a window at a time, with a failure log."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from montezarr.core.errors import MaskedPathsWarning, MontezarrWarning
from montezarr.core.notices import warn
from montezarr.execute import Backend, windowed
from montezarr.execute.run_monitor import RunMonitor
from montezarr.run._run import Run
from montezarr.run._states import InitialStates
from montezarr.samplers import FailureReport
from montezarr.samplers.task import RangeTask

OnProgress = Callable[[int, int, int], None]
"""Callback that gets paths done, paths in all, and paths that failed so far."""

SHOWN_PATHS = 20
"""Paths that a warning lists; its attribute has them all."""


@dataclass
class FailureLog:
    """The failures of a run: masked paths with their reasons, and repeated ones.

    Attributes
    ----------
    masked : dict of int to str
        Reason of every masked path, by its index.
    retried : dict of int to int
        Attempts of every path that was drawn again with success.
    """

    masked: dict[int, str] = field(default_factory=dict)
    retried: dict[int, int] = field(default_factory=dict)

    def add(self, report: FailureReport) -> None:
        """Add the report of a task."""
        self.masked.update(report.masked)
        self.retried.update(report.retried)

    def join(self, other: FailureLog) -> None:
        """Add the failures of another log."""
        self.masked.update(other.masked)
        self.retried.update(other.retried)

    def warn(self, n_paths: int, stacklevel: int = 3) -> None:
        """Warn of masked and repeated paths, if there are any."""
        if self.masked:
            paths = tuple(sorted(self.masked))
            warning = MaskedPathsWarning(paths, self.masked[paths[0]], n_paths)
            warn(warning, None, stacklevel)
        if self.retried:
            first = sorted(self.retried)[:SHOWN_PATHS]
            listed = ", ".join(f"{path} ({self.retried[path]} attempts)" for path in first)
            more = (
                f" and {len(self.retried) - SHOWN_PATHS:,} more"
                if len(self.retried) > SHOWN_PATHS
                else ""
            )
            message = (
                f"{len(self.retried):,} of {n_paths:,} paths failed and were drawn again: paths"
                f" {listed}{more}."
            )
            warn(message, MontezarrWarning, stacklevel)


def run_ranges(
    run: Run,
    backend: Backend,
    task: RangeTask,
    ranges: Iterable[tuple[int, int]],
    failure_log: FailureLog,
    monitor: RunMonitor,
    *,
    ordered: bool = False,
    window: int | None = None,
) -> Generator[tuple[int, int, Any], None, None]:
    """Yield (start, stop, result) of each range as its task ends, or in order.

    Raises
    ------
    SamplerError
        The error of the lowest path that fails, on every backend.
    WorkerDied, WorkerTimeout
        With the range of paths.
    """
    states = InitialStates(run)
    items = ((start, stop, states.of(start, stop)) for start, stop in ranges)
    monitor.process = run.sampler.title
    with backend.running():
        results = windowed(
            backend,
            task,
            items,
            lambda item: item[:2],
            ordered=ordered,
            window=window,
            monitor=monitor,
        )
        with closing(results):
            for (start, stop, _), (result, report) in results:
                failure_log.add(report)
                yield start, stop, result


def ranges_of(start: int, stop: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of `size` paths from start to stop."""
    for low in range(start, stop, size):
        yield low, min(low + size, stop)
