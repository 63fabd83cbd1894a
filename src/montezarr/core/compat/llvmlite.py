"""Private names of llvmlite: function attributes outside its list, and hints of loops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def add_attribute(function: Any, attribute: str) -> None:
    """Add an attribute to an LLVM function; do nothing where llvmlite has no set of attributes.

    `set.add` bypasses the check of llvmlite, which accepts only the attributes that it lists.
    """
    attributes = getattr(function, "attributes", None)
    if isinstance(attributes, set):
        set.add(attributes, attribute)


def interleave_loops(function: Any, count: Any) -> None:
    """Ask LLVM to compute `count` vectors side by side in each loop of a function that ends here.

    The hint is a metadata node of the jump back to the start of a loop. Its first operand is the
    node itself, which llvmlite has no way to say; where nodes have no operands, do nothing.
    """
    for jump in _jumps_back(function):
        module = function.module
        hint = module.add_metadata(["llvm.loop.interleave.count", count])
        node = module.add_metadata([f"loop {len(module.metadata)}"])  # of its own
        if hasattr(node, "operands"):
            node.operands = (node, hint)
            jump.set_metadata("llvm.loop", node)


def _jumps_back(function: Any) -> list[Any]:
    """Return the jumps that close the loops of a function, found depth first."""
    found: list[Any] = []
    seen: set[str] = set()
    for root in getattr(function, "blocks", ()):
        if root.name in seen:
            continue
        seen.add(root.name)
        way = [(root, _following(root))]
        while way:
            block, following = way[-1]
            after = next(following, None)
            if after is None:
                way.pop()
            elif any(after is other for other, _ in way):
                found.append(block.terminator)
            elif after.name not in seen:
                seen.add(after.name)
                way.append((after, _following(after)))
    return found


def _following(block: Any) -> Iterator[Any]:
    operands = [] if block.terminator is None else block.terminator.operands
    return (operand for operand in operands if hasattr(operand, "terminator"))
