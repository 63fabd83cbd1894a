"""Draw chunks again and compare them with those stored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.execute import windowed
from montezarr.run.choose_backend import backend_of
from montezarr.store._report import Problem
from montezarr.store._source import source_in
from montezarr.store._values import ChunkTaskItem, ChunkValues, items, span
from montezarr.store.format import (
    CommitState,
    Manifest,
    StoredArray,
    decode,
    encode_chunk,
    environment,
)
from montezarr.store.locations import ReadableLocation

NOTHING = frozenset[str]()

Difference = tuple[str, int, float]
"""Key of a file, the number of values that differ, and the largest difference."""


class CompareTask:
    """Draw a chunk, and return its differences from the stored one.

    Parameters
    ----------
    values : ChunkValues
        Draws the chunk.
    location : ReadableLocation
        The location of the store.
    left_out : frozenset of str
        Keys of pieces that were not written, since they are beyond the room of their time.
    """

    def __init__(
        self, values: ChunkValues, location: ReadableLocation, left_out: frozenset[str] = NOTHING
    ):
        self.values, self.location, self.left_out = values, location, left_out
        self.__name__ = f"verify-{values.name}"  # its name on the dashboard

    def __call__(self, item: ChunkTaskItem) -> list[Difference]:
        """Run the task on one chunk."""
        start, stop, (chunk,), x0 = item
        drawn, _, _ = self.values.of(start, stop, x0)
        manifest, out = self.values.manifest, []
        for array, values in zip(manifest.arrays, drawn, strict=True):
            for key, rows in zip(array.keys(chunk), array.cut(values), strict=True):
                found = self._difference(array, key, rows)
                if found is not None:
                    out.append(found)
        return out

    def _difference(self, array: StoredArray, key: str, values: NDArray[Any]) -> Difference | None:
        """Return the difference of a file from values, if it is not only in its compression."""
        manifest = self.values.manifest
        here = manifest.storage.apply(values, np.dtype(array.dtype))
        if key in self.left_out:  # its padding was not written, since there was no room for it
            there = np.full(here.shape, array.fill, here.dtype)
        else:
            data = self.location.get(key, manifest.largest_file(array)) or b""
            pieces, size, _ = encode_chunk(array, manifest.chunk, manifest.storage, values)
            if size == len(data) and b"".join(map(memoryview, pieces)) == data:
                return None
            there = decode(array, manifest.chunk, manifest.storage, data)[..., : values.shape[-1]]
        differing = ~((there == here) | ((there != there) & (here != here)))
        if not differing.any():
            return None
        a, b = there[differing].astype(float), here[differing].astype(float)
        return key, int(differing.sum()), float(np.max(np.abs(a - b)))


def compare_regenerated(
    location: ReadableLocation, commits: CommitState, chunks: list[int], ds: Any, process: Any
) -> tuple[list[Problem], tuple[str, float] | None]:
    """Return the problems of chunks, and the differences due to another environment."""
    # Statistics are not computed again; their files have checksums.
    manifest = replace(commits.manifest, statistics=None)
    source = source_in(manifest, manifest.first_path + commits.target, ds, process)
    left_out = frozenset(commits.left_out(chunks))
    task = CompareTask(source.chunk_values(manifest), location, left_out)
    backend, mine = backend_of(source.run), environment()
    tasks = (
        item
        for chunk in chunks
        for item in items(source.run, manifest, _end(manifest, commits, chunk), [chunk])
    )
    problems, notes, largest = [], "", 0.0
    with backend.running():
        for item, differences in windowed(backend, task, tasks, span):
            record = commits.chunks[item[2][0]]
            there = dict(enumerate(commits.environments)).get(record.environment, {})
            others = _others(there, mine)
            for key, count, most in differences:
                if others:
                    notes, largest = others, max(largest, most)
                else:
                    text = f"{count:,} values differ from those drawn again, by up to {most:.3g}"
                    problems.append(Problem("values", key, text))
    problems.sort(key=lambda problem: problem.key)
    return problems, (notes, largest) if notes else None


def _end(manifest: Manifest, commits: CommitState, chunk: int) -> int:
    """Return the end of the paths of a chunk, which may be incomplete."""
    return chunk * manifest.chunk + commits.chunks[chunk].n


def _others(there: Any, here: Any) -> str:
    """Return the differences of two environments as text."""
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    return "; ".join(f"{name} {there.get(name)} there, {here.get(name)} here" for name in names)
