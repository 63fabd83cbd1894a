"""`Trace`: estimates of a stream against the number of paths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.checks import type_error, value_error
from montezarr.execute.run_monitor import intervals_of
from montezarr.plot._data import selection
from montezarr.reduction.sources import TIME
from montezarr.reduction.streaming import Snapshot

FIELDS = ("estimate", "se", "cs_low", "cs_high", "low", "high")


@final
class Trace:
    """Path counts, estimates, standard errors, intervals and sequences of a stream's snapshots.

    It keeps seven numbers of each snapshot and result, and not the snapshots. Results are single
    numbers with a standard error; those with a time, or another dimension, are left out.

    Parameters
    ----------
    dims : sequence of str, optional
        Keep the results with these dimensions, such as those of scenarios, in place of single
        numbers: six numbers of each of their entries.

    Attributes
    ----------
    dims : tuple of str
        The dimensions of the results.
    names : tuple of str
        The results of the first snapshot, such as ``payoff_mean``.
    paths : array (n,)
        Path count of each snapshot, int64.
    units : dict of str to str
        Units of the results that have any.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=4096, T=4, seed=1)
    >>> trace = mz.plot.Trace()
    >>> for snapshot in mz.stream(ds.x.isel(time=-1), "mean"):
    ...     trace.add(snapshot)
    >>> trace.names, len(trace), trace.paths[-1].item()
    (('x_mean',), 4, 4096)
    >>> bool(trace.cs_low("x_mean")[-1] < trace.estimate("x_mean")[-1])
    True
    """

    def __init__(self, dims: Sequence[str] = ()) -> None:
        if isinstance(dims, str) or not all(isinstance(dim, str) for dim in dims):
            raise type_error("dims", "names of dimensions", dims)
        self.dims = tuple(dims)
        self.names: tuple[str, ...] = ()
        self.units: dict[str, str] = {}
        self._paths: list[int] = []
        self._values: dict[str, list[NDArray[np.float64]]] = {}
        self._first: dict[str, xr.DataArray] = {}
        self._others: dict[str, tuple[str, ...]] = {}

    def add(self, snapshot: Snapshot) -> None:
        """Add the numbers of a snapshot.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If it is no snapshot, has no more paths than the one before, or has other results.
        """
        if not isinstance(snapshot, Snapshot):
            raise type_error("snapshot", "a Snapshot of montezarr.stream", snapshot)
        if self._paths and snapshot.paths <= self._paths[-1]:
            raise value_error("snapshot", f"more than {self._paths[-1]} paths", snapshot.paths)
        ds = snapshot.dataset
        with_error = [str(name) for name in ds.data_vars if f"{name}_se" in ds]
        if not self._paths:
            wanted = set(self.dims)
            self.names = tuple(name for name in with_error if set(ds[name].dims) == wanted)
            self._first = {name: ds[name] for name in self.names}
            units = {name: ds[name].attrs.get("units") for name in self.names}
            self.units = {name: str(unit) for name, unit in units.items() if unit is not None}
            self._values = {name: [] for name in self.names}
            self._others = {
                name: tuple(map(str, ds[name].dims))
                for name in with_error
                if name not in self.names
            }
        missing = [name for name in self.names if name not in with_error]
        if missing:
            raise value_error("snapshot", f"the results {self.names}", tuple(with_error))
        for name in self.names:
            keys = (name, f"{name}_se", f"{name}_cs_low", f"{name}_cs_high")
            found = intervals_of(ds, name)
            assert found is not None  # names hold only results with a standard error
            given = ds[name]
            missing_one = np.full(given.shape, np.nan)
            row = [ds[key].values if key in ds else missing_one for key in keys]
            self._values[name].append(self._in_order(given, [*row, found.low, found.high]))
        self._paths.append(snapshot.paths)

    def _in_order(self, given: xr.DataArray, row: list[Any]) -> NDArray[np.float64]:
        """Return the numbers of a snapshot (fields, ...), with the dimensions in order."""
        stacked = xr.DataArray(np.stack(row), dims=("field", *given.dims))
        return np.asarray(stacked.transpose("field", *self.dims).values, np.float64)

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def paths(self) -> NDArray[np.int64]:
        """Path count of each snapshot."""
        return np.array(self._paths, np.int64)

    def estimate(self, name: str) -> NDArray[np.float64]:
        """Return the estimates of a result, (n, ...)."""
        return self._field(name, "estimate")

    def se(self, name: str) -> NDArray[np.float64]:
        """Return the standard errors of a result, (n, ...)."""
        return self._field(name, "se")

    def low(self, name: str) -> NDArray[np.float64]:
        """Return the low ends of the 95 % interval at each number of paths alone, (n, ...)."""
        return self._field(name, "low")

    def high(self, name: str) -> NDArray[np.float64]:
        """Return the high ends of the 95 % interval at each number of paths alone, (n, ...)."""
        return self._field(name, "high")

    def cs_low(self, name: str) -> NDArray[np.float64]:
        """Return the low ends of the 95 % confidence sequence, (n, ...); NaN where none is."""
        return self._field(name, "cs_low")

    def cs_high(self, name: str) -> NDArray[np.float64]:
        """Return the high ends of the 95 % confidence sequence, (n, ...); NaN where none is."""
        return self._field(name, "cs_high")

    def choose(self, name: Any = None) -> str:
        """Check the name of a result; by default the only one.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If there is no such result, it is not one number, or there are several to choose from.
        """
        known = ", ".join(self.names)
        if self.dims and (name in self._others or not known):
            raise value_error(
                "stream", f"a result with the dims {', '.join(self.dims)} and a standard error",
                self._others or "none",
            )  # fmt: skip
        if not known and (name is None or name in self._others):
            raise value_error(
                "stream", "a result that is one number with a standard error",
                tuple(self._others) or "none",
                f"Stream one number per path, such as ds.x{self._selection(name)}, and its mean.",
            )  # fmt: skip
        known = known or "none of which there is"
        if name is None:
            if len(self.names) != 1:
                raise value_error("name", f"one of the results {known}", None)
            return self.names[0]
        if not isinstance(name, str):
            raise type_error("name", f"one of the results {known}", name)
        if name in self._others:
            raise value_error(
                "name", f"a result that is one number ({known})", name,
                f"Stream one number per path, such as ds.x{self._selection(name)}.",
            )  # fmt: skip
        if name not in self.names:
            raise value_error("name", f"one of the results {known}", name)
        return name

    def _selection(self, name: str | None) -> str:
        """Return the call that selects one number of a result, or of the first one."""
        dims = self._others.get(name or next(iter(self._others), ""), (TIME,))
        return selection({dim: -1 if dim == TIME else 0 for dim in dims})

    def _field(self, name: str, field: str) -> NDArray[np.float64]:
        rows = self._values[self.choose(name)]
        return np.array([row[FIELDS.index(field)] for row in rows], np.float64)

    def entries(self, name: str) -> xr.DataArray:
        """Return the result in the first snapshot, with the coordinates of its dimensions."""
        return self._first[self.choose(name)]
