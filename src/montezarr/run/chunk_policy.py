"""Choose the paths per chunk, and check them against the memory."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from montezarr.core.checks import check_int
from montezarr.core.errors import MemoryBudgetError
from montezarr.core.memory import memory_limit
from montezarr.core.text import show_bytes
from montezarr.core.tunables.limits import GRAPH_CHUNKS_MAX
from montezarr.core.tunables.memory import (
    CHUNK_EXPRESSION_COPIES,
    CHUNK_MAX_BYTES,
    CHUNK_MIN_BYTES,
    CHUNK_WORKING_COPIES,
    CHUNKS_PER_WORKER_MIN,
    DASK_SPILL_SHARE,
    GOOD_CHUNKS_MAX,
    WORKER_PROCESS_BYTES,
)
from montezarr.core.tunables.scheduling import (
    PART_SECONDS_MIN,
    REDUCTION_TASK_SECONDS,
    REDUCTION_TASKS_PER_WORKER,
)
from montezarr.random.draws import MAX_STEPS
from montezarr.random.seeding import BLOCK

SCENARIO_BYTES = 1024
"""What a scenario takes beside its paths, about."""


def plain_room(worker_bytes: int) -> int:
    """Return the bytes that expressions may take in a Dask worker before it spills."""
    return int(max(DASK_SPILL_SHARE * worker_bytes - WORKER_PROCESS_BYTES, worker_bytes / 20))


def check_steps_fit(T: Any, at_once: int = 1) -> None:
    """Raise if one path with that many steps, or those drawn at once, cannot fit into memory.

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
    worker_bytes: int | None = None,
    scenarios: int = 1,
) -> int:
    """Return the paths per chunk: whole blocks, near the requested number or by policy.

    The policy aims at 32 to 128 MiB, at least 8 chunks per worker if there is that much work, and
    at most about 20,000 chunks. `work_bytes` are the bytes that one path takes while it is
    simulated, of which `path_bytes` are kept: chunks are sized by the work, so that a run that
    keeps little still spreads over the workers. `local_workers` of these share the memory of this
    machine. A sampler that `is_loop` draws one path at a time, in Python: its chunks take long at
    any size, so they may be small. A sampler that draws at least `least_paths` at once takes the
    memory of these. `worker_bytes` is the smallest memory of a Dask worker. A path has the values
    of all `scenarios`.

    The last chunk is as large as the others if each worker gets one chunk.

    Raises
    ------
    MemoryBudgetError
        If one chunk, or the number of chunks, is too large; with the projected sizes.
    """
    if chunks is None:
        aim = BLOCK * work_bytes
        smallest = 1 if is_loop else max(1, CHUNK_MIN_BYTES // aim)
        largest = max(1, CHUNK_MAX_BYTES // aim)
        blocks = -(-n_paths // BLOCK)
        for_workers = blocks // (CHUNKS_PER_WORKER_MIN * workers)
        count = min(max(for_workers, smallest), max(1, 2 * CHUNK_MIN_BYTES // aim))
        count = min(max(count, min(-(-blocks // GOOD_CHUNKS_MAX), largest)), blocks)
        if worker_bytes is not None:
            count = max(1, min(count, plain_room(worker_bytes) // (CHUNK_EXPRESSION_COPIES * aim)))
        if -(-blocks // count) <= workers:
            count = -(-blocks // -(-blocks // count))
    else:
        count = -(-min(check_asked(chunks), n_paths) // BLOCK)
    limit = memory_limit() if worker_bytes is None else min(memory_limit(), worker_bytes)
    n_chunks = -(-n_paths // (count * BLOCK))
    paths = max(min(count * BLOCK, n_paths), least_paths)
    at_once = CHUNK_WORKING_COPIES * min(local_workers, n_chunks)
    if paths * path_bytes * at_once > limit:
        raise _too_large(paths, path_bytes, scenarios, at_once, limit)
    check_number(n_paths, count * BLOCK, path_bytes)
    return count * BLOCK


def paths_of_part(seconds: float, n_paths: int | None, workers: int) -> int | None:
    """Return a power of two of paths that take 0.5 to 1 s, or None if that is a block or more.

    Tasks are shorter, down to 0.2 s, where a worker would get less than 8 of them, and longer where
    they would be too many for one graph.

    Parameters
    ----------
    seconds : float
        What a path takes on one core.
    n_paths : int or None
        Number of paths; None for any number.
    workers : int
        Number of workers.
    """
    goal, least = REDUCTION_TASK_SECONDS, 1
    if n_paths is not None:
        share = seconds * n_paths / (REDUCTION_TASKS_PER_WORKER * workers)
        goal = max(min(goal, share), PART_SECONDS_MIN)
        least = -(-n_paths // GOOD_CHUNKS_MAX)
    paths = max(1, int(goal / max(seconds, 1e-9)))
    part = max(1 << (paths.bit_length() - 1), 1 << (least - 1).bit_length())
    return part if part < BLOCK else None


def check_scenarios_fit(n_paths: int | None, path_bytes: int, scenarios: int) -> None:
    """Raise if not even the smallest chunk of all scenarios fits, before any of them is made.

    Raises
    ------
    MemoryBudgetError
        With the projected size.
    """
    paths = BLOCK if n_paths is None else min(n_paths, BLOCK)
    whole, limit = path_bytes * scenarios, memory_limit()
    if (paths * whole + SCENARIO_BYTES * scenarios) * CHUNK_WORKING_COPIES > limit:
        raise _too_large(paths, whole, scenarios, CHUNK_WORKING_COPIES, limit)


def _too_large(
    paths: int, path_bytes: int, scenarios: int, at_once: int, limit: int
) -> MemoryBudgetError:
    """Return the error of chunks of so many paths, each with the values of all scenarios."""
    each, remedy = f"{path_bytes:,} bytes", ""
    if scenarios > 1:
        one = show_bytes(paths * path_bytes // scenarios)
        each = f"{scenarios:,} scenarios ({one} each)"
        remedy = " Or take fewer scenarios: each is the same in a run of its own."
    return MemoryBudgetError(
        f"chunks: expected chunks that fit into memory, got {paths:,} paths of"
        f" {each} = {show_bytes(paths * path_bytes)}, {at_once} times at once,"
        f" with {show_bytes(limit)} to use. Take fewer steps, keep fewer times, fewer workers"
        f" or smaller chunks.{remedy}"
    )


def check_asked(chunks: Any) -> int:
    """Return the requested paths per chunk, checked.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If they are not a number of paths.
    """
    return check_int("chunks", chunks, minimum=1, hint="It counts paths; None lets us choose.")


def check_number(n_paths: int, chunk: int, path_bytes: int) -> None:
    """Raise if there are more chunks than a graph can have.

    Raises
    ------
    MemoryBudgetError
        With their number.
    """
    n_chunks = -(-n_paths // chunk)
    if n_chunks > GRAPH_CHUNKS_MAX:
        raise MemoryBudgetError(
            f"n_paths: expected at most {GRAPH_CHUNKS_MAX:,} chunks, got {n_paths:,} paths ="
            f" {n_chunks:,} chunks of {chunk:,}, {show_bytes(n_paths * path_bytes)} in all. Take"
            " larger chunks or fewer paths."
        )
