"""Initial states that differ from path to path, in memory or lazy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from montezarr.core.checks import check_unmasked, is_frame, plain_array, type_error, value_error
from montezarr.processes import Process
from montezarr.random.seeding import BLOCK
from montezarr.run._entries import data_of, field_dtype, initial_states_of, join_fields, one_of_all
from montezarr.run.digests import digest_of
from montezarr.samplers.interfaces import Interface
from montezarr.samplers.schema import PATH


def plain_scalars(x0: Any) -> Any:
    """Return an initial state with 0-dimensional arrays, also lazy ones, as plain scalars."""
    if isinstance(x0, Mapping):
        return {name: plain_scalars(part) for name, part in x0.items()}
    if isinstance(x0, tuple):
        return tuple(plain_scalars(part) for part in x0)
    return plain_array("x0", x0)[()] if getattr(x0, "ndim", None) == 0 else x0


@dataclass(frozen=True, slots=True)
class PathStates:
    """Initial states that differ from path to path; all fields are None if they do not.

    Attributes
    ----------
    array : dask array or None
        (n_paths,), or (variables, n_paths) for a process of several variables. For a mapping, and
        a sampler that declares no variables, it has a field per name.
    parts : array, or mapping of arrays by name, or None
        The states as they were given.
    digested : object
        The states of which the recipe has a digest; lazy ones by their names in the graph.
    """

    array: Any = None
    parts: Any = None
    digested: Any = None

    @property
    def is_lazy(self) -> bool:
        """Whether some are not in memory."""
        parts = self.parts.values() if isinstance(self.parts, Mapping) else [self.parts]
        return any(isinstance(part, da.Array) for part in parts)

    @property
    def given(self) -> Any:
        """The states as they were given, if all are in memory; else None."""
        return None if self.is_lazy else self.parts

    @property
    def digest(self) -> str | None:
        """Digest of all states; None if they do not differ."""
        return None if self.array is None else digest_of(self.digested, "x0")

    def first(self) -> Any:
        """Return the states of the first block of paths; None if they do not differ."""
        return first_block(self.array, is_lazy=self.is_lazy)


def first_block(inputs: Any, *, is_lazy: bool) -> Any:
    """Return what came as arrays for the first block of paths, in memory."""
    if inputs is None:
        return None
    # Data in memory are not worth a round trip to a cluster.
    return inputs[..., :BLOCK].compute(**({} if is_lazy else {"scheduler": "synchronous"}))


def per_path(process: Any, interface: Interface, x0: Any, n_paths: int | None) -> PathStates:
    """Return the initial states by path, if they differ.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If there is not one entry per path, or an entry is masked, or neither number nor label.
    """
    names: Sequence[str] = ("x",)
    offered = getattr(process, "variables", None)
    if isinstance(process, Process):
        names = process.state_names
    elif (isinstance(x0, Mapping) or is_frame(x0)) and isinstance(offered, (list, tuple)):
        names = offered  # an array has one entry per path, with any variables
    if is_frame(x0):
        x0 = _by_column(x0, names)
    if len(names) > 1:
        parts = _parts(names, x0, n_paths)
        if parts is None:
            return PathStates()
        columns = [initial_states_of(part, n_paths) for part in parts]
        array = da.stack([da.broadcast_to(c, (n_paths,)) for c in columns]).rechunk({0: -1})
    elif isinstance(x0, Mapping) and not isinstance(process, Process):
        if not interface.takes_ranges:
            return _records(x0, n_paths)
        if set(x0) != {"x"}:
            return PathStates()
        return per_path(process, interface, x0["x"], n_paths)
    else:
        parts = [data_of(x0)]
        if not getattr(parts[0], "ndim", 0):
            return PathStates()
        array = initial_states_of(parts[0], n_paths)
    digested = [part.name if isinstance(part, da.Array) else part for part in parts]
    given: Any = dict(zip(names, parts, strict=True)) if len(names) > 1 else parts[0]
    return PathStates(array, given, digested)


def _by_column(frame: Any, names: Sequence[str]) -> Any:
    """Return the columns of a table by name, or its only column."""
    if len(names) > 1:
        if sorted(map(str, frame.columns)) != sorted(names):
            expected = f"a table with the columns {', '.join(names)}"
            raise value_error("x0", expected, list(frame.columns))
        return {str(name): frame.iloc[:, i] for i, name in enumerate(frame.columns)}
    if len(frame.columns) != 1:
        raise value_error(
            "x0", "a table of one column", f"{len(frame.columns)} columns",
            "x0=dict(table) gives each path its entry of every column.",
        )  # fmt: skip
    return frame.iloc[:, 0]


def _parts(names: Sequence[str], x0: Any, n_paths: int | None) -> list[Any] | None:
    """Return the initial states of each variable; None if they are common to all paths.

    Raises
    ------
    ArgumentValueError
        For lists or arrays without one entry per path: if every block got the same ones, a path
        would depend on the size of its block.
    """
    if isinstance(x0, xr.DataArray):
        x0 = (x0.transpose(..., PATH) if PATH in x0.dims else x0).data
    if isinstance(x0, Mapping):
        x0 = [x0[name] for name in names] if set(x0) == set(names) else None
    elif hasattr(x0, "ndim"):
        check_unmasked("x0", x0)
        if len(x0.shape) == 2 and x0.shape[0] != len(names):
            paths = "n_paths" if n_paths is None else n_paths
            expected = f"shape ({len(names)}, {paths}), the variables {', '.join(names)} first"
            raise value_error("x0", expected, x0.shape)
        x0 = [x0[i] for i in range(len(x0))]
    if not isinstance(x0, (list, tuple)) or len(x0) != len(names):
        return None
    parts = [data_of(part) for part in x0]
    shapes = {part.shape for part in parts if getattr(part, "ndim", 0)}
    if not shapes or (shapes == {(1,)} and n_paths != 1):  # one common value each, in a list
        return None
    return parts


def _records(x0: Mapping[Any, Any], n_paths: int | None) -> PathStates:
    """Return the initial states of a mapping with arrays: a field of its own dtype per name.

    A list is one common value of all paths.
    """
    parts = {name: data_of(part) if hasattr(part, "ndim") else part for name, part in x0.items()}
    if not any(getattr(part, "ndim", 0) for part in parts.values()):
        return PathStates()
    if not all(isinstance(name, str) and name for name in parts):
        raise type_error("x0", "names as the keys of a mapping with arrays", list(parts))
    hint = "An array in a mapping has an entry for each path; a list or tuple is one value of all."
    fields: dict[str, Any] = {}
    for name, part in parts.items():
        is_array = bool(getattr(part, "ndim", 0))
        fields[name] = (
            initial_states_of(part, n_paths, f"x0[{name!r}]", hint)
            if is_array
            else one_of_all(part)
        )
    dtype = [(name, field_dtype(field.dtype)) for name, field in fields.items()]
    columns = {name: field for name, field in fields.items() if field.ndim}
    common = {name: field for name, field in fields.items() if not field.ndim}
    is_lazy = {name: isinstance(parts[name], da.Array) for name in columns}
    first = max(columns, key=lambda name: is_lazy[name])
    array = da.map_blocks(
        join_fields, *(c.rechunk(columns[first].chunks) for c in columns.values()),
        names=tuple(columns), common=common, fields=dtype,
        dtype=np.dtype(dtype), meta=np.empty(0, dtype),
    )  # fmt: skip
    if not any(is_lazy.values()):  # nothing to compute again
        array = da.from_array(array.compute(scheduler="synchronous"), chunks=-1)
    digested = {
        name: part.name if isinstance(part, da.Array) else part for name, part in parts.items()
    }
    return PathStates(array, parts, digested)
