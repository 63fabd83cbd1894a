"""`write`: the paths of a run into a Zarr store, whole chunks, in any order, resumable."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from montezarr import lazy
from montezarr._checks import check_callable, value_error
from montezarr.backends import active, windowed
from montezarr.dataset import ATTRIBUTE
from montezarr.errors import StoreError, StoreMismatchError
from montezarr.lazy import Run, show_bytes
from montezarr.replay import run_of
from montezarr.sampling import Sampling, sample_range
from montezarr.store import _format
from montezarr.store._open import open_store


def write(
    ds: xr.Dataset,
    path: Any,
    *,
    process: Any = None,
    on_progress: Callable[[int, int], None] | None = None,
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
    on_progress : function (paths done, paths in all), optional
        Called once before the first chunk and after each one, in the calling thread.

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
    if on_progress is not None:
        check_callable("on_progress", on_progress, "(paths done, paths in all)")
    run = run_of(ds, process)
    _check_untouched(ds, run)
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
        _write_chunks(run, target, missing, on_progress)
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


class _ChunkWriter:
    """The task: simulate one chunk, write it to every variable; pickled without open files."""

    def __init__(self, sampling: Sampling, chunk: int, n_paths: int, root: Path):
        self.sampling, self.chunk, self.n_paths, self.root = sampling, chunk, n_paths, root
        self.arrays: list[Any] | None = None

    def __reduce__(self) -> Any:
        return _ChunkWriter, (self.sampling, self.chunk, self.n_paths, self.root)

    def __call__(self, item: tuple[int, Any]) -> int:
        chunk, x0 = item
        start = chunk * self.chunk
        stop = min(start + self.chunk, self.n_paths)
        if self.arrays is None:
            root = zarr.open_group(self.root, mode="r+")
            # What is equal to the fill value is stored too: a file says that its chunk is done.
            self.arrays = [
                root[variable.name].with_config({"write_empty_chunks": True})  # type: ignore[union-attr]
                for variable in self.sampling.variables
            ]
        rows = sample_range(self.sampling, start, stop, x0)
        for row, array in zip(rows, self.arrays, strict=True):
            array[start:stop] = row.T.astype(array.dtype, copy=False)
        return stop - start


def _write_chunks(run: Run, target: Path, missing: list[int], on_progress: Any) -> None:
    backend = active()
    writer = _ChunkWriter(run.sampling, run.chunk, run.n_paths, target)
    # Named for the dashboard, where tasks show under their function's name.
    writer.__dict__["__name__"] = f"write-{run.sampling.name}"
    sizes = [stop - start for start, stop in map(run.range_of, missing)]
    done = run.n_paths - sum(sizes)
    if on_progress is not None:
        on_progress(done, run.n_paths)  # where this run starts: what was there is not its work
    with backend.executor() as executor:
        for _, count in windowed(executor, writer, _items(run, missing), backend.workers):
            done += count
            if on_progress is not None:
                on_progress(done, run.n_paths)


def _items(run: Run, missing: list[int]) -> Iterator[tuple[int, Any]]:
    for chunk in missing:
        start, stop = run.range_of(chunk)
        yield chunk, None if run.x0 is None else np.asarray(run.x0[..., start:stop])


def _check_untouched(ds: xr.Dataset, run: Run) -> None:
    """Raise unless `ds` holds just the arrays of the run: what is stored is what was simulated."""
    arrays = lazy.arrays(run)
    same = isinstance(ds, xr.Dataset) and set(ds.data_vars) == set(arrays)
    for name, array in arrays.items() if same else ():
        data = ds[name].data
        stored = getattr(data, "name", None) == array.name
        same = same and stored and ds[name].shape == array.shape
    if not same:
        raise value_error(
            "ds",
            "the Dataset as simulate returned it",
            list(ds.variables) if isinstance(ds, xr.Dataset) else ds,
            "Choose times with simulate(keep=...); write derived data with its own to_zarr.",
        )


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
