"""The context manager that listens to the runs inside it, and writes the file at its end."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, final

from montezarr.core.atomic_files import written_beside
from montezarr.core.checks import local_path, type_error, value_error
from montezarr.core.context import ContextManager
from montezarr.core.notices import log_warning
from montezarr.core.text import count_text
from montezarr.core.tunables.keeping import REPORT_MOMENTS_KEPT
from montezarr.execute import Backend, active_client
from montezarr.execute.run_monitor import Listener, RunMonitor, listen, said
from montezarr.monitor.html_report._entry import Entry
from montezarr.monitor.html_report._memory import MemoryMonitor
from montezarr.monitor.html_report._page import page
from montezarr.monitor.html_report._performance import Performance


def report(path: Any, *, title: str = "montezarr report") -> Report:
    """Return a context manager that writes one HTML file about the runs inside it.

    The file loads nothing from outside. For each `montezarr.reduce`, `stream`, `write`, ... it
    compares the plan with the run: paths, seconds, memory, bytes. It shows the speed over time and
    of each worker, and the estimates with their intervals. Objects passed to `Report.add` follow
    in their order: results, plans, pictures. For runs on the backend ``dask`` it includes the
    performance report of Dask: task stream, profile, bandwidth.

    The file is written at the end of the block, also if that ends with an error.

    Parameters
    ----------
    path : str or path
        The file; an existing one is replaced.
    title : str
        The heading.

    Returns
    -------
    Report

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `path` is no path, or its folder does not exist.

    Examples
    --------
    >>> import montezarr as mz, pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp(), "run.html")
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=10_000, T=10, seed=1)
    >>> with mz.report(file) as report:
    ...     report.add(mz.reduce(ds.x, "mean"), "The mean over time")
    >>> "plan" in file.read_text()
    True
    """
    if not isinstance(path, (str, os.PathLike)):
        raise type_error("path", "the path of a file", path)
    if not isinstance(title, str):
        raise type_error("title", "text", title)
    text = os.fspath(path)
    if not isinstance(text, str):
        raise type_error("path", "the path of a file, as text", path)
    if "\0" in text:
        raise value_error("path", "a file in a folder that is there", text)
    file = local_path("path", text)
    if file.is_dir() or not file.parent.is_dir():
        raise value_error("path", "a file in a folder that is there", text)
    return Report(file, title)


@final
class Report(ContextManager, Listener):
    """Records the runs inside its block; made by `montezarr.report`.

    Examples
    --------
    >>> import montezarr as mz, pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp(), "run.html")
    >>> with mz.report(file, title="Nothing happened") as report:
    ...     report.add("Some text.")
    >>> "Some text." in file.read_text()
    True
    """

    def __init__(self, path: Path, title: str):
        self.path, self.title = path, title
        self.added: list[tuple[Any, str]] = []
        self.runs: dict[str, Entry] = {}
        self.began, self.error = time.time(), ""
        self._stack = ExitStack()
        self._memory = MemoryMonitor()
        self._whole: Performance | None = None
        self._current: dict[str, Performance] = {}
        self._is_used = False

    def __repr__(self) -> str:
        return f"<montezarr report {str(self.path)!r}: {count_text(len(self.runs), 'run')}>"

    def add(self, thing: Any, caption: str = "") -> None:
        """Add an object to the report, after those added before.

        Parameters
        ----------
        thing : object
            Text; Axes or Figure of matplotlib; an object with ``_repr_html_``, such as results,
            plans and data frames; others by their repr. It is drawn at the end of the block.
        caption : str, optional
            A line above the object.

        Raises
        ------
        ArgumentTypeError
            If the caption is no text.

        Examples
        --------
        >>> import montezarr as mz, pathlib, tempfile
        >>> with mz.report(pathlib.Path(tempfile.mkdtemp(), "run.html")) as report:
        ...     report.add(mz.GeometricBrownianMotion(mu=0.05, sigma=0.2), "The model")
        """
        if not isinstance(caption, str):
            raise type_error("caption", "text", caption)
        self.added.append((thing, caption))

    def __enter__(self) -> Self:
        if self._is_used:
            raise RuntimeError("a report is of one block: call montezarr.report again")
        self._is_used = True
        self.began = time.time()
        self._stack.enter_context(self._memory)
        self._stack.callback(listen(self))
        client = active_client()
        if client is not None:  # it also covers lazy collections
            self._whole = Performance(client)
        return self

    def _end_block(self, error: BaseException | None) -> None:
        self._stack.close()
        if error is not None:
            self.error = f"{type(error).__name__}: {said(error)}"
        try:
            self._write()
        except Exception as trouble:
            if error is None:
                raise
            # Log this error only, or it would hide the error of the block.
            log_warning("montezarr: no report at %s: %s", self.path, said(trouble))

    def _write(self) -> None:
        runs = list(self.runs.values())
        pages = [page for run in runs for page in run.performance]
        if self._whole is not None:
            pages = [self._whole.end()]
        text = page(self.title, self.began, self.error, runs, self.added, pages)
        with written_beside(self.path) as temporary:
            # A lone surrogate cannot be encoded: write its code.
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")

    # --- as a listener ------------------------------------------------------------------------

    def started(self, monitor: RunMonitor, backend: Backend) -> bool:
        """Begin the record of a run, or of its next pass."""
        if monitor.key not in self.runs:
            self.runs[monitor.key] = Entry(
                monitor.to_dict(), self._memory.reset(), monitor.planned()
            )
        client = getattr(backend, "client", None)
        if client is not None and self._whole is None:
            self._current[monitor.key] = Performance(client)
        return True

    def changed(self, monitor: RunMonitor) -> None:
        """Record the progress."""
        entry = self.runs[monitor.key]
        entry.moments.append((monitor.seconds, monitor.new))
        if len(entry.moments) > REPORT_MOMENTS_KEPT:
            entry.moments = entry.moments[::2]
        entry.memory_peak = max(entry.memory_peak, self._memory.peak)

    def rested(self, monitor: RunMonitor) -> None:
        """Fetch the performance report of Dask while its scheduler is alive."""
        if monitor.key in self._current:
            self.runs[monitor.key].performance.append(self._current.pop(monitor.key).end())

    def ended(self, monitor: RunMonitor) -> None:
        """Record how the run ended."""
        self.changed(monitor)
        self.runs[monitor.key].news = monitor.to_dict()
