"""The lowest path that fails alone, out of a range that failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def lowest_failing(
    draw: Callable[[int, int, Any], Any], start: int, stop: int, x0: Any
) -> int | None:
    """Return the lowest path of a range that fails alone, by bisection; None if none does.

    Parameters
    ----------
    draw : function (start, stop, x0)
        Draws a range of paths, or raises.
    x0 : array (..., paths) or None
        What is given by path, of the paths start ... stop-1.
    """

    def fails(low: int, high: int) -> bool:
        part = None if x0 is None else x0[..., low - start : high - start]
        try:
            draw(low, high, part)
        except KeyboardInterrupt:
            raise
        except BaseException:
            return True
        return False

    low, high = start, stop
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fails(low, middle) else (middle, high)
    return low if fails(low, high) else None
