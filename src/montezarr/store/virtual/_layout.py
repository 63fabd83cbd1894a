"""Make a virtual store of a Dataset or a recipe, and choose its chunks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import xarray as xr

from montezarr.core.checks import check_int, type_error, value_error
from montezarr.core.errors import MemoryBudgetError, MontezarrError
from montezarr.core.memory import memory_limit
from montezarr.core.text import show_bytes
from montezarr.core.tunables.memory import VIRTUAL_CHUNK_BYTES, VIRTUAL_CHUNK_MAX_BYTES
from montezarr.core.tunables.stores import VIRTUAL_CHUNKS_MAX
from montezarr.random.seeding import BLOCK
from montezarr.reduction.sources import PathData
from montezarr.run._attributes import ATTRIBUTE, recipe_in
from montezarr.run._behind import is_untouched
from montezarr.run._dataset import to_dataset
from montezarr.run._policies import Policies
from montezarr.run._provenance import Provenance
from montezarr.run._run import Run
from montezarr.store._source import ChunkSource, source_of
from montezarr.store.format import STORE_PATHS_MAX, Storage
from montezarr.store.virtual._draw import VirtualChunks

BAD = (
    MontezarrError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError,
    RecursionError,
)  # fmt: skip
"""Errors that the checks of a foreign file may raise."""


def chunks_of(
    recipe: Any, n_paths: Any, chunks: Any, storage: Any, process: Any, cache_bytes: int
) -> VirtualChunks:
    """Check the arguments of a `VirtualStore`, and return its chunks.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError, ReplayError
        If they are not valid.
    """
    if storage is not None and not isinstance(storage, Storage):
        raise type_error("storage", "a montezarr.Storage, or None", storage)
    stored = storage or Storage()
    if isinstance(recipe, (xr.Dataset, xr.DataArray)) and n_paths is None:
        source = source_of(recipe, process)
        chunk = source.run.chunk if chunks is None else whole_blocks(chunks)
    else:
        run = run_to_store(recipe, process)
        if n_paths is None:
            raise value_error("n_paths", "a number of paths with a recipe", None)
        count = check_int("n_paths", n_paths, minimum=1, maximum=STORE_PATHS_MAX)
        chunk = _policy(run, count, stored) if chunks is None else whole_blocks(chunks)
        source = plain_source(run, count)
    return store_source(source, chunk, stored, cache_bytes)


def store_source(
    source: ChunkSource, chunk: int, storage: Storage, cache_bytes: int
) -> VirtualChunks:
    """Return the virtual chunks of a source, with `chunk` paths each."""
    source = replace(source, run=source.run.in_chunks(chunk))
    _check(source.run)
    manifest = source.manifest(storage, 0)
    return VirtualChunks(
        source.chunk_values(manifest), source.run.length, source.run.inputs, cache_bytes
    )


def whole_blocks(chunks: Any) -> int:
    """Return a number of paths rounded up to whole blocks."""
    return -(-check_int("chunks", chunks, minimum=1, maximum=STORE_PATHS_MAX) // BLOCK) * BLOCK


def _policy(run: Run, n_paths: int, storage: Storage) -> int:
    """Return the paths per chunk: few, so that one path is fast to read; more for very many paths.

    A sampler that is a Python loop takes long even for one block.
    """
    block = BLOCK * run.path_bytes
    count = max(1, VIRTUAL_CHUNK_BYTES // block) if run.sampler.interface.is_vectorised else 1
    for_dask = -(-n_paths // (VIRTUAL_CHUNKS_MAX * BLOCK))
    largest = min(VIRTUAL_CHUNK_MAX_BYTES, memory_limit() // 16)
    count = max(count, min(for_dask, max(1, largest // block)))
    if storage.inner_chunk is None:
        return count * BLOCK
    inner = storage.inner_chunk
    return -(-count * BLOCK // inner) * inner


def _check(run: Run) -> None:
    if run.together:
        raise value_error(
            "recipe", "the recipe of one run", f"that of {len(run.together)} runs",
            "Take one of its runs, recipe['runs'][0], or write the expression of them.",
        )  # fmt: skip
    if run.sampler.interface.uses_global_state:
        raise value_error(
            "recipe", "a sampler with a stream of its own",
            run.sampler.name,
            "Zarr reads in threads, which share the global random state that this one draws from.",
        )  # fmt: skip
    needed = BLOCK * run.path_bytes
    if needed > memory_limit():
        raise MemoryBudgetError(
            f"recipe: expected a block of {BLOCK} paths that fits into memory, got"
            f" {show_bytes(needed)}. Keep fewer times."
        )


def run_to_store(recipe: Any, process: Any) -> Run:
    """Return the run of a recipe, or of a Dataset with another number of paths."""
    if isinstance(recipe, (xr.Dataset, xr.DataArray)):
        made = Provenance.of(recipe)
        run = Run.made_of(made, process)
        if not is_untouched(made, run):
            hint = "A Dataset made of that has its own number."
            raise value_error("n_paths", "None, or a Dataset as simulate returned it", recipe, hint)
    else:
        run = _run_of_recipe(recipe, process)
    if run.inputs is not None:
        raise value_error(
            "recipe", "the Dataset alone where each path has its own x0", recipe,
            "Pass what simulate returned, without n_paths.",
        )  # fmt: skip
    return run


def _run_of_recipe(recipe: Any, process: Any) -> Run:
    if isinstance(recipe, Mapping):
        try:
            recipe = json.dumps(dict(recipe))
        except (TypeError, ValueError) as error:
            raise value_error("recipe", "a recipe as JSON", recipe) from error
    if not isinstance(recipe, str):
        expected = "a Dataset from montezarr.simulate, or its recipe as a dict or JSON"
        raise type_error("recipe", expected, recipe)
    bare = xr.Dataset(attrs={ATTRIBUTE: recipe})
    _check_steps(recipe_in(bare))
    try:
        run = Run.from_recipe(recipe, process, 1)
    except MontezarrError:
        raise
    except BAD as error:
        expected = "a recipe that montezarr wrote"
        raise value_error("recipe", expected, recipe, f"{type(error).__name__}: {error}") from error
    # A live run may have other policies; a recipe has none.
    return run.under(Policies())


def _check_steps(recipe: Mapping[str, Any]) -> None:
    """Raise if the times of a recipe would fill the memory."""
    grid = recipe["grid"]
    steps = grid.get("T") if isinstance(grid, dict) else None
    if isinstance(steps, int) and steps * 64 > memory_limit():
        raise MemoryBudgetError(f"recipe: expected times that fit into memory, got {steps:,}.")


def plain_source(run: Run, n_paths: int) -> ChunkSource:
    """Return `n_paths` paths of a run as a source, without a Dask array of all of them."""
    few = to_dataset(run)
    return ChunkSource(
        run=replace(run, n_paths=n_paths),
        ds=few,
        schema=PathData.of(few).schema,
        chunk_function=None,
        values=None,
        stored=tuple(range(len(run.sampler.variables))),
    )
