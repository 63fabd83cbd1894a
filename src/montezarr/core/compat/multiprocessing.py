"""Private names of `multiprocessing`: what a new process is told, and the inside of a Pool.

Only the standard library, and what needs no more, is imported here: every worker process imports
this module.
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
"""What tells a new process to import the script."""

_lock = ForkLock()
_wishes: list[Callable[[str], bool]] = []
_replaced: list[tuple[Any, Any]] = []
"""What we have put in place, and what was there before."""


@contextmanager
def script_kept_out(of: Callable[[str], bool]) -> Iterator[None]:
    """Keep the script of this program out of processes that are started inside the block.

    There is no setting for this. Hiding ``sys.modules["__main__"]`` instead makes pickling fail in
    other threads. So what says what a process is told is replaced, while the block lasts.

    Parameters
    ----------
    of : function
        Called with the name of a process, in the thread that starts it: whether it is one of ours.
        All others are told what they always are.
    """
    before = getattr(spawn, "get_preparation_data", None)
    if before is None:  # another version of Python: then the script is imported
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
    """Put back what was there, unless somebody has replaced it since, who calls ours."""
    ours, before = _replaced.pop()
    if getattr(spawn, "get_preparation_data", None) is ours:
        setattr(spawn, "get_preparation_data", before)  # noqa: B010


def _forget() -> None:
    """In a forked child none of our processes is being started."""
    _wishes.clear()
    if _replaced:
        _put_back()


after_fork(_forget)


def start_resource_tracker() -> None:
    """Start the process of `multiprocessing` that outlives its others, where there is one."""
    if _ensure_running is not None:
        _ensure_running()


def dismantle(pool: Any, kill: Callable[[], None], lock_seconds: float) -> None:
    """Take a Pool apart whose children died, perhaps with a lock in hand or in mid-message.

    `Pool.terminate` would wait for that lock, or for the rest of that message, for ever. These
    attributes of a Pool have been the same since Python 3.8.

    Parameters
    ----------
    pool : multiprocessing.pool.Pool
        Which.
    kill : function
        Kills its children.
    lock_seconds : float
        How long a lock may be held by anyone alive.
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
            lock.acquire(timeout=lock_seconds)  # a thread of ours gives it back in no time
            lock.release()  # on behalf of a child that is no more, where that has it
    # Nobody reads the tasks, and nobody writes results: both handlers see the end of their pipe.
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
    """What a Pool is made of; AttributeError or ImportError where it is made of something else."""

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
    """End a Pool by its own means, without waiting for ever; what hangs then ends with us."""
    ending = threading.Thread(target=pool.terminate, name="montezarr-terminate", daemon=True)
    ending.start()
    kill()
    ending.join(BROKEN_POOL_SECONDS)
