"""The values of chunks, drawn by a run, to be written or compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.errors import SamplerError
from montezarr.reduction.accumulate import (
    Accumulator,
    Arrays,
    DrawnTask,
    SplitAccumulation,
    dump_states,
)
from montezarr.run._run import Run
from montezarr.run.cost import initial_states
from montezarr.samplers import FailureReport
from montezarr.store.format import Manifest

ChunkTaskItem = tuple[int, int, tuple[int, ...], Any]
"""First path and end, in the run; the chunks; and initial states, or the paths if drawn already."""


class ChunkValues:
    """Draws the values of chunks, on workers; writes nothing.

    Parameters
    ----------
    drawn : DrawnTask
        Draws the variables.
    stored : tuple of int
        Positions of the stored variables.
    manifest : Manifest
        The format of the chunks.
    """

    def __init__(self, drawn: DrawnTask, stored: tuple[int, ...], manifest: Manifest):
        self.drawn, self.stored, self.manifest = drawn, stored, manifest

    @property
    def name(self) -> str:
        """Name of the sampler."""
        return self.drawn.sampler.name

    def of(self, start: int, stop: int, x0: Any) -> tuple[Arrays, bytes | None, FailureReport]:
        """Return the values of the stored variables, the states of the statistics, and a report."""
        drawn, n = self.drawn, stop - start
        # Paths without a chunk function are written from the buffer they were drawn into, at once.
        size = n if drawn.chunk_function is None else drawn.slab
        parts = (
            SplitAccumulation(drawn.accumulator) if drawn.accumulator.reduced_variables else None
        )
        out: Arrays | None = None
        report = FailureReport()
        for low, arrays, more in drawn.pieces(start, stop, x0, size):
            report += more
            is_drawn = drawn.chunk_function is None
            seen = arrays if is_drawn and parts is None else drawn.seen(arrays, more, low)
            if parts is not None:
                for at, slab in _slabs(low, seen, drawn.slab):
                    parts.add(at, slab)
            chosen = [(arrays if is_drawn else seen)[i] for i in self.stored]
            if len(chosen) and chosen[0].shape[-1] == n:
                out = chosen
                continue
            if out is None:
                out = [self._room(i, array, n) for i, array in enumerate(chosen)]
            for target, array in zip(out, chosen, strict=True):
                target[..., low - start : low - start + array.shape[-1]] = array
        return out or [], None if parts is None else _state(drawn.accumulator, parts, stop), report

    def _room(self, i: int, array: NDArray[Any], n: int) -> NDArray[Any]:
        array_of = self.manifest.arrays[i]
        if array.shape[:-1] != array_of.whole_shape:
            raise SamplerError(
                f"{array_of.name}: expected the shape {array_of.whole_shape}, got"
                f" {array.shape[:-1]}",
                None, {}, "",
            )  # fmt: skip
        return np.empty((*array_of.whole_shape, n), array.dtype)


def _slabs(low: int, arrays: Arrays, size: int) -> Iterator[tuple[int, Arrays]]:
    for at in range(0, arrays[0].shape[-1], size):
        yield low + at, [array[..., at : at + size] for array in arrays]


def _state(accumulator: Accumulator, parts: SplitAccumulation, stop: int) -> bytes:
    (_, folded), *_ = parts.end(stop)
    accumulator.finish(folded, stop)  # the last block of a run may be no whole one
    return dump_states({}, folded)


def items(
    run: Run, manifest: Manifest, target: int, chunks: list[int], per_task: int = 1
) -> Iterator[ChunkTaskItem]:
    """Yield items of adjoining chunks, at most `per_task` in each."""
    end = manifest.first_path + target
    at = 0
    while at < len(chunks):
        count = 1
        while count < per_task and chunks[at + count : at + count + 1] == [chunks[at] + count]:
            count += 1
        mine = tuple(chunks[at : at + count])
        start = manifest.first_path + mine[0] * manifest.chunk
        stop = min(start + count * manifest.chunk, end)
        yield start, stop, mine, initial_states(run, start, stop)
        at += count


def span(item: ChunkTaskItem) -> tuple[int, int]:
    """Return the range of paths of an item."""
    return item[0], item[1]
