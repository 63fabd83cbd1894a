"""Locks across a fork: a child must not inherit one that a thread of its parent holds."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable


class ForkLock:
    """A reentrant lock for ``with`` that is replaced by a free one in every forked child.

    At the fork another thread of the parent may hold the lock; in the child that thread does not
    exist and would never release it.
    """

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _locks.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *raised: object) -> None:
        # A child that was forked inside the block leaves it with a new lock that it does not hold.
        with contextlib.suppress(RuntimeError):
            self._lock.release()

    def _renew(self) -> None:
        self._lock = threading.RLock()


_locks: weakref.WeakSet[ForkLock] = weakref.WeakSet()


def after_fork(function: Callable[[], None]) -> None:
    """Call a function in every forked child, after its locks are replaced, where fork exists."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)


def _renew_all() -> None:
    for lock in list(_locks):
        lock._renew()


after_fork(_renew_all)
