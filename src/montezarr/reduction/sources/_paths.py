"""The index in the run of each path of an object, where it is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.tunables.scheduling import PATHS_DRAWN_AGAIN
from montezarr.reduction.sources._places import indices_of
from montezarr.run._attributes import ATTRIBUTE
from montezarr.run._origins import origins_behind
from montezarr.run._replay import replay_run
from montezarr.run._run import Run
from montezarr.samplers.schema import PATH, TIME

INDEX = "index of the path"
COORDINATE = "index of the path, as its coordinate has it"
UNKNOWN = "index of the path, not known: -1"


@dataclass(frozen=True)
class PathIndices:
    """The index in the run of the path at each position.

    Attributes
    ----------
    parts : tuple of range or array, or None
        The indices of consecutive positions; None where they are not known.
    told : str
        Description of the numbers.
    """

    parts: tuple[range | NDArray[np.int64], ...] | None
    told: str = INDEX

    def of(self, positions: Any) -> NDArray[np.int64]:
        """Return the indices of paths at these positions; -1 for -1, and where not known."""
        wanted = np.asarray(positions, np.int64)
        out = np.full(wanted.shape, -1, np.int64)
        low = 0
        for part in self.parts or ():
            inside = (wanted >= low) & (wanted < low + len(part))
            if inside.any():
                at = wanted[inside] - low
                is_range = isinstance(part, range)
                out[inside] = part.start + part.step * at if is_range else part[at]  # type: ignore[union-attr]
            low += len(part)
        return out


def path_indices(ds: xr.Dataset, name: str) -> PathIndices:
    """Return the indices of the paths of a variable.

    Lazy paths of a run or a store are followed through the selections in the graph. Otherwise the
    indices are an integer coordinate ``path``; or follow from the recipe of a Dataset in memory, of
    which some paths are drawn again as a check. Without a run they are positions.
    """
    variable = ds[name].variable
    n_paths = ds.sizes[PATH]
    origins = origins_behind([variable.data])
    if origins:
        try:
            lazily = indices_of(variable.data, variable.dims.index(PATH), origins)
            return PathIndices(_compact(lazily))
        except Exception:  # graphs may differ in another version of Dask
            own = _own_indices(ds)
            return PathIndices(None, UNKNOWN) if own is None else own
    own, start = _own_indices(ds), _start(ds)
    whole = PathIndices((range(start, start + n_paths),))
    if ATTRIBUTE not in ds.attrs:
        return own or PathIndices((range(n_paths),))
    try:
        run = Run.behind(ds)
        found = [i for i in (own, whole) if i is not None and _agrees(ds, run, i)]
    except Exception:  # the sampler is not at hand or fails, or the variables differ
        return own or PathIndices((range(n_paths),))
    return PathIndices(found[0].parts) if found else PathIndices(None, UNKNOWN)


def _compact(parts: Iterable[NDArray[np.int64]]) -> tuple[range | NDArray[np.int64], ...]:
    """Return indices with equal steps as ranges, joined where they continue."""
    out: list[range | NDArray[np.int64]] = []
    for part in parts:
        first, step = int(part[0]), int(part[1] - part[0]) if len(part) > 1 else 1
        new: range | NDArray[np.int64] = part
        if step and (np.diff(part) == step).all():
            new = range(first, first + step * len(part), step)
            last = out[-1] if out else None
            if isinstance(last, range) and last.step == step and last.stop == first:
                out[-1] = range(last.start, new.stop, step)
                continue
        out.append(new)
    return tuple(out)


def _own_indices(ds: xr.Dataset) -> PathIndices | None:
    """Return the indices in an integer coordinate of the paths."""
    if PATH not in ds.coords:  # xarray would create one
        return None
    coordinate = ds.coords[PATH]
    if coordinate.dims != (PATH,) or coordinate.dtype.kind not in "iu":
        return None
    return PathIndices(_compact([coordinate.values.astype(np.int64)]), COORDINATE)


def _start(ds: xr.Dataset) -> int:
    """Return the index of the first path by the attributes."""
    store = ds.attrs.get("montezarr_store")
    stored = store.get("first_path", 0) if isinstance(store, Mapping) else 0
    known = (ds.attrs.get("montezarr_first_path", stored), ds.attrs.get("path_offset", 0))
    return sum(int(n) for n in known if isinstance(n, (int, np.integer)))


def _agrees(ds: xr.Dataset, run: Run, indices: PathIndices) -> bool:
    """Return whether some paths equal those of the run at these indices; raise if they cannot."""
    names = [v.name for v in run.sampler.variables if v.name in ds.data_vars]
    names = [name for name in names if set(ds[name].dims) <= {PATH, TIME}]
    if not names:
        raise LookupError
    n_paths = ds.sizes[PATH]
    some = np.random.default_rng(0).integers(n_paths, size=PATHS_DRAWN_AGAIN - 2)
    for position in sorted({0, n_paths - 1, *some.tolist()}):
        index = int(indices.of(position))
        if index < 0:
            return False
        again = replay_run(run, index, run.sampler)
        row = ds[names].isel({PATH: position})
        if TIME in row.coords:
            again = again.sel({TIME: row[TIME]})
        for name in names:
            a, b = row[name].values, again[name].values.astype(row[name].dtype)
            if a.shape != b.shape:
                raise LookupError
            if not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
                return False
    return True
