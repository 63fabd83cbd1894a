"""Timing of two sides in turn, so that the noise of the machine falls on both alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
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

    @classmethod
    def at_least(cls, name: str, wanted: float, ratio: float, details: str) -> Row:
        """Return a row whose ratio is to reach a number."""
        return cls(name, f">= {wanted:g}", ratio, ratio >= wanted, details)

    @classmethod
    def at_most(cls, name: str, wanted: float, ratio: float, details: str) -> Row:
        """Return a row whose ratio is to stay below a number."""
        return cls(name, f"<= {wanted:g}", ratio, ratio <= wanted, details)

    def __str__(self) -> str:
        mark = "yes" if self.reached else "NO"
        return f"{self.name:<62} {self.ratio:>7.2f}  {self.wanted:<14} {mark:<4} {self.details}"


def markdown(rows: Iterable[Row]) -> str:
    """Return rows as a table of Markdown; ratios that are not reached in bold."""
    lines = ["| | ratio | wanted | |", "|---|--:|--:|---|"]
    for row in rows:
        ratio = f"{row.ratio:.2f}" if row.reached else f"**{row.ratio:.2f}**"
        lines.append(f"| {row.name} | {ratio} | {row.wanted} | {row.details} |")
    return "\n".join(lines)


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
