"""Protect from Ctrl-C what must not stop halfway: a cluster's start and end, imports, waits.

An interruption there leaves sockets and processes that nothing closes, packages that stay half
imported for the rest of the session, and tracebacks that other packages print.
"""

from __future__ import annotations

import contextvars
import importlib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from montezarr.core.notices import print_notice
from montezarr.core.spawn import interrupts_blocked
from montezarr.core.tunables.waiting import INTERRUPT_NOTICE_SECONDS, INTERRUPTS_UNTIL_STOP


def uninterrupted(function: Callable[[], Any], undo: Callable[[], Any] | None = None) -> Any:
    """Run a function to its end despite Ctrl-C, and raise the interruption afterwards.

    Signals interrupt the main thread alone, so the function runs in another thread, and the main
    thread waits for it.

    Parameters
    ----------
    function : callable
        What to run.
    undo : callable, optional
        Called, and run to its end, if an interruption is raised in place of the result.

    Raises
    ------
    KeyboardInterrupt
        After the function has ended, if Ctrl-C was pressed; at once after the third time.
    Exception
        Any exception of the function.
    """
    if threading.current_thread() is not threading.main_thread():
        with interrupts_blocked():
            return function()
    found: list[Any] = []
    over = threading.Event()

    def run() -> None:
        try:
            with interrupts_blocked():
                found.append((function(), None))
        except BaseException as error:
            found.append((None, error))
        finally:
            over.set()

    context = contextvars.copy_context()
    thread = threading.Thread(target=lambda: context.run(run), daemon=True)
    interruptions: list[BaseException] = []
    try:
        with interrupts_deferred():  # an interrupted start leaves unknown whether the thread runs
            thread.start()
    except BaseException as interruption:
        if thread.ident is None:  # no further thread can be started
            raise
        interruptions.append(interruption)
    while not over.is_set():
        try:
            if interruptions and not over.wait(INTERRUPT_NOTICE_SECONDS):
                more = INTERRUPTS_UNTIL_STOP - len(interruptions)
                print_notice(
                    f"montezarr waits for what it began; Ctrl-C {more} more times leaves at once."
                )
            over.wait()  # not join: an interrupted join marks the thread as ended
        except BaseException as interruption:
            interruptions.append(interruption)
            if len(interruptions) == INTERRUPTS_UNTIL_STOP:
                raise
    result, error = found[0]
    if interruptions:
        if undo is not None:
            uninterrupted(undo)
        raise interruptions[0]
    if error is not None:
        raise error
    return result


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Defer Ctrl-C to the end of the block; no effect outside the main thread."""
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT) if is_main else None
    if not callable(before):  # ignored, left to the system, or not handled by Python
        yield
        return
    heard: list[Any] = []
    signal.signal(signal.SIGINT, lambda *arguments: heard.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if heard:
            before(*heard[-1])


def import_whole(name: str) -> ModuleType:
    """Import a module to its end despite Ctrl-C, and raise the interruption afterwards.

    An interrupted import removes the package from ``sys.modules`` but not its submodules: imported
    again, the package lacks them (``module 'distributed' has no attribute 'utils'``).

    Raises
    ------
    KeyboardInterrupt
        After the import, if Ctrl-C was pressed.
    ImportError
        As `importlib.import_module` does.
    """
    with interrupts_deferred():
        return importlib.import_module(name)


def wait_uninterrupted(futures: Iterable[Future[Any]], timeout: float | None) -> set[Future[Any]]:
    """Wait for all futures, at most `timeout` seconds (None: no limit), and return those done.

    Raises
    ------
    KeyboardInterrupt
        Also where Python, interrupted while it takes a lock again, raises a RuntimeError
        ``release unlocked lock``.
    """
    try:
        return wait(futures, timeout).done
    except RuntimeError as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, KeyboardInterrupt):
                raise cause from None
            cause = cause.__context__
        raise
