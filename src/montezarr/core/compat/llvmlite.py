"""Private names of llvmlite: attributes of a function that it does not list."""

from __future__ import annotations

from typing import Any


def add_attribute(function: Any, attribute: str) -> None:
    """Add an attribute to a function of LLVM; it goes without where llvmlite has no such set.

    llvmlite lets through only the attributes that it lists.
    """
    attributes = getattr(function, "attributes", None)
    if isinstance(attributes, set):
        set.add(attributes, attribute)
