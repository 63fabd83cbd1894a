"""Lazy Dask arrays of seed-indexed chunks: graph and plan."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import cloudpickle
import dask.array as da
import numpy as np
from dask.delayed import delayed
from numpy.typing import NDArray

from montezarr import _buffers
from montezarr._html import Card
from montezarr._html import show_bytes as show_bytes
from montezarr.chunk_policy import MAX_CHUNKS_HARD as MAX_CHUNKS_HARD
from montezarr.chunk_policy import MIB as MIB
from montezarr.chunk_policy import PLAIN_COPIES
from montezarr.chunk_policy import WORKING_COPIES as WORKING_COPIES
from montezarr.chunk_policy import memory_limit as memory_limit
from montezarr.described import plan_card, process_line
from montezarr.errors import MemoryBudgetError
from montezarr.recipe import fingerprint
from montezarr.samplers import PathArrays, Sampler, Variable, sample_range

ENDLESS = 2**40
"""Number of paths of a run that has none: more than anybody streams."""

ENDLESS_CHUNK = 2**30
"""Paths per chunk of such a run: a graph of a thousand chunks, of which none is ever drawn."""

LARGE = 2**16
"""Bytes of a pickled sampler above which it is no part of each task."""


@dataclass(frozen=True, slots=True)
class Run:
    """A bound sampler with the number of its paths and their chunks.

    Attributes
    ----------
    sampling : Sampler
        What a worker runs.
    n_paths : int
        Number of paths.
    chunk : int
        Paths per chunk, whole blocks.
    recipe : dict
        What determines the values; see `montezarr.recipe`.
    x0 : dask array (n_paths,) or (variables, n_paths), or None
        Initial states, where they differ from path to path.
    asked : int
        Paths per chunk that were asked for, whole blocks, or 0: a run of fewer paths has less in
        its one chunk, and a store of it, which may grow, keeps to what was asked.
    """

    sampling: Sampler
    n_paths: int
    chunk: int
    recipe: Mapping[str, Any] = field(hash=False)
    x0: Any = field(default=None, hash=False, compare=False)
    asked: int = 0

    @property
    def is_endless(self) -> bool:
        """Whether no number of paths was given: then they are streamed until something stops."""
        return self.n_paths == ENDLESS

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the recipe."""
        return fingerprint(self.recipe)

    @property
    def store_chunk(self) -> int:
        """Paths per chunk of a store."""
        return max(self.chunk, self.asked)

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return -(-self.n_paths // self.chunk)

    @property
    def path_bytes(self) -> int:
        """Bytes of one path in memory."""
        return self.sampling.path_bytes

    @property
    def chunk_bytes(self) -> int:
        """Bytes of one chunk in memory."""
        return min(self.chunk, self.n_paths) * self.path_bytes

    @property
    def scratch_bytes(self) -> int:
        """Bytes of complete paths that lie beside those of a chunk, at one moment.

        They are there where some times are kept, and of a sampler of whole blocks.
        """
        sampling = self.sampling
        at_once = 0 if sampling.keep is None else 1
        if sampling.interface.unit > 1:
            at_once = sampling.interface.unit
        elif at_once and sampling.interface.takes_ranges:
            at_once = min(sampling.slice_paths, self.n_paths)
        return at_once * sampling.whole_path_bytes

    @property
    def working_bytes(self) -> int:
        """Bytes that one worker takes to draw a chunk and to write it, or to reduce it."""
        return (self.chunk_bytes + self.scratch_bytes) * WORKING_COPIES

    def range_of(self, chunk: int) -> tuple[int, int]:
        """Return the paths start, stop of a chunk."""
        return chunk * self.chunk, min((chunk + 1) * self.chunk, self.n_paths)


def chunk_sizes(run: Run) -> tuple[int, ...]:
    """Return the paths of each chunk."""
    return tuple(np.diff([*range(0, run.n_paths, run.chunk), run.n_paths]).tolist())


def arrays(run: Run) -> dict[str, Any]:
    """Return the lazy variables of a run by name, each a Dask array (path, its dims ...).

    Of several variables one task draws a chunk of all, from which each takes its own.
    """
    variables = run.sampling.variables
    name = name_of(run)
    if len(variables) == 1:
        (variable,) = variables
        return {variable.name: _drawn(run, name, **_form(run, variable))}
    no_values = np.empty((0,), object)
    base = _drawn(run, name, dtype=object, meta=no_values, chunks=(chunk_sizes(run),))
    return {
        variable.name: base.map_blocks(
            own_variable,
            variable.name,
            name=f"{variable.name}-{name}",
            new_axis=list(range(1, 1 + len(variable.dims))),
            **_form(run, variable),
        )
        for variable in variables
    }


def _form(run: Run, variable: Variable) -> dict[str, Any]:
    """Return dtype and chunks of the array of a variable."""
    shape = variable.shape(run.sampling.n_times)
    return {
        "dtype": variable.dtype,
        "meta": np.empty((0,) * (1 + len(shape)), variable.dtype),
        "chunks": (chunk_sizes(run), *((size,) for size in shape)),
    }


def _drawn(run: Run, name: str, **form: Any) -> Any:
    """Return the array of which each block is drawn; it may hold all variables of a chunk."""
    options = {"name": name, "run": _own_task(remember(run), name), **form}
    if run.x0 is None:
        return da.map_blocks(_chunk, **options)
    x0 = run.x0.rechunk({-1: chunk_sizes(run)})
    dims = len(form["chunks"])
    # The paths are the last dimension of x0, and the first of what is drawn.
    if x0.ndim > 1:
        return da.map_blocks(
            _chunk_from,
            x0,
            drop_axis=list(range(x0.ndim - 1)),
            new_axis=list(range(1, dims)),
            **options,
        )
    return da.map_blocks(_chunk_from, x0, new_axis=list(range(1, dims)), **options)


def name_of(run: Run) -> str:
    """Return the name of the array of a run: equal names mean equal values."""
    sampling = run.sampling
    name = f"simulate-{sampling.name}-{run.fingerprint}-{run.n_paths}-{run.chunk}"
    # What to do about failures determines no value, so it is not in the recipe.
    if sampling.on_error != "raise":
        name += f"-on_error:{sampling.on_error}"
    if sampling.on_nonfinite != "raise":
        name += f"-on_nonfinite:{sampling.on_nonfinite}"
    if run.asked > run.chunk:
        name += f"-chunks:{run.asked}"
    return name if run.x0 is None else f"{name}-{run.x0.name}"


def remember(run: Run) -> _Task:
    """Return the task of a run, which `recall` finds for as long as somebody keeps it."""
    task = _Task(run.sampling, run.chunk, run.n_paths, run)
    task = _by_name.setdefault(name_of(run), task)
    _by_recipe[run.fingerprint] = task
    return task


def _own_task(task: _Task, name: str) -> Any:
    """Return what chunks get as their run: a node of the graph of its own where it is large.

    A cluster sends what is in a task with each task, but a node of the graph once to each worker.
    """
    try:
        size = len(cloudpickle.dumps(task))
    except Exception:  # threads need no pickling; where it is needed, that is an error there
        return task
    return delayed(task, name=f"recipe-{name}", traverse=False) if size > LARGE else task


class _Task:
    """What a task carries: the sampling and how to find its range.

    In the process that made the array it also keeps the `Run` alive, which `recall` finds.
    """

    __slots__ = ("__weakref__", "chunk", "n_paths", "run", "sampling")

    def __init__(self, sampling: Sampler, chunk: int, n_paths: int, run: Run | None = None):
        self.sampling, self.chunk, self.n_paths, self.run = sampling, chunk, n_paths, run

    def __reduce__(self) -> Any:  # to a worker goes what it needs, not the run
        return _Task, (self.sampling, self.chunk, self.n_paths)

    def __dask_tokenize__(self) -> Any:  # the name of the array says it all already
        return ("montezarr", self.sampling.name, self.chunk, self.n_paths)


def _chunk(run: _Task, block_id: Any = None) -> Any:
    """Return one chunk, as `as_block` has it."""
    _bound_buffers()
    return as_block(sample_range(run.sampling, *_range(run, block_id)))


def _chunk_from(x0: NDArray[Any], run: _Task, block_id: Any = None) -> Any:
    _bound_buffers()
    return as_block(sample_range(run.sampling, *_range(run, block_id), x0))


def _bound_buffers() -> None:
    """In a task of a Dask worker, let few buffers wait: its memory may be far less than ours."""
    distributed: Any = sys.modules.get("distributed")
    if distributed is None:
        return
    try:
        limit = distributed.get_worker().memory_manager.memory_limit
    except (ValueError, AttributeError):  # no such task, or another version
        return
    if limit:
        _buffers.bound(int(limit))


def own_variable(block: PathArrays, name: str) -> NDArray[Any]:
    """Return one variable of a chunk in memory of its own, so that the others can be let go."""
    values = np.moveaxis(block[name], 0, -1)
    out = _buffers.empty(values.shape, values.dtype)
    out[...] = values
    return np.moveaxis(out, -1, 0)


def as_block(arrays: PathArrays) -> Any:
    """Return paths as a chunk of the array of a run: the paths first, as views.

    The one variable of a run, or all of several by their names.
    """
    block = {name: np.moveaxis(array, -1, 0) for name, array in arrays.items()}
    return next(iter(block.values())) if len(block) == 1 else block


def _range(run: _Task, block_id: Any) -> tuple[int, int]:
    if run.n_paths == ENDLESS:
        raise MemoryBudgetError(
            "n_paths: expected a number of paths to compute, got None, which only montezarr.stream"
            " takes. Pass n_paths= to simulate."
        )
    start = block_id[0] * run.chunk
    return start, min(start + run.chunk, run.n_paths)


# --- which live run a Dataset belongs to -----------------------------------------------------

_by_name: weakref.WeakValueDictionary[str, _Task] = weakref.WeakValueDictionary()
_by_recipe: weakref.WeakValueDictionary[str, _Task] = weakref.WeakValueDictionary()


def live_run(layers: Iterable[str]) -> Run | None:
    """Return the run of this process that some layer is the array of; None if none or several."""
    tasks = [_by_name[name] for name in layers if name in _by_name]
    runs = [task.run for task in tasks if task.run is not None]
    return runs[0] if len(runs) == 1 else None


def recall(key: str, layers: Iterable[str] = (), n_paths: int | None = None) -> Run | None:
    """Return the run that made an array of this process that is still alive, if there is one.

    Parameters
    ----------
    key : str
        Fingerprint of the recipe.
    layers : iterable of str
        Names of the layers in the graph of the array: they tell apart two runs of one recipe.
    n_paths : int, optional
        Number of paths of the run, where no layer is known.
    """
    for name in layers:
        task = _by_name.get(name)
        if task is not None and task.run is not None and task.run.fingerprint == key:
            return task.run
    task = _by_recipe.get(key)
    if task is None or task.run is None:
        return None
    if n_paths is None or task.run.x0 is not None:
        return task.run
    return replace(task.run, n_paths=n_paths)


# --- plan ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Plan:
    """What a run will cost, known before it starts; printable.

    Printed, and in a notebook: the process as an equation with its parameters; the backend that it
    would run on, and why; number and size of chunks; time per path and in all; memory; size of the
    store; how a reduction has the paths.

    Attributes
    ----------
    process, sampler : str
        What is simulated, and through which interface.
    paths, steps, times : int
        Number of paths, simulated steps, and times in the result.
    chunks, chunk_paths, chunk_bytes : int
        Number of chunks, paths and bytes of one.
    tasks : int
        Dask tasks that draw the chunks.
    total_bytes, store_bytes : int
        Size of all paths in memory, and on disk as `write` stores them (4 bytes of checksum per
        chunk and variable).
    workers : int
        Threads or cluster workers of the backend in force.
    worker_bytes, peak_bytes : int
        Peak memory of one worker and of all on this machine: 3 times the bytes of a chunk, and of
        the complete paths that are in hand where only some times are kept.
    dask_bytes : int
        Memory of one worker, or thread, where Dask itself computes an expression of the paths, such
        as ``ds.x.mean("path").compute()``: about 6 times the bytes of a chunk.
    backend : str
        Where it would run, and why.
    seconds_per_path : float or None
        Measured cost of a path on one core; None where the first paths fail.
    reduction : str
        How `reduce` and `stream` have the paths, and in how many tasks.
    reduction_bytes : int or None
        Memory that one pass of the statistics given takes on this machine, all workers together,
        beyond that of Python with its packages: the paths in hand, the states, and what is fixed.
        It does not depend on the number of paths. Pictures take no more. None without statistics.
    store_ratio : float or None
        Bytes of the store by those in memory, where a `Storage` was given.
    measured : int
        Paths on which a compression was measured.
    equation : str
        Equation of the process and its parameters, or the parameters alone; may be empty.
    noise : str
        Of an expression of several runs: whether they are on common noise, one seed and stream, or
        on independent noise. Empty for one run.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=10**8, T=99, seed=1, chunks=65_536)
    >>> plan = mz.plan(ds)
    >>> plan.paths, plan.chunks, plan.total_bytes
    (100000000, 1526, 80000000000)
    >>> plan.worker_bytes == 3 * plan.chunk_bytes
    True
    """

    process: str
    sampler: str
    paths: int
    steps: int
    times: int
    chunks: int
    chunk_paths: int
    chunk_bytes: int
    tasks: int
    total_bytes: int
    store_bytes: int
    workers: int
    worker_bytes: int
    peak_bytes: int
    dask_bytes: int
    backend: str
    seconds_per_path: float | None
    reduction: str = ""
    reduction_bytes: int | None = None
    store_ratio: float | None = None
    measured: int = 0
    equation: str = ""
    noise: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        names = [name for name in self.__slots__ if self.noise or name != "noise"]
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return self._card().text()

    def _repr_html_(self) -> str:
        return self._card().html()

    def _card(self) -> Card:
        return plan_card(self, is_endless=self.paths == ENDLESS)


def plan_of(
    run: Run, *, backend: str, workers: int, sampler: str, seconds_per_path: float | None = None
) -> Plan:
    """Return the plan of a run on a backend with that many workers."""
    sampling = run.sampling
    total = run.n_paths * run.path_bytes
    return Plan(
        process=sampling.name,
        sampler=sampler,
        paths=run.n_paths,
        steps=sampling.grid.T,
        times=sampling.n_times,
        chunks=run.n_chunks,
        chunk_paths=run.chunk,
        chunk_bytes=run.chunk_bytes,
        tasks=run.n_chunks,
        total_bytes=total,
        # Every chunk file is whole, the last one padded.
        store_bytes=run.n_chunks * (run.store_chunk * run.path_bytes + 4 * len(sampling.variables)),
        workers=workers,
        worker_bytes=run.working_bytes,
        peak_bytes=run.working_bytes * min(workers, run.n_chunks),
        dask_bytes=PLAIN_COPIES * (run.chunk_bytes + run.scratch_bytes),
        backend=backend,
        seconds_per_path=seconds_per_path,
        equation=process_line(sampling),
    )
