"""Private names of `multiprocessing`: the preparation data of a process, and parts of a Pool.

This module imports the standard library alone, since every worker process imports it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from montezarr.core.fork import ForkLock, after_fork
from montezarr.core.tunables.waiting import BROKEN_POOL_SECONDS

try:
    from multiprocessing import spawn
except ImportError:
    spawn = None  # type: ignore[assignment]

try:
    from multiprocessing.resource_tracker import ensure_running as _ensure_running
except ImportError:
    _ensure_running = None  # type: ignore[assignment]


SCRIPT = ("init_main_from_name", "init_main_from_path")
"""Keys of the preparation data that make a new process import the script."""

_lock = ForkLock()
_wishes: list[Callable[[str], bool]] = []
_replaced: list[tuple[Any, Any]] = []
"""Our replacement of `get_preparation_data`, and the function that it replaced."""


@contextmanager
def script_kept_out(of: Callable[[str], bool]) -> Iterator[None]:
    """Prevent processes that are started inside the block from importing the user's script.

    `multiprocessing` has no setting for this. Hiding ``sys.modules["__main__"]`` instead makes
    pickling fail in other threads. So `get_preparation_data` is replaced while the block lasts.

    Parameters
    ----------
    of : function
        Called with the name of a process, in the thread that starts it: whether it is one of ours.
        Other processes get unchanged preparation data.
    """
    before = getattr(spawn, "get_preparation_data", None)
    if before is None:  # another version of Python: workers import the script
        yield
        return
    with _lock:
        _wishes.append(of)
        if len(_wishes) == 1:
            _replace()
    try:
        yield
    finally:
        with _lock:
            if of in _wishes:  # not in a child that was forked meanwhile
                _wishes.remove(of)
            if _replaced and not _wishes:
                _put_back()


def _replace() -> None:
    before: Any = getattr(spawn, "get_preparation_data")  # noqa: B009

    def get_preparation_data(name: str) -> dict[str, Any]:
        data: dict[str, Any] = before(name)
        if any(is_ours(name) for is_ours in list(_wishes)):
            for key in SCRIPT:
                data.pop(key, None)
        return data

    _replaced.append((get_preparation_data, before))
    setattr(spawn, "get_preparation_data", get_preparation_data)  # noqa: B010


def _put_back() -> None:
    """Restore the original function, unless other code has replaced ours, which it then calls."""
    ours, before = _replaced.pop()
    if getattr(spawn, "get_preparation_data", None) is ours:
        setattr(spawn, "get_preparation_data", before)  # noqa: B010


def _forget() -> None:
    """Reset the state in a forked child, where none of our processes is being started."""
    _wishes.clear()
    if _replaced:
        _put_back()


after_fork(_forget)


def start_resource_tracker() -> None:
    """Start the resource tracker of `multiprocessing`, where this version has one."""
    if _ensure_running is not None:
        _ensure_running()


def dismantle(pool: Any, kill: Callable[[], None], lock_seconds: float) -> None:
    """Close a Pool whose children died, perhaps while they held a lock or wrote a message.

    `Pool.terminate` would wait forever for that lock, or for the rest of that message. The private
    attributes used here have been the same since Python 3.8.

    Parameters
    ----------
    pool : multiprocessing.pool.Pool
        The broken pool.
    kill : function
        Kills its children.
    lock_seconds : float
        Seconds for which a live thread may hold a lock; after that a dead child holds it.
    """
    try:
        parts = _Parts(pool)
    except (AttributeError, ImportError):
        _terminate(pool, kill)
        return
    for handler in parts.handlers:
        handler._state = parts.end
    parts.notifier.put(None)
    parts.workers.join()  # so that it starts no new child
    kill()
    for lock in parts.locks:
        if lock is not None:
            lock.acquire(timeout=lock_seconds)  # a live thread releases it at once
            lock.release()  # on behalf of the dead child, if that holds it
    # No child reads tasks or writes results any more: both handlers see the end of their pipe.
    parts.task_reader.close()
    parts.tasks.put(None)
    parts.task_handler.join(BROKEN_POOL_SECONDS)
    parts.result_writer.close()
    parts.result_handler.join(BROKEN_POOL_SECONDS)
    parts.task_writer.close()
    parts.result_reader.close()
    parts.finalizer.cancel()
    pool._state = parts.end


class _Parts:
    """Private parts of a Pool; AttributeError or ImportError where this version lacks one."""

    def __init__(self, pool: Any):
        from multiprocessing.pool import TERMINATE

        self.end = TERMINATE
        self.notifier: Any = getattr(pool, "_change_notifier")  # noqa: B009
        self.workers: Any = getattr(pool, "_worker_handler")  # noqa: B009
        self.task_handler: Any = getattr(pool, "_task_handler")  # noqa: B009
        self.result_handler: Any = getattr(pool, "_result_handler")  # noqa: B009
        self.handlers = (self.workers, self.task_handler, self.result_handler)
        self.tasks: Any = getattr(pool, "_taskqueue")  # noqa: B009
        self.finalizer: Any = getattr(pool, "_terminate")  # noqa: B009
        asked: Any = getattr(pool, "_inqueue")  # noqa: B009
        answered: Any = getattr(pool, "_outqueue")  # noqa: B009
        # Windows has no lock for writing.
        self.locks = (getattr(asked, "_rlock"), getattr(answered, "_wlock"))  # noqa: B009
        self.task_reader: Any = getattr(asked, "_reader")  # noqa: B009
        self.task_writer: Any = getattr(asked, "_writer")  # noqa: B009
        self.result_reader: Any = getattr(answered, "_reader")  # noqa: B009
        self.result_writer: Any = getattr(answered, "_writer")  # noqa: B009


def _terminate(pool: Any, kill: Callable[[], None]) -> None:
    """Call `Pool.terminate` in a daemon thread, and wait for it for a limited time."""
    ending = threading.Thread(target=pool.terminate, name="montezarr-terminate", daemon=True)
    ending.start()
    kill()
    ending.join(BROKEN_POOL_SECONDS)
