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

    def cpu_and_wall(self) -> tuple[float, float]:
        """Return the processor time of this thread so far, and the wall time."""
        return time.thread_time() - self._cpu, time.perf_counter() - self._wall

    def seconds(self) -> float:
        """Return the processor time of this thread so far; the wall time of code that sleeps."""
        return seconds_of(*self.cpu_and_wall())


def seconds_of(cpu: float, wall: float) -> float:
    """Return the seconds of a call with these times."""
    return wall if _is_asleep(cpu, wall) else cpu


def _is_asleep(cpu: float, wall: float) -> bool:
    return cpu < ASLEEP_SHARE * wall


class CallTimes:
    """Seconds of calls that are alike: the wall time if most of them sleep.

    A short call that seems to sleep may be one that the system held up for another program.
    """

    __slots__ = ("_asleep", "_calls", "_cpu", "_wall")

    def __init__(self) -> None:
        self._calls, self._asleep, self._cpu, self._wall = 0, 0, 0.0, 0.0

    def add(self, cpu: float, wall: float, *, counts: bool = True) -> None:
        """Add the times of a call; one that does not count tells only whether the code sleeps."""
        self._calls += 1
        self._asleep += _is_asleep(cpu, wall)
        if counts:
            self._cpu, self._wall = self._cpu + cpu, self._wall + wall

    @property
    def seconds(self) -> float:
        """The seconds of all calls that count."""
        return self._wall if 2 * self._asleep > self._calls else self._cpu
