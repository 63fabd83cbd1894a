"""Chunks drawn again and held against those that are stored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from montezarr.execute import windowed
from montezarr.run.choose_backend import backend_of
from montezarr.run.cost import initial_states
from montezarr.store._report import Problem
from montezarr.store._source import source_in
from montezarr.store._task import ChunkTask, Item
from montezarr.store.format import CommitState, Manifest, decode, encode, environment
from montezarr.store.places import Place

Difference = tuple[str, int, float]
"""Key of a file, the number of values that differ, and the largest difference."""


class CompareTask(ChunkTask):
    """Draw a chunk, write nothing, and say where it differs from what is stored."""

    def __call__(self, item: Item) -> list[Difference]:  # type: ignore[override]
        """Run the task on one chunk."""
        start, stop, (chunk,), x0 = item
        drawn, _, _ = self.values(start, stop, x0)
        manifest, out = self.manifest, []
        for array, values in zip(manifest.arrays, drawn, strict=True):
            key = array.key(chunk)
            data = self.place.get(key, manifest.largest_file(array)) or b""
            pieces, size, _ = encode(array, manifest.chunk, manifest.storage, values)
            if size == len(data) and b"".join(map(memoryview, pieces)) == data:
                continue
            there = decode(array, manifest.chunk, manifest.storage, data)[..., : stop - start]
            here = manifest.storage.apply(values, np.dtype(array.dtype))
            differing = ~((there == here) | ((there != there) & (here != here)))
            if differing.any():  # else another library compressed the same values otherwise
                a, b = there[differing].astype(float), here[differing].astype(float)
                out.append((key, int(differing.sum()), float(np.max(np.abs(a - b)))))
        return out


def compare(
    place: Place, commits: CommitState, chunks: list[int], ds: Any, process: Any
) -> tuple[list[Problem], tuple[str, float] | None]:
    """Return what is wrong with chunks, and what another environment makes of them."""
    # Of statistics nothing is drawn again; their files have their checksums.
    manifest = replace(commits.manifest, statistics=None)
    source = source_in(manifest, manifest.first_path + commits.target, ds, process)
    task = CompareTask(source.drawn(), source.stored, manifest, place, False)
    task.__name__ = f"verify-{source.run.sampler.name}"
    backend, mine = backend_of(source.run), environment()
    items = (_item(source.run, manifest, commits, chunk) for chunk in chunks)
    problems, notes, largest = [], "", 0.0
    with backend.running():
        for item, differences in windowed(backend, task, items, lambda item: item[:2]):
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


def _item(run: Any, manifest: Manifest, commits: CommitState, chunk: int) -> Item:
    start = manifest.first_path + chunk * manifest.chunk
    stop = start + commits.chunks[chunk].n
    return start, stop, (chunk,), initial_states(run, start, stop)


def _others(there: Any, here: Any) -> str:
    """Return in what two environments differ, as words."""
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    return "; ".join(f"{name} {there.get(name)} there, {here.get(name)} here" for name in names)
