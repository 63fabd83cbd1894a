"""`plan`: what computing, writing and reducing paths will cost, known before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import xarray as xr

from montezarr import cost, lazy
from montezarr._checks import type_error
from montezarr.choice import backend_of
from montezarr.dataset import ATTRIBUTE, recipe_in
from montezarr.described import Recipe, sampler_text
from montezarr.lazy import Plan, Run
from montezarr.observed import PATH, DrawnFeed, Feed, as_dataset, feed_of, run_behind
from montezarr.reduce import memory_of, prepare
from montezarr.replay import run_of
from montezarr.store import Storage, store_bytes


def plan(
    ds: Any,
    statistics: Any = None,
    dim: str = PATH,
    *,
    by: Any = None,
    observe: Callable[[xr.Dataset], Any] | None = None,
    storage: Storage | None = None,
) -> Plan:
    """Return what computing all paths will cost, and where it would run.

    The cost of a path is measured on the first few, for some hundredths of a second. Nothing else
    is drawn.

    Parameters
    ----------
    ds : Dataset or DataArray
        From `simulate`, or made of it by xarray, or opened from a store.
    statistics : Statistic, str, or sequence or mapping of them, optional
        As for `montezarr.reduce`: then the plan has the memory of one pass of them too,
        `Plan.reduction_bytes`.
    dim, by, observe
        As for `montezarr.reduce`.
    storage : Storage, optional
        As for `montezarr.write`: then the plan has the size of that store, of just the variables of
        `ds`, and how it compares to the bytes in memory. Compression is measured, on the first
        paths.

    Returns
    -------
    Plan
        Paths, chunks, tasks, bytes, peak memory per worker, store size, and how `reduce` and
        `stream` have the paths: drawn block by block, or computed chunk by chunk, and why;
        printable.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError, ReplayError
        If `ds` does not come from `simulate`, or for arguments that `reduce` would refuse.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=10**6, T=99, seed=1)
    >>> mz.plan(ds).total_bytes
    800000000
    >>> print(mz.plan(ds.x.isel(time=-1) ** 2, "mean").reduction.partition(",")[0])
    block by block (paths are drawn in any range
    """
    run = _run(ds)
    backend = backend_of(run)
    found = lazy.plan_of(
        run,
        backend=str(backend),
        seconds_per_path=cost.measure(run),
        workers=backend.workers,
        sampler=sampler_text(run.recipe),
    )
    if storage is not None:
        if not isinstance(storage, Storage):
            raise type_error("storage", "a montezarr.Storage", storage)
        size, measured = store_bytes(ds, storage)
        found = replace(found, store_bytes=size, store_ratio=size / ds.nbytes, measured=measured)
    if statistics is not None:
        feed, layout = prepare(ds, statistics, dim, by, observe)
        size = memory_of(feed, layout)
        return replace(found, reduction=_reduction(feed), reduction_bytes=size)
    if dim not in getattr(ds, "dims", ()):
        return found
    return replace(found, reduction=_reduction(feed_of(as_dataset(ds, dim), observe)))


def recipe_behind(obj: Any) -> Recipe:
    """Return the recipe of a Dataset, or of what was made of a run in this process.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If there is none.
    """
    if isinstance(obj, (xr.DataArray, xr.Dataset)) and ATTRIBUTE not in obj.attrs:
        found = run_behind(obj)
        if found is not None:
            return Recipe(found.recipe)
    return Recipe(recipe_in(obj))


def _run(ds: Any) -> Run:
    """Return the run behind an object, by its recipe or by its graph."""
    if isinstance(ds, (xr.DataArray, xr.Dataset)):
        found = run_behind(ds)
        if found is not None:
            return found
    return run_of(ds)


def _reduction(feed: Feed) -> str:
    size = feed.size()
    if feed.n_paths is None:
        return f"{feed.how}, tasks of {size:,} paths without end"
    tasks = -(-feed.n_paths // size)
    unit = "paths" if isinstance(feed, DrawnFeed) else "paths or one chunk"
    return f"{feed.how}, about {tasks:,} tasks of {min(size, feed.n_paths):,} {unit}"
