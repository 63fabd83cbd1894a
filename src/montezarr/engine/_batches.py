"""`batches`: iterate over the paths of a Dataset in parts, in order or at random."""

from __future__ import annotations

import contextvars
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

import numpy as np
import xarray as xr

from montezarr.core.checks import check_bool, check_choice, check_int, type_error, value_error
from montezarr.core.errors import ArgumentTypeError, MemoryBudgetError
from montezarr.core.interrupts import wait_uninterrupted
from montezarr.core.memory import memory_limit
from montezarr.core.text import show_bytes
from montezarr.core.tunables.memory import BATCHES_IN_MEMORY
from montezarr.engine._batch_formats import (
    AsDataset,
    Rows,
    check_format,
    path_variables,
    rows_of,
)
from montezarr.engine._random_batches import (
    as_batches,
    computed,
    drawn,
    held_batches,
    random_batches,
)
from montezarr.engine._random_order import (
    RandomOrder,
    ends_of_batches,
    parts_of_chunks,
    parts_of_run,
    parts_per_window,
    row_bytes,
)
from montezarr.execute.run_monitor import RunMonitor
from montezarr.random.seeding import RootSeed, as_root_seed
from montezarr.run._behind import is_untouched, undrawn_run
from montezarr.run._provenance import Provenance
from montezarr.run._run import Run
from montezarr.run.choose_backend import backend_of
from montezarr.run.execution import FailureLog, ranges_of, run_ranges
from montezarr.run.in_parts import part_of_block
from montezarr.samplers import PathArrays
from montezarr.samplers.schema import PATH, count_of
from montezarr.samplers.task import RangeTask
from montezarr.store._open import open_store

Form = Callable[[Rows], Any]
"""Makes a batch of rows."""

ORDERS = ("path", "random")


def batches(
    ds: Any,
    size: int,
    *,
    order: str = "path",
    seed: Any = None,
    window: int | None = None,
    format: str = "xarray",
    drop_last: bool = False,
) -> Iterator[Any]:
    """Yield the paths of a Dataset or store in memory, `size` at a time.

    In the order of the paths, the next batch is drawn while the caller works on one. At most about
    three are in memory at any time, and every path is drawn once.

    In random order, every path comes once too. Whole chunks are read, in random order; the paths of
    a `window` of consecutive ones are in uniformly random order. So it is **no uniform permutation
    of all paths**, unless the window has all of them: paths of one chunk come near each other. A
    larger window mixes more chunks and takes more memory. While one window is handed out, the next
    one is read, so that reading and training overlap. Memory: two windows; the chunks being read,
    one for each core, at most four (a few for each worker, where paths are drawn); two batches, or
    a mebibyte of them. A Dataset in memory takes the batches alone, and is one window.

    The order is a function of `seed`, of `window`, and of the chunks of the Dataset: not of `size`,
    `format`, backend, workers or timing. Another seed is another order. So for several epochs, pass
    the number of the epoch beside the seed::

        for epoch in range(10):
            for batch in mz.batches(path, 1024, order="random", seed=(1, epoch), format="torch"):
                ...

    Parameters
    ----------
    ds : Dataset, str, path or VirtualStore
        From `simulate`, `open`, or derived from them, with a dimension ``path``; or what `open`
        takes. No path is computed before the first batch is asked for.
    size : int
        Paths per batch, >= 1; the last one may be smaller.
    order : {"path", "random"}
        Order of the paths.
    seed : int, sequence of int, SeedSequence or None
        Seed of a random order; None draws fresh entropy. Batches that are Datasets have it in
        ``attrs["batches_seed"]``, as JSON. It shares no random numbers with a run of this seed.
    window : int, optional
        Paths that are shuffled together, at least: rounded up to whole chunks. By default as many
        chunks as have 128 MiB, two at least. Chunks below 8 MiB are read a few at a time. Of a
        Dataset of `simulate` that is to be drawn, "chunks" are whole blocks of 1024 paths, in about
        8 MiB.
    format : {"xarray", "numpy", "torch"}
        Datasets, each of which takes about a millisecond to make; or a dict of every variable along
        ``path``, coordinates too, as contiguous arrays or tensors with the paths first, such as
        ``{"x": (path, time), "R0": (path,)}``, and ``"path"`` with the positions of the paths in
        `ds`.
    drop_last : bool
        Leave out the last batch if it is smaller than `size`.

    Yields
    ------
    Dataset or dict
        In the order of the paths, ``ds.isel(path=slice(start, start + size))`` in memory;
        ``attrs["path_offset"]`` is start, the position in `ds`. It equals the index in the run if
        `ds` holds all paths from the first one on; for a store of some paths, add
        ``attrs["montezarr_first_path"]``. In random order the positions are the coordinate
        ``path``, unless `ds` has one.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `ds` is no Dataset with paths, `size` no positive integer, or another argument is not as
        described; for a seed or a window without a random order.
    MemoryBudgetError
        If the batches, or the windows, do not fit into memory.
    MissingDependencyError
        For ``format="torch"`` without torch.
    SamplerError
        If the sampler fails.
    StoreError
        If a store is damaged: what is read is checked, as everywhere.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.RandomWalk(), n_paths=10_000, T=10, seed=1)
    >>> [part.sizes["path"] for part in mz.batches(ds, 4000)]
    [4000, 4000, 2000]
    >>> batch = next(mz.batches(ds, 256, order="random", seed=1, format="numpy"))
    >>> batch["x"].shape, batch["path"][:4]
    ((256, 11), array([1690, 1259,   52, 2347]))
    """
    source = _dataset_of(ds)
    count = check_int("size", size, minimum=1)
    is_random = check_choice("order", order, ORDERS) == "random"
    wanted = None if window is None else check_int("window", window, minimum=1)
    for name, value in {"seed": seed, "window": window}.items():
        if value is not None and not is_random:
            raise value_error(name, "None, for batches in the order of the paths", value,
                              'Pass order="random" for batches in random order.')  # fmt: skip
    is_whole = check_bool("drop_last", drop_last)
    form = check_format(format, source)
    _check_fits(source, count)
    if is_random:
        return _random(source, count, as_root_seed(seed), wanted, is_whole, form)
    parts = _in_order(source, count)
    if is_whole:
        parts = (part for part in parts if part.sizes[PATH] == count)
    return parts if form is None else (form(_with_positions(part)) for part in parts)


