"""Open the statistics of a store, in memory, checked against the commit log."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xarray as xr
from zarr.storage import MemoryStore

from montezarr.core.errors import StoreError, StoreNotFoundError
from montezarr.core.json import load_object
from montezarr.core.memory import memory_limit
from montezarr.core.tunables.limits import RESULTS_ALLOWED_BYTES, RESULTS_MAX_GROWTH
from montezarr.core.tunables.stores import RESULT_FILES_AT_ONCE
from montezarr.run._attributes import recipe_told
from montezarr.store._codes import with_labels
from montezarr.store._results import ORDER, RESULTS
from montezarr.store._root import as_store_errors, root_of
from montezarr.store._source import TIMEDELTAS
from montezarr.store.format import CommitState, bounded, buffer_of, check_document
from montezarr.store.locations import ReadableLocation


def open_results(location: ReadableLocation) -> xr.Dataset:
    """Open the results of the statistics, in memory: they are small."""
    recipe = recipe_told(root_of(location)[1]["attributes"])
    objects, total = _result_files(location), 0
    for key, data in objects.items():
        name, _, last = key.rpartition("/")
        if last == "zarr.json":
            document = load_object(data, f"{location}/{RESULTS}/{key}")
            if not name and document.get("node_type") != "group":
                raise StoreError(
                    f"path: expected a group of results, got another node: {location}."
                )
            check_document(name or "montezarr", document, location)
            if document["node_type"] == "array":
                total += math.prod(document["shape"]) * np.dtype(document["data_type"]).itemsize
                objects[key] = json.dumps(bounded(document)).encode()
    # Zarr omits chunks of fill values only, but a result always has other chunks too.
    most = min(
        RESULTS_ALLOWED_BYTES + RESULTS_MAX_GROWTH * sum(map(len, objects.values())),
        memory_limit() // 4,
    )
    if total > most:
        raise StoreError(
            f"path: expected results of statistics of at most {most:,} bytes, as their files are,"
            f" got shapes of {total:,}: {location}. Call montezarr.repair."
        )
    with as_store_errors(location):
        ds: xr.Dataset = xr.open_zarr(
            MemoryStore({key: buffer_of(data) for key, data in objects.items()}),
            consolidated=False,
            chunks=None,
            zarr_format=3,
            decode_timedelta=TIMEDELTAS,
        )
        ds = ds[[name for name in ds.attrs.pop(ORDER, ()) if name in ds]]
        return with_labels(ds.load(), recipe)


def _result_files(location: ReadableLocation) -> dict[str, bytes]:
    """Return the files of the results by key, checked against the commit log.

    Raises
    ------
    StoreError
        If a file differs.
    """
    key, most = "", memory_limit() // 4
    for _ in range(2):  # a writer may replace files after the commit log was read
        commits = CommitState.read(location)
        is_lost = commits is None or (commits.bad and commits.manifest.statistics is not None)
        if is_lost and (commits is None or commits.statistics is None):
            raise StoreError(
                f"path: expected a commit log that tells of statistics, got none, or a damaged one:"
                f" {location}. Call montezarr.repair."
            )
        if commits is None or commits.statistics is None:
            raise StoreNotFoundError(
                f"path: expected a store with statistics, got none in {location}."
            )
        total = sum(size for size, _ in commits.statistics.values())
        if total > most:
            raise StoreError(
                f"path: expected results of statistics of at most {most:,} bytes, a quarter of the"
                f" memory, got {total:,}: {location}."
            )
        with ThreadPoolExecutor(RESULT_FILES_AT_ONCE) as pool:
            found = pool.map(lambda item: location.intact(*item), commits.statistics.items())
            files = dict(zip(commits.statistics, found, strict=True))
        lost = [key for key, data in files.items() if data is None]
        if not lost:
            return {
                key.removeprefix(f"{RESULTS}/"): data
                for key, data in files.items()
                if data is not None
            }
        key = lost[0]
    raise StoreError(
        f"path: expected the results of the statistics as they were written, got damaged ones, or"
        f" a writer at work: {location}/{key}. Call montezarr.repair."
    )
