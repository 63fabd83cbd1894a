"""The size of what a Dask computation returns, known from its graph before it starts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from dask.highlevelgraph import HighLevelGraph

from montezarr.core.compat.dask import operand_names
from montezarr.core.errors import MontezarrWarning
from montezarr.core.memory import memory_limit
from montezarr.core.notices import level_outside, warn
from montezarr.core.text import show_bytes

FINAL = "finalize-"
"""Prefix of Dask's task that joins the chunks of an array."""

STORED = "store-"
"""Prefix of Dask's arrays of written chunks, which return no data."""

OTHERS = ("montezarr", "dask", "distributed", "xarray")
"""Packages whose frames are between the user's call and the computation."""


def warn_of_size(graph: Any, keeps_chunks: bool) -> None:
    """Warn if a computation returns more than memory holds: the system may kill the process.

    Parameters
    ----------
    graph : Expr
        What Dask hands to a scheduler.
    keeps_chunks : bool
        Whether chunks that are not joined, as by ``persist``, are kept in this process.
    """
    try:
        chunks, joined = _sizes(graph)
    except Exception:  # an unknown graph of another Dask version: skip the warning, not the run
        return
    # All chunks are in memory at once while they are joined.
    needed = 2 * joined + (chunks if keeps_chunks else 0)
    limit = memory_limit()
    if needed <= limit:
        return
    twice = ", and as much again while its chunks are joined" if joined else ""
    warn(
        f"this computation returns {show_bytes(joined + chunks)}{twice}, with {show_bytes(limit)}"
        " to use: the system may end this process. For statistics of all paths take"
        " montezarr.reduce or stream, to keep the paths montezarr.write, and to go through them"
        " montezarr.batches; or compute fewer times, isel(time=...), or paths, isel(path=...).",
        MontezarrWarning,
        level_outside(*OTHERS),
    )


def _sizes(graph: Any) -> tuple[int, int]:
    """Return the bytes of the arrays that are returned as chunks, and as joined arrays."""
    parts = list(graph.walk())
    # The chunks of a single array are joined by an expression around the layers, else by a layer.
    is_joined = any(type(part).__name__ == "HLGFinalizeCompute" for part in parts)
    chunks: dict[str, int] = {}
    joined: dict[str, int] = {}
    for part in parts:
        graphs = part.operand("dsk") if "dsk" in operand_names(part) else None
        if not isinstance(graphs, HighLevelGraph):
            continue
        for name in _names(part.operand("output_keys")):
            if name.startswith(FINAL):
                sources = graphs.dependencies.get(name, ())
                joined |= {source: _bytes_of(source, graphs) for source in sources}
            else:
                (joined if is_joined else chunks)[name] = _bytes_of(name, graphs)
    return sum(chunks.values()), sum(joined.values())


def _names(keys: Any) -> set[str]:
    """Return the names of the arrays that nested keys are chunks of."""
    if isinstance(keys, list):
        return {name for key in keys for name in _names(key)}
    return {str(keys[0]) if isinstance(keys, tuple) else str(keys)}


def _bytes_of(name: str, graphs: HighLevelGraph) -> int:
    """Return the bytes of the array of this name; 0 if it is no array, or is written elsewhere."""
    facts = getattr(graphs.layers.get(name), "collection_annotations", None) or {}
    shape, dtype = facts.get("shape"), facts.get("dtype")
    if shape is None or dtype is None or name.startswith(STORED):
        return 0
    size = math.prod(shape) * np.dtype(dtype).itemsize
    return 0 if math.isnan(size) else int(size)  # NaN: chunks of unknown size
