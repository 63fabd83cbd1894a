"""Lazy Dask arrays of seed-indexed chunks: chunk policy, graph and plan."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral
from pathlib import Path
from typing import Any

import cloudpickle
import dask.array as da
import numpy as np
import psutil
from dask.delayed import delayed
from numpy.typing import NDArray

from montezarr._checks import check_int
from montezarr._html import Card
from montezarr._html import show_bytes as show_bytes
from montezarr.described import plan_card, process_line
from montezarr.draws import MAX_STEPS
from montezarr.errors import MemoryBudgetError
from montezarr.recipe import fingerprint
from montezarr.sampling import Sampling, sample_range
from montezarr.seeding import BLOCK

MIB = 2**20
MIN_CHUNK, MAX_CHUNK = 32 * MIB, 128 * MIB
MAX_CHUNKS = 20_000
CHUNKS_PER_WORKER = 8
MAX_CHUNKS_HARD = 10**7
"""A graph of more chunks than this costs gigabytes before anything runs."""

ENDLESS = 2**40
"""Number of paths of a run that has none: more than anybody streams."""

ENDLESS_CHUNK = 2**30
"""Paths per chunk of such a run: a graph of a thousand chunks, of which none is ever drawn."""

LARGE = 2**16
"""Bytes of a pickled sampler above which it is no part of each task."""

WORKING_COPIES = 3
"""Chunks' worth of memory that one worker takes to draw a chunk and to write it or reduce it.

What else an expression makes of a chunk, and a sampler of the user's own, come on top.
"""


@dataclass(frozen=True, slots=True)
class Run:
    """A bound sampler with the number of its paths and their chunks.

    Attributes
    ----------
    sampling : Sampling
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

    sampling: Sampling
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
        sampling = self.sampling
        return sampling.n_times * len(sampling.variables) * sampling.dtype.itemsize

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
        if sampling.kind == "sample_paths":
            at_once = BLOCK
        elif at_once and sampling.kind == "sample":
            at_once = min(sampling.slice_paths, self.n_paths)
        state_bytes = len(sampling.variables) * sampling.dtype.itemsize
        return at_once * (sampling.grid.T + 1) * state_bytes

    @property
    def working_bytes(self) -> int:
        """Bytes that one worker takes to draw a chunk and to write it, or to reduce it."""
        return (self.chunk_bytes + self.scratch_bytes) * WORKING_COPIES

    def range_of(self, chunk: int) -> tuple[int, int]:
        """Return the paths start, stop of a chunk."""
        return chunk * self.chunk, min((chunk + 1) * self.chunk, self.n_paths)


def check_steps(T: Any, at_once: int = 1) -> None:
    """Raise where a path of that many steps, or as many as are drawn at once, cannot fit.

    Raises
    ------
    MemoryBudgetError
        With the projected size.
    """
    steps = int(T) if isinstance(T, Integral) else 0
    needed = 8 * (steps + 1) * at_once
    if needed > memory_limit() and steps <= MAX_STEPS:
        what, why = "a path that fits", ""
        if at_once > 1:
            what = f"a block of {at_once} paths that fits"
            why = (
                f" sample_paths is always called with n={at_once}: give the process a sample_path,"
                " which draws one path at a time."
            )
        raise MemoryBudgetError(
            f"T: expected {what} into memory, got {steps:,} steps ="
            f" {show_bytes(needed)}, with {show_bytes(memory_limit())} to use.{why}"
        )


