"""What is not to be cut in the middle by Ctrl-C: a cluster's start and end, imports, waiting.

Cut there, sockets and processes stay that nobody knows, packages are half imported for the rest of
the session, and others print what they think of that.
"""

from __future__ import annotations

import contextvars
import importlib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ALL_COMPLETED, Future, wait
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from montezarr.core.notices import print_notice
from montezarr.core.spawn import interrupts_blocked
from montezarr.core.tunables.waiting import INTERRUPT_NOTICE_SECONDS, INTERRUPTS_UNTIL_STOP


def uninterrupted(function: Callable[[], Any], undo: Callable[[], Any] | None = None) -> Any:
    """Run a function to its end, also where Ctrl-C comes meanwhile; raise that afterwards.

    Signals interrupt the main thread alone, so it runs in another one, which is waited for.

    Parameters
    ----------
    function : callable
        What to run.
    undo : callable, optional
        Run, to its end, if an interruption is to be raised in place of the result.

    Raises
    ------
    KeyboardInterrupt
        When all is done, if it came; after the third one at once.
    Exception
        What the function raised.
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
        with interrupts_deferred():  # cut in the middle, it would not be known whether it runs
            thread.start()
    except BaseException as interruption:
        if thread.ident is None:  # there can be no thread more
            raise
        interruptions.append(interruption)
    while not over.is_set():
        try:
            if interruptions and not over.wait(INTERRUPT_NOTICE_SECONDS):
                more = INTERRUPTS_UNTIL_STOP - len(interruptions)
                print_notice(
                    f"montezarr waits for what it began; Ctrl-C {more} more times leaves at once."
                )
            over.wait()  # not join, which takes a thread for ended when it is interrupted
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
    """Have Ctrl-C heard at the end of the block; only the main thread hears it at all."""
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT) if is_main else None
    if not callable(before):  # it is ignored, left to the system, or not Python's to handle
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
    """Import a module to its end, also where Ctrl-C comes meanwhile; raise that afterwards.

    An import that is cut takes the package away again, and leaves its submodules: imported once
    more, the package lacks them (``module 'distributed' has no attribute 'utils'``).

    Raises
    ------
    KeyboardInterrupt
        After the import, if it came.
    ImportError
        As `importlib.import_module` does.
    """
    with interrupts_deferred():
        return importlib.import_module(name)


def wait_uninterrupted(
    futures: Iterable[Future[Any]], timeout: float | None, return_when: str = ALL_COMPLETED
) -> set[Future[Any]]:
    """Return those of some futures that are done, after at most so many seconds (None: any).

    Raises
    ------
    KeyboardInterrupt
        Also where Python, cut while it takes a lock again, says ``release unlocked lock``.
    """
    try:
        return wait(futures, timeout, return_when).done
    except RuntimeError as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, KeyboardInterrupt):
                raise cause from None
            cause = cause.__context__
        raise
