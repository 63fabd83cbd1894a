"""The plan of a run: its cost, known before it starts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from montezarr.core.added_fields import added
from montezarr.core.text import Card
from montezarr.core.tunables.memory import CHUNK_EXPRESSION_COPIES
from montezarr.run._plan_card import plan_card
from montezarr.run._run import Run
from montezarr.run._texts import process_line
from montezarr.run._varied_texts import noise_text, scenario_sizes, varied_in


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Plan:
    """The cost of a run, known before it starts; printable.

    Printed, and in a notebook, it shows the process as an equation with its parameters; the backend
    and the reason for it; number and size of chunks; time per path and in all; memory; size of the
    store; how a reduction gets the paths.

    Attributes
    ----------
    process, sampler : str
        The process, and the interface through which it is called.
    paths : int or None
        Number of paths; None for an endless run, whose numbers of chunks, tasks and bytes are those
        of its placeholder arrays.
    steps, times : int
        Number of simulated steps, and of times in the result.
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
        the complete paths in memory if only some times are kept.
    dask_bytes : int
        Memory of one worker, or thread, while Dask itself computes an expression of the paths, such
        as ``ds.x.mean("path").compute()``: about 6 times the bytes of a chunk.
    backend : str
        The backend that would run, and the reason.
    seconds_per_path : float or None
        Measured cost of a path on one core; None where the first paths fail.
    reduction : str
        How `reduce` and `stream` get the paths, and in how many tasks.
    reduction_bytes : int or None
        Memory that one pass of the given statistics takes on this machine, all workers together,
        beyond that of Python with its packages: the paths in memory, the states, and a fixed part.
        It does not depend on the number of paths. Pictures take no more. None without statistics.
    scenario_chunk_bytes : int
        Bytes of one scenario of a stored chunk, which is read without the others; 0 without
        scenarios, and where they are stored together.
    store_ratio : float or None
        Bytes of the store over bytes in memory, if a `Storage` was given.
    measured : int
        Paths on which the compression was measured.
    equation : str
        Equation of the process and its parameters, or the parameters alone; may be empty.
    noise : str
        For an expression of several runs: whether they use common noise, one seed and stream, or
        independent noise; for scenarios, whether they do. Empty for one run without scenarios.
    scenarios : int
        Number of scenarios, each of which has all paths; 1 if no parameter varies by scenario.
    scenario_bytes : int or None
        Size of all paths of one scenario in memory, without parameters that are common to all.
        None without scenarios.
    varied : tuple of (str, str)
        Name of each parameter that varies, and how: by scenario or by path, and its values.
    runs : tuple of str
        For an expression of several runs: process, parameters, initial state and seed of each, in
        the order of their numbers. Empty for one run. Costs and bytes are those of all together.

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
    paths: int | None
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
    scenarios: int = added(1)
    scenario_bytes: int | None = added(None)
    scenario_chunk_bytes: int = added(0)
    varied: tuple[tuple[str, str], ...] = added(())
    runs: tuple[str, ...] = added(())

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON, with entries about several runs or scenarios if there are."""
        left_out = set() if self.noise else {"noise"}
        if not self.varied:
            left_out |= {"scenarios", "scenario_bytes", "scenario_chunk_bytes", "varied"}
        if not self.runs:
            left_out.add("runs")
        told = {name: getattr(self, name) for name in self.__slots__ if name not in left_out}
        told |= {"varied": dict(self.varied)} if self.varied else {}
        return told | ({"runs": list(self.runs)} if self.runs else {})

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return self._card().text()

    def _repr_html_(self) -> str:
        return self._card().html()

    def _card(self) -> Card:
        return plan_card(self)


def plan_of(
    run: Run, *, backend: str, workers: int, sampler: str, seconds_per_path: float | None = None
) -> Plan:
    """Return the plan of a run on a backend with a number of workers."""
    drawn = run.sampler
    total = run.length * run.path_bytes
    sizes = scenario_sizes(run.recipe)
    count = math.prod(sizes.values())
    in_scenarios = sum(v.bytes(drawn.n_times) for v in drawn.variables if v.lead == len(sizes))
    return Plan(
        process=drawn.name,
        sampler=sampler,
        paths=run.n_paths,
        steps=drawn.grid.T,
        times=drawn.n_times,
        chunks=run.n_chunks,
        chunk_paths=run.chunk,
        chunk_bytes=run.chunk_bytes,
        tasks=run.n_chunks,
        total_bytes=total,
        # Every chunk file has full size, the last one padded.
        store_bytes=-(-run.length // run.store_chunk)
        * (run.store_chunk * run.path_bytes + _checksums(run)),
        scenario_chunk_bytes=_scenario_bytes(run),
        workers=workers,
        worker_bytes=run.working_bytes,
        peak_bytes=run.working_bytes * min(workers, run.n_chunks),
        dask_bytes=CHUNK_EXPRESSION_COPIES * (run.chunk_bytes + run.scratch_bytes),
        backend=backend,
        seconds_per_path=seconds_per_path,
        equation=process_line(drawn, run.recipe),
        noise=noise_text(run.recipe),
        scenarios=count,
        scenario_bytes=run.length * in_scenarios // count if sizes else None,
        varied=tuple(varied_in(run.recipe).items()),
    )


def _checksums(run: Run) -> int:
    """Return the bytes of checksums, and of the indices of scenarios, in the files of a chunk."""
    return sum(4 + (20 * v.scenarios if v.lead else 0) for v in run.sampler.variables)


def _scenario_bytes(run: Run) -> int:
    """Return the bytes of one scenario of a stored chunk of the largest variable, or 0."""
    sizes = [v.bytes(run.sampler.n_times) // v.scenarios for v in run.sampler.variables if v.lead]
    return run.store_chunk * max(sizes, default=0)
