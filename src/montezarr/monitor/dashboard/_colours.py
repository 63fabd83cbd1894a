"""Colours of the task stream by what a task does, not by the process that it simulates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dask.utils import key_split

from montezarr.core.compat.distributed import task_colours

STAGES = {
    "simulate": "#0072B2",
    "reduce": "#009E73",
    "write": "#E69F00",
    "verify": "#CC79A7",
    "recipe": "#999999",
}
"""Of Okabe and Ito, which the colour-blind can tell apart; by the first word of a task's name."""


def colour_stages() -> Callable[[], None] | None:
    """Have the task stream of this process show stages in colours; return what undoes it."""
    colours = task_colours()
    before: Any = colours["compute"]
    if getattr(before, "is_ours", False):
        return None

    def colour(message: Any) -> Any:
        if message["status"] == "OK":
            stage = key_split(message["key"]).partition("-")[0]
            if stage in STAGES:
                return STAGES[stage]
        return before(message)

    colour.is_ours = True  # type: ignore[attr-defined]
    colours["compute"] = colour

    def undo() -> None:
        if colours["compute"] is colour:
            colours["compute"] = before

    return undo
