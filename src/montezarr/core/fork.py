"""What a forked child must not share with its parent: locks that no thread of it will let go."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable


class ForkLock:
    """A lock for ``with``, of one thread at a time, which a forked child has free and anew.

    Another thread of the parent may have held it at the fork, and is not there to let it go. The
    thread that holds it may take it again.
    """

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _locks.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *raised: object) -> None:
        # A child that was forked inside the block leaves it with a lock that it has not taken.
        with contextlib.suppress(RuntimeError):
            self._lock.release()

    def _renew(self) -> None:
        self._lock = threading.RLock()


_locks: weakref.WeakSet[ForkLock] = weakref.WeakSet()


def after_fork(function: Callable[[], None]) -> None:
    """Call a function in every forked child, after its locks are new; never where none can be."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)


def _renew_all() -> None:
    for lock in list(_locks):
        lock._renew()


after_fork(_renew_all)
