"""Whether float32 numbers lie close enough to tell the noise of a process."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import value_error
from montezarr.core.tunables.memory import INITIAL_STATES_AT_ONCE
from montezarr.processes import Process
from montezarr.processes._base import HasDeviation, HasMean, HasVariance
from montezarr.samplers._base import Sampler

DEVIATION_UNITS = 4
"""Units in the last place that the standard deviation must have.

Rounding adds a variance of 1/12 of a squared unit, 0.5 % of that of such noise.
"""


def check_resolution(sampler: Sampler, x0: Any, is_lazy: bool) -> None:
    """Raise for a run in float32 whose noise would be lost in the rounding of its states.

    The standard deviation at the end of the grid is held against the distance of float32 numbers at
    the initial state, and at the mean then. Without noise every value is one number, rounded once:
    there is nothing to lose. Of what is not known before it runs, such as the coefficients of a
    `Diffusion`, code of the user's and lazy initial states, nothing is said.

    Parameters
    ----------
    sampler : Sampler
        The bound sampler.
    x0 : dask array or None
        Initial states where they differ from path to path.
    is_lazy : bool
        Whether they are not in memory yet.

    Raises
    ------
    ArgumentValueError
        With the standard deviation, the distance, and what to do.
    """
    process, grid = sampler.target, sampler.grid
    if sampler.format == 1 or is_lazy or not isinstance(process, Process) or grid.T == 0:
        return
    states = sampler.x0 if x0 is None else x0.compute(scheduler="synchronous")
    states = process.check_x0(states, "float64")
    duration = float(grid.T if process.counts_steps else grid.times[-1] - grid.times[0])
    for first in range(0, states.shape[-1] if states.ndim else 1, INITIAL_STATES_AT_ONCE):
        part = states[..., first : first + INITIAL_STATES_AT_ONCE] if states.ndim else states
        _check(process, duration, part)


def _check(process: Process, duration: float, x0: NDArray[Any]) -> None:
    with np.errstate(all="ignore"):  # a moment that is no number says nothing
        deviation, size = _noise(process, duration, x0)
        unit = np.spacing(np.minimum(size, np.finfo(np.float32).max).astype(np.float32))
        is_lost = (deviation > 0) & (deviation < DEVIATION_UNITS * unit.astype(np.float64))
        is_lost &= size < np.finfo(np.float32).max  # what overflows is a matter of on_nonfinite
    if not is_lost.any():
        return
    place = tuple(np.argwhere(is_lost)[0])
    name = process.variables[place[0]] if len(process.variables) > 1 else process.variables[0]
    found, near, apart = (float(part[place]) for part in (deviation, size, unit))
    raise value_error(
        "dtype",
        f"'float64', since float32 cannot hold the noise of {name}: its standard deviation at the"
        f" end is {found:.3g}, and numbers near {near:.6g} lie {apart:.3g} apart, of which"
        f" {DEVIATION_UNITS} at least should fit into it",
        "float32",
        "Simulate in float64, or the difference from x0.",
    )


def _noise(
    process: Process, duration: float, x0: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the standard deviations at the end, 0 if not known, and the sizes of the states."""
    size, deviation = np.abs(x0), np.zeros_like(x0)
    if isinstance(process, HasDeviation):
        deviation = process.deviation(duration, x0)
    elif isinstance(process, HasVariance):
        deviation = np.sqrt(process.variance(duration, x0))
        if isinstance(process, HasMean):
            size = np.maximum(size, np.abs(process.mean(duration, x0)))
    return np.broadcast_to(deviation, x0.shape), np.broadcast_to(size, x0.shape)
