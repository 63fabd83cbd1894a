"""Private names of `concurrent.futures`: the number of workers of a pool, and their start."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any


def workers_of(executor: Executor) -> int:
    """Return the number of workers of a pool; -1, meaning all cores, where it is unknown."""
    return int(getattr(executor, "_max_workers", -1))


def start_all_at_once(executor: Any) -> None:
    """Make a process pool start all its workers with its first task.

    A pool that breaks while it adds a worker may leave its futures pending (Python 3.11).
    """
    if hasattr(executor, "_safe_to_dynamically_spawn_children"):
        executor._safe_to_dynamically_spawn_children = False
