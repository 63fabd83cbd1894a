"""The order of paths in random batches: parts in random order, shuffled in windows of several."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.tunables.memory import RANDOM_PART_BYTES, RANDOM_WINDOW_BYTES
from montezarr.random.seeding import BLOCK, RootSeed
from montezarr.run._run import Run
from montezarr.samplers.schema import PATH

# With a number at least three 32-bit words, like keys of blocks, and other words: so an order never
# shares a stream with a path or a block of the same seed. The value spells "mzbatche" in ASCII.
ORDER_PREFIX = 0x6D7A626174636865

Range = tuple[int, int]
"""First path and end of a part."""


@dataclass(frozen=True, slots=True)
class RandomOrder:
    """A random order of paths in which whole parts are read.

    The parts come in random order. Each window of consecutive ones is a random permutation of its
    paths. Both are uniform, by `numpy.random.Generator.permutation`.

    Attributes
    ----------
    parts : sequence of (int, int)
        Ranges of paths that are read whole.
    per_window : int
        Parts in a window.
    seed : RootSeed
        Seed of the order.
    """

    parts: Sequence[Range]
    per_window: int
    seed: RootSeed

    @property
    def capacity(self) -> int:
        """Paths of a window, at most."""
        sizes = sorted((high - low for low, high in self.parts), reverse=True)
        return sum(sizes[: self.per_window])

    def windows(self) -> list[list[Range]]:
        """Return the parts of each window, in the order in which they are read."""
        parts = [self.parts[i] for i in self._permutation(0, len(self.parts))]
        return [parts[i : i + self.per_window] for i in range(0, len(parts), self.per_window)]

    def shuffled(self, window: int, n: int) -> NDArray[np.int64]:
        """Return the order of the `n` paths of a window, counted as they are read."""
        return self._permutation(1 + window, n)

    def _permutation(self, number: int, n: int) -> NDArray[np.int64]:
        generator = np.random.default_rng(self.seed.sequence(ORDER_PREFIX, number))
        return generator.permutation(n)


def parts_of_run(run: Run, path_bytes: int) -> list[Range]:
    """Return ranges of whole blocks of a run that depend on its paths alone, not on a machine."""
    if run.inputs is not None and run.given_inputs is None:  # Dask computes whole chunks of these
        ends = np.cumsum(run.inputs.chunks[-1])
        if all(end % BLOCK == 0 for end in ends[:-1]):
            return _ranges([0, *ends.tolist()])
    size = BLOCK * max(1, RANDOM_PART_BYTES // (BLOCK * max(1, path_bytes)))
    return _ranges([*range(0, run.length, size), run.length])


def parts_of_chunks(ds: xr.Dataset, path_bytes: int) -> list[Range]:
    """Return ranges of whole chunks of the largest lazy variable: a few adjacent small ones."""
    lazy = [v for v in ds.variables.values() if v.chunks is not None and PATH in v.dims]
    largest = max(lazy, key=lambda v: v.nbytes)
    wanted = max(1, RANDOM_PART_BYTES // max(1, path_bytes))
    ends, begun = [0], 0
    for length in largest.chunksizes[PATH]:
        if begun and begun + length > wanted:
            ends.append(ends[-1] + begun)
            begun = 0
        begun += length
    return _ranges([*ends, ends[-1] + begun])


def parts_per_window(parts: Sequence[Range], window: int | None, path_bytes: int) -> int:
    """Return the parts of a window of so many paths; by default of so many bytes."""
    largest = max(high - low for low, high in parts)
    if window is not None:
        return -(-window // largest)
    return max(2, RANDOM_WINDOW_BYTES // max(1, largest * path_bytes))


def _ranges(ends: Sequence[int]) -> list[Range]:
    return list(itertools.pairwise(ends))


def positions_of(window: Sequence[Range]) -> NDArray[np.int64]:
    """Return the positions of the paths of a window, as they are read."""
    return np.concatenate([np.arange(low, high) for low, high in window])


def row_bytes(ds: xr.Dataset) -> int:
    """Return the bytes of a path, in all variables along the paths."""
    n = max(1, ds.sizes[PATH])
    return sum(v.nbytes // n for v in ds.variables.values() if PATH in v.dims)


def ends_of_batches(n: int, size: int, drop_last: bool) -> Iterator[Range]:
    """Yield first place and end of each batch of `size` out of `n` paths."""
    for start in range(0, n - n % size if drop_last else n, size):
        yield start, min(start + size, n)
