"""`merge`: join stores of several ranges of paths of one recipe into one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import xarray as xr

from montezarr.core.checks import check_bool, type_error, value_error
from montezarr.core.errors import StoreError, StoreExistsError, StoreMismatchError
from montezarr.reduction.accumulate import PartialState
from montezarr.store._committed import commit_state_of, drop_lost
from montezarr.store._differences import lines_of_differences
from montezarr.store._estimate import too_little
from montezarr.store._interrupt_handler import InterruptHandler
from montezarr.store._live_parameters import parameters_at_hand
from montezarr.store._open import open_location
from montezarr.store._put_results import put_merged
from montezarr.store._results import load_states
from montezarr.store._source import ChunkSource, source_in
from montezarr.store._where import location_of, read_root
from montezarr.store._writer import Writer
from montezarr.store.format import STATES, Checksum, ChunkRecord, CommitState, check_distinct
from montezarr.store.locations import LocalLocation, Location, ReadableLocation

Part = tuple[ReadableLocation, CommitState]
"""A store to merge, and its commit state."""


def merge(
    stores: Sequence[Any],
    path: Any,
    *,
    ds: xr.Dataset | None = None,
    statistics: Any = None,
    process: Any = None,
    durable: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Join the stores of several ranges of paths, which jobs have written in parallel.

    The result is, byte for byte, what one run of all these paths would have written. On one file
    system files are linked, not copied, so they take no room; the stores do not change, and may be
    removed afterwards. If `merge` is killed, or stopped by a signal, the same call continues.

    Existence and size of all files are checked first; copied files are also compared with their
    checksums. Linked files are not read: call `verify` on the result to check them.

    Parameters
    ----------
    stores : sequence of str, path or Zarr store
        Complete stores of adjoining ranges (``write(..., paths=range(a, b))``), in any order.
    path : str, path or Zarr store
        Location of the result.
    ds, statistics, process : optional
        As for `extend`, if statistics were taken, or large parameters were lost.
    durable, storage_options
        As for `write`.

    Returns
    -------
    Dataset
        The result, lazily opened.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If there are no stores.
    StoreMismatchError
        If their recipes or chunks differ, or they overlap or leave gaps; with the stores.
    StoreError
        If a store is not complete, or a file of it is missing, truncated or damaged; or if files
        that must be copied, such as from another disk, do not fit, with the bytes needed.
    StoreNotFoundError, StoreExistsError, StoreLockedError
        As from `open` and `write`.

    Examples
    --------
    >>> import montezarr as mz, tempfile
    >>> root = tempfile.mkdtemp()
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=5000, T=10, seed=1, chunks=1024)
    >>> _ = mz.write(ds, root + "/a.zarr", paths=range(2048))
    >>> _ = mz.write(ds, root + "/b.zarr", paths=range(2048, 5000))
    >>> mz.merge([root + "/a.zarr", root + "/b.zarr"], root + "/all.zarr").x.shape
    (5000, 11)
    """
    if isinstance(stores, (str, bytes)) or not isinstance(stores, Sequence):
        raise type_error("stores", "a list of locations of stores", stores)
    if not stores:
        raise value_error("stores", "one store or more", stores)
    check_bool("durable", durable)
    sources = [location_of(store) for store in stores]
    parts: list[Part] = [(location, commit_state_of(location)) for location in sources]
    parts.sort(key=lambda part: part[1].manifest.first_path)
    _check_parts(parts)
    location = location_of(path, storage_options)
    whole = _whole(parts)
    check_distinct(whole.manifest.names, "stores")
    # Kept alive until the end: they hold parameters that the stores may have lost.
    parameters = parameters_at_hand(whole.manifest, ds, process)
    source = None
    if whole.manifest.statistics is not None:
        n_paths = whole.manifest.first_path + whole.target
        source = source_in(whole.manifest, n_paths, ds, process, statistics)
    read_root(location)
    with InterruptHandler() as stop, location.lock():
        there = CommitState.read(location)
        if there is not None:
            _check_same(there, whole, location)
            if not there.is_complete:
                drop_lost(there, location)
        writer = stop.writer = Writer(
            location, there or whole, durable, f"mz.merge(stores, {str(location)!r})"
        )
        if there is None or not there.is_complete:
            _take_all(writer, parts, whole, there is None, source, stop)
    del parameters
    return open_location(location)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A chunk to take: its files, by key in the result, with their keys in the part."""

    number: int
    record: ChunkRecord
    files: list[tuple[str, str, Checksum]]


def _take_all(
    writer: Writer,
    parts: list[Part],
    whole: CommitState,
    is_new: bool,
    source: ChunkSource | None,
    stop: InterruptHandler,
) -> None:
    location, commits = writer.location, writer.commits
    todo = _todo(parts, whole, None if is_new else commits)
    _check_files(parts, todo)
    _check_room(location, todo)
    if is_new:
        whole.chunks, whole.committed = {}, 0
        writer.begin()
    else:
        writer.resume()
    with writer._tidy():  # leaves no temporary files, also on a full disk
        try:
            for part, chunk in ((part, chunk) for part, chunks in todo for chunk in chunks):
                if stop():
                    break
                for key, theirs, checksum in chunk.files:
                    location.take(key, part, theirs, durable=writer.durable, checksum=checksum)
                writer.commit(chunk.number, chunk.record, environment=chunk.record.environment)
        finally:
            with contextlib.suppress(OSError):  # the disk may be full
                writer.publish()
        if commits.missing():
            return
        if source is not None:
            _merge_states(writer, parts, source)
    writer.finish(source)


def _todo(
    parts: list[Part], whole: CommitState, there: CommitState | None
) -> list[tuple[ReadableLocation, list[_Chunk]]]:
    """Return the chunks of each part that the result lacks."""
    out = []
    for part, commits in parts:
        at = (commits.manifest.first_path - whole.manifest.first_path) // whole.manifest.chunk
        chunks = []
        for theirs in sorted(commits.chunks):
            number = at + theirs
            if there is not None and there.is_done(number):
                continue
            record = whole.chunks[number]
            pairs = ((array, array.keys(number)) for array in whole.manifest.arrays)
            files = [
                (key, array.moved(key, theirs), record.files[key])
                for array, keys in pairs for key in keys if key in record.files
            ]  # fmt: skip
            if record.state is not None:
                files.append((f"{STATES}/{number}", f"{STATES}/{theirs}", record.state))
            chunks.append(_Chunk(number, record, files))
        out.append((part, chunks))
    return out


def _check_files(parts: list[Part], todo: list[tuple[ReadableLocation, list[_Chunk]]]) -> None:
    """Raise unless all files to take exist with their recorded size."""
    for (part, commits), (_, chunks) in zip(parts, todo, strict=True):
        sizes = {key: checksum[0] for chunk in chunks for _, key, checksum in chunk.files}
        if commits.states is not None:
            sizes[commits.merged_key] = commits.states[1]
        found = part.sizes(sizes)
        bad = [key for key, size in sizes.items() if found.get(key) != size]
        if bad:
            size = found.get(bad[0])
            got = "no file" if size is None else f"{size:,}"
            more = f", and {len(bad) - 1:,} more such files" if len(bad) > 1 else ""
            raise StoreError(
                f"stores: expected {sizes[bad[0]]:,} bytes in {bad[0]}, got {got}{more}: {part}."
                " Call montezarr.repair."
            )


def _check_room(location: Location, todo: list[tuple[ReadableLocation, list[_Chunk]]]) -> None:
    """Raise if files that cannot be linked do not fit; sizes are those in the commit log."""
    free = location.free_bytes()
    if free is None:
        return
    needed = sum(
        checksum[0]
        for part, chunks in todo
        if not _can_link(part, location)
        for chunk in chunks
        for _, _, checksum in chunk.files
    )
    if needed > free:
        raise too_little(
            location, needed, free,
            "Stores that are on another disk are copied, not linked: choose a path on theirs, or a"
            " disk with more room.",
        )  # fmt: skip


def _can_link(part: ReadableLocation, location: Location) -> bool:
    if not (isinstance(part, LocalLocation) and isinstance(location, LocalLocation)):
        return False
    return _device(part.path) == _device(location.path)


def _device(path: Path) -> int | None:
    """Return the file system of a path, or of its nearest existing parent."""
    for location in (path, *path.parents):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return os.stat(location).st_dev
    return None


def _merge_states(writer: Writer, parts: list[Part], source: ChunkSource) -> None:
    """Merge the states of whole chunks of all parts."""
    assert source.layout is not None
    accumulator, total, whole = source.layout.accumulator, PartialState(), 0
    for part, commits in parts:
        if commits.states is None:
            continue
        states = load_states(part, commits.merged_key, commits.states[1:], accumulator)
        accumulator.join(total, states)
        whole += commits.states[0]
    if whole:
        put_merged(writer.location, writer.commits, total, whole, writer.durable)


def _whole(parts: list[Part]) -> CommitState:
    """Return the commit state of all parts together."""
    first = parts[0][1]
    target = sum(commits.target for _, commits in parts)
    manifest = first.manifest
    for _, commits in parts:  # the largest room for events
        rooms = commits.manifest.rooms.items()
        manifest = manifest.with_rooms({d: max(n, manifest.rooms.get(d, 0)) for d, n in rooms})
    out = CommitState(manifest, target, environments=[manifest.environment])
    for _, commits in parts:
        numbers = []
        for environment in commits.environments:
            if environment not in out.environments:
                out.environments.append(environment)
            numbers.append(out.environments.index(environment))
        at = (commits.manifest.first_path - first.manifest.first_path) // first.manifest.chunk
        names = {array.name: array for array in first.manifest.arrays}
        for chunk, record in commits.chunks.items():
            files = {
                names[key.partition("/")[0]].moved(key, at + chunk): checksum
                for key, checksum in record.files.items()
            }
            number = numbers[record.environment] if record.environment < len(numbers) else 0
            moved: ChunkRecord = replace(record, files=files, environment=number)
            out.put(at + chunk, moved)
    return out


def _check_parts(parts: list[Part]) -> None:
    """Raise unless parts are complete, of one recipe, and adjoin."""
    first_place, first = parts[0]
    end = first.manifest.first_path
    for location, commits in parts:
        if not commits.is_complete or commits.missing():
            done = f"{commits.committed:,} of {commits.target:,} paths"
            raise StoreError(f"path: expected complete stores, got {done} in {location}.")
        mine = replace(commits.manifest, first_path=first.manifest.first_path)
        differing = first.manifest.as_begun().differences(mine.as_begun())
        if commits.manifest.chunk != first.manifest.chunk:
            differing.append(("chunk", first.manifest.chunk, commits.manifest.chunk))
        if differing:
            raise StoreMismatchError(
                f"stores: expected stores of one recipe, got another in {location} than in"
                f" {first_place}:{lines_of_differences(differing)}"
            )
        start = commits.manifest.first_path
        if start != end:
            what = "gap" if start > end else "overlap"
            low, high = min(start, end), max(start, end)
            raise StoreMismatchError(
                f"stores: expected ranges that follow on one another, got a {what} of paths"
                f" {low:,} to {high - 1:,} before {location}."
            )
        end = start + commits.target
        if end % first.manifest.chunk and location is not parts[-1][0]:
            raise StoreMismatchError(
                f"stores: expected whole chunks before the last one, got paths up to {end - 1:,}"
                f" in {location}."
            )


def _check_same(there: CommitState, whole: CommitState, location: Location) -> None:
    if there.manifest.differences(whole.manifest) or there.target != whole.target:
        raise StoreExistsError(
            f"path: expected nothing, or what an earlier call began, got another store: {location}."
            " It is left as it is; choose another path."
        )
