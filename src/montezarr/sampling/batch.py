"""Kind 2, ``sample_paths(n, T, x0, rng)``: a block of 1024 paths at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.sampling._base import Rows, Sampling
from montezarr.sampling.convert import encode
from montezarr.seeding import BLOCK


def draw(sampling: Sampling, start: int, stop: int, x0: Any) -> Rows:
    """Return the rows of paths start ... stop-1: whole blocks are drawn, then cut."""
    out = sampling.new_rows(stop - start)
    for block in range(start // BLOCK, -(-stop // BLOCK)):
        first = block * BLOCK
        low, high = max(first, start), min(first + BLOCK, stop)
        rows = _block(sampling, block, block_x0(sampling, x0, start, stop, first))
        out[..., low - start : high - start] = rows[..., low - first : high - first]
    return out


def block_x0(sampling: Sampling, x0: Any, start: int, stop: int, first: int) -> Any:
    """Return the initial states of the block from path `first` on, x0 being of start ... stop-1."""
    if x0 is None:
        return sampling.x0
    # The block is drawn whole even where the range covers a part of it, so that the stream is
    # used alike: paths outside the range start where their nearest neighbour does. So chunks and
    # `replay` pass ranges that begin with a block and end with one, or with the last path.
    inside = np.clip(np.arange(first, first + BLOCK), start, stop - 1) - start
    return x0[..., inside]


def call(sampling: Sampling, block: int, x0: Any) -> dict[str, NDArray[Any]]:
    """Return what the sampler returns for a block, its variables by name, (1024, T+1) each."""
    rng = sampling.seed.block_generator(block)
    path = block * BLOCK

    def draw_block() -> dict[str, NDArray[Any]]:
        value = sampling.target.sample_paths(
            BLOCK, sampling.grid.T, x0, rng=rng, **sampling.options
        )
        parts = value if isinstance(value, Mapping) else {"x": value}
        return {str(name): np.asarray(part) for name, part in parts.items()}

    where = f"in its block of {BLOCK} paths: "
    states: dict[str, NDArray[Any]] = sampling.attempt(draw_block, path, x0, where)
    shape = (BLOCK, sampling.grid.T + 1)
    for array in states.values():
        if array.shape != shape:
            message = f"sample_paths returned shape {array.shape}, expected {shape}."
            raise sampling.failure(path, x0, message)
    return states


def _block(sampling: Sampling, block: int, x0: Any) -> Rows:
    path = block * BLOCK
    states = call(sampling, block, x0)
    names = [variable.name for variable in sampling.variables]
    if set(states) != set(names):
        raise sampling.failure(path, x0, f"returned {sorted(states)}, expected {names}.")
    rows = [
        encode(sampling, variable, states[variable.name], path, x0).T
        for variable in sampling.variables
    ]
    return sampling.thin(np.stack(rows).astype(sampling.dtype, copy=False))
