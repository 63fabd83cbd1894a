"""`plan`: the cost of computing, writing and reducing paths, before the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import xarray as xr

from montezarr.core.checks import type_error
from montezarr.core.deprecated import renamed_argument
from montezarr.reduction.passes import memory_of, prepare_reduction
from montezarr.reduction.sources import (
    PATH,
    BlockSource,
    DrawnBlocks,
    PathData,
    block_source_of,
    noise_of,
    warn_of_sums,
)
from montezarr.run import cost
from montezarr.run._plan import Plan, plan_of
from montezarr.run._provenance import Provenance
from montezarr.run._run import Run
from montezarr.run._several import differing, recipe_of_several, runs_text
from montezarr.run._texts import sampler_text
from montezarr.run.choose_backend import backend_of
from montezarr.store import Storage, store_size, working_bytes


def plan(
    ds: Any,
    statistics: Any = None,
    dim: str = PATH,
    *,
    by: Any = None,
    transform: Callable[[xr.Dataset], Any] | None = None,
    storage: Storage | None = None,
    observe: Callable[[xr.Dataset], Any] | None = None,
) -> Plan:
    """Return what computing all paths will cost, and where it would run.

    The cost of a path is measured on the first few, for some hundredths of a second. Nothing else
    is drawn.

    Parameters
    ----------
    ds : Dataset or DataArray
        From `simulate`, or made of it by xarray, or opened from a store. Of an expression of
        several runs, the plan has the costs of all together, lists them in `Plan.runs`, and says in
        `Plan.noise` whether they are driven by the same random numbers.
    statistics : Statistic, str, or sequence or mapping of them, optional
        As for `montezarr.reduce`: then the plan has the memory of one pass of them too,
        `Plan.reduction_bytes`.
    dim, by, transform, observe
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
    StoreError
        If the sampler needs a large parameter of the store that `ds` is read from, and it is lost.

    Warns
    -----
    CommonNoiseWarning
        If an expression adds variables of different runs on one seed and stream.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=10**6, T=99, seed=1)
    >>> mz.plan(ds).total_bytes
    800000000
    >>> print(mz.plan(ds.x.isel(time=-1) ** 2, "mean").reduction.partition(",")[0])
    block by block (paths are drawn in any range
    """
    transform = renamed_argument("observe", observe, "transform", transform)
    made = Provenance.of(ds)
    runs = made.runs or [Run.behind(ds)]
    if storage is not None and not isinstance(storage, Storage):
        raise type_error("storage", "a montezarr.Storage", storage)
    found = _together(runs, storage)
    between = noise_of(made.origins)
    noises = [text for text in (between, found.noise) if text]
    found = replace(found, noise="; scenarios: ".join(noises))
    if storage is not None:
        size, measured, scenario = store_size(ds, storage)
        found = replace(
            found, store_bytes=size, store_ratio=size / ds.nbytes, measured=measured,
            scenario_chunk_bytes=scenario,
        )  # fmt: skip
    if statistics is not None:
        block_source, layout = prepare_reduction(ds, statistics, dim, by, transform)
        size = memory_of(block_source, layout)
        return replace(found, reduction=_reduction(block_source), reduction_bytes=size)
    if dim not in getattr(ds, "dims", ()):
        warn_of_sums(made.variables, made.origins)
        return found
    block_source = block_source_of(PathData.of(ds, dim), transform)
    return replace(found, reduction=_reduction(block_source))


def _plan_of(run: Run, storage: Storage | None) -> Plan:
    backend = backend_of(run)
    planned = plan_of(
        run,
        backend=str(backend),
        seconds_per_path=cost.measure(run),
        workers=backend.workers,
        sampler=sampler_text(run.recipe),
    )
    if storage is None:
        return planned
    stored = run.in_chunks(run.whole) if run.whole else run
    each = working_bytes(stored, storage)
    at_once = min(backend.workers, stored.n_chunks)
    return replace(planned, worker_bytes=each, peak_bytes=each * at_once)


def _together(runs: Sequence[Run], storage: Storage | None) -> Plan:
    """Return the plan of all runs of an expression, each of which is drawn."""
    plans = [_plan_of(run, storage) for run in runs]
    first = plans[0]
    if len(plans) == 1:
        return first
    several = runs_text(recipe_of_several([run.recipe for run in runs]))
    chunk_bytes = sum(plan.chunk_bytes for plan in plans)
    if differing(runs) is None:  # drawn together
        run = Run.of_several(runs)
        chunk_bytes = run.chunk_bytes
        backend = backend_of(run)
        first = replace(
            first, backend=str(backend), workers=backend.workers, chunks=run.n_chunks,
            chunk_paths=run.chunk,
        )  # fmt: skip
    seconds = [plan.seconds_per_path for plan in plans]
    each = [plan.scenario_bytes for plan in plans]
    names = dict.fromkeys(plan.process for plan in plans)
    return replace(
        first,
        process=" and ".join(names),
        sampler="; ".join(dict.fromkeys(plan.sampler for plan in plans)),
        steps=max(plan.steps for plan in plans),
        times=max(plan.times for plan in plans),
        chunk_bytes=chunk_bytes,
        tasks=sum(plan.tasks for plan in plans),
        total_bytes=sum(plan.total_bytes for plan in plans),
        store_bytes=sum(plan.store_bytes for plan in plans),
        worker_bytes=sum(plan.worker_bytes for plan in plans),
        peak_bytes=sum(plan.peak_bytes for plan in plans),
        dask_bytes=sum(plan.dask_bytes for plan in plans),
        seconds_per_path=None if None in seconds else sum(s for s in seconds if s is not None),
        equation="",
        scenarios=max(plan.scenarios for plan in plans),
        scenario_bytes=None if None in each else sum(size for size in each if size is not None),
        varied=tuple(dict(entry for plan in plans for entry in plan.varied).items()),
        noise="; ".join(dict.fromkeys(plan.noise for plan in plans if plan.noise)),
        runs=tuple(several),
    )


def _reduction(block_source: BlockSource) -> str:
    part = block_source.part
    size = block_source.size() if part is None else part
    if block_source.n_paths is None:
        return f"{block_source.how}, tasks of {size:,} paths without end"
    tasks = -(-block_source.n_paths // size)
    unit = "paths" if isinstance(block_source, DrawnBlocks) else "paths or one chunk"
    unit += "" if part is None else ", parts of a block"
    return (
        f"{block_source.how}, about {tasks:,} tasks of {min(size, block_source.n_paths):,} {unit}"
    )
