"""The run monitor: state and progress of a run, sent to listeners while it goes on."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import xarray as xr

from montezarr.core.context import ContextManager
from montezarr.core.notices import log, log_warning
from montezarr.core.secrets import redacted
from montezarr.core.startup import run_begins
from montezarr.core.text import number
from montezarr.core.tunables.keeping import LISTENED_ESTIMATES_MAX
from montezarr.core.tunables.scheduling import LISTENERS_TIME_SHARE
from montezarr.core.tunables.waiting import LISTENERS_TOLD_SECONDS
from montezarr.execute._base import Backend
from montezarr.execute.progress import Progress
from montezarr.statistics._base import INTERVAL


class Listener:
    """Base of callbacks on the events of runs, added by `listen`. Its errors do not stop a run."""

    def started(self, monitor: RunMonitor, backend: Backend) -> bool:
        """Handle the start of tasks on a backend; called again for each pass over the paths.

        Returns
        -------
        bool
            Whether to send further events of this run.
        """
        return True

    def changed(self, monitor: RunMonitor) -> None:
        """Handle new progress, about twice a second."""

    def rested(self, monitor: RunMonitor) -> None:
        """Handle the end of the tasks, while the backend still runs."""

    def ended(self, monitor: RunMonitor) -> None:
        """Handle the end of a started run; its backend may have ended too."""


_listeners: list[Listener] = []


def listen(listener: Listener) -> Callable[[], None]:
    """Add a listener to all runs of this process; return a function that removes it."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener) if listener in _listeners else None


@dataclass
class Worker:
    """The work of one worker: tasks, paths, and seconds of work."""

    tasks: int = 0
    paths: int = 0
    seconds: float = 0.0

    @property
    def paths_per_second(self) -> float:
        """Paths per second of work."""
        return self.paths / self.seconds if self.seconds > 0 else 0.0


