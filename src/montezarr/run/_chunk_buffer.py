"""The chunk buffer: drawn chunks of a run in memory, in place of the tasks that draw them."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.run._arrays import register_task
from montezarr.run._run import Run
from montezarr.samplers import PathArrays
from montezarr.samplers.schema import count_of


class ChunkBuffer:
    """The chunks of a run, filled in any order.

    Their memory layout is that of the chunks of a lazy Dataset.
    """

    def __init__(self, run: Run):
        self.run = run
        sizes = (run.range_of(chunk) for chunk in range(run.n_chunks))
        self.chunks = [run.sampler.new_arrays(stop - start) for start, stop in sizes]

    def put(self, start: int, arrays: PathArrays) -> None:
        """Store the paths from `start` on."""
        done, count = 0, count_of(arrays)
        while done < count:
            chunk, offset = divmod(start + done, self.run.chunk)
            target = self.chunks[chunk]
            size = min(count - done, count_of(target) - offset)
            for name, array in arrays.items():
                target[name][..., offset : offset + size] = array[..., done : done + size]
            done += size

    def path(self, index: int) -> dict[str, NDArray[Any]]:
        """Return the variables of one path by name."""
        chunk, offset = divmod(index, self.run.chunk)
        return {name: array[..., offset].copy() for name, array in self.chunks[chunk].items()}

    def dataset(self, ds: xr.Dataset) -> xr.Dataset:
        """Return the run's lazy Dataset `ds` with its arrays in memory, under the same names."""
        task = register_task(self.run)
        variables = {}
        for variable in self.run.sampler.variables:
            source = ds[variable.name]
            lead, ndim = variable.lead, 1 + len(variable.dims)
            graph = _Graph()
            for chunk, arrays in enumerate(self.chunks):
                place = [chunk if axis == lead else 0 for axis in range(ndim)]
                graph[source.data.name, *place] = np.moveaxis(arrays[variable.name], -1, lead)
            graph.task = task
            # Built directly: `da.from_array` would copy data that fill memory already.
            data = da.Array(
                graph,
                name=source.data.name,
                chunks=source.data.chunks,
                meta=np.empty((0,) * ndim, variable.dtype),
            )
            variables[variable.name] = (source.dims, data, source.attrs, source.encoding)
        return xr.Dataset(variables, ds.coords, ds.attrs)


class _Graph(dict[Any, Any]):
    """A graph of arrays that keeps the run alive for `replay` and `write`."""

    task: Any = None
