"""Colours of the task stream by stage of a task, not by the process that it simulates."""

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
"""Colours by the first word of a task name; of Okabe and Ito, safe for the colour-blind."""


def colour_stages() -> Callable[[], None] | None:
    """Colour the task stream of this process by stage; return a function that undoes it."""
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
