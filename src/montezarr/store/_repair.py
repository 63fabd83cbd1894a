"""`repair`: what is damaged or missing is drawn again, to the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import xarray as xr

from montezarr._checks import check_bool
from montezarr.choice import backend_of
from montezarr.errors import StoreError
from montezarr.progress import Progress
from montezarr.store._estimate import check_room
from montezarr.store._report import Problem, Verification
from montezarr.store._results import RESULTS
from montezarr.store._session import Session, Stop
from montezarr.store._source import source_in
from montezarr.store._verify import examined, said_by_root, verify_place
from montezarr.store._where import place_of
from montezarr.store.format import STATES, Ledger
from montezarr.store.places import Place
from montezarr.watch import Watch


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
    """Find what is damaged or missing in a store, on level 1 of `verify`, and make it anew.

    Paths are a function of the recipe, so a chunk is drawn again to the bytes that it had; metadata
    and journal follow from the manifest, of which there are two copies. What is intact is not
    touched. A run that was not complete stays so: `write` goes on with it.

    Parameters
    ----------
    path : str, path or Zarr store
        Where the store is.
    ds : Dataset, optional
        What was written, lazily, with any number of paths: needed where its variables were made of
        paths by an expression.
    statistics : as for `write`, optional
        Needed where some of them are of your own.
    process : object, optional
        The sampler, where it is your own code and not alive in this process.
    durable, storage_options, show_progress
        As for `write`.

    Returns
    -------
    Verification
        How the store is then, with the files that were made anew in `repaired`.

    Raises
    ------
    StoreError
        If manifest and journal are both lost, or the disk is full.
    StoreNotFoundError
        If no store is there.
    StoreLockedError
        If somebody writes it.
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
    place = place_of(path, storage_options)
    check_bool("durable", durable)
    shown = check_bool("show_progress", show_progress)
    ledger, problems = examined(place, 0)  # raises where nothing is, before anything is touched
    if ledger is None:
        raise StoreError(problems[0].text)
    display = Progress("repair", enabled=shown)
    with Watch("repair", display) as watch, Stop() as stop, place.lock():
        ledger, problems = examined(place, 1)
        assert ledger is not None
        if problems:
            session = stop.session = Session(place, ledger, durable, f"mz.repair({str(place)!r})")
            options = ds, process, statistics
            _mend(session, problems, stop, watch, options)
    found = verify_place(place, 1)
    return replace(found, repaired=tuple(sorted({problem.key for problem in problems})))


def _mend(
    session: Session, problems: list[Problem], stop: Stop, watch: Watch, options: Any
) -> None:
    ledger, place = session.ledger, session.place
    root = said_by_root(place)
    if not ledger.knows_target and root is not None and _follows(place, ledger, root):
        ledger.target = root["target"]
    ledger.check(place)
    was_complete = ledger.is_complete or (
        root is not None and root["status"] == "complete" and root["target"] == ledger.target
    )
    bad = {problem.key for problem in problems}
    damaged = _damaged_chunks(ledger, bad)
    for chunk in damaged:
        ledger.drop(chunk)
    redo = set(damaged)
    if was_complete:
        redo |= set(ledger.missing())
    results_lost = ledger.manifest.statistics is not None and was_complete
    results_lost = results_lost and (
        bool(redo) or ledger.statistics is None or any(k.startswith(f"{RESULTS}/") for k in bad)
    )
    source = None
    if redo or results_lost:
        ds, process, statistics = options
        n_paths = ledger.manifest.first_path + ledger.target
        source = source_in(ledger.manifest, n_paths, ds, process, statistics)
    session.resume()
    if redo:
        assert source is not None
        check_room(place, ledger, source)
        backend = backend_of(source.run)
        tally = session.run(source, backend, sorted(redo), watch, stop)
        tally.warn(ledger.target, stacklevel=4)
    if was_complete and not ledger.missing():
        session.finish(source if results_lost else None)


def _follows(place: Place, ledger: Ledger, root: Mapping[str, Any]) -> bool:
    """Return whether the root is as a writer makes it, so that its numbers can be believed."""
    numbers = root["n_paths"], root["target"], root["committed"], root["status"] == "complete"
    return ledger.manifest.files(*numbers)["zarr.json"] == place.get("zarr.json")


def _damaged_chunks(ledger: Ledger, bad: set[str]) -> list[int]:
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
