"""Kind 1, ``sample(draws, grid, x0)``: vectorised over any range of paths."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr._checks import plain_array
from montezarr.draws import Draws
from montezarr.grid import TimeGrid
from montezarr.processes import HasBound, Process
from montezarr.sampling._base import Rows, Sampling
from montezarr.sampling.convert import cast, check_no_mask


def draw(sampling: Sampling, start: int, stop: int, x0: Any) -> Rows:
    """Return the rows of paths start ... stop-1."""
    if sampling.keep is None:
        return _complete(sampling, start, stop, x0)
    out = sampling.new_rows(stop - start)
    for low in range(start, stop, sampling.slice_paths):
        high = min(low + sampling.slice_paths, stop)
        part = None if x0 is None else x0[..., low - start : high - start]
        rows = _complete(sampling, low, high, part)
        out[..., low - start : high - start] = sampling.thin(rows)
    return out


def stays_finite(sampling: Sampling, x0: Any) -> bool:
    """Return whether the process proves that no value can leave the range of numbers."""
    if not isinstance(sampling.target, Process):
        return False
    reach = float(np.abs(state(sampling, x0)).max())
    return _is_bounded(sampling.target, sampling.grid, reach, str(sampling.dtype))


@lru_cache(maxsize=128)
def _is_bounded(process: Process, grid: TimeGrid, reach: float, dtype: str) -> bool:
    """Remember the answer: with one x0 it is the same for every chunk."""
    if not isinstance(process, HasBound):
        return False
    return bool(process.bound(grid, reach) < float(np.finfo(dtype).max))


def in_its_format(sampling: Sampling) -> Sampling:
    """Return a bound sampler in the oldest format that gives its paths; see `recipe.FORMATS`."""
    is_single = sampling.interface.takes_ranges and sampling.dtype == np.float32
    return sampling if is_single else replace(sampling, format=1)


def state(sampling: Sampling, x0: Any) -> Rows:
    """Return the initial state as the array that `sample` gets."""
    value = sampling.x0 if x0 is None else x0
    if isinstance(sampling.target, Process):
        return sampling.target.check_x0(value, str(sampling.dtype))
    return np.array(
        0.0 if value is None else value, sampling.dtype
    )  # the sampler may write into it


def raw(sampling: Sampling, start: int, stop: int, x0: Any) -> NDArray[Any]:
    """Return what the sampler itself returns for paths start ... stop-1."""
    precision = "float32" if sampling.dtype == np.float32 else "float64"
    draws = Draws(
        sampling.seed.philox_key(), start, stop - start, precision, format=sampling.format
    )
    initial = state(sampling, x0)
    value = sampling.target.sample(draws, sampling.grid, initial, **sampling.options)
    return plain_array("sample", value)


def _complete(sampling: Sampling, start: int, stop: int, x0: Any) -> Rows:
    rows = raw(sampling, start, stop, x0)
    dtype = sampling.dtype
    shape = (sampling.grid.T + 1, stop - start)
    wanted = shape if len(sampling.variables) == 1 else (len(sampling.variables), *shape)
    if rows.shape not in (wanted, (1, *shape)):
        raise sampling.failure(None, x0, f"sample returned shape {rows.shape}, expected {wanted}.")
    converted = cast(rows, dtype)
    if converted is None:
        raise sampling.failure(None, x0, f"sample returned dtype {rows.dtype}, expected {dtype}.")
    out = converted.reshape(len(sampling.variables), *shape)
    if not isinstance(sampling.target, Process):
        for variable, row in zip(sampling.variables, out, strict=True):
            check_no_mask(sampling, variable, row, None, x0)
    return out


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
    except KeyboardInterrupt:
        raise
    except BaseException:
        return True
    return False
