"""The fixed binary tree over blocks, and the nodes that wait for their neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

NodeKey = tuple[int, Any]
"""Position of a reduced variable, and group."""

TailKey = tuple[int, Any, int]
"""Position of a reduced variable, group, position of the statistic that has the terms or
`VALUES`."""

VALUES = -1
"""In its place, where they are tails of the values themselves."""

NodeStates = dict[NodeKey, tuple[Any, ...]]
"""States of the statistics of each reduced variable and group, blocks along the last axis.

Groups without a path in these blocks are left out.
"""

Merge = Callable[[NodeStates, NodeStates], NodeStates]


class MergeTree:
    """States of aligned ranges of 2**level blocks, merged once both neighbours exist.

    Node (level, index) covers the blocks index * 2**level ... (index + 1) * 2**level - 1. Two nodes
    are merged only as the halves of the next one, so the bits do not depend on the order and
    grouping in which blocks are added.
    """

    __slots__ = ("nodes",)

    def __init__(self) -> None:
        self.nodes: dict[tuple[int, int], NodeStates] = {}

    def add_run(self, merge: Merge, first: int, count: int, node_states: NodeStates) -> None:
        """Add `count` consecutive blocks from `first` on."""
        level = 0
        while count:
            if first % 2:  # the right half of a node whose left half is missing
                self.push(merge, level, first, take(node_states, slice(0, 1)))
                node_states, first, count = take(node_states, slice(1, None)), first + 1, count - 1
            if count % 2:  # the left half of a node whose right half is missing
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
        """Add one node, and merge upwards while the neighbour exists."""
        while (other := self.nodes.pop((level, index ^ 1), None)) is not None:
            node_states = merge(other, node_states) if index % 2 else merge(node_states, other)
            level, index = level + 1, index // 2
        self.nodes[level, index] = node_states

    def join(self, merge: Merge, other: MergeTree) -> None:
        """Add all nodes of another tree."""
        for (level, index), node_states in other.nodes.items():
            self.push(merge, level, index, node_states)

    def total(self, merge: Merge) -> NodeStates:
        """Return the states of all blocks; the tree does not change.

        All blocks before the last one must have been added: then the nodes adjoin, each smaller
        than the one before, as at the right edge of the tree.
        """
        order = sorted(self.nodes, key=lambda node: node[1] << node[0], reverse=True)
        out: NodeStates = {}
        for node in order:
            out = merge(self.nodes[node], out) if out else self.nodes[node]
        return out


def take(node_states: NodeStates, part: slice) -> NodeStates:
    """Return the states of a slice of the blocks."""
    return {
        key: tuple(type(state)(*(array[..., part] for array in state)) for state in states)
        for key, states in node_states.items()
    }


def squeeze(state: Any) -> Any:
    """Drop the axis of blocks from the state of one block."""
    return type(state)(*(array[..., 0] for array in state))
