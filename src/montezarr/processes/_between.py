"""Steps of a scalar equation between its boundaries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

End = tuple[Boundary, int, Any, Any]
"""A boundary, its side, and variance and uniform numbers of a step for its bridge, or None."""


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
        now: list[End] = [
            (end, side, *((None, None) if uniforms is None else (variance, next(uniforms))))
            for end, side, uniforms in ends
        ]
        out = _reflected([one for one in now if not one[0].absorbs], before, after)
        out = _absorbed([one for one in now if one[0].absorbs], before, out)
        return np.clip(out, low, high)

    return bounded


def _reflected(ends: Sequence[End], before: Rows, after: Rows) -> Rows:
    """Return the states after a step, pushed back by the boundaries that reflect."""
    found = [end.reflected(before, after, *rest) for end, *rest in ends]
    if len(found) < 2:
        return found[0] if found else after
    first, second = found
    both = first + second - after
    return np.where(second == after, first, np.where(first == after, second, both))


def _absorbed(ends: Sequence[End], before: Rows, after: Rows) -> Rows:
    """Return the states after a step, with paths on the boundaries that absorb them.

    A uniform number below the chance p of a boundary is uniform on [0, p) then, whatever happens at
    the other one: so the smaller one of u / p decides between two, each with probability 1/2.
    """
    chances = [end.chance(before, after, side, variance) for end, side, variance, _ in ends]
    numbers = [0.0 if uniform is None else uniform for *_, uniform in ends]
    out, least = after, np.ones(np.shape(after))
    for (end, *_), p, u in zip(ends, chances, numbers, strict=True):
        with np.errstate(all="ignore"):  # where the chance is none
            share = np.where(u < p, u / p, 1.0)
        out, least = np.where(share < least, end.level, out), np.minimum(share, least)
    if len(ends) == 2:  # a path that is on a boundary stays there
        for end, side, *_ in ends:
            out = np.where(side * (before - end.level) <= 0, end.level, out)
    return out
