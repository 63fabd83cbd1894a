"""Lazy Dask arrays of seed-indexed chunks."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import cloudpickle
import dask.array as da
import numpy as np
from dask.array.core import getter
from dask.blockwise import blockwise
from dask.delayed import delayed
from dask.highlevelgraph import HighLevelGraph
from dask.layers import ArraySliceDep

from montezarr.core.tunables.memory import SHARED_SAMPLER_MIN_BYTES
from montezarr.run._origins import SIMULATED
from montezarr.run._run import Run
from montezarr.run._task import RunTask, chunk_from, chunk_of, own_scenarios, own_variable
from montezarr.run._tasks_alive import keep
from montezarr.samplers import Variable


def chunk_sizes(run: Run) -> tuple[int, ...]:
    """Return the paths of each chunk."""
    return tuple(np.diff([*range(0, run.length, run.chunk), run.length]).tolist())


def arrays(run: Run) -> dict[str, Any]:
    """Return the lazy variables of a run by name, each a Dask array (path, its dims ...).

    One task draws a chunk of all variables, from which each array takes its own.
    """
    variables, name, names = run.sampler.variables, array_name(run), array_names(run)
    if len(variables) == 1:
        (variable,) = variables
        return {variable.name: _drawn(run, name, **_form(run, variable))}
    no_values = np.empty((0,), object)
    base = _drawn(run, name, dtype=object, meta=no_values, chunks=(chunk_sizes(run),))
    return {
        variable.name: base.map_blocks(
            own_variable if not variable.lead else own_scenarios,
            variable.name,
            *([variable.lead] if variable.lead else []),
            name=names[variable.name],
            new_axis=_axes_beside_paths(variable),
            **_form(run, variable),
        )
        for variable in variables
    }


def _form(run: Run, variable: Variable) -> dict[str, Any]:
    """Return dtype and chunks of a variable's array."""
    shape = variable.shape(run.sampler.n_times)
    chunks: list[Any] = [(size,) for size in shape]
    chunks.insert(variable.lead, chunk_sizes(run))
    return {
        "dtype": variable.dtype,
        "meta": np.empty((0,) * (1 + len(shape)), variable.dtype),
        "chunks": tuple(chunks),
    }


def _axes_beside_paths(variable: Variable) -> list[int]:
    return [axis for axis in range(1 + len(variable.dims)) if axis != variable.lead]


def _drawn(run: Run, name: str, **form: Any) -> Any:
    """Return the array whose blocks tasks draw; a block may hold all variables of a chunk."""
    own = _own_task(task := register_task(run), name)
    if run.inputs is None and own is task and len(run.sampler.variables) == 1:
        return _indexed(task, name, **form)
    options = {"name": name, "run": own, **form}
    if run.inputs is None:
        return da.map_blocks(chunk_of, **options)
    x0 = run.inputs.rechunk({-1: chunk_sizes(run)})
    # The paths are the last dimension of x0, and the first of the drawn block after scenarios.
    variables = run.sampler.variables
    options["new_axis"] = _axes_beside_paths(variables[0]) if len(variables) == 1 else []
    if x0.ndim > 1:
        options["drop_axis"] = list(range(x0.ndim - 1))
    return da.map_blocks(chunk_from, x0, **options)


def _indexed(task: RunTask, name: str, *, dtype: Any, meta: Any, chunks: Any) -> Any:
    """Return an array as Dask makes it of what can be indexed: it fuses the slices taken of it."""
    dims = tuple(range(len(chunks)))
    layer = blockwise(
        getter, name, dims, task, None, ArraySliceDep(chunks), dims,
        numblocks={}, _data_producer=True,
    )  # fmt: skip
    graph = HighLevelGraph.from_collections(name, layer)
    return da.Array(graph, name, chunks, dtype=dtype, meta=meta)


def array_names(run: Run) -> dict[str, str]:
    """Return the names of the variables' arrays."""
    variables, name = run.sampler.variables, array_name(run)
    is_one = len(variables) == 1
    return {v.name: name if is_one else f"{v.name}-{name}" for v in variables}


def array_name(run: Run) -> str:
    """Return the name of a run's array: equal names mean equal values."""
    name = f"{SIMULATED}{run.sampler.name}-{run.fingerprint}-{run.n_paths}-{run.chunk}"
    # What determines no value is in no recipe, but tells runs apart.
    told = run.carried.to_attributes()
    if told:
        name += f"-{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]}"
    return name if run.inputs is None else f"{name}-{run.inputs.name}"


def register_task(run: Run) -> RunTask:
    """Return the task of a run; while the task is alive, `Run.behind` finds the run by it."""
    task: RunTask = keep(
        array_name(run), run.fingerprint, RunTask(run.sampler, run.chunk, run.n_paths, run)
    )
    return task


def _own_task(task: RunTask, name: str) -> Any:
    """Return the task object that chunks get; a large one becomes a node of the graph of its own.

    A cluster sends arguments with each task, but a node of the graph once to each worker.
    """
    try:
        size = len(cloudpickle.dumps(task))
    except Exception:  # threads need no pickling; other backends raise the error later
        return task
    return (
        delayed(task, name=f"recipe-{name}", traverse=False)
        if size > SHARED_SAMPLER_MIN_BYTES
        else task
    )
