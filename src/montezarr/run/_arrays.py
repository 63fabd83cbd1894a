"""Lazy Dask arrays of seed-indexed chunks."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import cloudpickle
import dask.array as da
import numpy as np
from dask.delayed import delayed

from montezarr.run._live import keep
from montezarr.run._origins import SIMULATED
from montezarr.run._run import Run
from montezarr.run._task import Task, chunk_from, chunk_of, own_variable

LARGE = 2**16
"""Bytes of a pickled sampler above which it is no part of each task."""


def chunk_sizes(run: Run) -> tuple[int, ...]:
    """Return the paths of each chunk."""
    return tuple(np.diff([*range(0, run.length, run.chunk), run.length]).tolist())


def arrays(run: Run) -> dict[str, Any]:
    """Return the lazy variables of a run by name, each a Dask array (path, time)."""
    sampling = run.sampling
    several = len(sampling.variables) > 1
    paths = chunk_sizes(run)
    shape: tuple[Any, ...] = (paths, (sampling.n_times,))
    if several:
        shape = ((len(sampling.variables),), *shape)
    name = name_of(run)
    options: dict[str, Any] = {
        "dtype": sampling.dtype,
        "meta": np.empty((0,) * len(shape), sampling.dtype),
        "name": name,
        "chunks": shape,
        "run": _own_task(remember(run), name),
    }
    if run.x0 is None:
        base = da.map_blocks(chunk_of, **options)
    else:
        x0 = run.x0.rechunk({-1: paths})
        # The dimension of the times is new, and that of the variables where x0 has none.
        new_axis = [0, 2] if several and x0.ndim == 1 else [x0.ndim]
        base = da.map_blocks(chunk_from, x0, new_axis=new_axis, **options)
    if not several:
        return {sampling.variables[0].name: base}
    return {
        variable.name: base[i].map_blocks(
            own_variable, variable.dtype, dtype=variable.dtype, name=f"{variable.name}-{name}"
        )
        for i, variable in enumerate(sampling.variables)
    }


def name_of(run: Run) -> str:
    """Return the name of the array of a run: equal names mean equal values."""
    name = f"{SIMULATED}{run.sampling.name}-{run.fingerprint}-{run.n_paths}-{run.chunk}"
    # What determines no value is in no recipe, but tells runs apart.
    told = run.carried.to_attributes()
    if told:
        name += f"-{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]}"
    return name if run.x0 is None else f"{name}-{run.x0.name}"


def remember(run: Run) -> Task:
    """Return the task of a run, by which `Run.behind` finds it for as long as somebody keeps it."""
    task: Task = keep(
        name_of(run), run.fingerprint, Task(run.sampling, run.chunk, run.n_paths, run)
    )
    return task


def _own_task(task: Task, name: str) -> Any:
    """Return what chunks get as their run: a node of the graph of its own where it is large.

    A cluster sends what is in a task with each task, but a node of the graph once to each worker.
    """
    try:
        size = len(cloudpickle.dumps(task))
    except Exception:  # threads need no pickling; where it is needed, that is an error there
        return task
    return delayed(task, name=f"recipe-{name}", traverse=False) if size > LARGE else task
