"""Seconds that code takes, of which other load on the machine is no part."""

from __future__ import annotations

import time

ASLEEP_SHARE = 0.1
"""Share of the wall time below which processor time says nothing: the code sleeps, or waits."""


class Stopwatch:
    """Runs from when it is made, in this thread."""

    __slots__ = ("_cpu", "_wall")

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.thread_time()

    def seconds(self) -> float:
        """Return the processor time of this thread so far; the wall time of code that sleeps."""
        cpu, wall = time.thread_time() - self._cpu, time.perf_counter() - self._wall
        return wall if cpu < ASLEEP_SHARE * wall else cpu
