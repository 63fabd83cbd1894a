"""The context manager: it listens to the runs inside of it, and writes the file at its end."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from montezarr._checks import type_error, value_error
from montezarr.backends import Backend, active_client
from montezarr.report._entry import Entry
from montezarr.report._memory import Memory
from montezarr.report._page import page
from montezarr.report._performance import Performance
from montezarr.watch import Listener, Watch, listen


def report(path: Any, *, title: str = "montezarr report") -> Report:
    """Return a context manager that writes one HTML file about the runs inside of it.

    The file needs nothing from outside. For each `montezarr.reduce`, `stream`, `write`, ... it has
    the plan against what happened: paths, seconds, memory, bytes; the speed over time, and of each
    worker; the estimates with their intervals. What is given to `Report.add` is shown in its
    order: results, plans, pictures. Where the runs were on the backend ``dask``, the performance
    report of Dask is in it too: task stream, profile, bandwidth.

    The file is written at the end of the block, also where that ends with an error.

    Parameters
    ----------
    path : str or path
        The file; one that is there is replaced.
    title : str
        Its heading.

    Returns
    -------
    Report

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `path` is no path, or its folder is not there.

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
    file = Path(path)
    if file.is_dir() or not file.parent.is_dir():
        raise value_error("path", "a file in a folder that is there", str(path))
    return Report(file, title)


@final
class Report(Listener):
    """Collects what happens inside its block; made by `montezarr.report`.

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
        self._memory = Memory()
        self._whole: Performance | None = None
        self._current: Performance | None = None

    def add(self, thing: Any, caption: str = "") -> None:
        """Show something in the report, where it is added.

        Parameters
        ----------
        thing : object
            Text; Axes or Figure of matplotlib; else what a notebook would show of it.
        caption : str, optional
            A line above it.

        Examples
        --------
        >>> import montezarr as mz, pathlib, tempfile
        >>> with mz.report(pathlib.Path(tempfile.mkdtemp(), "run.html")) as report:
        ...     report.add(mz.GeometricBrownianMotion(mu=0.05, sigma=0.2), "The model")
        """
        self.added.append((thing, caption))

    def __enter__(self) -> Self:
        self.began = time.time()
        self._stack.enter_context(self._memory)
        self._stack.callback(listen(self))
        client = active_client()
        if client is not None:  # lazy collections are on its page too
            self._whole = Performance(client)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
        performance = "" if self._whole is None else self._whole.end()
        if error is not None:
            self.error = f"{type(error).__name__}: {error}"
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            temporary.write_text(self._page(performance), encoding="utf-8")
            temporary.replace(self.path)
        finally:
            temporary.unlink(missing_ok=True)

    def _page(self, performance: str) -> str:
        runs = list(self.runs.values())
        pages = [run.performance for run in runs] if self._whole is None else [performance]
        return page(self.title, self.began, self.error, runs, self.added, pages)

    # --- as a listener ------------------------------------------------------------------------

    def started(self, watch: Watch, backend: Backend) -> None:
        """Begin to note a run, or its next pass."""
        if watch.key not in self.runs:
            self.runs[watch.key] = Entry(watch.to_dict(), self._memory.reset(), watch.planned())
        client = getattr(backend, "client", None)
        if client is not None and self._whole is None:
            self._current = Performance(client)

    def changed(self, watch: Watch) -> None:
        """Note how far it is."""
        entry = self.runs[watch.key]
        entry.moments.append((watch.seconds, watch.done))
        entry.memory_peak = max(entry.memory_peak, self._memory.peak)

    def rested(self, watch: Watch) -> None:
        """Take the page of Dask, while its scheduler is there."""
        if self._current is not None:
            self.runs[watch.key].performance = self._current.end()
            self._current = None

    def ended(self, watch: Watch) -> None:
        """Note how it ended."""
        self.changed(watch)
        self.runs[watch.key].news = watch.to_dict()