def choose_chunk(
    n_paths: int,
    path_bytes: int,
    chunks: Any,
    workers: int,
    *,
    work_bytes: int,
    local_workers: int = 1,
    is_loop: bool = False,
    least_paths: int = 1,
) -> int:
    """Return the paths per chunk: whole blocks, near what the caller asks for or by policy.

    The policy aims at 32 to 128 MiB, at least 8 chunks per worker when there is that much work,
    and at most about 20,000 chunks. `work_bytes` are the bytes that one path takes while it is
    simulated, of which `path_bytes` are kept: a chunk is measured by its work, so that a run that
    keeps little still spreads over the workers. `local_workers` of them share the memory of this
    machine. A sampler that `is_loop` draws one path at a time, in Python: its chunks take long at
    any size, so they may be small. One that draws no fewer than `least_paths` at once takes the
    memory of these.

    Raises
    ------
    MemoryBudgetError
        If one chunk, or the number of chunks, is beyond any use; with the projected sizes.
    """
    if chunks is None:
        aim = BLOCK * work_bytes
        smallest = 1 if is_loop else max(1, MIN_CHUNK // aim)
        largest = max(1, MAX_CHUNK // aim)
        blocks = -(-n_paths // BLOCK)
        for_workers = blocks // (CHUNKS_PER_WORKER * workers)
        count = min(max(for_workers, smallest), max(1, 2 * MIN_CHUNK // aim))
        count = min(max(count, min(-(-blocks // MAX_CHUNKS), largest)), blocks)
    else:
        asked = check_int("chunks", chunks, minimum=1, hint="It counts paths; None lets us choose.")
        count = -(-min(asked, n_paths) // BLOCK)
    limit = memory_limit()
    n_chunks = -(-n_paths // (count * BLOCK))
    paths = max(min(count * BLOCK, n_paths), least_paths)
    at_once = WORKING_COPIES * min(local_workers, n_chunks)
    if paths * path_bytes * at_once > limit:
        raise MemoryBudgetError(
            f"chunks: expected chunks that fit into memory, got {paths:,} paths of"
            f" {path_bytes:,} bytes = {show_bytes(paths * path_bytes)}, {at_once} times at once,"
            f" with {show_bytes(limit)} to use. Take fewer steps, keep fewer times, fewer workers"
            " or smaller chunks."
        )
    if n_chunks > MAX_CHUNKS_HARD:
        raise MemoryBudgetError(
            f"n_paths: expected at most {MAX_CHUNKS_HARD:,} chunks, got {n_paths:,} paths ="
            f" {n_chunks:,} chunks of {count * BLOCK:,}, {show_bytes(n_paths * path_bytes)} in"
            " all. Take larger chunks or fewer paths."
        )
    return count * BLOCK


def chunk_sizes(run: Run) -> tuple[int, ...]:
    """Return the paths of each chunk."""
    return tuple(np.diff([*range(0, run.n_paths, run.chunk), run.n_paths]).tolist())


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
        base = da.map_blocks(_chunk, **options)
    else:
        x0 = run.x0.rechunk({-1: paths})
        # The dimension of the times is new, and that of the variables where x0 has none.
        new_axis = [0, 2] if several and x0.ndim == 1 else [x0.ndim]
        base = da.map_blocks(_chunk_from, x0, new_axis=new_axis, **options)
    if not several:
        return {sampling.variables[0].name: base}
    return {
        variable.name: base[i].astype(variable.dtype)
        for i, variable in enumerate(sampling.variables)
    }


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

    def __init__(self, sampling: Sampling, chunk: int, n_paths: int, run: Run | None = None):
        self.sampling, self.chunk, self.n_paths, self.run = sampling, chunk, n_paths, run

    def __reduce__(self) -> Any:  # to a worker goes what it needs, not the run
        return _Task, (self.sampling, self.chunk, self.n_paths)

    def __dask_tokenize__(self) -> Any:  # the name of the array says it all already
        return ("montezarr", self.sampling.name, self.chunk, self.n_paths)


def _chunk(run: _Task, block_id: Any = None) -> NDArray[Any]:
    """Return one chunk, (paths, times) or (variables, paths, times), as a view on rows."""
    return _oriented(sample_range(run.sampling, *_range(run, block_id)))


def _chunk_from(x0: NDArray[Any], run: _Task, block_id: Any = None) -> NDArray[Any]:
    return _oriented(sample_range(run.sampling, *_range(run, block_id), x0))


def _range(run: _Task, block_id: Any) -> tuple[int, int]:
    if run.n_paths == ENDLESS:
        raise MemoryBudgetError(
            "n_paths: expected a number of paths to compute, got None, which only montezarr.stream"
            " takes. Pass n_paths= to simulate."
        )
    start = block_id[-2] * run.chunk
    return start, min(start + run.chunk, run.n_paths)


def _oriented(rows: NDArray[Any]) -> NDArray[Any]:
    return rows[0].T if len(rows) == 1 else rows.transpose(0, 2, 1)


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
    stored = (
        run.n_paths
        * sampling.n_times
        * sum(np.dtype(variable.dtype).itemsize for variable in sampling.variables)
    )
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
        store_bytes=run.n_chunks
        * (run.store_chunk * stored // run.n_paths + 4 * len(sampling.variables)),
        workers=workers,
        worker_bytes=run.working_bytes,
        peak_bytes=run.working_bytes * min(workers, run.n_chunks),
        backend=backend,
        seconds_per_path=seconds_per_path,
        equation=process_line(sampling),
    )


def memory_limit() -> int:
    """Return the bytes of memory that this process may use: the machine's, or its control group's.

    A container or batch job often gets less than the machine has.
    """
    total = int(psutil.virtual_memory().total)
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(file).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            total = min(total, int(text))
    return total
