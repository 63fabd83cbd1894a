"""What a path is made of: its variables, and arrays of them for a range of paths."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

PATH, TIME = "path", "time"

PathArrays = dict[str, NDArray[Any]]
"""The values of a range of paths by variable, each (its dims ..., paths), the paths contiguous."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a path: of one number, of one for each time, or of more of them.

    Attributes
    ----------
    name : str
        Its name in the Dataset.
    dtype : str
        Of its values.
    labels : tuple of str or int, or None
        What its values, codes from 0 on, stand for.
    dims : tuple of str
        Its dimensions beside that of the paths.
    sizes : tuple of int
        Sizes of those dimensions that are not the time.
    attrs : dict
        Attributes that the sampler gave it, such as units; no value depends on them.
    """

    name: str
    dtype: str
    labels: tuple[str | int, ...] | None = None
    dims: tuple[str, ...] = (TIME,)
    sizes: tuple[int, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def masked(self) -> float | int:
        """What stands in the place of a masked path: NaN, or a number that is no state."""
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
        """Which of its axes is the time; None where it has one value for all times."""
        return self.dims.index(TIME) if TIME in self.dims else None

    def shape(self, n_times: int) -> tuple[int, ...]:
        """Return the shape of a path of so many times."""
        sizes = iter(self.sizes)
        return tuple(n_times if dim == TIME else next(sizes) for dim in self.dims)

    def bytes(self, n_times: int) -> int:
        """Return the bytes of a path of so many times."""
        return math.prod(self.shape(n_times)) * np.dtype(self.dtype).itemsize

    def at_times(self, array: NDArray[Any], positions: Sequence[int]) -> NDArray[Any]:
        """Return an array (dims ..., paths) at some times; all of it where it has none."""
        axis = self.time_axis
        return array if axis is None else array[(slice(None),) * axis + (list(positions),)]

    def to_dict(self) -> dict[str, Any]:
        """Return it as recipes have it: what is as it was in earlier versions is left out."""
        out: dict[str, Any] = {"name": self.name, "dtype": self.dtype}
        if self.labels is not None:
            out["labels"] = list(self.labels)
        if self.dims != (TIME,):
            out["dims"] = list(self.dims)
            out["sizes"] = list(self.sizes)
        return out


def first_paths_of(arrays: Mapping[str, NDArray[Any]], n: int) -> PathArrays:
    """Return the first paths of arrays, contiguous, as if no others had been drawn."""
    return {name: np.ascontiguousarray(array[..., :n]) for name, array in arrays.items()}


def count_of(arrays: Mapping[str, NDArray[Any]]) -> int:
    """Return the number of paths in arrays."""
    return int(next(iter(arrays.values())).shape[-1])


def same_paths(a: PathArrays, b: PathArrays) -> NDArray[np.bool_]:
    """Return for each path whether all its values are the same in both; NaN is NaN."""
    same: Any = True
    for name, one in a.items():
        two = b[name]
        equal = (one == two) | ((one != one) & (two != two))
        same = same & equal.all(axis=tuple(range(one.ndim - 1)))
    return np.asarray(same)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the caller says of the variables, before the first path shows them.

    Attributes
    ----------
    dtype : str, dict of str to str, or None
        Of all variables, or by name.
    labels : tuple of str or int, or None
        All labels of states.
    dims : dict of str to tuple of str
        Dimensions by variable, beside that of the paths.
    coords : dict of str to tuple
        Labels by dimension.
    names : tuple of str
        Names of the variables, where a recipe has recorded them.
    per_path : bool
        Whether paths have initial states of their own.
    first_x0 : array or None
        Those of the first block; None where they are lazy and nothing needs them.
    free_length : bool
        Whether the first path tells how many times there are.
    free_times : bool
        Whether it may tell which times these are.
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
