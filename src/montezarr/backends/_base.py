"""Where tasks run: what every backend offers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import Any

WINDOW = 3
"""Tasks in flight per worker: one that runs, and enough to follow that none waits."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A place to run tasks.

    Attributes
    ----------
    name : str
        Name of the backend.
    workers : int
        Tasks that run at the same time.
    reason : str
        Why this one is in force.
    executor : function () -> Executor
        Makes an executor, a context manager.
    is_local : bool
        Whether its workers share the memory of this machine.
    """

    name: str
    workers: int
    reason: str
    executor: Callable[[], Executor]
    is_local: bool = True


def windowed(
    executor: Executor, function: Callable[..., Any], items: Iterable[Any], workers: int
) -> Iterator[tuple[Any, Any]]:
    """Yield (item, result) as tasks end, with a few tasks per worker in flight at any time.

    A failing task stops the submission; what is queued is cancelled, what runs is waited for.
    """
    pending: dict[Future[Any], Any] = {}
    source = iter(items)
    try:
        while True:
            for item in source:
                pending[executor.submit(function, item)] = item
                if len(pending) >= WINDOW * workers:
                    break
            if not pending:
                return
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                item = pending.pop(future)
                yield item, future.result()
    finally:
        for future in pending:
            future.cancel()
