"""``ds.mz``: the functions of montezarr as methods. It only forwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

import xarray as xr

from montezarr import plot as plots
from montezarr.batches import batches
from montezarr.lazy import Plan
from montezarr.plan import plan
from montezarr.reduce import reduce
from montezarr.replay import replay
from montezarr.store import write
from montezarr.stream import Stream, stream


@final
class PlotMethods:
    """Pictures of a Dataset or DataArray; see `montezarr.plot`."""

    def __init__(self, data: Any):
        self._data = data

    def fan(self, **options: Any) -> Any:
        """Draw a fan chart; see `montezarr.plot.fan`."""
        return plots.fan(self._data, **options)

    def paths(self, **options: Any) -> Any:
        """Draw single paths with their mean and a band; see `montezarr.plot.paths`."""
        return plots.paths(self._data, **options)

    def histogram(self, **options: Any) -> Any:
        """Draw how one value per path is distributed; see `montezarr.plot.histogram`."""
        return plots.histogram(self._data, **options)

    def convergence(
        self,
        statistics: Any = "mean",
        name: str | None = None,
        *,
        until: Any = None,
        **options: Any,
    ) -> Any:
        """Stream statistics and draw how one goes; see `montezarr.plot.convergence`.

        Parameters
        ----------
        statistics : Statistic, str, or sequence of them
            As for `montezarr.stream`.
        name : str, optional
            The result to draw, needed where there are several.
        until : Until, optional
            As for `montezarr.stream`.
        **options
            As for `montezarr.plot.convergence`.
        """
        return plots.convergence(stream(self._data, statistics, until=until), name, **options)


@final
@xr.register_dataset_accessor("mz")
class DatasetAccessor:
    """``ds.mz``; see the functions of the same names."""

    def __init__(self, ds: xr.Dataset):
        self._ds = ds

    def plan(self, statistics: Any = None, **options: Any) -> Plan:
        """Return what computing all paths will cost; see `montezarr.plan`."""
        return plan(self._ds, statistics, **options)

    def replay(self, path: int, **options: Any) -> xr.Dataset:
        """Draw one path again; see `montezarr.replay`."""
        return replay(self._ds, path, **options)

    def write(self, path: Any, **options: Any) -> xr.Dataset:
        """Write all paths to a store; see `montezarr.write`."""
        return write(self._ds, path, **options)

    def batches(self, size: int) -> Iterator[xr.Dataset]:
        """Yield the paths in memory, a part at a time, in order; see `montezarr.batches`."""
        return batches(self._ds, size)

    def reduce(self, statistics: Any, **options: Any) -> xr.Dataset:
        """Return statistics over all paths, in one pass; see `montezarr.reduce`."""
        return reduce(self._ds, statistics, **options)

    def stream(self, statistics: Any, **options: Any) -> Stream:
        """Return snapshots of statistics until a rule is met; see `montezarr.stream`."""
        return stream(self._ds, statistics, **options)

    @property
    def plot(self) -> PlotMethods:
        """Pictures."""
        return PlotMethods(self._ds)


@final
@xr.register_dataarray_accessor("mz")
class DataArrayAccessor:
    """``ds.x.mz``: statistics and pictures of one variable."""

    def __init__(self, array: xr.DataArray):
        self._array = array

    def plan(self, statistics: Any = None, **options: Any) -> Plan:
        """Return what computing all paths will cost; see `montezarr.plan`."""
        return plan(self._array, statistics, **options)

    def reduce(self, statistics: Any, **options: Any) -> xr.Dataset:
        """Return statistics over all paths, in one pass; see `montezarr.reduce`."""
        return reduce(self._array, statistics, **options)

    def stream(self, statistics: Any, **options: Any) -> Stream:
        """Return snapshots of statistics until a rule is met; see `montezarr.stream`."""
        return stream(self._array, statistics, **options)

    @property
    def plot(self) -> PlotMethods:
        """Pictures."""
        return PlotMethods(self._array)
