"""`extend`: add paths to a store, which stays readable and unchanged at every moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

from montezarr.core.checks import check_bool, check_int, value_error
from montezarr.core.tunables.limits import GRAPH_CHUNKS_MAX
from montezarr.execute.progress import Progress
from montezarr.execute.run_monitor import RunMonitor
from montezarr.run._max_events import check_max_events
from montezarr.run.execution import OnProgress
from montezarr.store._committed import as_stored, commit_state_of
from montezarr.store._estimate import check_store_room
from montezarr.store._interrupt_handler import InterruptHandler
from montezarr.store._live_parameters import parameters_at_hand
from montezarr.store._open import open_location
from montezarr.store._source import rooms_in, source_in
from montezarr.store._where import location_of
from montezarr.store._write import check_options, complete_store
from montezarr.store._writer import Writer
from montezarr.store.format import CommitState, Manifest


def extend(
    path: Any,
    n_paths: int,
    *,
    ds: xr.Dataset | None = None,
    statistics: Any = None,
    process: Any = None,
    max_events: int | Mapping[str, int] | None = None,
    durable: bool = False,
    chunks_per_task: int | None = None,
    storage_options: Mapping[str, Any] | None = None,
    show_progress: bool = False,
    on_progress: OnProgress | None = None,
) -> xr.Dataset:
    """Add paths to a store; the result equals, byte for byte, a new store of that many paths.

    Added paths are shown when they are committed. An incomplete last chunk is drawn again with all
    its paths, and replaces the old one atomically. If `extend` is killed, the same call continues.
    Statistics that were taken with the paths are extended too.

    Where each path has an x0 or a parameter of an array, a store grows up to the paths of its run,
    since the array is in the recipe as a whole: begin such a store with whole chunks of the run of
    all values, ``write(ds, path, paths=range(...))``. Parameters that are drawn have no such limit.

    Parameters
    ----------
    path : str, path or Zarr store
        Where the store is.
    n_paths : int
        New number of paths, not less than the present one.
    ds : Dataset, optional
        What was written, lazily, with any number of paths: needed if its variables are computed
        from paths by an expression, or each path has values of its own, x0 or parameters, that
        came as a lazy array.
    statistics : as for `write`, optional
        Needed if some of them are your own classes.
    process : object, optional
        The sampler, if it is your own code and not alive in this process.
    max_events : int or mapping of str to int, optional
        More room for the events of a path, by dimension, if they are not cut off: what is stored
        stays as it is.
    durable, chunks_per_task, storage_options, show_progress, on_progress
        As for `write`.

    Returns
    -------
    Dataset
        The store, lazily opened.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For a dimension without events, for less room than the store has, for fewer paths than it
        has, for more than there are values of an array by path, or if a Dataset is needed.
    StoreNotFoundError
        If no store is there.
    StoreLockedError, StoreError, SamplerError
        As from `write`.
    ReplayError
        If the sampler is not at hand.

    Examples
    --------
    >>> import montezarr as mz, tempfile
    >>> path = tempfile.mkdtemp() + "/paths.zarr"
    >>> _ = mz.write(mz.simulate(mz.BrownianMotion(), n_paths=5000, T=10, seed=1), path)
    >>> mz.extend(path, 8000).x.shape
    (8000, 11)
    """
    location = location_of(path, storage_options)
    target = check_int("n_paths", n_paths, minimum=1)
    per_task = check_options(durable, chunks_per_task, on_progress)
    commits = commit_state_of(location)
    _check(commits, target)
    larger = _with_rooms(commits.manifest, max_events)
    # Kept alive until the end: they hold parameters that the store may have lost.
    parameters = parameters_at_hand(commits.manifest, ds, process)
    source = source_in(larger, target, ds, process, statistics)
    shown = check_bool("show_progress", show_progress) and on_progress is None
    display = on_progress or Progress("extend", enabled=shown)
    with RunMonitor("extend", display) as monitor, InterruptHandler() as stop, location.lock():
        commits = commit_state_of(location)
        _check(commits, target)
        writer = stop.writer = Writer(
            location, commits, durable, f"mz.extend({str(location)!r}, {target})"
        )
        source = as_stored(source, commits.manifest)
        writer.enlarge(rooms_in(larger))
        if target > commits.target:
            before, commits.target = commits.target, target
            try:
                check_store_room(location, commits, source)
            finally:
                commits.target = before
            writer.aim(target)
        complete_store(writer, source, stop, monitor, per_task)
    del parameters
    return open_location(location)


def _with_rooms(manifest: Manifest, max_events: Any) -> Manifest:
    """Return a manifest with the room for events that is asked for.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If the store has more, or no such events.
    """
    known = rooms_in(manifest)
    asked = {dim: room for dim, room in check_max_events(max_events).items() if room is not None}
    for dim, room in asked.items():
        if dim not in known or room < known[dim]:
            raise value_error(
                "max_events", f"as much as the store has, {known}, or more", {dim: room}
            )
    return manifest.with_rooms(asked)


def _check(commits: CommitState, target: int) -> None:
    if commits.manifest.first_path:
        raise value_error(
            "path", "a store of the first paths", f"one from path {commits.manifest.first_path} on",
            "Merge the stores, then extend the whole.",
        )  # fmt: skip
    if commits.manifest.chunk_count(target) > GRAPH_CHUNKS_MAX:
        raise value_error("n_paths", f"at most {GRAPH_CHUNKS_MAX:,} chunks", target)
    if target < commits.target:
        raise value_error(
            "n_paths", f"{commits.target} or more, since a store does not shrink", target
        )
