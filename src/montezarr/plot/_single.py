"""Access to single paths, without drawing or loading those between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.reduction.accumulate import Accumulator
from montezarr.reduction.sources import (
    PATH,
    DrawnBlocks,
    PathData,
    block_source_of,
    path_indices,
)
from montezarr.run import cost


def choose_positions(n_paths: int, count: int, seed: int) -> list[int]:
    """Return increasing positions of a random choice of paths: `count` or all of them."""
    rng = np.random.default_rng(seed)
    return sorted(rng.choice(n_paths, min(count, n_paths), replace=False).tolist())


def single_paths(
    array: xr.DataArray, positions: Sequence[int]
) -> tuple[NDArray[Any], Sequence[int]]:
    """Return some paths (paths, ...), NaN where masked, and their indices in the run.

    Paths of a simulation, and expressions of them, are drawn and computed one by one. Others are
    read, or computed, one chunk after the other; their index is -1 if it is not known, see
    `path_indices`.
    """
    if not positions:
        return np.empty((0, *(n for d, n in array.sizes.items() if d != PATH))), []
    data = PathData.of(array)
    if array.chunks is not None:
        block_source = block_source_of(data)
        if isinstance(block_source, DrawnBlocks):
            return np.stack([_drawn(block_source, i) for i in positions]), positions
    values = np.stack([_unmasked(array, array.isel({PATH: i}).values) for i in positions])
    return values, path_indices(data.ds, next(iter(data.variables))).of(positions).tolist()


def _drawn(block_source: DrawnBlocks, index: int) -> NDArray[Any]:
    run = block_source.run
    low, high = run.sampler.interface.drawn_with(index, run.length)
    task = block_source.task(Accumulator(()))
    pieces = task.pieces(low, high, cost.initial_states(run, low, high), high - low)
    _, arrays, report = next(iter(pieces))
    values = task.seen(arrays, report, low)[0][..., index - low]
    return np.array(values, np.float64)


def _unmasked(array: xr.DataArray, values: NDArray[Any]) -> NDArray[np.float64]:
    masked = array.encoding.get("masked_value")
    out = np.asarray(values, np.float64)
    return out if masked is None else np.where(out == masked, np.nan, out)


def leading_paths(array: xr.DataArray, count: int) -> NDArray[Any]:
    """Return the first paths (paths, ...), NaN where masked; see `single_paths`."""
    if array.chunks is not None:
        block_source = block_source_of(PathData.of(array))
        if isinstance(block_source, DrawnBlocks):
            task = block_source.task(Accumulator(()))
            x0 = cost.initial_states(block_source.run, 0, count)
            _, arrays, report = next(iter(task.pieces(0, count, x0, count)))
            values = task.seen(arrays, report, 0)[0]
            return np.moveaxis(np.array(values, np.float64), -1, 0)
    return _unmasked(array, array.isel({PATH: slice(count)}).transpose(PATH, ...).values)
