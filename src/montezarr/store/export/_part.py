"""Select the part of a store that is exported."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr

from montezarr.core.checks import check_int, value_error
from montezarr.core.errors import MontezarrWarning, ReplayError, StoreError
from montezarr.core.parameters import references, with_parameters
from montezarr.run._attributes import ATTRIBUTE, recipe_in
from montezarr.samplers.schema import PATH
from montezarr.store._info import Info

FIRST_PATH = "montezarr_first_path"
MASKED = "masked_value"
"""Attribute and encoding entry of an integer variable with possibly masked paths.

Other programs do not know it: exported files use their convention for missing values.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """Selected paths of a store.

    Attributes
    ----------
    ds : Dataset
        The selected paths, lazily.
    start : int
        Index of the first path in the run.
    left_out : int
        Number of requested paths that are not committed yet.
    chunk : int
        Number of paths that are read at once.
    offset : int
        Number of paths between the beginning of a chunk and the first path.
    """

    ds: xr.Dataset
    start: int
    left_out: int
    chunk: int
    offset: int

    @property
    def n_paths(self) -> int:
        """Number of paths."""
        return int(self.ds.sizes[PATH])

    def pieces(self) -> Iterator[tuple[int, xr.Dataset]]:
        """Yield the paths in memory with the index of the first one, reading each chunk once."""
        low = 0
        while low < self.n_paths:
            high = min(low + self.chunk - (self.offset + low) % self.chunk, self.n_paths)
            yield self.start + low, self.ds.isel({PATH: slice(low, high)}).compute()
            low = high


def export_range(
    ds: xr.Dataset,
    info: Info,
    start: int | None,
    stop: int | None,
    every: int,
    variables: Sequence[str] | None,
) -> Selected:
    """Return the selected part of a store.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If there is no such part.
    """
    step = check_int("every", every, minimum=1)
    if not ds.data_vars:
        raise value_error("path", "a store with paths", "statistics alone")
    if variables is not None:
        for name in variables:
            if name not in ds.data_vars:
                raise value_error("variable", f"names among {list(map(str, ds.data_vars))}", name)
        ds = ds[[name for name in ds.data_vars if name in variables]]
    first, n_paths = info.first_path, ds.sizes[PATH]
    low, high, left_out = _range(start, stop, first, n_paths, info.target)
    part = ds.isel({PATH: slice(low - first, high - first)})
    if "time" in part.dims:
        part = part.isel(time=slice(None, None, step))
    elif step > 1:
        raise value_error("every", "1, since there are no times", step)
    attrs = {k: v for k, v in ds.attrs.items() if k != FIRST_PATH}
    if isinstance(attrs.get(ATTRIBUTE), str) and references(recipe := recipe_in(ds)):
        attrs[ATTRIBUTE] = _alone(recipe)
    part.attrs = attrs | ({FIRST_PATH: low} if low else {})
    chunk = info.chunk or ds.chunksizes.get(PATH, (n_paths,))[0]
    return Selected(
        ds=part, start=low, left_out=left_out, chunk=chunk, offset=(low - first) % chunk
    )


def _alone(recipe: Mapping[str, Any]) -> str:
    """Return a recipe as text with its large parameters inside, since the file stands alone."""
    try:
        recipe = with_parameters(recipe)
    except (ReplayError, StoreError) as error:  # paths can be exported without them
        warnings.warn(
            f"{error} The recipe is exported with a reference in its place: to replay a path of"
            " the file, pass process=.",
            MontezarrWarning,
            stacklevel=4,
        )
    return json.dumps(recipe)


def _range(
    start: int | None, stop: int | None, first: int, n_paths: int, target: int
) -> tuple[int, int, int]:
    """Return first path, end, and the number of requested paths that are not committed yet."""
    low = first if start is None else check_int("paths", start)
    high = first + target if stop is None else check_int("paths", stop)
    if not first <= low < high <= first + target:
        raise value_error("paths", f"a range inside of {first}:{first + target}", f"{low}:{high}")
    end = first + n_paths
    if low >= end:
        raise value_error("paths", f"paths that can be read, {first}:{end}", f"{low}:{high}")
    return low, min(high, end), max(0, high - end)


def masked_values(ds: xr.Dataset) -> dict[str, int]:
    """Return, by integer variable of a store, the number that stands for masked paths."""
    return {
        str(name): int(variable.encoding[MASKED])
        for name, variable in ds.data_vars.items()
        if MASKED in variable.encoding and variable.dtype.kind in "iu"
    }


def recipe_text_of(ds: xr.Dataset) -> str:
    """Return the recipe in the attributes of a Dataset, as text."""
    return str(ds.attrs.get(ATTRIBUTE, ""))
