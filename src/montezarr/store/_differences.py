"""The list of differences between two stores in an error message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from montezarr.core.checks import show

SHOWN_DIFFERENCES = 8
"""Fields that a refusal lists."""


def lines_of_differences(differing: Sequence[tuple[str, Any, Any]]) -> str:
    """Return a line for each field, `name`, `there` and `here`, and the number of others."""
    lines = [
        f"\n  {name}: {show(there, 60)} there, {show(here, 60)} here"
        for name, there, here in differing[:SHOWN_DIFFERENCES]
    ]
    if len(differing) > SHOWN_DIFFERENCES:
        lines.append(f"\n  and {len(differing) - SHOWN_DIFFERENCES} more")
    return "".join(lines)
