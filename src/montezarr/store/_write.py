"""`write`: the paths of a run into a Zarr store, whole chunks, in any order, resumable."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import xarray as xr
import zarr

from montezarr import lazy
from montezarr._checks import check_bool, check_callable, value_error
from montezarr.choice import backend_of
from montezarr.dataset import ATTRIBUTE
from montezarr.errors import StoreError, StoreMismatchError
from montezarr.lazy import Run, show_bytes
from montezarr.progress import Progress
from montezarr.replay import is_untouched, run_of
from montezarr.runs import OnProgress, Tally, execute
from montezarr.sampling import Rows, Sampling
from montezarr.sampling.task import RangeTask
from montezarr.store import _format
from montezarr.store._open import open_store


def write(
    ds: xr.Dataset,
    path: Any,
    *,
    process: Any = None,
    show_progress: bool = False,
    on_progress: OnProgress | None = None,
) -> xr.Dataset:
    """Write all paths of `ds` to a Zarr store and return it opened; run again, it goes on.

    Each task simulates one chunk and writes it whole. A chunk that the store has is not simulated
    again, and a complete store is only opened. Whatever is at `path` and is not a montezarr store
    of the same recipe is refused and left as it is.

    Parameters
    ----------
    ds : Dataset
        From `simulate`, as it came: for derived data use ``to_zarr``; for fewer times, `keep`.
    path : str or path
        A local directory, made if need be.
    process : object, optional
        The sampler, where it is your own code and not alive in this process.
    show_progress : bool
        Show paths per second, time left and failures on standard error.
    on_progress : function (paths done, paths in all, paths that failed), optional
        Called once before the first chunk and after each one, in the calling thread, for a
        display of your own.

    Returns
    -------
    Dataset
        The store, lazily opened.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `ds` is not what `simulate` returned, or `path` not a local path.
    StoreExistsError
        If there is something at `path` that montezarr did not make.
    StoreMismatchError
        If the store there holds another recipe or number of paths.
    StoreError
        If the disk has too little room; with the bytes needed.
    SamplerError
        If the sampler fails; finished chunks stay, and `write` goes on from them.

    Examples
    --------
    >>> import montezarr as mz, tempfile
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=5000, T=10, seed=1)
    >>> mz.write(ds, tempfile.mkdtemp() + "/paths.zarr").x.shape
    (5000, 11)
    """
    target = _format.check_path(path)
    show = check_bool("show_progress", show_progress) and on_progress is None
    if on_progress is not None:
        check_callable("on_progress", on_progress, "(paths done, paths in all, paths that failed)")
    run = run_of(ds, process)
    if not is_untouched(ds, run):
        raise value_error(
            "ds",
            "the Dataset as simulate returned it",
            list(ds.variables),
            "Choose times with simulate(keep=...); write derived data with its own to_zarr.",
        )
    state = _format.read_root(target)
    if state is None:
        _check_room(target, run)
        _format.create(target, run)
    else:
        _check_same(state, run, target)
        # The default chunk depends on the number of workers; a store goes on in its own.
        run = replace(run, chunk=state[_format.STORE_ATTRIBUTE]["chunk"])
        _format.create_arrays(zarr.open_group(target, mode="r+"), run)
    names = [variable.name for variable in run.sampling.variables]
    sizes = _format.chunk_sizes(zarr.open_group(target, mode="r"), names)
    missing = list(_format.missing_chunks(target, sizes, run.n_chunks))
    if missing:
        with Progress("write", enabled=show) as progress:
            _write_chunks(run, target, missing, progress if on_progress is None else on_progress)
    if missing or state is None or state[_format.STORE_ATTRIBUTE]["status"] != _format.COMPLETE:
        root = zarr.open_group(target, mode="r+")
        root.attrs.update({_format.STORE_ATTRIBUTE: _format.state_of(run, _format.COMPLETE)})
    return open_store(target)


def is_complete(ds: xr.Dataset, path: Any) -> bool:
    """Return whether the store at `path` holds all paths of `ds`; nothing is read but metadata."""
    target = _format.check_path(path)
    state = _format.read_root(target)
    if state is None:
        return False
    run = run_of(ds)
    _check_same(state, run, target)
    return bool(state[_format.STORE_ATTRIBUTE]["status"] == _format.COMPLETE)


class _ChunkWriter(RangeTask):
    """The task: simulate one chunk, write it to every variable; pickled without open files."""

    label = "write"

    def __init__(self, sampling: Sampling, root: Path):
        super().__init__(sampling)
        self.root = root
        self.arrays: list[Any] | None = None

    def __reduce__(self) -> Any:
        return _ChunkWriter, (self.sampling, self.root)

    def finish(self, rows: Rows, start: int, stop: int) -> None:
        """Write the chunk, and return nothing: it may be large."""
        if self.arrays is None:
            root = zarr.open_group(self.root, mode="r+")
            # What is equal to the fill value is stored too: a file says that its chunk is done.
            self.arrays = [
                root[variable.name].with_config({"write_empty_chunks": True})  # type: ignore[union-attr]
                for variable in self.sampling.variables
            ]
        for row, array in zip(rows, self.arrays, strict=True):
            array[start:stop] = row.T.astype(array.dtype, copy=False)


def _write_chunks(run: Run, target: Path, missing: list[int], on_progress: OnProgress) -> None:
    backend, writer, tally = backend_of(run), _ChunkWriter(run.sampling, target), Tally()
    ranges = [run.range_of(chunk) for chunk in missing]
    done = run.n_paths - sum(stop - start for start, stop in ranges)
    on_progress(done, run.n_paths, 0)  # where this run starts: what was there is not its work
    for start, stop, _ in execute(run, backend, writer, ranges, tally):
        done += stop - start
        on_progress(done, run.n_paths, len(tally.masked))
    tally.warn(run.n_paths, stacklevel=4)


def _check_same(state: dict[str, Any], run: Run, target: Path) -> None:
    stored = json.loads(state[ATTRIBUTE])
    wanted = json.loads(json.dumps(dict(run.recipe)))
    fields = sorted(set(stored) | set(wanted))
    differing = [field for field in fields if stored.get(field) != wanted.get(field)]
    if differing:
        field = differing[0]
        raise StoreMismatchError(
            f"path: expected a store of the same recipe, got another {field}: {stored.get(field)!r}"
            f" there, {wanted.get(field)!r} here, in {target}. Choose another path."
        )
    info = state[_format.STORE_ATTRIBUTE]
    if info["n_paths"] != run.n_paths:
        raise StoreMismatchError(
            f"path: expected a store with n_paths = {run.n_paths:,}, got {info['n_paths']:,}, in"
            f" {target}. Choose another path, or pass the same n_paths."
        )


def _check_room(target: Path, run: Run) -> None:
    needed = lazy.plan_of(run, backend="", workers=1, sampler="").store_bytes
    place = next(parent for parent in (target, *target.parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise StoreError(
            f"path: expected room for {show_bytes(needed)}, got {show_bytes(free)} free at {place}."
            " Keep fewer times (keep=), use float32, or choose another disk."
        )
