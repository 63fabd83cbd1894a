"""Rows of lazy variables, a range of paths at a time, out of one graph for all ranges."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import dask.base
import numpy as np
import xarray as xr
from dask.base import compute_as_if_collection
from dask.delayed import Delayed
from dask.optimization import cull

from montezarr.core.tunables.scheduling import ROWS_GRAPH_BLOCKS_MAX
from montezarr.engine._batch_formats import Rows, path_variables
from montezarr.samplers.schema import PATH

Block = tuple[Any, int, tuple[slice, ...], tuple[slice, ...]]
"""Key of a block, the axis of its paths, its part that is wanted, and the place of that in rows."""


class LazyRows:
    """The variables of a Dataset along its paths.

    To make and optimise a graph for each range would take a third of the time of reading it.

    Parameters
    ----------
    ds : Dataset
        With at least one lazy variable.
    """

    def __init__(self, ds: xr.Dataset):
        self._variables = path_variables(ds)
        self._lazy = {n: v for n, v in self._variables.items() if v.chunks is not None}
        self._whole = ds[list(self._variables)]
        blocks = sum(v.data.npartitions for v in self._lazy.values())
        self._graph: dict[Any, Any] | None = None
        if blocks <= ROWS_GRAPH_BLOCKS_MAX:
            optimize: Any = dask.base.optimize
            arrays = optimize(*(v.data for v in self._lazy.values()))
            self._arrays = dict(zip(self._lazy, arrays, strict=True))
            self._graph = {}
            for array in arrays:
                self._graph.update(array.__dask_graph__())

    def put(self, low: int, high: int, rows: Rows, place: int) -> None:
        """Compute the paths low ... high-1, and put them into rows from a place on."""
        if self._graph is None:
            part = self._whole.isel({PATH: slice(low, high)}).compute()
            _put(path_variables(part), rows, slice(place, place + high - low))
            return
        wanted = {name: list(self._blocks(name, low, high, place)) for name in self._lazy}
        keys = [block[0] for blocks in wanted.values() for block in blocks]
        graph, _ = cull(self._graph, keys)
        found = iter(compute_as_if_collection(Delayed, graph, keys))
        for name, blocks in wanted.items():
            for _, axis, inside, target in blocks:
                values = np.asarray(next(found))[inside]
                rows[name][target] = np.moveaxis(values, axis, 0)
        others = {n: v for n, v in self._variables.items() if n not in self._lazy}
        known = {n: v.isel({PATH: slice(low, high)}) for n, v in others.items()}
        _put(known, rows, slice(place, place + high - low))

    def _blocks(self, name: str, low: int, high: int, place: int) -> Iterator[Block]:
        """Yield the blocks of a variable that have some of the paths."""
        array = self._arrays[name]
        axis = self._variables[name].dims.index(PATH)
        ends = [np.cumsum([0, *sizes]).tolist() for sizes in array.chunks]
        first = int(np.searchsorted(ends[axis], low, "right")) - 1
        last = int(np.searchsorted(ends[axis], high, "left"))
        numbers = [range(len(sizes)) for sizes in array.chunks]
        numbers[axis] = range(first, last)
        for index in itertools.product(*numbers):
            spans = [slice(ends[d][i], ends[d][i + 1]) for d, i in enumerate(index)]
            begun, ended = max(low, spans[axis].start), min(high, spans[axis].stop)
            inside = [slice(None)] * len(index)
            inside[axis] = slice(begun - spans[axis].start, ended - spans[axis].start)
            del spans[axis]
            own = slice(place + begun - low, place + ended - low)
            yield (array.name, *index), axis, tuple(inside), (own, *spans)


def _put(variables: Mapping[str, xr.Variable], rows: Rows, place: slice) -> None:
    for name, variable in variables.items():
        rows[name][place] = np.moveaxis(variable.values, variable.dims.index(PATH), 0)
