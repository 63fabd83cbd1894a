"""Progress of a run: a bar in a terminal or notebook, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Self, TextIO

from montezarr.core.context import ContextManager
from montezarr.core.errors import MissingDependencyError
from montezarr.core.notices import UNREADABLE, log
from montezarr.core.optional import import_optional
from montezarr.core.tunables.waiting import PROGRESS_LINE_SECONDS


def kernel() -> Any:
    """Return the kernel of the notebook that this runs in, or None.

    An imported ipykernel does not prove a notebook: a program that starts kernels imports it too.
    """
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return getattr(shell, "kernel", None)


class _Unbroken:
    """A stream that records errors instead of raising them.

    tqdm keeps the lock of all bars when writing raises: ending a bar in another thread, as garbage
    collection does, would then wait for ever.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream
        self.error: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> None:
        self._guarded(self._stream.write, text)

    def flush(self) -> None:
        self._guarded(self._stream.flush)

    def _guarded(self, action: Callable[..., object], *args: Any) -> None:
        try:
            action(*args)
        except UNREADABLE as error:
            if isinstance(error, ValueError) and "closed" in str(error):
                raise  # tqdm then drops its bar silently
            self.error = error


class Progress(ContextManager):
    """Context manager that shows paths done, paths per second and time left; call it to update.

    Parameters
    ----------
    label : str
        Name of the stage.
    enabled : bool
        Whether to show anything.
    stream : text file, optional
        Where to write; standard error by default.
    """

    def __init__(self, label: str, *, enabled: bool = True, stream: TextIO | None = None):
        self.label, self.enabled = label, enabled
        self.stream = stream if stream is not None else sys.stderr
        if self.stream is None:  # a program without a console
            self.enabled = False
        self._bar: Any = None
        self._out: _Unbroken | None = None
        self._started = self._shown = time.monotonic()
        self._at_start: int | None = None

    def __enter__(self) -> Self:
        self._started = self._shown = time.monotonic()
        return self

    def _end_block(self, error: BaseException | None) -> None:
        self._guarded(self._close)

    def __call__(self, done: int, total: int | None, failed: int = 0) -> None:
        """Show that `done` of `total` paths are done, `failed` of which have failed.

        `total` may change from call to call; None if unknown. If the stream cannot be written to,
        because it is full or closed, showing ends and the run goes on.
        """
        self._guarded(self._show, done, total, failed)

    def _guarded(self, action: Callable[..., None], *args: Any) -> None:
        if not self.enabled:
            return
        try:
            action(*args)
        except Exception as error:
            self.enabled = False
            if self._bar is not None:
                self._bar.disable = True  # closing the bar must not write either
            log.debug("no progress of %s: %s", self.label, error)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _show(self, done: int, total: int | None, failed: int) -> None:
        if self._at_start is None:
            # Paths of the first call were done before the run: they do not count for the speed.
            self._at_start = done
            self._bar = self._make_bar(done, total)
        if self._bar is not None:
            if failed:
                self._bar.set_postfix(failed=f"{failed:,}", refresh=False)
            self._bar.total = total
            self._bar.update(done - self._bar.n)
            if self._out is not None and self._out.error is not None:
                raise self._out.error
        elif time.monotonic() - self._shown >= PROGRESS_LINE_SECONDS or done == total:
            self._shown = time.monotonic()
            line = self.line(done, total, self._shown - self._started, failed)
            print(line, file=self.stream, flush=True)

    def line(self, done: int, total: int | None, elapsed: float, failed: int = 0) -> str:
        """Return the plain line for `done` of `total` paths after `elapsed` seconds."""
        rate = (done - (self._at_start or 0)) / max(elapsed, 1e-9)
        if total is None:
            parts = [f"{done:,} paths", f"{rate:,.0f} paths/s"]
        else:
            left = (total - done) / max(rate, 1e-9)
            parts = [f"{done:,} of {total:,} paths ({done / total:.0%})"]
            parts += [f"{rate:,.0f} paths/s", f"{left:.0f} s left"]
        if failed:
            parts.append(f"{failed:,} failed")
        return f"{self.label}: {', '.join(parts)}"

    def _make_bar(self, done: int, total: int | None) -> Any:
        # In a notebook standard error is no terminal, but tqdm.auto draws a bar of its own.
        if not self.stream.isatty() and kernel() is None:
            return None
        try:
            tqdm = import_optional("tqdm.auto", extra="progress", purpose="A progress bar")
        except MissingDependencyError:
            return None
        self._out = _Unbroken(self.stream)
        return tqdm.tqdm(
            total=total,
            initial=done,
            desc=self.label,
            unit="path",
            unit_scale=True,
            file=self._out,
        )
