"""`repair`: draw damaged or missing chunks again, to the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import xarray as xr

from montezarr.core.checks import check_bool
from montezarr.core.errors import MontezarrError, ReplayError, StoreError
from montezarr.execute.progress import Progress
from montezarr.execute.run_monitor import RunMonitor
from montezarr.run.choose_backend import backend_of
from montezarr.store._damage import damaged_chunks, results_lost, told_target
from montezarr.store._estimate import check_store_room
from montezarr.store._interrupt_handler import InterruptHandler
from montezarr.store._live_parameters import parameters_at_hand
from montezarr.store._rebuild import adopt, rebuilt
from montezarr.store._report import Problem, Verification
from montezarr.store._source import source_in
from montezarr.store._verify import (
    examined,
    parameter_problems,
    problems_of,
    said_by_root,
    verify_location,
)
from montezarr.store._where import location_of
from montezarr.store._writer import Writer
from montezarr.store.format import (
    COMMIT_LOG,
    MANIFEST,
    CommitState,
    _parameters,
)
from montezarr.store.locations import Location


def repair(
    path: Any,
    *,
    ds: xr.Dataset | None = None,
    statistics: Any = None,
    process: Any = None,
    durable: bool = False,
    storage_options: Mapping[str, Any] | None = None,
    show_progress: bool = False,
) -> Verification:
    """Find damaged or missing files of a store, by level 1 of `verify`, and restore them.

    Paths are a function of the recipe, so a chunk is drawn again to the same bytes; metadata and
    commit log follow from the manifest, of which there are two copies. If both are lost, the root
    has the recipe and the metadata of all arrays, and each chunk its own checksum; one chunk is
    drawn again, to check that it agrees with the recipe. The root has neither policies for failing
    paths nor statistics: pass `ds` and `statistics`. Intact files are not touched. An incomplete
    run stays incomplete: `write` continues it.

    Parameters
    ----------
    path : str, path or Zarr store
        Location of the store.
    ds : Dataset, optional
        What was written, lazily, with any number of paths: needed if its variables are computed
        from paths by an expression, or each path has an x0 of its own that was lazy; or if
        manifest and commit log are lost, and paths may be masked or have an x0 of their own.
    statistics : as for `write`, optional
        Needed if some of them are your own classes, or manifest and commit log are lost.
    process : object, optional
        The sampler, if it is your own code and not alive in this process.
    durable, storage_options, show_progress
        As for `write`.

    Returns
    -------
    Verification
        The state of the store afterwards, with the restored files in `repaired`.

    Raises
    ------
    StoreError
        If root, manifest and commit log are lost, or the number of paths is not known, or the disk
        is full; or, after all else is restored, if a large parameter is lost and neither `ds` nor
        `process` is given.
    StoreNotFoundError
        If there is no store.
    StoreLockedError
        If another writer has the store open.
    ReplayError
        If a chunk has to be drawn and the sampler is not at hand.

    Examples
    --------
    >>> import montezarr as mz, pathlib, tempfile
    >>> path = tempfile.mkdtemp() + "/paths.zarr"
    >>> _ = mz.write(mz.simulate(mz.BrownianMotion(), n_paths=5000, T=10, seed=1), path)
    >>> pathlib.Path(path, "x/c/0/0").unlink()
    >>> mz.verify(path).ok, mz.repair(path).ok
    (False, True)
    """
    location = location_of(path, storage_options)
    check_bool("durable", durable)
    shown = check_bool("show_progress", show_progress)
    commits, problems = examined(location, 0)  # raises without a store, before anything is touched
    if commits is None and problems[0].kind != "missing":
        # Damaged files may still hold more information than the root.
        hint = "" if said_by_root(location) is None else (
            f" Its root may: take {MANIFEST} and {COMMIT_LOG} away, and repair it then."
        )  # fmt: skip
        raise StoreError(problems[0].text + hint)
    display = Progress("repair", enabled=shown)
    with RunMonitor("repair", display) as monitor, InterruptHandler() as stop, location.lock():
        commits, problems = examined(location, 1)
        if commits is None:
            commits = rebuilt(location, ds, process, statistics)
            problems += problems_of(location, commits, 0)
            problems += parameter_problems(location, commits, 1)  # chunks are not checked twice
        writer = stop.writer = Writer(location, commits, durable, f"mz.repair({str(location)!r})")
        if problems:
            options = ds, process, statistics
            _mend(writer, problems, stop, monitor, options)
        elif commits.is_complete:
            writer.settle()
    found = verify_location(location, 1)
    return replace(found, repaired=tuple(sorted({problem.key for problem in problems})))


def _mend(
    writer: Writer,
    problems: list[Problem],
    stop: InterruptHandler,
    monitor: RunMonitor,
    options: Any,
) -> None:
    commits, location = writer.commits, writer.location
    root: Mapping[str, Any] | None = said_by_root(location)
    if not commits.knows_target:
        root = told_target(location, commits, root)
        if not commits.chunks and root is not None:
            adopt(commits, location, root)
    if commits.target < 1:
        raise StoreError(
            f"path: expected a commit log, a root or metadata of variables, got none that tells how"
            f" many paths there are to be: {location}. Write them anew, elsewhere."
        )
    was_complete = commits.was_complete or (
        root is not None and root["status"] == "complete" and root["target"] == commits.target
    )
    bad = {problem.key for problem in problems}
    parameters = parameters_at_hand(commits.manifest, options[0], options[1])
    failed = _restore_lost_parameters(writer, bad)
    was_told = commits.is_complete
    damaged = damaged_chunks(commits, bad)
    for chunk in damaged:
        commits.drop(chunk)
    redo = set(damaged)
    if was_complete:
        redo |= set(commits.missing())
    is_lost = was_complete and results_lost(commits, bad, redo)
    source = None
    if failed is not None and (redo or is_lost):
        if was_told:  # drawing needs the parameters; commit log and metadata do not
            writer.commits = CommitState.read(location) or commits
            writer.resume(parameters=False)
            _delete_strays(location, problems)
        raise failed
    if redo or is_lost:
        ds, process, statistics = options
        n_paths = commits.manifest.first_path + commits.target
        source = source_in(commits.manifest, n_paths, ds, process, statistics)
    del parameters
    if was_complete:
        writer.mend()
    writer.resume(parameters=False)
    _delete_strays(location, problems)
    if redo:
        assert source is not None
        check_store_room(location, commits, source)
        backend = backend_of(source.run)
        failure_log = writer.run(source, backend, sorted(redo), monitor, stop)
        failure_log.warn(commits.target, stacklevel=4)
    if was_complete and not commits.missing():
        writer.finish(source if is_lost else None)
    if failed is not None:
        raise failed


def _restore_lost_parameters(writer: Writer, bad: set[str]) -> MontezarrError | None:
    """Write the parameters that are at hand again; return the error of one that is not."""
    failed: MontezarrError | None = None
    for reference in writer.manifest.references:
        if _parameters.key_of(reference) in bad:
            try:
                writer.write_parameters([reference])
            except (ReplayError, StoreError) as error:  # the rest of the store can be restored
                failed = failed or error
    return failed


def _delete_strays(location: Location, problems: list[Problem]) -> None:
    for problem in problems:
        if problem.kind == "stray":
            location.delete(problem.key)
