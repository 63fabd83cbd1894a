"""The task: draw the paths of some chunks, check, encode and write each, fold its statistics."""

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
    Parts,
    dump_states,
    without_masked,
)
from montezarr.samplers import FailureReport
from montezarr.store._digest import digest
from montezarr.store.format import STATES, ChunkRecord, Manifest, encode
from montezarr.store.places import Place

Item = tuple[int, int, tuple[int, ...], Any]
"""First path and the one after the last, in the run; the chunks; and initial states."""


class ChunkTask:
    """Write chunks; what comes back is what the journal needs, and small.

    Parameters
    ----------
    drawn : DrawnTask
        What draws.
    stored : tuple of int
        Which of its variables are stored.
    manifest : Manifest
        How.
    place : Place
        Where.
    durable : bool
        Whether files are to outlive a loss of power from then on.
    """

    def __init__(
        self,
        drawn: DrawnTask,
        stored: tuple[int, ...],
        manifest: Manifest,
        place: Place,
        durable: bool,
    ):
        self.drawn, self.stored, self.manifest = drawn, stored, manifest
        self.place, self.durable = place, durable
        self.__name__ = f"write-{drawn.sampler.name}"  # as which it shows on the dashboard

    def __call__(self, item: Item) -> tuple[list[tuple[int, ChunkRecord]], FailureReport]:
        """Run the task."""
        start, stop, chunks, x0 = item
        out, report = [], FailureReport()
        for i, chunk in enumerate(chunks):
            low = start + i * self.manifest.chunk
            high = min(low + self.manifest.chunk, stop)
            part = None if x0 is None else x0[..., low - start : high - start]
            record, more = self._one(chunk, low, high, part)
            out.append((chunk, record))
            report += more
        return out, report

    def _one(self, chunk: int, start: int, stop: int, x0: Any) -> tuple[ChunkRecord, FailureReport]:
        arrays, state, report = self.values(start, stop, x0)
        files = {}
        for array, values in zip(self.manifest.arrays, arrays, strict=True):
            pieces, size, found = encode(array, self.manifest.chunk, self.manifest.storage, values)
            self.place.put(array.key(chunk), pieces, durable=self.durable, number=chunk)
            files[array.key(chunk)] = size, found
        checksum = None
        if state is not None:
            self.place.put(f"{STATES}/{chunk}", [state], durable=self.durable, number=chunk)
            checksum = digest([state])
        masked = {str(path): reason for path, reason in report.masked}
        return ChunkRecord(n=stop - start, files=files, masked=masked, state=checksum), report

    def values(self, start: int, stop: int, x0: Any) -> tuple[Arrays, bytes | None, FailureReport]:
        """Return the values of the stored variables, the states of the statistics, and a report."""
        drawn, n = self.drawn, stop - start
        # Paths as they are drawn go to the disk from where they were drawn to, all at once.
        size = n if drawn.chunk_function is None else drawn.slab
        parts = Parts(drawn.accumulator) if drawn.accumulator.reduced_variables else None
        out: Arrays | None = None
        report = FailureReport()
        for low, arrays, more in drawn.pieces(start, stop, x0, size):
            report += more
            seen = without_masked(arrays, more, low)
            if parts is not None:
                for at, slab in _slabs(low, seen, drawn.slab):
                    parts.add(at, slab)
            chosen = [(arrays if drawn.chunk_function is None else seen)[i] for i in self.stored]
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
        if array.shape[:-1] != array_of.shape:
            raise SamplerError(
                f"{array_of.name}: expected the shape {array_of.shape}, got {array.shape[:-1]}",
                None, {}, "",
            )  # fmt: skip
        return np.empty((*array_of.shape, n), array.dtype)


def _slabs(low: int, arrays: Arrays, size: int) -> Iterator[tuple[int, Arrays]]:
    for at in range(0, arrays[0].shape[-1], size):
        yield low + at, [array[..., at : at + size] for array in arrays]


def _state(accumulator: Accumulator, parts: Parts, stop: int) -> bytes:
    (_, partial_state), *_ = parts.end(stop)
    accumulator.finish(partial_state, stop)  # the last block of a run may be no whole one
    return dump_states({}, partial_state)
