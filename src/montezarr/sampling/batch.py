"""Kind 2, ``sample_paths(n, T, x0, rng)``: a block of 1024 paths at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr._checks import plain_array
from montezarr.sampling._base import Rows, Sampling, own
from montezarr.sampling.convert import encode
from montezarr.seeding import BLOCK


def draw(sampling: Sampling, start: int, stop: int, x0: Any) -> Rows:
    """Return the rows of paths start ... stop-1: whole blocks are drawn, then cut."""
    out = sampling.new_rows(stop - start)
    for block in range(start // BLOCK, -(-stop // BLOCK)):
        first = block * BLOCK
        low, high = max(first, start), min(first + BLOCK, stop)
        initial = block_x0(sampling, x0, start, stop, first)
        states = call(sampling, block, initial)
        inside = slice(low - first, high - first)
        _put(sampling, states, first, initial, inside, out[..., low - start : high - start])
    return out


def block_x0(sampling: Sampling, x0: Any, start: int, stop: int, first: int) -> Any:
    """Return the initial states of the block from path `first` on, x0 being of start ... stop-1."""
    if x0 is None:
        return given_x0(sampling, None)
    # The block is drawn whole even where the range covers a part of it, so that the stream is
    # used alike: paths outside the range start where their nearest neighbour does. So chunks and
    # `replay` pass ranges that begin with a block and end with one, or with the last path.
    inside = np.clip(np.arange(first, first + BLOCK), start, stop - 1) - start
    return given_x0(sampling, x0[..., inside])


def given_x0(sampling: Sampling, x0: Any) -> Any:
    """Return initial states as the sampler gets them, its own: it may write into them."""
    if x0 is None:
        return sampling.common_x0()
    names = x0.dtype.names
    return x0.copy() if names is None else own({name: x0[name].copy() for name in names})


def call(sampling: Sampling, block: int, x0: Any) -> dict[str, NDArray[Any]]:
    """Return what the sampler returns for a block, its variables by name, (1024, T+1) each."""
    path = block * BLOCK

    def draw_block() -> dict[str, NDArray[Any]]:
        parts = parts_of(sampling, block, BLOCK, x0)
        return {str(name): plain_array(str(name), part) for name, part in parts.items()}

    where = f"in its block of {BLOCK} paths: "
    states: dict[str, NDArray[Any]] = sampling.attempt(draw_block, path, x0, where)
    shape = (BLOCK, sampling.grid.T + 1)
    for array in states.values():
        if array.shape != shape:
            message = f"sample_paths returned shape {array.shape}, expected {shape}."
            raise sampling.failure(path, x0, message)
    return states


def parts_of(sampling: Sampling, block: int, n: int, x0: Any) -> Mapping[Any, Any]:
    """Return what the sampler itself returns for `n` paths on the stream of a block."""
    rng = sampling.seed.block_generator(block)
    value = sampling.target.sample_paths(n, sampling.grid.T, x0, rng=rng, **sampling.options)
    return value if isinstance(value, Mapping) else {"x": value}


def _put(
    sampling: Sampling, states: dict[str, Any], path: int, x0: Any, inside: slice, out: Rows
) -> None:
    """Put some paths of a block that begins with `path`, and their kept times, into rows.

    A block of long paths is large, so each variable is let go as soon as it is there.
    """
    check_names(sampling, states, path, x0)
    for row, variable in zip(out, sampling.variables, strict=True):
        encoded = encode(sampling, variable, states.pop(variable.name), path, x0)
        row[:] = sampling.thin(encoded[inside].T)


def check_names(sampling: Sampling, states: Mapping[str, Any], path: int, x0: Any) -> None:
    """Raise where a block has other variables than the first one had."""
    names = [variable.name for variable in sampling.variables]
    if set(states) != set(names):
        raise sampling.failure(path, x0, f"returned {sorted(states)}, expected {names}.")


def arrange(sampling: Sampling, states: Mapping[str, Any], path: int, x0: Any) -> Rows:
    """Return the variables of paths (n, T+1) as rows (variables, T+1, n), labels as their codes."""
    check_names(sampling, states, path, x0)
    rows = [
        encode(sampling, variable, states[variable.name], path, x0).T
        for variable in sampling.variables
    ]
    return np.stack(rows).astype(sampling.dtype, copy=False)
