"""Steps of a scalar equation between its boundaries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from montezarr.processes._base import Rows
from montezarr.random.draws import Draws
from montezarr.schemes._base import Coefficient, evaluate_coefficient
from montezarr.schemes.boundaries import Boundary

BOUNDARY_SLOT = 1
"""Slot of the uniform numbers of the lower boundary, after that of the noise; then the upper's."""

BoundedStep = Callable[[Rows, Rows, float, float, Coefficient], Rows]
"""Function (before, after, t, dt, diffusion) of the next step that returns the states after it."""


def step_between(
    lower: Boundary | None, upper: Boundary | None, draws: Draws, steps: int
) -> BoundedStep | None:
    """Return the function that keeps the next step of paths between boundaries; None without any.

    Parameters
    ----------
    draws : Draws
        Random numbers of n paths.
    steps : int
        Number of steps, which are taken in order.
    """
    ends = [
        (end, side, draws.rows("uniform", steps, BOUNDARY_SLOT + i) if end.bridge else None)
        for i, (end, side) in enumerate(((lower, 1), (upper, -1)))
        if end is not None
    ]
    if not ends:
        return None
    low = -np.inf if lower is None else lower.level
    high = np.inf if upper is None else upper.level

    def bounded(before: Rows, after: Rows, t: float, dt: float, diffusion: Coefficient) -> Rows:
        variance: Any = None
        if any(uniforms is not None for _, _, uniforms in ends):
            b = evaluate_coefficient("diffusion", diffusion, t, before)
            variance = np.broadcast_to(b * b * dt, before.shape)
        out = after
        for end, side, uniforms in ends:
            if uniforms is None:
                out = end.bounded(before, out, side, None, None)
            else:
                out = end.bounded(before, out, side, variance, next(uniforms))
        return np.clip(out, low, high)

    return bounded
