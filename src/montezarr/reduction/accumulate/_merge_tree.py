"""The fixed binary tree over blocks, as far as it is known: partial states that wait for others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

NodeKey = tuple[int, Any]
"""Position of a column, and group."""

TailKey = tuple[int, Any, int]
"""Position of a column, group, and position of the statistic whose terms they are; see `VALUES`."""

VALUES = -1
"""In its place, where they are tails of the values themselves."""

NodeStates = dict[NodeKey, tuple[Any, ...]]
"""States of the statistics of each column and group, blocks along the last axis of each array.

A group that no path of these blocks belongs to is not in it.
"""

Merge = Callable[[NodeStates, NodeStates], NodeStates]


class MergeTree:
    """Bundles of aligned ranges of 2**level blocks; each joins its neighbour when that comes.

    Node (level, index) covers the blocks index * 2**level ... (index + 1) * 2**level - 1. Two
    nodes are merged only as the halves of the next one, so the order in which blocks come, and
    which of them come together, leaves the bits alone.
    """

    __slots__ = ("nodes",)

    def __init__(self) -> None:
        self.nodes: dict[tuple[int, int], NodeStates] = {}

    def add_run(self, merge: Merge, first: int, count: int, node_states: NodeStates) -> None:
        """Add `count` consecutive blocks from `first` on."""
        level = 0
        while count:
            if first % 2:  # the right half of a node whose left half is not here
                self.push(merge, level, first, take(node_states, slice(0, 1)))
                node_states, first, count = take(node_states, slice(1, None)), first + 1, count - 1
            if count % 2:  # the left half of one whose right half is not here
                last = slice(count - 1, count)
                self.push(merge, level, first + count - 1, take(node_states, last))
                count -= 1
            if not count:
                return
            left, right = (
                take(node_states, slice(0, count, 2)),
                take(node_states, slice(1, count, 2)),
            )
            node_states = merge(left, right)
            first, count, level = first // 2, count // 2, level + 1

    def push(self, merge: Merge, level: int, index: int, node_states: NodeStates) -> None:
        """Add one node, and merge upwards as far as the neighbours are there."""
        while (other := self.nodes.pop((level, index ^ 1), None)) is not None:
            node_states = merge(other, node_states) if index % 2 else merge(node_states, other)
            level, index = level + 1, index // 2
        self.nodes[level, index] = node_states

    def join(self, merge: Merge, other: MergeTree) -> None:
        """Add all nodes of another forest."""
        for (level, index), node_states in other.nodes.items():
            self.push(merge, level, index, node_states)

    def total(self, merge: Merge) -> NodeStates:
        """Return the bundle of all blocks; the forest stays as it is.

        All blocks before the last one must be there: then the nodes stand side by side, each
        smaller than the one before, as the right edge of the tree has them.
        """
        order = sorted(self.nodes, key=lambda node: node[1] << node[0], reverse=True)
        out: NodeStates = {}
        for node in order:
            out = merge(self.nodes[node], out) if out else self.nodes[node]
        return out


def take(node_states: NodeStates, part: slice) -> NodeStates:
    """Return the states of some of the blocks."""
    return {
        key: tuple(type(state)(*(array[..., part] for array in state)) for state in states)
        for key, states in node_states.items()
    }


def squeeze(state: Any) -> Any:
    """Return the state of one block without the axis of the blocks."""
    return type(state)(*(array[..., 0] for array in state))
