"""Block sources: any xarray object with paths, as tasks that fold them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import xarray as xr
from dask.base import is_dask_collection, tokenize

from montezarr.core.checks import check_callable, value_error
from montezarr.execute import Backend, configured
from montezarr.execute.threads import Threads
from montezarr.random.seeding import BLOCK
from montezarr.reduction.accumulate import Arrays
from montezarr.reduction.sources._block_source import BlockSource, SplitsBetween, no_splits
from montezarr.reduction.sources._chunk_function import (
    ChunkFunction,
    NoChunkFunction,
    chunk_function_of,
)
from montezarr.reduction.sources._computed import ComputedBlocks
from montezarr.reduction.sources._dataset_function import (
    ComposedFunction,
    DatasetFunction,
    is_pathwise,
    transformed_schema,
)
from montezarr.reduction.sources._drawn import DrawnBlocks
from montezarr.reduction.sources._labels import are_codes, in_state, labels_in_recipe, labels_of
from montezarr.reduction.sources._masks import masks_of
from montezarr.reduction.sources._memory import MemoryBlocks
from montezarr.reduction.sources._noise import noise_of, warn_of_sums
from montezarr.reduction.sources._paths import PathIndices, path_indices
from montezarr.reduction.sources._schema import (
    Observed,
    Schema,
    as_dataset,
    check_masks,
    schema_of,
)
from montezarr.reduction.sources._times import STEPS, seconds_of
from montezarr.run import cost
from montezarr.run._arrays import chunk_sizes, name_of
from montezarr.run._behind import is_endless, is_untouched, undrawn_run
from montezarr.run._origins import run_in
from montezarr.run._run import Run
from montezarr.run._variables import variables_of
from montezarr.run.choose_backend import backend_of
from montezarr.run.digests import digest_of
from montezarr.samplers import PathArrays
from montezarr.samplers.schema import PATH, TIME

__all__ = [
    "PATH",
    "STEPS",
    "TIME",
    "BlockSource",
    "DrawnBlocks",
    "Observed",
    "PathIndices",
    "Schema",
    "SplitsBetween",
    "are_codes",
    "as_dataset",
    "block_source_of",
    "in_state",
    "labels_in_recipe",
    "labels_of",
    "no_splits",
    "noise_of",
    "path_indices",
    "schema_of",
    "seconds_of",
    "warn_of_sums",
]

TRIAL = 2 * BLOCK
"""Paths on which an expression is tried; four where they are drawn one at a time."""

TRIAL_BYTES = 2**25
"""Bytes of such paths, at most."""


def block_source_of(
    ds: xr.Dataset, transform: Callable[[xr.Dataset], Any] | None = None
) -> BlockSource:
    """Return the block source of a Dataset in which every variable has paths.

    Simulated paths are drawn in any range, and expressions of them that treat all chunks alike are
    computed in the same task. Other lazy arrays are computed in their own chunks.

    Parameters
    ----------
    ds : Dataset
        Lazy or not.
    transform : callable, optional
        Function of a Dataset in memory, applied before the statistics.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `transform` is not such a function.
    SamplerError
        If the sampler fails on its first paths.

    Warns
    -----
    CommonNoiseWarning
        If an expression adds variables of different runs on one seed and stream.
    """
    if transform is not None:
        check_callable("transform", transform, "(Dataset in memory)")
    schema = schema_of(ds)
    behind = run_in(ds)
    if behind is not None:  # an array has no recipe, but the graph of a lazy one has
        schema = replace(schema, run_times=behind.sampler.times)
    lazies = [is_dask_collection(variable.data) for variable in variables_of(ds).values()]
    if not any(lazies):
        check_masks(schema)
        dataset_function, schema = _dataset_function(transform, schema, lambda: _first(ds, BLOCK))
        return MemoryBlocks(
            ds, schema, _somewhere(), transform=dataset_function, how="in memory",
            key=lambda: _key(tokenize(ds), transform),
        )  # fmt: skip
    warn_of_sums(ds)
    reason = "some variables are in memory"
    run = undrawn_run(ds) if all(lazies) else None
    if run is None and is_endless(ds):
        raise value_error("obj", "one run without end", "several", "Pass n_paths= to simulate.")
    if all(lazies) and run is None:
        reason = "not of one simulation in this process"
    if run is not None:
        try:
            return _drawn(ds, run, schema, transform)
        except NoChunkFunction as error:
            reason = str(error)
            if run.is_endless:
                raise value_error(
                    "obj", "an expression that treats every path alike, since there is no end",
                    reason, "Pass n_paths= to simulate.",
                ) from error  # fmt: skip
    if not all(lazies):
        ds = ds.chunk({PATH: _common_chunks(ds)})
    check_masks(schema)
    backend = _somewhere() if run is None else backend_of(run)
    dataset_function, schema = _dataset_function(transform, schema, lambda: _first(ds, 8))
    names = [variable.data.name for variable in variables_of(ds).values()]

    def key() -> str:  # names of Dask's arrays identify functions by name alone
        return _key(tokenize(names, block_source.code()), transform)

    block_source = ComputedBlocks(
        ds,
        schema,
        backend,
        transform=dataset_function,
        how=f"chunk by chunk ({reason})",
        key=key,
        drawn_bytes=0 if run is None else run.path_bytes,
        masks=masks_of(behind),
    )
    return block_source


def _drawn(ds: xr.Dataset, run: Run, schema: Schema, transform: Any) -> DrawnBlocks:
    """Return the block source of a run, or raise NoChunkFunction."""
    chunk_function: Any = None if _is_plain(ds, run) else _chunk_function_of(ds, run)
    token = chunk_function.token if chunk_function is not None else str
    policies = f"{run.sampler.on_error}-{run.sampler.on_nonfinite}"
    if chunk_function is not None or transform is not None:
        most = max(4, TRIAL_BYTES // max(1, run.path_bytes))
        n = min(TRIAL if run.sampler.interface.is_vectorised else 4, most, run.length)
        drawn = cost.first_paths(run, n)
        arrays = _tried(chunk_function, drawn)
        dataset_function, schema = _dataset_function(
            transform, schema, lambda: arrays, is_drawn=True
        )
        if dataset_function is not None:
            chunk_function = ComposedFunction(chunk_function, dataset_function)
    made = "" if chunk_function is None else ", with what is made of them"
    return DrawnBlocks(
        run, schema, backend_of(run), chunk_function=chunk_function,
        how=f"block by block (paths are drawn in any range{made})",
        key=lambda: _key(f"{run.fingerprint}-{policies}-{token()}", transform),
    )  # fmt: skip


def _tried(chunk_function: ChunkFunction | None, drawn: PathArrays) -> Arrays:
    """Apply a chunk function to a few paths; raise NoChunkFunction if it is not pathwise."""
    if chunk_function is None:
        return list(drawn.values())
    try:
        arrays = chunk_function(drawn)
        alike = chunk_function.keeps_paths(drawn) and is_pathwise(chunk_function, drawn, arrays)
    except Exception as error:
        raise NoChunkFunction(f"it cannot be computed in parts: {type(error).__name__}") from error
    if not alike:
        raise NoChunkFunction("what it makes of a path depends on others")
    return arrays


def _chunk_function_of(ds: xr.Dataset, run: Run) -> ChunkFunction:
    arrays = [(v.data, v.dims.index(PATH)) for v in variables_of(ds).values()]
    try:
        return chunk_function_of(arrays, name_of(run), chunk_sizes(run))
    except NoChunkFunction:
        raise
    except Exception as error:  # another version of Dask may have other graphs
        raise NoChunkFunction(f"its graph is not understood: {type(error).__name__}") from error


def _is_plain(ds: xr.Dataset, run: Run) -> bool:
    """Return whether the variables are those that a run draws, in that order."""
    known = {variable.name: (PATH, *variable.dims) for variable in run.sampler.variables}
    names = list(known)
    if [v.dims for v in variables_of(ds).values()] != list(known.values()):
        return False  # the dimensions may have been renamed
    if list(ds.data_vars) == names and is_untouched(ds, run):
        return True
    first = next(iter(ds.data_vars.values()))
    is_array = len(names) == 1 and len(ds.data_vars) == 1
    return is_array and first.data.name == name_of(run)


def _dataset_function(
    transform: Any, schema: Schema, first: Callable[[], Arrays], *, is_drawn: bool = False
) -> tuple[DatasetFunction | None, Schema]:
    if transform is None:
        return None, schema
    dataset_function = DatasetFunction(transform, schema)
    return dataset_function, transformed_schema(dataset_function, first(), is_drawn=is_drawn)


def _first(ds: xr.Dataset, n: int) -> Arrays:
    part = ds.isel({PATH: slice(0, n)}).compute()
    return [v.transpose(..., PATH).values for v in variables_of(part).values()]


def _common_chunks(ds: xr.Dataset) -> tuple[int, ...]:
    """Return the chunks of `ds` along the paths."""
    for variable in variables_of(ds).values():
        if is_dask_collection(variable.data):
            return tuple(variable.data.chunks[variable.dims.index(PATH)])
    raise AssertionError


def _somewhere() -> Backend:
    return configured() or Threads(reason="auto: what releases the GIL, mostly")


def _key(token: str, transform: Any) -> str:
    # The argument was called observe when the first states were saved: those can be resumed.
    return token if transform is None else f"{token}-{digest_of(transform, 'observe')}"