class RunMonitor(ContextManager):
    """Context manager around a run that records its progress and sends it to listeners.

    Parameters
    ----------
    stage : str
        Name of the stage: ``"reduce"``, ``"stream"``, ``"write"``, ...
    display : Progress or callable, optional
        Called with (paths done, paths in all, paths that failed).

    Attributes
    ----------
    process : str
        Name of the simulated process, if known.
    state : str
        ``"running"``, ``"done"``, ``"stopped"`` or ``"failed"``.
    planned : function
        Returns the planned ``paths``, ``seconds``, bytes of ``memory`` and ``store``, as far as
        known.
    """

    def __init__(self, stage: str, display: Any = None):
        self.stage, self.process, self.display = stage, "", display
        self.key = uuid.uuid4().hex  # runs of many drivers meet on one scheduler
        self.display_error: Exception | None = None
        self.done, self.failed = 0, 0
        self.total: int | None = None
        self.bytes_written = 0
        self.workers: dict[str, Worker] = {}
        self.estimates: list[dict[str, Any]] = []
        self.planned: Callable[[], Mapping[str, float | None]] = dict
        self.backend, self.in_processes = "", False
        self.state, self.error = "running", ""
        self.began = time.time()
        self._clock = time.monotonic()
        self._seconds: float | None = None
        self._at_start: int | None = None
        self._earlier = 0
        self._told, self._pause, self._spent = 0.0, 0.0, 0.0
        self._hearing: list[Listener] = []
        self._has_begun = False

    def __enter__(self) -> Self:
        run_begins()
        self._hearing = list(_listeners)
        if isinstance(self.display, Progress):
            self.display.__enter__()
        return self

    def _end_block(self, error: BaseException | None) -> None:
        if isinstance(self.display, Progress):
            self.display.__exit__(None, None, None)
        self.state = "done"
        if error is not None:
            self.state = "failed" if isinstance(error, Exception) else "stopped"
            self.error = said(error).partition("\n")[0] if self.state == "failed" else ""
        self._seconds = self.seconds
        if self._has_begun:
            self._tell("ended")

    def __call__(self, done: int, total: int | None, failed: int = 0) -> None:
        """Record that `done` of `total` paths are done, `failed` of which have failed."""
        if self._at_start is None:
            self._at_start = done  # paths done before the run do not count for the speed
        elif done < self.done:  # another pass
            self._earlier += self.done - self._at_start
            self._at_start = done
        self.done, self.total, self.failed = done, total, failed
        if self.display is not None:
            try:
                self.display(done, total, failed)
            except Exception as error:  # the display may be user code: it does not stop the run
                self.display_error = error
                raise
        if self._hearing and self._has_begun and self._is_time():
            self._tell("changed")

    @contextmanager
    def at_work(self, backend: Backend) -> Iterator[None]:
        """Send the start and the end of tasks on a backend."""
        self.backend, self.in_processes = backend.name, backend.in_processes
        self._has_begun = True
        self._tell("started", backend)
        self._tell("changed")
        try:
            yield
        finally:
            self._tell("changed")
            self._tell("rested")

    def task_done(self, worker: str, paths: int, seconds: float) -> None:
        """Record a finished task."""
        entry = self.workers.setdefault(worker, Worker())
        entry.tasks += 1
        entry.paths += paths
        entry.seconds += seconds

    def estimate(self, results: Callable[[], xr.Dataset], *, now: bool = False) -> None:
        """Compute the results so far if listeners are due, or `now`."""
        if self._hearing and (now or self._is_time()):
            began = time.monotonic()
            try:
                self.estimates = estimates_of(results())
            except Exception as error:  # no result depends on intermediate estimates
                log.debug("no estimates of %s: %s", self.stage, error)
            self._spent += time.monotonic() - began

    @property
    def seconds(self) -> float:
        """Seconds since the run began, or its duration once it has ended."""
        return time.monotonic() - self._clock if self._seconds is None else self._seconds

    @property
    def paths_per_second(self) -> float:
        """Speed since the run began."""
        return self.new / max(self.seconds, 1e-9)

    @property
    def new(self) -> int:
        """Paths that this run has done in all its passes, without those done before it."""
        return self._earlier + self.done - (self._at_start or 0)

    @property
    def seconds_left(self) -> float | None:
        """Time left at this speed; None if unknown."""
        if self.total is None or self.paths_per_second <= 0:
            return None
        return max(0, self.total - self.done) / self.paths_per_second

    def to_dict(self) -> dict[str, Any]:
        """Return the state of the run as JSON."""
        names = "key", "stage", "process", "backend", "in_processes", "state", "error"
        numbers = "began", "seconds", "done", "total", "new", "failed", "bytes_written"
        speeds = "paths_per_second", "seconds_left"
        workers = {
            name: {
                "tasks": worker.tasks,
                "paths": worker.paths,
                "paths_per_second": worker.paths_per_second,
            }
            for name, worker in sorted(self.workers.items())
        }
        return {
            **{name: getattr(self, name) for name in (*names, *numbers, *speeds)},
            "workers": workers,
            "estimates": self.estimates,
        }

    # --- listeners ----------------------------------------------------------------------------

    def _is_time(self) -> bool:
        return time.monotonic() - self._told >= self._pause

    def _tell(self, what: str, *arguments: Any) -> None:
        """Tell all who hear; who raises hears no more of this run."""
        began = time.monotonic()
        for listener in list(self._hearing):
            try:
                if getattr(listener, what)(self, *arguments) is False:
                    self._hearing.remove(listener)
            except Exception as error:
                self._hearing.remove(listener)
                log_warning(
                    "montezarr: %s is left alone for this run: %s: %s",
                    type(listener).__name__, type(error).__name__, said(error),
                )  # fmt: skip
        if what == "changed":
            self._told = time.monotonic()
            self._pause = max(
                LISTENERS_TOLD_SECONDS, (self._spent + self._told - began) / LISTENERS_TIME_SHARE
            )
            self._spent = 0.0


