"""Private names of `concurrent.futures`: how many workers a pool has, and when it starts them."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any


def workers_of(executor: Executor) -> int:
    """Return the number of workers of a pool; -1, which is all cores, where it does not tell."""
    return int(getattr(executor, "_max_workers", -1))


def start_all_at_once(executor: Any) -> None:
    """Have a pool of processes start all its workers with its first task.

    One that breaks while it adds a worker to its table may fail to tell its futures (Python 3.11).
    """
    if hasattr(executor, "_safe_to_dynamically_spawn_children"):
        executor._safe_to_dynamically_spawn_children = False
