"""Kind 2, ``sample_paths(n, T, x0, rng)``: a block of 1024 paths at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from montezarr.errors import SamplerError
from montezarr.sampling._base import Rows, Sampling
from montezarr.sampling.convert import encode
from montezarr.seeding import BLOCK


def draw(sampling: Sampling, start: int, stop: int, x0: Any) -> Rows:
    """Return the rows of paths start ... stop-1: whole blocks are drawn, then cut."""
    out = sampling.new_rows(stop - start)
    for block in range(start // BLOCK, -(-stop // BLOCK)):
        first = block * BLOCK
        low, high = max(first, start), min(first + BLOCK, stop)
        rows = _block(sampling, block, _block_x0(sampling, x0, start, stop, first))
        out[..., low - start : high - start] = rows[..., low - first : high - first]
    return out


def _block_x0(sampling: Sampling, x0: Any, start: int, stop: int, first: int) -> Any:
    if x0 is None:
        return sampling.x0
    # The block is drawn whole even where the range covers a part of it, so that the stream is
    # used alike: paths outside the range start where their nearest neighbour does.
    inside = np.clip(np.arange(first, first + BLOCK), start, stop - 1) - start
    return x0[..., inside]


def _block(sampling: Sampling, block: int, x0: Any) -> Rows:
    rng = sampling.seed.block_generator(block)
    path = block * BLOCK
    try:
        value = sampling.target.sample_paths(
            BLOCK, sampling.grid.T, x0, rng=rng, **sampling.options
        )
    except SamplerError:
        raise
    except Exception as error:
        message = f"{type(error).__name__} in its block of {BLOCK} paths: {error}"
        raise sampling.failure(path, x0, message, error) from error
    states = value if isinstance(value, Mapping) else {"x": value}
    names = [variable.name for variable in sampling.variables]
    if set(states) != set(names):
        raise sampling.failure(path, x0, f"returned {sorted(states)}, expected {names}.")
    shape = (BLOCK, sampling.grid.T + 1)
    rows = []
    for variable in sampling.variables:
        array = encode(sampling, variable, np.asarray(states[variable.name]), path, x0)
        if array.shape != shape:
            message = f"sample_paths returned shape {array.shape}, expected {shape}."
            raise sampling.failure(path, x0, message)
        rows.append(array.T)
    return sampling.thin(np.stack(rows).astype(sampling.dtype, copy=False))
