"""Timing of two sides in turn, so that the noise of the machine falls on both alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ROUNDS = 5


@dataclass(frozen=True)
class Row:
    """One comparison: the ratio that is wanted, and what both sides took."""

    name: str
    wanted: str
    ratio: float
    reached: bool
    details: str

    def __str__(self) -> str:
        mark = "yes" if self.reached else "NO"
        return f"{self.name:<62} {self.ratio:>7.2f}  {self.wanted:<14} {mark:<4} {self.details}"


def best(*sides: Callable[[], Any], rounds: int = ROUNDS) -> list[float]:
    """Return the shortest time of each side over some rounds, after one round to warm up."""
    times = [float("inf")] * len(sides)
    for number in range(rounds + 1):
        for i, side in enumerate(sides):
            started = time.perf_counter()
            side()
            if number:
                times[i] = min(times[i], time.perf_counter() - started)
    return times
