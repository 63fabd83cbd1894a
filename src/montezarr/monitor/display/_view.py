"""`LiveView`, the base of all views: updated in place, at a limited rate."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

from montezarr.core.context import ContextManager
from montezarr.core.notices import log_warning
from montezarr.core.tunables.scheduling import LIVE_DRAWING_SHARE
from montezarr.execute.run_monitor import said
from montezarr.monitor.display._progress import StreamProgress


class LiveView(ContextManager, ABC):
    """A view of a stream; a context manager.

    Parameters
    ----------
    progress : StreamProgress
        The stream.
    every : float
        Minimum seconds between two updates.
    """

    def __init__(self, progress: StreamProgress, every: float):
        self.progress, self.every = progress, every
        self._pictured: int | None = None
        self._is_broken = False
        self._next_text = 0.0
        # The first tasks are small and would wait for the drawing.
        self._next_picture = time.perf_counter() + every

    @abstractmethod
    def show_text(self, *, is_last: bool) -> None:
        """Show the estimate and the progress as text."""

    @abstractmethod
    def show_picture(self) -> None:
        """Draw the figure."""

    @abstractmethod
    def begin(self) -> None:
        """Create the outputs."""

    @abstractmethod
    def end(self, stopped: str) -> None:
        """Remove controls that have no use after the end."""

    def update(self, *, is_last: bool = False) -> None:
        """Update the view if it is due; an error ends the view, and the stream goes on."""
        self._guarded(lambda: self._update(is_last=is_last))

    def _guarded(self, action: Callable[[], None]) -> None:
        if self._is_broken:
            return
        try:
            action()
        except Exception as error:
            self._is_broken, self.progress.run.tick = True, None
            name = type(error).__name__
            log_warning("montezarr: the view of the stream is given up: %s: %s", name, said(error))

    def _update(self, *, is_last: bool) -> None:
        now = time.perf_counter()
        last = self.progress.last
        is_new = last is not None and last.paths != self._pictured
        if is_new and (is_last or now >= self._next_picture):
            assert last is not None
            self._pictured = last.paths
            before = time.thread_time()
            self.show_picture()
            cost = time.thread_time() - before
            self._next_picture = time.perf_counter() + max(self.every, cost / LIVE_DRAWING_SHARE)
        if is_last or now >= self._next_text:
            self.show_text(is_last=is_last)
            self._next_text = time.perf_counter() + self.every
        if is_last:
            self._close(str(last.stopped) if last is not None else "")

    def __enter__(self) -> Self:
        self.progress.run.tick = self.update
        self._guarded(self.begin)
        return self

    def _end_block(self, error: BaseException | None) -> None:
        if self.progress.run.tick is not None:
            is_left = error is None or isinstance(error, GeneratorExit)
            self._close("left by its reader" if is_left else type(error).__name__)

    def _close(self, stopped: str) -> None:
        self.progress.run.tick = None
        self._guarded(lambda: self.end(stopped))
