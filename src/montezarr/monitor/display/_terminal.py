"""The view in a terminal or a log file: a line of text."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO, final

from montezarr.core.text import as_ascii
from montezarr.core.tunables.waiting import PROGRESS_LINE_SECONDS
from montezarr.monitor.display._progress import StreamProgress
from montezarr.monitor.display._view import LiveView


@final
class Terminal(LiveView):
    """A line on standard error: rewritten on a terminal, else one every few seconds."""

    def __init__(self, progress: StreamProgress, every: float, out: TextIO | None = None):
        super().__init__(progress, every)
        self.out: TextIO | None = sys.stderr if out is None else out
        self._is_tty = self.out is not None and self.out.isatty()  # standard error may be None
        self._width = 0
        self._next_line = time.perf_counter() + PROGRESS_LINE_SECONDS

    def show_text(self, *, is_last: bool) -> None:
        """Write the estimate and the progress."""
        if self.out is None:
            return
        parts = [self.progress.estimate(), self.progress.speed(), self.progress.outlook()]
        line = "; ".join(part for part in parts if part)
        encoding = getattr(self.out, "encoding", None) or "utf-8"
        if not line.isascii() and encoding.lower().replace("-", "") not in ("utf8", "utf16"):
            line = as_ascii(line)
        if self._is_tty:
            columns = shutil.get_terminal_size().columns - 1
            # Overwrite the rest of a longer line before.
            self.out.write("\r" + line[:columns].ljust(min(columns, self._width)))
            self._width = len(line)
        elif is_last or time.perf_counter() >= self._next_line:
            self._next_line = time.perf_counter() + PROGRESS_LINE_SECONDS
            self.out.write(f"{line}\n")
        self.out.flush()

    def show_picture(self) -> None:
        """Do nothing: a terminal shows text alone."""

    def begin(self) -> None:
        """Write nothing yet."""

    def end(self, stopped: str) -> None:
        """Leave the line as it is."""
        if self._width and self.out is not None:
            self.out.write("\n")
            self.out.flush()
