"""Base of statistics of groups of consecutive paths, which may extend over two blocks.

The state of a range of blocks holds the sums of the groups that are whole in it, and its edges: the
values of the group that began before the range, and of the one that goes on behind it. Where two
ranges meet, the values at both edges make a whole group.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import value_error
from montezarr.random.designs._base import Grouping
from montezarr.statistics._base import Sample, Source, Statistic
from montezarr.statistics._per_path import Array

NO_EDGE = -1
"""The number of the group at an edge without a value."""


@dataclass(frozen=True, slots=True)
class OfGroups(Statistic):
    """Base of statistics of groups of consecutive paths, such as `SobolIndices`.

    A group counts in a cell if all of its paths have a value there. A subclass has a `State` of
    arrays (..., cells, blocks): first the number of groups, then its own sums, and last ``edges``
    (2, size, cells, blocks) and ``edge_groups`` (2, cells, blocks), which are kept here.
    """

    takes_groups: ClassVar[bool] = True
    design: ClassVar[str]
    maker: ClassVar[str]

    @abstractmethod
    def told(self) -> Grouping | None:
        """Return the grouping that parameters of the statistic tell; None to take the run's."""

    @abstractmethod
    def sums(self, values: Array) -> tuple[Any, ...]:
        """Return the number and the sums of whole groups.

        Parameters
        ----------
        values : array (size, cells, blocks, groups)
            NaN for a group that is not whole.
        """

    @abstractmethod
    def joined(self, a: Any, b: Any) -> tuple[Any, ...]:
        """Return the sums of both; cells in which one has no group may have any number."""

    def grouping(self, source: Source) -> Grouping:
        """Return how paths belong together.

        Raises
        ------
        ArgumentValueError
            If it is not known, or the run has another design.
        """
        told, found = self.told(), source.grouping
        if found is None and told is None:
            raise value_error(
                "statistics", f"values of a run on a design of {self.maker}", source.name,
                "No such run is known behind the values: simulate with"
                f" vary={self.maker}(parameters, ...), and pass the lazy variable, or the Dataset"
                f" with its attributes; or tell the design, as {self.examples()[0]} does.",
            )  # fmt: skip
        if found is not None and found.design != self.design:
            raise value_error(
                "statistics", f"values of a run on a design of {self.maker}",
                f"one on the design {found.design!r}",
            )  # fmt: skip
        if found is not None and told is not None:
            if (told.size, told.names or found.names) != (found.size, found.names):
                raise value_error(
                    "statistics", f"the design of the run, {_described(found)}", _described(told)
                )
            return found
        known = told if found is None else found
        assert known is not None
        return known

    def check(self, source: Source) -> None:
        """Raise if no design is known, or the paths are not consecutive ones of the run."""
        self.grouping(source)
        if source.first_path is None:
            raise value_error(
                "obj", f"consecutive paths of the run, for {type(self).__name__}", source.name,
                "A selection of paths, or another order, breaks the groups of the design: leave"
                " paths out by .where(...), which drops whole groups.",
            )  # fmt: skip

    def chunk(self, sample: Sample) -> Any:
        """Return the sums of whole groups of each block, and the values at its edges."""
        size = self.grouping(sample.source).size
        first = sample.start + (sample.source.first_path or 0)
        whole, edges, groups = split_groups(sample.values, first, size)
        return self.State(*self.sums(whole), edges, groups)

    def merge(self, a: Any, b: Any) -> Any:
        """Return the state of both ranges, with the group between them."""
        meet = (a.edge_groups[1] == b.edge_groups[0]) & (a.edge_groups[1] != NO_EDGE)
        sums = a[:-2]
        if meet.any():
            left, right = a.edges[1], b.edges[0]
            group = np.where(meet, np.where(np.isnan(left), right, left), np.nan)
            sums = self._both(a, self.State(*self.sums(group[..., None]), *a[-2:]))
        sums = self._both(self.State(*sums, *a[-2:]), b)
        # An edge stays that of the range that has values at all.
        no_a, no_b = (
            (state[0] == 0) & (state.edge_groups == NO_EDGE).all(axis=0) for state in (a, b)
        )
        ends = [
            (np.where(no_a, y[0], x[0]), np.where(no_b, x[1], y[1]))
            for x, y in zip(a[-2:], b[-2:], strict=True)
        ]
        return self.State(*sums, *(np.stack(pair) for pair in ends))

    def _both(self, a: Any, b: Any) -> tuple[Any, ...]:
        """Return the sums of both; where one has no group, those of the other to the bit."""
        no_a, no_b = a[0] == 0, b[0] == 0
        found = self.joined(a, b)
        if not (no_a.any() or no_b.any()):
            return found
        triples = zip(a[:-2], b[:-2], found, strict=True)
        return tuple(np.where(no_a, y, np.where(no_b, x, z)) for x, y, z in triples)


def _described(grouping: Grouping) -> str:
    names = f" of {', '.join(grouping.names)}" if grouping.names else ""
    return f"{grouping.design}{names} with {grouping.size} paths a group"


def split_groups(values: Array, first: int, size: int) -> tuple[Array, Array, NDArray[np.int64]]:
    """Split the values of blocks into groups of `size` paths.

    Parameters
    ----------
    values : array (cells, blocks, paths)
        NaN for what does not count.
    first : int
        Index of the first path; group g has the paths from ``g * size`` on.
    size : int
        Paths of a group: no more than a block has, except for the last one.

    Returns
    -------
    whole : array (size, cells, blocks, groups)
        Groups inside a block; those that are not whole have a NaN.
    edges : array (2, size, cells, blocks)
        The group that began before the block, and the one that goes on behind it, with NaN for
        paths that are elsewhere.
    groups : array (2, cells, blocks)
        The numbers of these groups; -1 without a value.
    """
    cells, blocks, paths = values.shape
    starts = first + paths * np.arange(blocks)
    ends = starts + paths
    before = -starts % size  # paths of a block that belong to a group from before
    places = before[:, None, None] + np.arange(paths // size * size).reshape(-1, size)
    padded = np.concatenate([values, np.full((cells, blocks, 1), np.nan)], axis=-1)

    def at(place: NDArray[Any], known: Any = True) -> Array:
        index = np.where(known & (place >= 0) & (place < paths), place, paths)
        row = np.arange(blocks).reshape(-1, *(1,) * (place.ndim - 1))
        return np.ascontiguousarray(np.moveaxis(padded[:, row, index], -1, 0))

    role = np.arange(size)
    behind = paths - ends % size  # where the group begins that goes on behind the block
    edges = np.stack([
        at(before[:, None] - size + role, before[:, None] > 0),
        at(behind[:, None] + role, behind[:, None] >= 0),
    ])  # fmt: skip
    numbers = np.stack([starts // size, ends // size])[:, None]
    groups = np.where(np.isnan(edges).all(axis=1), NO_EDGE, numbers)
    return at(places), edges, groups.astype(np.int64)