def _dataset_of(ds: Any) -> xr.Dataset:
    """Return the Dataset of a Dataset or store."""
    try:
        found: xr.Dataset = ds if isinstance(ds, xr.Dataset) else open_store(ds)
    except ArgumentTypeError:
        raise type_error("ds", "a Dataset, or the path of a store", ds) from None
    if PATH not in found.dims:
        raise value_error("ds", "a Dataset with a dimension path", list(found.dims))
    return found


def _check_fits(ds: xr.Dataset, size: int) -> None:
    n_paths = ds.sizes[PATH]
    needed = BATCHES_IN_MEMORY * min(size, n_paths) * max(1, ds.nbytes // max(n_paths, 1))
    if needed > memory_limit():
        raise MemoryBudgetError(
            f"size: expected three batches that fit into memory, got {show_bytes(needed)}, with"
            f" {show_bytes(memory_limit())} to use. Take smaller batches."
        )


def _in_order(ds: xr.Dataset, size: int) -> Iterator[xr.Dataset]:
    made = Provenance.of(ds)
    run = undrawn_run(made)
    if run is None or not is_untouched(made, run):
        return _computed(ds, size)
    return _drawn(ds, run, size)


def _random(
    ds: xr.Dataset,
    size: int,
    seed: RootSeed,
    window: int | None,
    drop_last: bool,
    form: Form | None,
) -> Iterator[Any]:
    """Return batches in random order."""
    made, n = Provenance.of(ds), ds.sizes[PATH]
    if made.is_endless:
        raise value_error("order", "'path' for a run without end", "random",
                          "Simulate a number of paths: n_paths=.")  # fmt: skip
    run, width = undrawn_run(made), row_bytes(ds)
    if run is not None and not is_untouched(made, run):
        run = None
    is_held = all(v.chunks is None for v in path_variables(ds).values())
    if run is not None:
        parts = parts_of_run(run, width)
    else:
        parts = [(0, n)] if is_held else parts_of_chunks(ds, width)
    order = RandomOrder(parts, parts_per_window(parts, window, width), seed)
    ends = ends_of_batches(n, size, drop_last)
    if form is None:
        form = AsDataset(ds, {"batches_seed": json.dumps(seed.to_dict())})
    if is_held:
        return as_batches(held_batches(ds, order, ends), form)
    _check_windows_fit(order, width)
    fill = computed(ds) if run is None else drawn(run, order)
    return as_batches(random_batches(ds, fill, order, ends), form)


def _check_windows_fit(order: RandomOrder, width: int) -> None:
    needed = min(2, len(order.windows())) * order.capacity * width
    if needed > memory_limit():
        raise MemoryBudgetError(
            f"window: expected two windows that fit into memory, got {show_bytes(needed)}, with"
            f" {show_bytes(memory_limit())} to use. Take a smaller window, or store the paths in"
            " smaller chunks."
        )


def _with_positions(part: xr.Dataset) -> Rows:
    rows, start = rows_of(part), part.attrs["path_offset"]
    rows.setdefault(PATH, np.arange(start, start + part.sizes[PATH]))
    return rows


def _computed(ds: xr.Dataset, size: int) -> Iterator[xr.Dataset]:
    """Yield batches of any lazy Dataset; a thread computes the next one meanwhile."""
    starts = range(0, ds.sizes[PATH], size)
    with ThreadPoolExecutor(1, "montezarr-batches") as ahead:

        def begin(start: int) -> Future[xr.Dataset]:
            # In a copy of the context, which says what backend is in force.
            return ahead.submit(contextvars.copy_context().run, _slice, ds, start, size)

        following = None
        for start in starts:
            current = following or begin(start)
            following = begin(start + size) if start + size in starts else None
            wait_uninterrupted([current], None)
            yield current.result()


def _slice(ds: xr.Dataset, start: int, size: int) -> xr.Dataset:
    part = ds.isel(path=slice(start, start + size)).compute()
    return part.assign_attrs(path_offset=start)


def _drawn(ds: xr.Dataset, run: Run, size: int) -> Iterator[xr.Dataset]:
    """Yield batches of a run, drawn on all workers in tasks that may cross the ends of batches."""
    backend, failure_log = backend_of(run), FailureLog()
    most = part_of_block(run, backend) or run.chunk
    piece = max(1, min(most, -(-size // backend.workers)))
    unit = run.sampler.interface.unit
    piece = -(-piece // unit) * unit
    window = max(backend.workers, size // piece)
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
        source = ds[v.name]
        values = np.moveaxis(arrays[v.name], -1, source.dims.index(PATH))
        variables[v.name] = (source.dims, values, source.attrs, source.encoding)
    return xr.Dataset(variables, ds.coords, {**ds.attrs, "path_offset": start})
