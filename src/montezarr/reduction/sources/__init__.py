"""Block sources: any xarray object with paths, as tasks that fold them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import xarray as xr

from montezarr.core.checks import check_callable, value_error
from montezarr.reduction.sources._block_source import BlockSource, SplitsBetween, no_splits
from montezarr.reduction.sources._computed import ComputedBlocks
from montezarr.reduction.sources._drawn import DrawnBlocks
from montezarr.reduction.sources._labels import are_codes, in_state, labels_in_recipe, labels_of
from montezarr.reduction.sources._memory import MemoryBlocks
from montezarr.reduction.sources._noise import noise_of, warn_of_sums
from montezarr.reduction.sources._path_data import PathData
from montezarr.reduction.sources._paths import PathIndices, path_indices
from montezarr.reduction.sources._schema import Schema, SourceVariable
from montezarr.reduction.sources._sized_tasks import NoChunkFunction
from montezarr.reduction.sources._times import STEPS, seconds_of
from montezarr.run._several import differing
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
    "block_source_of",
    "in_state",
    "labels_in_recipe",
    "labels_of",
    "no_splits",
    "noise_of",
    "path_indices",
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
    source = _source_of(data, transform)
    run = data.undrawn or data.run
    source.process = "" if run is None else run.sampler.title
    return source


def _source_of(data: PathData, transform: Any) -> BlockSource:
    """Return the source by what is known of the paths: drawn where that is possible."""
    warn_of_sums(data.variables, data.origins)
    run = data.undrawn
    are_mixed = not all(data.is_lazy)
    reason = (
        "some variables are in memory" if are_mixed else "not of one simulation in this process"
    )
    if run is not None:
        try:
            return DrawnBlocks.of_expression(data, run, transform)
        except NoChunkFunction as error:
            if run.is_endless:
                raise value_error(
                    "obj", "an expression that treats every path alike, since there is no end",
                    str(error), "Pass the expression as transform=, a function of a Dataset of some"
                    " paths, or n_paths= to simulate.",
                ) from error  # fmt: skip
            reason = str(error)
    elif any(data.is_lazy):
        found = differing(data.provenance.runs)
        if data.provenance.is_endless:
            other = "live runs without end alone", "others too", "Pass n_paths= to simulate."
            raise value_error("obj", *(found or other))
        reason = reason if found is None else f"made of {found[1]}"
    data.schema.check_masks()
    if not any(data.is_lazy):
        return MemoryBlocks(data, transform)
    return ComputedBlocks(data, transform, run, reason)
