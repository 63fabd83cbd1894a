"""Block sources: any xarray object with paths, as tasks that fold them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import xarray as xr
from dask.base import tokenize

from montezarr.core.checks import check_callable, value_error
from montezarr.core.tunables.memory import EXPRESSION_TRIAL_MAX_BYTES
from montezarr.core.tunables.scheduling import EXPRESSION_TRIAL_BLOCKS
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
from montezarr.reduction.sources._path_data import PathData
from montezarr.reduction.sources._paths import PathIndices, path_indices
from montezarr.reduction.sources._schema import (
    Schema,
    SourceVariable,
    as_dataset,
    check_masks,
    schema_of,
)
from montezarr.reduction.sources._times import STEPS, seconds_of
from montezarr.run import cost
from montezarr.run._arrays import array_name, chunk_sizes
from montezarr.run._behind import is_endless, is_untouched, undrawn_run
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
    "PathData",
    "PathIndices",
    "Schema",
    "SourceVariable",
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


def block_source_of(
    data: PathData, transform: Callable[[xr.Dataset], Any] | None = None
) -> BlockSource:
    """Return the tasks that fold the paths of a Dataset.

    Simulated paths are drawn in any range, and what an expression makes of them is computed there,
    where the expression treats all chunks alike. Others are computed in the chunks that they have.

    Parameters
    ----------
    data : PathData
        The Dataset, lazy or not.
    transform : callable, optional
        From a Dataset in memory to what statistics see in its place.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `transform` is no such function.
    SamplerError
        If the sampler fails on its first paths.

    Warns
    -----
    CommonNoiseWarning
        If an expression adds variables of different runs on one seed and stream.
    """
    if transform is not None:
        check_callable("transform", transform, "(Dataset in memory)")
    source = _block_source(data, transform)
    source.process = "" if data.run is None else data.run.sampler.name
    return source


def _block_source(data: PathData, transform: Any) -> BlockSource:
    if not any(data.is_lazy):
        return _in_memory(data, transform)
    warn_of_sums(data.variables, data.origins)
    if not all(data.is_lazy):
        return _computed(data, None, transform, "some variables are in memory")
    run = undrawn_run(data.ds, data.origins)
    if run is None:
        return _computed(data, None, transform, "not of one simulation in this process")
    try:
        return _drawn(data, run, transform)
    except NoChunkFunction as error:
        if run.is_endless:
            raise value_error(
                "obj", "an expression that treats every path alike, since there is no end",
                str(error), "Pass n_paths= to simulate.",
            ) from error  # fmt: skip
        return _computed(data, run, transform, str(error))


def _in_memory(data: PathData, transform: Any) -> MemoryBlocks:
    """Return the source of paths that are in memory."""
    check_masks(data.schema)
    function, schema = _dataset_function(transform, data.schema, lambda: data.first(BLOCK))
    return MemoryBlocks(
        data.variables.values(), schema, _somewhere(), transform=function, how="in memory",
        key=lambda: _key(tokenize(data.ds), transform),
    )  # fmt: skip


def _computed(data: PathData, run: Run | None, transform: Any, reason: str) -> ComputedBlocks:
    """Return the source of what is computed in the chunks that it has."""
    if run is None and is_endless(data.ds, data.origins):
        raise value_error("obj", "one run without end", "several", "Pass n_paths= to simulate.")
    check_masks(data.schema)
    backend = _somewhere() if run is None else backend_of(run)
    function, schema = _dataset_function(transform, data.schema, lambda: data.first(8))
    ds = data.chunked()
    names = [variable.data.name for variable in variables_of(ds).values()]

    def key() -> str:  # names of Dask's arrays identify functions by name alone
        return _key(tokenize(names, block_source.code()), transform)

    block_source = ComputedBlocks(
        ds,
        schema,
        backend,
        transform=function,
        how=f"chunk by chunk ({reason})",
        key=key,
        drawn_bytes=0 if run is None else run.path_bytes,
        masks=masks_of(data.run),
    )
    return block_source


def _drawn(data: PathData, run: Run, transform: Any) -> DrawnBlocks:
    """Return the source of a run, whose paths are drawn in any range.

    Raises
    ------
    NoChunkFunction
        If what is made of them cannot be computed in any range.
    """
    schema = data.schema
    chunk_function: Any = None if _is_plain(data, run) else _chunk_function(data, run)
    token = chunk_function.token if chunk_function is not None else str
    policies = f"{run.sampler.on_error}-{run.sampler.on_nonfinite}"
    if chunk_function is not None or transform is not None:
        most = max(4, EXPRESSION_TRIAL_MAX_BYTES // max(1, run.path_bytes))
        trial = EXPRESSION_TRIAL_BLOCKS * BLOCK if run.sampler.interface.is_vectorised else 4
        n = min(trial, most, run.length)
        drawn = cost.timed_first_paths(run, n)
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
    """Return what a chunk function makes of a few paths, or raise if it is not for any range."""
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


def _chunk_function(data: PathData, run: Run) -> ChunkFunction:
    arrays = [(v.data, v.dims.index(PATH)) for v in data.variables.values()]
    try:
        return chunk_function_of(arrays, array_name(run), chunk_sizes(run))
    except NoChunkFunction:
        raise
    except Exception as error:  # another version of Dask may have other graphs
        raise NoChunkFunction(f"its graph is not understood: {type(error).__name__}") from error


def _is_plain(data: PathData, run: Run) -> bool:
    """Return whether the variables are those that a run draws, in that order."""
    known = {variable.name: (PATH, *variable.dims) for variable in run.sampler.variables}
    if [v.dims for v in data.variables.values()] != list(known.values()):
        return False  # the dimensions may have been renamed
    if list(data.variables) == list(known) and is_untouched(data.ds, run):
        return True
    first = next(iter(data.variables.values()))
    return len(known) == 1 and len(data.variables) == 1 and first.data.name == array_name(run)


def _dataset_function(
    transform: Any, schema: Schema, first: Callable[[], Arrays], *, is_drawn: bool = False
) -> tuple[DatasetFunction | None, Schema]:
    if transform is None:
        return None, schema
    dataset_function = DatasetFunction(transform, schema)
    return dataset_function, transformed_schema(dataset_function, first(), is_drawn=is_drawn)


def _somewhere() -> Backend:
    return configured() or Threads(reason="auto: what releases the GIL, mostly")


def _key(token: str, transform: Any) -> str:
    # The argument was called observe when the first states were saved: those can be resumed.
    return token if transform is None else f"{token}-{digest_of(transform, 'observe')}"
