"""The commit state of a store, compared with what is to be written; nothing is changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import xarray as xr

from montezarr.core.errors import StoreError, StoreMismatchError, StoreNotFoundError
from montezarr.store._differences import lines_of_differences
from montezarr.store._source import ChunkSource, rooms_in, source_of
from montezarr.store._where import location_of, read_root
from montezarr.store.format import CommitState, Manifest
from montezarr.store.locations import ReadableLocation


def commit_state_of(location: ReadableLocation) -> CommitState:
    """Return the commit state of a store that must exist.

    Raises
    ------
    StoreNotFoundError
        If there is no store.
    """
    found, commits = read_root(location), CommitState.read(location)
    if commits is None and found is None:
        raise StoreNotFoundError(f"path: expected a montezarr store, got nothing at {location}.")
    if commits is None:
        raise StoreError(
            f"path: expected a commit log, got none: {location}. Call montezarr.repair."
        )
    commits.check(location)
    return commits


def is_complete(ds: xr.Dataset, path: Any) -> bool:
    """Return whether the store at `path` holds all paths of `ds`; no path is read."""
    location = location_of(path)
    if read_root(location) is None:
        return False
    commits = CommitState.read(location)
    if commits is None:
        return False
    source = as_stored(source_of(ds), commits.manifest)
    check_same(commits, source.manifest(commits.manifest.storage, 0), source.run.length, location)
    drop_lost(commits, location)
    return commits.is_complete and not commits.missing()


def check_same(
    commits: CommitState, manifest: Manifest, target: int, location: ReadableLocation
) -> None:
    """Raise if a store holds something other than what is to be written.

    Raises
    ------
    StoreMismatchError
        With each field that differs.
    """
    differing = commits.manifest.with_rooms(rooms_in(manifest)).differences(manifest)
    if differing:
        is_older = [name for name, _, _ in differing] == ["format"]
        remedy = "Choose another path"
        if is_older:
            remedy += f", or go on with what it holds: montezarr.extend(path, {target})"
        raise StoreMismatchError(
            f"path: expected a store of the same recipe, got another in {location}:"
            f"{lines_of_differences(differing)}"
            f"\n  {remedy}."
        )
    if commits.target != target:
        raise StoreMismatchError(
            f"path: expected a store with n_paths = {target:,}, got {commits.target:,}, in"
            f" {location}. Pass the same n_paths, or call montezarr.extend(path, {target})."
            if target > commits.target
            else f"path: expected a store with n_paths = {target:,}, got {commits.target:,}, in"
            f" {location}. A store does not shrink: open it and take what you need, or pass"
            f" n_paths={commits.target}."
        )


def as_stored(source: ChunkSource, manifest: Manifest) -> ChunkSource:
    """Return a chunk source in the chunks of a store, with the larger room for events of both."""
    rooms = rooms_in(manifest)
    for dim, room in source.run.max_events.items():
        rooms[dim] = max(room, rooms.get(dim, 0))
    return replace(source, run=source.run.in_chunks(manifest.chunk)).in_rooms(rooms)


def drop_lost(commits: CommitState, location: ReadableLocation) -> None:
    """Drop chunks of which a file is missing or has another size."""
    keys = {key: chunk for chunk, record in commits.chunks.items() for key in record.files}
    sizes = location.sizes(keys)
    for key, chunk in keys.items():
        record = commits.chunks.get(chunk)
        if record is not None and not commits.is_done(chunk) and key in sizes:
            continue  # it will get more paths, and may already have them
        if record is not None and sizes.get(key) != record.files[key][0]:
            commits.drop(chunk)
