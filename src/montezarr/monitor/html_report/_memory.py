"""Memory of this process and its workers, sampled during a run."""

from __future__ import annotations

import threading
import time
from typing import Self, final

import psutil

from montezarr.core.context import ContextManager
from montezarr.core.tunables.waiting import CHILD_SEARCH_SECONDS, MEMORY_SAMPLE_SECONDS


@final
class MemoryMonitor(ContextManager):
    """Samples the memory of this process and its children; a context manager.

    Attributes
    ----------
    now, peak : int
        Bytes of resident memory at the last sample, and the most since `reset`.
    """

    def __init__(self) -> None:
        self.now = self.peak = 0
        self._process = psutil.Process()
        self._known: list[psutil.Process] = []
        self._searched = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, name="montezarr-memory", daemon=True)

    def __enter__(self) -> Self:
        self.reset()
        self._thread.start()
        return self

    def _end_block(self, error: BaseException | None) -> None:
        self._end.set()
        self._thread.join()

    def reset(self) -> int:
        """Restart the peak; return the bytes in use."""
        self.now = self.peak = self._read()
        return self.now

    def _look(self) -> None:
        while not self._end.wait(MEMORY_SAMPLE_SECONDS):
            self.now = self._read()
            self.peak = max(self.peak, self.now)

    def _read(self) -> int:
        total = 0
        for process in (self._process, *self._children()):
            try:
                total += process.memory_info().rss
            except psutil.Error:  # the child has just ended
                continue
        return int(total)

    def _children(self) -> list[psutil.Process]:
        """Return the children; search for new ones rarely, as that is slow with many processes."""
        if time.monotonic() - self._searched > CHILD_SEARCH_SECONDS:
            try:
                self._known = list(self._process.children(recursive=True))
            except psutil.Error:
                self._known = []
            self._searched = time.monotonic()
        return self._known
