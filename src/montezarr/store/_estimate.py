"""Estimate the bytes of a store before it is written; measured where it is compressed."""

from __future__ import annotations

from typing import Any, NamedTuple

from montezarr.core.errors import SamplerError, StoreError
from montezarr.core.text import show_bytes
from montezarr.core.tunables.memory import COMPRESSION_TRIAL_BLOCKS, COMPRESSION_TRIAL_MAX_BYTES
from montezarr.random.seeding import BLOCK
from montezarr.run._run import Run
from montezarr.run.cost import initial_states
from montezarr.store._source import ChunkSource, source_of
from montezarr.store.format import CommitState, Manifest, Storage, encode_chunk
from montezarr.store.format._layout import TIME
from montezarr.store.locations import ReadableLocation


class StoreSize(NamedTuple):
    """The size of a store.

    Attributes
    ----------
    bytes : int
        Bytes of all files.
    measured : int
        Number of paths measured for that; 0 if nothing is compressed.
    scenario_bytes : int
        Bytes of one scenario of a chunk, uncompressed; 0 if none is stored alone.
    time_bytes, read_path_bytes : int
        Bytes that are read for one time of all paths, and for one path.
    """

    bytes: int
    measured: int
    scenario_bytes: int
    time_bytes: int
    read_path_bytes: int


def store_size(ds: Any, storage: Storage) -> StoreSize:
    """Return the size of a store of a Dataset.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError, ReplayError
        If `write` would refuse it.
    """
    source = source_of(ds)
    manifest = source.manifest(storage, 0)
    n_paths, chunks = source.run.length, manifest.chunk_count(source.run.length)
    sizes = [manifest.chunk_file_bytes(array) for array in manifest.arrays]
    fixed = sum(len(data) for data in manifest.files(n_paths, n_paths, n_paths, True).values())
    alone = [array for array in manifest.arrays if array.scenarios]
    scenario = max((array.scenario_bytes(manifest.chunk) for array in alone), default=0)
    known = [size for size in sizes if size is not None]
    if len(known) == len(sizes):
        ratio, sample, total = 1.0, 0, fixed + chunks * sum(known)
    else:
        per_path, sample = _measured(source, manifest)
        total = fixed + int(n_paths * per_path)
        ratio = per_path / max(1, sum(array.path_bytes for array in manifest.arrays))
    one_time, one_path = (int(ratio * size) for size in _read_alone(manifest))
    return StoreSize(total, sample, scenario, chunks * one_time, one_path)


def _read_alone(manifest: Manifest) -> tuple[int, int]:
    """Return the uncompressed bytes that are read for one time of a chunk, and for one path."""
    one_time = one_path = 0
    chunk, storage = manifest.chunk, manifest.storage
    for array in manifest.arrays:
        whole = array.chunk_shape(chunk, storage)
        inner = array.inner_shape(chunk, storage) or whole
        size = array.chunk_bytes(chunk, storage)
        paths = inner[array.axis] / whole[array.axis]
        one_path += int(size * paths)
        if TIME in array.dims:
            at = array.dims.index(TIME)
            one_time += size * inner[at] // max(1, whole[at])
    return one_time, one_path


def working_bytes(run: Run, storage: Storage) -> int:
    """Return the bytes of memory that one worker takes to draw and write a chunk.

    Compressed chunks are padded to a whole chunk first.
    """
    missing = run.chunk - min(run.chunk, run.length)
    return run.working_bytes + (missing * run.path_bytes if storage.compression else 0)


def check_store_room(location: ReadableLocation, commits: CommitState, source: ChunkSource) -> None:
    """Raise if the chunks that are missing do not fit.

    Raises
    ------
    StoreError
        With the bytes needed.
    """
    free, manifest = location.free_bytes(), commits.manifest
    if free is None or not commits.missing():
        return
    needed, ratio = commits.bytes_needed(), 1.0
    if manifest.storage.compression is not None:
        if needed <= free or not source.run.sampler.interface.is_vectorised:
            return  # it will fit; or the sampler is a Python loop, and measuring costs too much
        try:
            per_path, _ = _measured(source, manifest)
        except SamplerError:
            return  # the run itself will raise this, with the path
        ratio = per_path / max(1, sum(array.path_bytes for array in manifest.arrays))
        needed = int(ratio * needed)
    if needed > free:
        raise too_little(
            location, needed, free,
            "Keep fewer times (keep=), store float32 (storage=montezarr.Storage(dtype='float32')),"
            " or choose another disk.",
        )  # fmt: skip


def too_little(location: ReadableLocation, needed: int, free: int, hint: str) -> StoreError:
    """Return the error of a disk with too little room."""
    return StoreError(
        f"path: expected room for {show_bytes(needed)}, got {show_bytes(free)} free at {location}:"
        f" {show_bytes(needed - free)} too little. {hint}"
    )


def _measured(source: ChunkSource, manifest: Manifest) -> tuple[float, int]:
    """Return the compressed bytes of a path, and the number of paths measured."""
    path_bytes = source.run.path_bytes + source.schema.path_bytes
    in_memory = COMPRESSION_TRIAL_MAX_BYTES // path_bytes // BLOCK
    blocks = max(1, min(COMPRESSION_TRIAL_BLOCKS, in_memory))
    sample = min(source.run.length, manifest.chunk, blocks * BLOCK)
    drawn = source.chunk_values(manifest)
    arrays, _, _ = drawn.of(0, sample, initial_states(source.run, 0, sample))
    whole = -(-sample // BLOCK) * BLOCK
    storage = Storage(**{**manifest.storage.to_dict(), "inner_chunk": None})
    found = [
        encode_chunk(array, whole, storage, values)[1]
        for array, values in zip(manifest.arrays, arrays, strict=True)
    ]
    return sum(found) / sample, sample
