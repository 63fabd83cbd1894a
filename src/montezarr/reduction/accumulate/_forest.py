"""The fixed binary tree over blocks, as far as it is known: partial states that wait for others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Key = tuple[int, Any]
"""Position of a column, and group."""

TailKey = tuple[int, Any, int]
"""Position of a column, group, and position of the statistic whose terms they are; see `VALUES`."""

VALUES = -1
"""In its place, where they are tails of the values themselves."""

Bundle = dict[Key, tuple[Any, ...]]
"""States of the statistics of each column and group, blocks along the last axis of each array.

A group that no path of these blocks belongs to is not in it.
"""

Merge = Callable[[Bundle, Bundle], Bundle]


class Forest:
    """Bundles of aligned ranges of 2**level blocks; each joins its neighbour when that comes.

    Node (level, index) covers the blocks index * 2**level ... (index + 1) * 2**level - 1. Two
    nodes are merged only as the halves of the next one, so the order in which blocks come, and
    which of them come together, leaves the bits alone.
    """

    __slots__ = ("nodes",)

    def __init__(self) -> None:
        self.nodes: dict[tuple[int, int], Bundle] = {}

    def add_run(self, merge: Merge, first: int, count: int, bundle: Bundle) -> None:
        """Add `count` consecutive blocks from `first` on."""
        level = 0
        while count:
            if first % 2:  # the right half of a node whose left half is not here
                self.push(merge, level, first, take(bundle, slice(0, 1)))
                bundle, first, count = take(bundle, slice(1, None)), first + 1, count - 1
            if count % 2:  # the left half of one whose right half is not here
                last = slice(count - 1, count)
                self.push(merge, level, first + count - 1, take(bundle, last))
                count -= 1
            if not count:
                return
            left, right = take(bundle, slice(0, count, 2)), take(bundle, slice(1, count, 2))
            bundle = merge(left, right)
            first, count, level = first // 2, count // 2, level + 1

    def push(self, merge: Merge, level: int, index: int, bundle: Bundle) -> None:
        """Add one node, and merge upwards as far as the neighbours are there."""
        while (other := self.nodes.pop((level, index ^ 1), None)) is not None:
            bundle = merge(other, bundle) if index % 2 else merge(bundle, other)
            level, index = level + 1, index // 2
        self.nodes[level, index] = bundle

    def join(self, merge: Merge, other: Forest) -> None:
        """Add all nodes of another forest."""
        for (level, index), bundle in other.nodes.items():
            self.push(merge, level, index, bundle)

    def total(self, merge: Merge) -> Bundle:
        """Return the bundle of all blocks; the forest stays as it is.

        All blocks before the last one must be there: then the nodes stand side by side, each
        smaller than the one before, as the right edge of the tree has them.
        """
        order = sorted(self.nodes, key=lambda node: node[1] << node[0], reverse=True)
        out: Bundle = {}
        for node in order:
            out = merge(self.nodes[node], out) if out else self.nodes[node]
        return out


def take(bundle: Bundle, part: slice) -> Bundle:
    """Return the states of some of the blocks."""
    return {
        key: tuple(type(state)(*(array[..., part] for array in state)) for state in states)
        for key, states in bundle.items()
    }


def squeeze(state: Any) -> Any:
    """Return the state of one block without the axis of the blocks."""
    return type(state)(*(array[..., 0] for array in state))
