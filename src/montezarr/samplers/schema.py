"""The schema of a path: its variables, and path arrays for a range of paths."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

PATH, TIME = "path", "time"

EVENT = "event"
"""A dimension of this name differs in length from path to path; further ones are told."""

EVENT_TIME = "event_time"
"""Variable with the times of paths that have times of their own, such as those of a queue."""

PathArrays = dict[str, NDArray[Any]]
"""Values of a range of paths by variable, each (dims ..., paths), with the paths contiguous."""


class FinitePaths(PathArrays):
    """Path arrays whose values were seen to be finite when they were written."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a path: a scalar, a value per time, or an array with further dimensions.

    Attributes
    ----------
    name : str
        Its name in the Dataset.
    dtype : str
        Dtype of its values.
    labels : tuple of str or int, or None
        Labels of its values, if these are codes from 0 on.
    dims : tuple of str
        Its dimensions besides `path`.
    sizes : tuple of int
        Sizes of those dimensions that are not the time.
    attrs : dict
        Attributes from the sampler, such as units; no value depends on them.
    lead : int
        Number of the first `dims` that come before the paths in a Dataset: those of scenarios.
    event_dim : str or None
        The first of its own dimensions, if its length differs from path to path: then `sizes` has
        the room for a path, and what a path does not fill is padding, `masked`. Of a variable that
        is `derived`, the dimension whose length it is.
    derived : bool
        Whether it is made of the events of a path, and not returned by the code that draws it.
    cuts : bool
        Whether longer paths are cut off, so that the room for events determines values.
    """

    name: str
    dtype: str
    labels: tuple[str | int, ...] | None = None
    dims: tuple[str, ...] = (TIME,)
    sizes: tuple[int, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=dict, compare=False)
    lead: int = 0
    event_dim: str | None = None
    derived: bool = False
    cuts: bool = False

    @property
    def has_events(self) -> bool:
        """Whether its length differs from path to path, so that it is padded."""
        return self.event_dim is not None and not self.derived

    @property
    def room(self) -> int:
        """Number of events that a path may have."""
        return self.sizes[self.lead]

    def with_room(self, rooms: Mapping[str, int]) -> Variable:
        """Return the variable with room for so many events, by dimension."""
        if not self.has_events or self.event_dim not in rooms:
            return self
        lead = self.lead
        sizes = (*self.sizes[:lead], rooms[str(self.event_dim)], *self.sizes[lead + 1 :])
        return replace(self, sizes=sizes)

    @property
    def dims_with_paths(self) -> tuple[str, ...]:
        """All dimensions in a Dataset: those of scenarios, the paths, the others."""
        return (*self.dims[: self.lead], PATH, *self.dims[self.lead :])

    @property
    def scenarios(self) -> int:
        """Number of scenarios; 1 without dimensions of scenarios."""
        return math.prod(self.sizes[: self.lead])

    @property
    def masked(self) -> float | int:
        """Value of masked paths: NaN, or a reserved number for integers and codes."""
        kind = np.dtype(self.dtype)
        if kind.kind == "f":
            return math.nan
        if kind.kind == "u":
            return int(np.iinfo(kind).max)
        return -1 if self.labels is not None else int(np.iinfo(kind).min)

    @property
    def is_real(self) -> bool:
        """Whether its values are real numbers, which may be NaN or infinite."""
        return np.dtype(self.dtype).kind == "f"

    @property
    def time_axis(self) -> int | None:
        """Index of the axis of times; None if the variable does not depend on time."""
        return self.dims.index(TIME) if TIME in self.dims else None

    def shape(self, n_times: int) -> tuple[int, ...]:
        """Return the shape of one path with `n_times` times."""
        sizes = iter(self.sizes)
        return tuple(n_times if dim == TIME else next(sizes) for dim in self.dims)

    def bytes(self, n_times: int) -> int:
        """Return the bytes of one path with `n_times` times."""
        return math.prod(self.shape(n_times)) * np.dtype(self.dtype).itemsize

    def at_times(self, array: NDArray[Any], positions: Sequence[int]) -> NDArray[Any]:
        """Return an array (dims ..., paths) at some times; unchanged if it has no time axis."""
        axis = self.time_axis
        return array if axis is None else array[(slice(None),) * axis + (list(positions),)]

    def to_dict(self) -> dict[str, Any]:
        """Return the form in recipes, without entries that have the default of earlier versions."""
        out: dict[str, Any] = {"name": self.name, "dtype": self.dtype}
        if self.labels is not None:
            out["labels"] = list(self.labels)
        if self.dims != (TIME,):
            out["dims"] = list(self.dims)
            out["sizes"] = list(self.sizes)
        if self.lead:
            out["lead"] = self.lead
        if self.event_dim is not None:
            out["event_dim"] = self.event_dim
        if self.derived:
            out["derived"] = True
        if self.has_events and not self.cuts:  # room alone determines no value
            out["sizes"][self.lead] = None
        return out


def rooms_of(variables: Iterable[Variable]) -> dict[str, int]:
    """Return the number of events that a path may have, by dimension."""
    return {str(v.event_dim): v.room for v in variables if v.has_events}


def padding_in(
    variable: Variable, variables: Iterable[Variable], arrays: Mapping[str, NDArray[Any]]
) -> NDArray[np.bool_]:
    """Return where a variable with events is padding, as an array of its axes (events, ..., n)."""
    number = next(v.name for v in variables if v.derived and v.event_dim == variable.event_dim)
    array = arrays[variable.name]
    places = np.arange(variable.room).reshape(-1, *[1] * (array.ndim - 1))
    return np.asarray(places >= arrays[number])


def first_paths_of(arrays: Mapping[str, NDArray[Any]], n: int) -> PathArrays:
    """Return the first `n` paths of arrays, contiguous, as if only these had been drawn."""
    return {name: np.ascontiguousarray(array[..., :n]) for name, array in arrays.items()}


def count_of(arrays: Mapping[str, NDArray[Any]]) -> int:
    """Return the number of paths in arrays."""
    return int(next(iter(arrays.values())).shape[-1])


def same_paths(a: PathArrays, b: PathArrays) -> NDArray[np.bool_]:
    """Return for each path whether all its values are equal in both; NaN equals NaN."""
    same: Any = True
    for name, one in a.items():
        two = b[name]
        equal = (one == two) | ((one != one) & (two != two))
        same = same & equal.all(axis=tuple(range(one.ndim - 1)))
    return np.asarray(same)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The caller's arguments about the variables, before the first path declares them.

    Attributes
    ----------
    dtype : str, dict of str to str, or None
        Dtype of all variables, or by name.
    labels : tuple of str or int, or None
        All labels of states.
    dims : dict of str to tuple of str
        Dimensions by variable, besides `path`.
    coords : dict of str to tuple
        Labels by dimension.
    names : tuple of str
        Names of the variables, if a recipe has recorded them.
    per_path : bool
        Whether each path has an initial state of its own.
    first_x0 : array or None
        Initial states of the first block; None if they are lazy and not needed.
    free_length : bool
        Whether the first path determines the number of times.
    free_times : bool
        Whether the first path may determine the times.
    events : frozenset of str
        Names of dimensions that differ in length from path to path.
    max_events : dict of str to int or None
        By such dimension that the caller named, the room for its events; None if it is measured.
    cuts : bool
        Whether longer paths are cut off.
    took : list of float
        Gets the seconds that the first path took, each time, of a sampler of single paths: the
        first time is that of code that may import or compile, the second has checks beside it.
    """

    dtype: str | dict[str, str] | None = None
    labels: tuple[str | int, ...] | None = None
    dims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    coords: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    per_path: bool = False
    first_x0: Any = None
    free_length: bool = False
    free_times: bool = False
    events: frozenset[str] = frozenset({EVENT})
    max_events: Mapping[str, int | None] = field(default_factory=dict)
    cuts: bool = False

    def room(self, dim: str) -> int | None:
        """Return the room for events that the caller asked for; None if it is measured."""
        return self.max_events.get(dim)

    took: list[float] = field(default_factory=list, compare=False)
