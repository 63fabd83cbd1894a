"""Kind 1, ``sample(draws, grid, x0)``: vectorised over any range of paths."""

from __future__ import annotations

from typing import Any

import numpy as np

from montezarr.draws import Draws
from montezarr.errors import SamplerError
from montezarr.processes import HasBound, Process
from montezarr.sampling._base import SLICE, Rows, Sampling


def draw(sampling: Sampling, start: int, stop: int, x0: Any) -> Rows:
    """Return the rows of paths start ... stop-1."""
    if sampling.keep is None:
        return _complete(sampling, start, stop, x0)
    out = sampling.new_rows(stop - start)
    for low in range(start, stop, SLICE):
        high = min(low + SLICE, stop)
        part = None if x0 is None else x0[..., low - start : high - start]
        rows = _complete(sampling, low, high, part)
        out[..., low - start : high - start] = sampling.thin(rows)
    return out


def stays_finite(sampling: Sampling, x0: Any) -> bool:
    """Return whether the process proves that no value can leave the range of numbers."""
    if not isinstance(sampling.target, HasBound):
        return False
    dtype = sampling.dtype
    initial = state(sampling, x0)
    bound = sampling.target.bound(sampling.grid, float(np.abs(initial).max()))
    return bool(bound < np.finfo(dtype).max)


def state(sampling: Sampling, x0: Any) -> Rows:
    """Return the initial state as the array that `sample` gets."""
    value = sampling.x0 if x0 is None else x0
    if isinstance(sampling.target, Process):
        return sampling.target.check_x0(value, str(sampling.dtype))
    return np.asarray(0.0 if value is None else value, sampling.dtype)


def _complete(sampling: Sampling, start: int, stop: int, x0: Any) -> Rows:
    dtype = sampling.dtype
    precision = "float32" if dtype == np.float32 else "float64"
    draws = Draws(sampling.seed.philox_key(), start, stop - start, precision)
    rows = np.asarray(
        sampling.target.sample(draws, sampling.grid, state(sampling, x0), **sampling.options)
    )
    shape = (sampling.grid.T + 1, stop - start)
    wanted = shape if len(sampling.variables) == 1 else (len(sampling.variables), *shape)
    if rows.shape not in (wanted, (1, *shape)):
        raise sampling.failure(None, x0, f"sample returned shape {rows.shape}, expected {wanted}.")
    if not np.can_cast(rows.dtype, dtype, "same_kind"):
        raise sampling.failure(None, x0, f"sample returned dtype {rows.dtype}, expected {dtype}.")
    return rows.reshape(len(sampling.variables), *shape).astype(dtype, copy=False)


def first_failing(sampling: Sampling, start: int, stop: int, x0: Any) -> int | None:
    """Return the lowest path that fails alone, by halving a range that failed as a whole."""
    low, high = start, stop
    while high - low > 1:
        middle = (low + high) // 2
        if _fails(sampling, low, middle, x0, start):
            high = middle
        else:
            low = middle
    return low if _fails(sampling, low, high, x0, start) else None


def _fails(sampling: Sampling, low: int, high: int, x0: Any, start: int) -> bool:
    part = None if x0 is None else x0[..., low - start : high - start]
    try:
        _complete(sampling, low, high, part)
    except SamplerError:
        return True
    except Exception:
        return True
    return False
