"""`verify`: check a store, from its commit log and file sizes up to drawing all paths again."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import xarray as xr

from montezarr.core.checks import check_int
from montezarr.core.errors import ReplayError, StoreError, StoreNotFoundError
from montezarr.core.json import parse_json
from montezarr.execute import cores
from montezarr.run._recipe import fingerprint
from montezarr.store._digest import file_digest
from montezarr.store._regenerate import compare_regenerated
from montezarr.store._report import Problem, Verification
from montezarr.store._where import check_directory, location_of
from montezarr.store.format import (
    COMMIT_LOG,
    MANIFEST,
    STATES,
    STORE_ATTRIBUTE,
    CommitState,
    Manifest,
    StoredArray,
    _parameters,
)
from montezarr.store.locations import LocalLocation, ReadableLocation


def verify(
    path: Any,
    level: int = 1,
    *,
    sample: int = 8,
    seed: int = 0,
    ds: xr.Dataset | None = None,
    process: Any = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Verification:
    """Check whether a store is intact, without changing it.

    Parameters
    ----------
    path : str, path or Zarr store
        Location of the store.
    level : {0, 1, 2, 3}
        0: manifest, commit log and metadata agree, and all files exist with their recorded size.
        1: also, every file has the checksum in the commit log: finds damaged, swapped and
        truncated ones. 2: also, some chunks are drawn again and are equal bit by bit. 3: as 2, for
        all chunks. Up to level 1, nothing that the store names is run or imported.
    sample : int
        Number of chunks that level 2 draws again.
    seed : int
        Seed of the choice of these chunks.
    ds : Dataset, optional
        What was written, lazily, with any number of paths: needed for levels 2 and 3 if variables
        are computed from paths by an expression, or each path has an x0 of its own that was lazy.
    process : object, optional
        The sampler, for levels 2 and 3, if it is your own code and not alive in this process.
    storage_options : dict, optional
        For a URL, options of fsspec.

    Returns
    -------
    Verification
        With `ok` and `problems`; printable. Another environment, such as another NumPy or
        processor, may draw paths that differ in their last bits: then `environment` says so, with
        the largest difference, and it is not a problem of the store.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments that are not as described here.
    StoreNotFoundError
        If there is no store.
    ReplayError
        If the sampler is needed and not at hand.

    Examples
    --------
    >>> import montezarr as mz, tempfile
    >>> path = tempfile.mkdtemp() + "/paths.zarr"
    >>> _ = mz.write(mz.simulate(mz.BrownianMotion(), n_paths=5000, T=10, seed=1), path)
    >>> mz.verify(path, 3).ok
    True
    """
    check_int("level", level, maximum=3)
    check_int("sample", sample, minimum=1)
    check_int("seed", seed)
    return verify_location(location_of(path, storage_options), level, sample, seed, ds, process)


def verify_location(
    location: ReadableLocation,
    level: int,
    sample: int = 1,
    seed: int = 0,
    ds: Any = None,
    process: Any = None,
) -> Verification:
    """Verify the store at a location; see `verify`."""
    started = time.perf_counter()
    commits, problems = examined(location, level)
    if problems and commits is not None:
        # While a writer runs, files and commit log may be of two moments: real problems persist.
        again, still = examined(location, level)
        commits, known = again or commits, {(problem.kind, problem.key) for problem in problems}
        problems = [problem for problem in still if (problem.kind, problem.key) in known]
    if commits is None:
        return _report(location, level, None, problems, time.perf_counter() - started)
    drawn: list[int] = []
    notes = None
    if level >= 2 and not problems:
        drawn = sorted(commits.chunks)
        if level == 2 and len(drawn) > sample:
            rng = np.random.default_rng(seed)
            drawn = sorted(rng.choice(drawn, sample, replace=False).tolist())
        found, notes = compare_regenerated(location, commits, drawn, ds, process)
        problems += found
    seconds = time.perf_counter() - started
    return _report(location, level, commits, problems, seconds, len(drawn), notes)


def examined(location: ReadableLocation, level: int) -> tuple[CommitState | None, list[Problem]]:
    """Return the commit state of a store, and its problems up to level 1.

    Raises
    ------
    StoreNotFoundError
        If no store is there.
    """
    if isinstance(location, LocalLocation):
        check_directory(location.path)
    try:
        commits = CommitState.read(location)
    except StoreError as error:
        return None, [Problem("journal", COMMIT_LOG, str(error))]
    if commits is None and said_by_root(location) is not None:
        return None, [
            Problem("missing", key, "expected a file, got none") for key in (MANIFEST, COMMIT_LOG)
        ]
    if commits is None:
        raise StoreNotFoundError(
            f"path: expected a montezarr store, got nothing at {location} that tells of one: no"
            " root, commit log or manifest."
        )
    return commits, problems_of(location, commits, level)


def problems_of(location: ReadableLocation, commits: CommitState, level: int) -> list[Problem]:
    """Return the problems up to level 1, given the commit state."""
    root = said_by_root(location)
    problems = [*_commit_log_problems(commits, root), *_metadata_problems(location, commits, root)]
    problems += parameter_problems(location, commits, level)
    files = commits.files()
    sizes = location.sizes(files)
    whole = {}
    for key, (size, found) in files.items():
        if key not in sizes:
            problems.append(Problem("missing", key, f"expected {size:,} bytes, got no file"))
        elif sizes[key] != size:
            text = f"expected {size:,} bytes, got {sizes[key]:,}"
            problems.append(Problem("size", key, text))
        else:
            whole[key] = found
    if level >= 1:
        problems += _fingerprint_problems(commits)
        pool = ThreadPoolExecutor(cores())
        try:
            digests = pool.map(lambda key: file_digest(location.pieces(key))[1], whole)
            for (key, expected), found in zip(whole.items(), digests, strict=True):
                if found != expected:
                    problems.append(Problem("damaged", key, "expected another checksum"))
        finally:
            pool.shutdown(cancel_futures=True)  # also on Ctrl-C
        problems += _strays(location, commits, files)
    return problems


def parameter_problems(
    location: ReadableLocation, commits: CommitState, level: int
) -> Iterator[Problem]:
    """Yield the problems of the files of large parameters."""
    beside = commits.manifest.references
    lost = dict(_parameters.lost(location, beside))
    for reference in beside:
        key, text = _parameters.key_of(reference), f"expected {reference.nbytes:,} bytes"
        if reference in lost:
            size = lost[reference]
            kind, got = ("missing", "no file") if size is None else ("size", f"{size:,}")
            yield Problem(kind, key, f"{text}, got {got}")
        elif level >= 1 and _parameters.parameter_digest(location.pieces(key)) != reference.sha256:
            yield Problem("damaged", key, "expected another checksum")


def _fingerprint_problems(commits: CommitState) -> Iterator[Problem]:
    """Yield a problem if the fingerprint in the manifest is not that of its recipe."""
    manifest = commits.manifest
    if manifest.whole is None:
        return  # it follows from the recipe
    try:
        found = fingerprint(manifest.recipe_dict)
    except (ReplayError, StoreError):  # a parameter is lost, which is reported as its own problem
        return
    if found != manifest.whole:
        text = f"expected the fingerprint {found} of its recipe, got {manifest.whole}"
        yield Problem("metadata", MANIFEST, text)


def _strays(
    location: ReadableLocation, commits: CommitState, known: Collection[str]
) -> Iterator[Problem]:
    """Yield files of chunks, states and parameters that a complete store does not have.

    Another program may have added paths, or a killed writer left them.
    """
    if not commits.is_complete:
        return
    known = {*known, *map(_parameters.key_of, commits.manifest.references)}
    for key in location.objects():
        is_chunk = any(
            key in array.keys(_number_in(key, array)) for array in commits.manifest.arrays
        )
        is_ours = is_chunk or key.startswith((f"{STATES}/", f"{_parameters.PARAMETERS}/"))
        if key not in known and is_ours:
            yield Problem("stray", key, "expected no file of that number")


def _number_in(key: str, array: StoredArray) -> int:
    """Return the chunk number in a key, -1 if it is not the key of a chunk."""
    parts = key.split("/")[2:]
    text = parts[array.axis] if array.axis < len(parts) else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else -1


def _commit_log_problems(commits: CommitState, root: Mapping[str, Any] | None) -> Iterator[Problem]:
    if commits.bad:
        yield Problem("journal", COMMIT_LOG, f"{commits.bad} damaged records")
    if commits.mending == commits.target:
        yield Problem(
            "journal", COMMIT_LOG, "expected a complete run, got a repair that has not ended"
        )
    if commits.is_complete and commits.lacks_results:
        yield Problem("journal", COMMIT_LOG, "expected the results of statistics, got none")
    # Complete for the target: a store that is to grow was complete for fewer paths.
    said_complete = (
        root is not None and root["status"] == "complete" and root["target"] == commits.target
    )
    if said_complete and not commits.bad and (commits.missing() or commits.torn):
        yield Problem("journal", COMMIT_LOG, "expected a complete run, as the root says, got less")
    elif commits.is_complete and commits.torn and not commits.bad:
        yield Problem("journal", COMMIT_LOG, "expected nothing behind the last record")
    lost = [chunk for chunk in range(commits.n_chunks) if chunk not in commits.chunks]
    if commits.is_complete and lost:
        yield Problem("journal", COMMIT_LOG, f"expected all chunks, got none of {len(lost)}")


def _metadata_problems(
    location: ReadableLocation, commits: CommitState, root: Mapping[str, Any] | None
) -> Iterator[Problem]:
    """Yield the problems of files that follow from the manifest byte by byte."""
    if not commits.chunks and location.get("zarr.json") is None:
        return  # its writer has just begun, and writes it when it continues
    n, target, committed, complete = commits.shown, commits.target, commits.committed, False
    if commits.is_complete:
        n, committed, complete = target, target, True
    elif root is not None:
        # A killed run may have published less than what is committed.
        most = max(target, 1) if commits.bad else target
        seen = root["n_paths"], root["committed"], root["target"]
        n, committed, target = seen
        complete = root["status"] == "complete"
        good = n <= committed <= target <= most
        if not commits.bad:
            good = good and n <= commits.shown and committed <= commits.committed
        if not good or (complete and not n == committed == target):
            text = f"expected at most {commits.shown:,} paths of {most:,}, got {n:,} of {target:,}"
            yield Problem("metadata", "zarr.json", text)
    if root is None:
        yield Problem("metadata", "zarr.json", "expected what montezarr writes")
    manifest = commits.manifest
    if not commits.is_complete and root is not None:
        manifest = _as_published(manifest, root)
    expected = manifest.files(n, target, committed, complete)
    # Or have published it for some variables only.
    ahead = {} if complete else commits.manifest.files(commits.shown, target, committed, False)
    arrays = {f"{array.name}/zarr.json" for array in commits.manifest.arrays}
    for key, data in expected.items():
        found = location.get(key)
        if found == data or (key == "zarr.json" and root is None):
            continue
        if key in arrays and found is not None and found == ahead.get(key):
            continue
        what = "got no file" if found is None else "got another"
        yield Problem("metadata", key, f"expected what follows from the manifest, {what}")


def _as_published(manifest: Manifest, root: Mapping[str, Any]) -> Manifest:
    """Return the manifest with the room for events in the root, if a killed writer made more."""
    before = manifest.with_told_rooms(root.get("rooms", {}))
    if before is None or any(n > manifest.rooms.get(d, 0) for d, n in before.rooms.items()):
        return manifest
    return before


def said_by_root(location: ReadableLocation) -> dict[str, Any] | None:
    """Return the store attributes in the root, if it can be read."""
    try:
        info = parse_json(location.get("zarr.json") or b"")["attributes"][STORE_ATTRIBUTE]
        counts = [info["n_paths"], info["target"], info["committed"]]
        good = info["status"] in ("complete", "incomplete")
        good = good and all(type(n) is int and n >= 0 for n in counts) and info["target"] > 0
    except (ValueError, KeyError, TypeError):
        return None
    return dict(info) if good else None


def _report(
    location: ReadableLocation,
    level: int,
    commits: CommitState | None,
    problems: list[Problem],
    seconds: float,
    drawn: int = 0,
    notes: tuple[str, float] | None = None,
) -> Verification:
    return Verification(
        path=str(location),
        level=level,
        n_paths=0 if commits is None else commits.committed,
        target=0 if commits is None else commits.target,
        files=0 if commits is None else len(commits.files()),
        drawn=drawn,
        problems=tuple(problems),
        environment=None if notes is None else notes[0],
        largest_difference=None if notes is None else notes[1],
        seconds=seconds,
        is_complete=commits is not None and commits.is_complete,
    )
