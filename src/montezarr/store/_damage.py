"""What a repair has to make anew, by what is left of a store; nothing is changed here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from montezarr._json import parse_json
from montezarr.store._results import RESULTS
from montezarr.store.format import LARGEST, STATES, Ledger, Manifest, as_json
from montezarr.store.places import ReadablePlace


def results_lost(ledger: Ledger, bad: set[str], redo: set[int]) -> bool:
    """Return whether the results of statistics, if any are taken, have to be made again."""
    return ledger.manifest.statistics is not None and (
        bool(redo)
        or ledger.mending is not None
        or ledger.lacks_results
        or any(key.startswith(f"{RESULTS}/") for key in bad)
    )


def told_target(
    place: ReadablePlace, ledger: Ledger, root: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """Return what is known of the number of paths without a journal, and have the ledger know it.

    The root tells it, or the arrays themselves, of which each has its shape: all that they show is
    taken for all that there were to be.
    """
    if root is not None and _follows(place, ledger, root):
        ledger.target = root["target"]
        return root
    if root is None and not ledger.chunks and (n := _shown_by_arrays(place, ledger.manifest)):
        ledger.target = n
        return {"n_paths": n, "target": n, "committed": n, "status": "complete"}
    return root


def _shown_by_arrays(place: ReadablePlace, manifest: Manifest) -> int:
    """Return the paths that the metadata of all variables agree upon, or 0."""
    counts = set()
    for array in manifest.arrays:
        data = place.get(f"{array.name}/zarr.json") or b""
        try:
            n = parse_json(data)["shape"][array.axis]
            expected = as_json(array.metadata(n, manifest.chunk, manifest.storage))
        except (ValueError, LookupError, TypeError):
            return 0
        counts.add(n if type(n) is int and 0 < n <= LARGEST and data == expected else 0)
    return counts.pop() if len(counts) == 1 else 0


def _follows(place: ReadablePlace, ledger: Ledger, root: Mapping[str, Any]) -> bool:
    """Return whether the root is as a writer makes it, so that its numbers can be believed."""
    numbers = root["n_paths"], root["target"], root["committed"], root["status"] == "complete"
    return ledger.manifest.files(*numbers)["zarr.json"] == place.get("zarr.json")


def damaged_chunks(ledger: Ledger, bad: set[str]) -> list[int]:
    """Return the chunks of which a file, or without which the statistics, cannot be had."""
    out = {
        chunk
        for chunk, record in ledger.chunks.items()
        if not bad.isdisjoint(record.files)
        or (record.state is not None and f"{STATES}/{chunk}" in bad)
    }
    if ledger.manifest.statistics is not None:
        merged = 0 if ledger.states is None else ledger.states[0]
        if ledger.merged_key in bad:
            ledger.states, merged = None, 0
        # What is merged needs no states of its own; all other chunks do.
        out |= {c for c, r in ledger.chunks.items() if r.state is None and c >= merged}
    return sorted(out)
