"""The record of one run in a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Entry:
    """The record of one run: its last state, and its speed over time."""

    news: dict[str, Any]
    memory_before: int
    planned: Mapping[str, float | None]
    memory_peak: int = 0
    moments: list[tuple[float, int]] = field(default_factory=list)
    performance: list[str] = field(default_factory=list)
