"""Determine what a repair has to write again, without any change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from montezarr.core.json import parse_json
from montezarr.store._results import RESULTS
from montezarr.store.format import STATES, STORE_PATHS_MAX, CommitState, Manifest, as_json
from montezarr.store.locations import ReadableLocation


def results_lost(commits: CommitState, bad: set[str], redo: set[int]) -> bool:
    """Return whether results of statistics have to be computed again."""
    return commits.manifest.statistics is not None and (
        bool(redo)
        or commits.mending is not None
        or commits.lacks_results
        or any(key.startswith(f"{RESULTS}/") for key in bad)
    )


def told_target(
    location: ReadableLocation, commits: CommitState, root: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """Set the number of paths of a store without a commit log; return what it was taken from.

    It comes from the root, or from the shapes of the arrays, which are then taken as the target.
    """
    if root is not None and not commits.knows_target:
        commits.manifest = (
            commits.manifest.with_told_rooms(root.get("rooms", {})) or commits.manifest
        )
    if root is not None and _follows(location, commits, root):
        commits.target = root["target"]
        return root
    if root is None and not commits.chunks and (n := _shown_by_arrays(location, commits.manifest)):
        commits.target = n
        return {"n_paths": n, "target": n, "committed": n, "status": "complete"}
    return root


def _shown_by_arrays(location: ReadableLocation, manifest: Manifest) -> int:
    """Return the number of paths on which the metadata of all variables agree, or 0."""
    counts = set()
    for array in manifest.arrays:
        data = location.get(f"{array.name}/zarr.json") or b""
        try:
            n = parse_json(data)["shape"][array.axis]
            expected = as_json(array.metadata(n, manifest.chunk, manifest.storage))
        except (ValueError, LookupError, TypeError):
            return 0
        counts.add(n if type(n) is int and 0 < n <= STORE_PATHS_MAX and data == expected else 0)
    return counts.pop() if len(counts) == 1 else 0


def _follows(location: ReadableLocation, commits: CommitState, root: Mapping[str, Any]) -> bool:
    """Return whether the root is as a writer makes it, so that its numbers can be trusted."""
    numbers = root["n_paths"], root["target"], root["committed"], root["status"] == "complete"
    return commits.manifest.files(*numbers)["zarr.json"] == location.get("zarr.json")


def damaged_chunks(commits: CommitState, bad: set[str]) -> list[int]:
    """Return the chunks that lack an intact file, or states that the statistics need."""
    out = {
        chunk
        for chunk, record in commits.chunks.items()
        if not bad.isdisjoint(record.files)
        or (record.state is not None and f"{STATES}/{chunk}" in bad)
    }
    if commits.manifest.statistics is not None:
        merged = 0 if commits.states is None else commits.states[0]
        if commits.merged_key in bad:
            commits.states, merged = None, 0
        # Merged chunks need no states of their own; all other chunks do.
        out |= {c for c, r in commits.chunks.items() if r.state is None and c >= merged}
    return sorted(out)
