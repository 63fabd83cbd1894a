"""`batches`: iterate over the paths of a Dataset in parts, in order."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import xarray as xr

from montezarr.core.checks import check_int, type_error, value_error
from montezarr.core.errors import MemoryBudgetError
from montezarr.core.interrupts import wait_uninterrupted
from montezarr.core.memory import memory_limit
from montezarr.core.text import show_bytes
from montezarr.core.tunables.memory import BATCHES_IN_MEMORY
from montezarr.execute.run_monitor import RunMonitor
from montezarr.run._behind import is_untouched, undrawn_run
from montezarr.run._provenance import Provenance
from montezarr.run._run import Run
from montezarr.run.choose_backend import backend_of
from montezarr.run.execution import FailureLog, ranges_of, run_ranges
from montezarr.samplers import PathArrays
from montezarr.samplers.schema import PATH, count_of
from montezarr.samplers.task import RangeTask


def batches(ds: xr.Dataset, size: int) -> Iterator[xr.Dataset]:
    """Yield the paths of a Dataset in memory, `size` at a time, in the order of their indices.

    The next batch is drawn while the caller works on one. At most about three are in memory at
    any time, and every path is drawn once.

    Parameters
    ----------
    ds : Dataset
        From `simulate`, `open`, or derived from them, with a dimension ``path``.
    size : int
        Paths per batch, >= 1; the last one may be smaller.

    Yields
    ------
    Dataset
        ``ds.isel(path=slice(start, start + size))`` in memory; ``attrs["path_offset"]`` is start,
        the position in `ds`. It equals the index in the run if `ds` holds all paths from the first
        one on; for a store of some paths, add ``attrs["montezarr_first_path"]``.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `ds` is no Dataset with paths, or `size` no positive integer.
    MemoryBudgetError
        If three batches do not fit into memory.
    SamplerError
        If the sampler fails.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.RandomWalk(), n_paths=10_000, T=10, seed=1)
    >>> [part.sizes["path"] for part in mz.batches(ds, 4000)]
    [4000, 4000, 2000]
    """
    if not isinstance(ds, xr.Dataset):
        raise type_error("ds", "a Dataset", ds)
    if PATH not in ds.dims:
        raise value_error("ds", "a Dataset with a dimension path", list(ds.dims))
    count = check_int("size", size, minimum=1)
    n_paths = ds.sizes[PATH]
    needed = BATCHES_IN_MEMORY * min(count, n_paths) * max(1, ds.nbytes // max(n_paths, 1))
    if needed > memory_limit():
        raise MemoryBudgetError(
            f"size: expected three batches that fit into memory, got {show_bytes(needed)}, with"
            f" {show_bytes(memory_limit())} to use. Take smaller batches."
        )
    made = Provenance.of(ds)
    run = undrawn_run(made)
    if run is None or not is_untouched(made, run):
        return _computed(ds, count)
    return _drawn(ds, run, count)


def _computed(ds: xr.Dataset, size: int) -> Iterator[xr.Dataset]:
    """Yield batches of any lazy Dataset; a thread computes the next one meanwhile."""
    starts = range(0, ds.sizes[PATH], size)
    with ThreadPoolExecutor(1, "montezarr-batches") as ahead:
        following = None
        for start in starts:
            current = following or ahead.submit(_slice, ds, start, size)
            after = start + size
            following = ahead.submit(_slice, ds, after, size) if after in starts else None
            wait_uninterrupted([current], None)
            yield current.result()


def _slice(ds: xr.Dataset, start: int, size: int) -> xr.Dataset:
    part = ds.isel(path=slice(start, start + size)).compute()
    return part.assign_attrs(path_offset=start)


def _drawn(ds: xr.Dataset, run: Run, size: int) -> Iterator[xr.Dataset]:
    """Yield batches of a run, drawn on all workers in tasks that may cross the ends of batches."""
    backend, failure_log = backend_of(run), FailureLog()
    piece = max(1, min(run.chunk, -(-size // backend.workers)))
    unit = run.sampler.interface.unit
    piece = -(-piece // unit) * unit
    window = max(1, size // piece)
    ranges = ranges_of(0, run.length, piece)
    task = RangeTask(run.sampler)
    start = filled = 0
    batch = run.sampler.new_arrays(min(size, run.length))
    with (
        RunMonitor("batches") as monitor,
        closing(
            run_ranges(
                run, backend, task, ranges, failure_log, monitor, ordered=True, window=window
            )
        ) as parts,
    ):
        for low, high, part in parts:
            taken = 0
            while taken < high - low:
                count = min(high - low - taken, count_of(batch) - filled)
                for name, array in batch.items():
                    array[..., filled : filled + count] = part[name][..., taken : taken + count]
                taken, filled = taken + count, filled + count
                if filled == count_of(batch):
                    yield _dataset(ds, run, batch, start)
                    start, filled = start + filled, 0
                    batch = run.sampler.new_arrays(min(size, run.length - start))
            monitor(high, run.length, len(failure_log.masked))
    failure_log.warn(run.length)


def _dataset(ds: xr.Dataset, run: Run, arrays: PathArrays, start: int) -> xr.Dataset:
    variables = {}
    for v in run.sampler.variables:
        source, values = ds[v.name], np.moveaxis(arrays[v.name], -1, 0)
        variables[v.name] = ((PATH, *v.dims), values, source.attrs, source.encoding)
    return xr.Dataset(variables, ds.coords, {**ds.attrs, "path_offset": start})