def said(error: BaseException | None) -> str:
    """Return the text of an error, or its type if making the text raises."""
    try:
        return redacted(str(error))
    except Exception:
        return f"<{type(error).__name__}>"


def title_of(news: Mapping[str, Any]) -> str:
    """Return the stage of a run, with its process if known."""
    return f"{news['stage']} {news['process']}".rstrip()


@dataclass(frozen=True, slots=True)
class Intervals:
    """Errors and 95 % intervals of the cells of a result.

    Attributes
    ----------
    error, low, high : array
        In the shape of the result.
    is_around : array of bool
        Whether the interval is that of 1.96 standard errors on either side.
    """

    error: Any
    low: Any
    high: Any
    is_around: Any

    def text(self, index: tuple[int, ...]) -> str:
        """Return the error of an estimate as text: ``± 0.1``, or else its interval."""
        if self.is_around[index]:
            return f"± {self.error[index]:.2g}"
        return f"in [{number(self.low[index])}, {number(self.high[index])}] at 95 %"


def intervals_of(ds: xr.Dataset, name: str) -> Intervals | None:
    """Return the 95 % intervals of a result; None if it has no standard error.

    They are ``<name>_low`` and ``<name>_high`` if these exist, else 1.96 standard errors on either
    side.
    """
    if f"{name}_se" not in ds:
        return None
    value, error = ds[name].values, ds[f"{name}_se"].values
    if f"{name}_low" in ds and f"{name}_high" in ds:
        low, high = ds[f"{name}_low"].values, ds[f"{name}_high"].values
        return Intervals(error, low, high, np.zeros(np.shape(value), np.bool_))
    with np.errstate(over="ignore", invalid="ignore"):
        half = INTERVAL * error
        return Intervals(error, value - half, value + half, np.ones(np.shape(value), np.bool_))


def estimates_of(ds: xr.Dataset) -> list[dict[str, Any]]:
    """Return the results of few cells, with their 95 % intervals, as JSON."""
    out: list[dict[str, Any]] = []
    for name, array in ds.data_vars.items():
        # Each of many variables takes xarray a look at all of them.
        if len(out) >= LISTENED_ESTIMATES_MAX:
            break
        found = intervals_of(ds, str(name))
        if found is None or len(out) + array.size > LISTENED_ESTIMATES_MAX:
            continue
        for at in np.ndindex(array.shape):
            value = float(array.values[at])
            if not np.isfinite(value):
                continue
            numbers = (float(a[at]) for a in (found.error, found.low, found.high))
            se, low, high = (a if np.isfinite(a) else None for a in numbers)
            label = f"{name}{where_in(array, at)}"
            out.append({"name": label, "value": value, "se": se, "low": low, "high": high})
    return out


def where_in(array: xr.DataArray, index: tuple[int, ...]) -> str:
    """Return the coordinates of one cell as text, such as ``[time=0.25]``."""
    parts = []
    for dim, position in zip(array.dims, index, strict=True):
        label = array[dim].values[position] if dim in array.coords else position
        parts.append(f"{dim}={number(label)}")
    return f"[{', '.join(parts)}]" if parts else ""


def table_of(estimates: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return estimates as rows of text, with a header first."""
    rows = [["estimate", "value", "standard error", "95 % interval"]]
    for entry in estimates:
        known = entry["se"] is not None
        ends = entry["low"], entry["high"]
        low, high = (
            f"{unbounded if end is None else end:,.6g}"
            for end, unbounded in zip(ends, (-np.inf, np.inf), strict=True)
        )
        interval = "" if ends == (None, None) else f"[{low}, {high}]"
        error = f"{entry['se']:.2g}" if known else ""
        rows.append([entry["name"], f"{entry['value']:,.6g}", error, interval])
    return rows
