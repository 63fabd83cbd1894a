"""`write`: write the paths of a run to a Zarr store, by whole chunks, in any order, resumable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

from montezarr.core.checks import check_bool, check_callable, check_int, type_error, value_error
from montezarr.core.errors import StoreError
from montezarr.execute.progress import Progress
from montezarr.execute.run_monitor import RunMonitor
from montezarr.run import cost
from montezarr.run.choose_backend import backend_of
from montezarr.run.execution import OnProgress
from montezarr.store._committed import as_stored, check_same, drop_lost
from montezarr.store._estimate import check_store_room
from montezarr.store._interrupt_handler import InterruptHandler
from montezarr.store._open import open_location
from montezarr.store._recipe_size import check_recipe_fits
from montezarr.store._source import ChunkSource, rooms_in, source_of
from montezarr.store._where import location_of, read_root
from montezarr.store._writer import Writer
from montezarr.store.format import CommitState, Storage


def write(
    ds: xr.Dataset,
    path: Any,
    *,
    variables: list[str] | None = None,
    statistics: Any = None,
    storage: Storage | None = None,
    paths: range | None = None,
    durable: bool = False,
    chunks_per_task: int | None = None,
    storage_options: Mapping[str, Any] | None = None,
    process: Any = None,
    show_progress: bool = False,
    on_progress: OnProgress | None = None,
) -> xr.Dataset:
    """Write all paths of `ds` to a Zarr store, resuming what is there, and return it opened.

    Each task simulates one chunk, writes it whole, and is recorded in a commit log. If the run is
    killed at any moment, the same call resumes it, on any backend, and ends with the same bytes as
    one that was never stopped: committed chunks are not drawn again. A Dataset with more room for
    events (``max_events``) goes on too, and the store has that room from then on. On SIGINT or
    SIGTERM running tasks finish and are committed, and the call that resumes is printed; a second
    signal leaves at once. Anything at `path` that is not a store of the same recipe is refused and
    left as it is.

    Parameters
    ----------
    ds : Dataset
        From `simulate`, or computed from it by xarray, lazily and path by path: some of its times
        or variables, or new ones. For fewer times of a long simulation use ``simulate(keep=...)``.
        An x0 of each path that was in memory is stored, so that `extend` needs no Dataset.
    path : str, path or Zarr store
        A local directory, created if necessary; a URL; or any Zarr store.
    variables : list of str, optional
        Store only these; with statistics the list may be empty.
    statistics : Statistic, str, sequence of them, or mapping of str to any of these, optional
        As for `montezarr.reduce`: taken in the same pass, of all of `ds`, and stored with the
        paths; read them by ``montezarr.open(path, "statistics")``.
    storage : Storage, optional
        Single precision, rounded bits, compression, shards; exact and uncompressed by default.
    paths : range, optional
        Store only these paths: for jobs that share the work, whose stores `montezarr.merge` joins.
        The range begins at a chunk boundary, and ends at one or at the end of the run.
    durable : bool
        Whether committed chunks survive a loss of power, not only the death of the process.
    chunks_per_task : int, optional
        Chunks that one task writes; by default one, or as many as take some seconds if there are
        more than a hundred workers, so that the scheduler keeps up.
    storage_options : dict, optional
        For a URL, options of fsspec.
    process : object, optional
        The sampler, if it is your own code and not alive in this process.
    show_progress : bool
        Show paths per second, time left and failures on standard error.
    on_progress : function (paths done, paths in all, paths that failed), optional
        Called before the first chunk and after each one, in the calling thread, for a display of
        your own.

    Returns
    -------
    Dataset
        The store, lazily opened.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `ds` is not such a Dataset, or `path` not a location.
    StoreExistsError
        If there is something at `path` that is not of montezarr.
    StoreMismatchError
        If the store at `path` holds something else; with each field that differs.
    StoreLockedError
        If another writer has the store open.
    ArgumentValueError
        If the recipe without large parameters exceeds the limit of reading, or these are more than
        1 GiB, or more than the memory holds as Python numbers.
    StoreError
        If the disk has too little room, before or during the run; with the bytes needed.
    SamplerError
        If the sampler fails; finished chunks stay, and `write` resumes from them.

    Examples
    --------
    >>> import montezarr as mz, tempfile
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=5000, T=10, seed=1)
    >>> mz.write(ds, tempfile.mkdtemp() + "/paths.zarr").x.shape
    (5000, 11)
    """
    location = location_of(path, storage_options)
    show_it = check_bool("show_progress", show_progress) and on_progress is None
    per_task = check_options(durable, chunks_per_task, on_progress)
    if storage is not None and not isinstance(storage, Storage):
        raise type_error("storage", "a montezarr.Storage, or None", storage)
    source = source_of(ds, process, variables, statistics)
    found, commits = read_root(location), CommitState.read(location)
    if commits is not None:
        commits.check(location)
        # The default chunk depends on the number of workers; a store keeps its own.
        source = as_stored(source, commits.manifest)
    elif found is not None:
        raise StoreError(
            f"path: expected a commit log, got none: {location}. Call montezarr.repair."
        )
    first, target = _range(paths, source)
    manifest = source.manifest(storage or Storage(), first)
    if commits is not None:
        check_same(commits, manifest, target, location)
    else:
        source.check_names(manifest)
        check_recipe_fits(manifest, target)
        commits = CommitState(manifest, target, environments=[manifest.environment])
    check_store_room(location, commits, source)
    shown = on_progress or Progress("write", enabled=show_it)
    with RunMonitor("write", shown) as monitor, InterruptHandler() as stop, location.lock():
        # Read again under the lock: another writer may have committed more.
        commits = CommitState.read(location) or commits
        source = as_stored(source, commits.manifest)  # or has made more room for events
        manifest = source.manifest(manifest.storage, first)
        check_same(commits, manifest, target, location)
        writer = stop.writer = Writer(
            location, commits, durable, f"mz.write(ds, {str(location)!r})"
        )
        writer.enlarge(rooms_in(manifest))
        complete_store(writer, source, stop, monitor, per_task)
    return open_location(location)


def check_options(durable: Any, chunks_per_task: Any, on_progress: Any) -> int | None:
    """Check the options of a writer, and return the chunks per task, if they are given.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments that `write` does not take.
    """
    check_bool("durable", durable)
    if on_progress is not None:
        check_callable("on_progress", on_progress, "(paths done, paths in all, paths that failed)")
    if chunks_per_task is None:
        return None
    return check_int("chunks_per_task", chunks_per_task, minimum=1)


def complete_store(
    writer: Writer,
    source: ChunkSource,
    stop: InterruptHandler,
    monitor: RunMonitor,
    per_task: int | None,
) -> None:
    """Do all that is not done yet: under the lock."""
    commits, location = writer.commits, writer.location
    if commits.end == 0:
        writer.begin()
    else:
        drop_lost(commits, location)
        if commits.is_complete and not (commits.missing() or commits.lacks_results):
            writer.settle()
            return
        writer.resume()
        check_store_room(location, commits, source)  # also for what is gone
    missing = commits.missing()
    if missing:
        backend = backend_of(source.run)
        if per_task is None:
            chunk = writer.manifest.chunk
            per_task = cost.chunks_per_task(source.run, backend, chunk, len(missing))
        failure_log = writer.run(source, backend, missing, monitor, stop, per_task)
        failure_log.warn(commits.target, stacklevel=4)  # the caller of write or extend
    if not commits.missing():
        writer.finish(source)


def _range(paths: Any, source: ChunkSource) -> tuple[int, int]:
    """Return the first path and the number of paths to store."""
    n, chunk = source.run.length, source.run.chunk
    if paths is None:
        return 0, n
    if not isinstance(paths, range) or paths.step != 1:
        raise type_error("paths", "a range of paths, such as range(0, 10_000)", paths)
    if not 0 <= paths.start < paths.stop <= n:
        raise value_error("paths", f"a range inside of range(0, {n})", paths)
    if paths.start % chunk or (paths.stop % chunk and paths.stop != n):
        raise value_error(
            "paths", f"a range of whole chunks of {chunk:,} paths", paths,
            "The chunk is that of simulate(chunks=...).",
        )  # fmt: skip
    return paths.start, len(paths)
