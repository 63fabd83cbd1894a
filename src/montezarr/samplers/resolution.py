"""Check that float32 resolves the noise of a process."""

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
"""Smallest standard deviation in units in the last place.

Rounding adds a variance of 1/12 of a squared unit, 0.5 % of the variance of such noise.
"""


def check_resolution(sampler: Sampler, x0: Any, is_lazy: bool) -> None:
    """Raise for a run in float32 whose noise would be lost in the rounding of its states.

    The check compares the standard deviation at the end of the grid with the spacing of float32
    numbers at the initial state and at the final mean. A run without noise passes, since its values
    are rounded only once. Runs whose noise is not known in advance pass too: a `Diffusion`, user
    code, and lazy initial states.

    Parameters
    ----------
    sampler : Sampler
        The bound sampler.
    x0 : dask array or None
        Initial states per path, if they differ.
    is_lazy : bool
        Whether the initial states are not in memory yet.

    Raises
    ------
    ArgumentValueError
        Names the standard deviation, the spacing, and what to do.
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
    with np.errstate(all="ignore"):  # a moment that is NaN or infinite passes
        deviation, size = _noise(process, duration, x0)
        unit = np.spacing(np.minimum(size, np.finfo(np.float32).max).astype(np.float32))
        is_lost = (deviation > 0) & (deviation < DEVIATION_UNITS * unit.astype(np.float64))
        is_lost &= size < np.finfo(np.float32).max  # on_nonfinite handles overflow
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
    """Return the standard deviations at the end, 0 if unknown, and the magnitudes of the states."""
    size, deviation = np.abs(x0), np.zeros_like(x0)
    if isinstance(process, HasDeviation):
        deviation = process.deviation(duration, x0)
    elif isinstance(process, HasVariance):
        deviation = np.sqrt(process.variance(duration, x0))
        if isinstance(process, HasMean):
            size = np.maximum(size, np.abs(process.mean(duration, x0)))
    return np.broadcast_to(deviation, x0.shape), np.broadcast_to(size, x0.shape)
