"""Private names of llvmlite: function attributes that its list does not contain."""

from __future__ import annotations

from typing import Any


def add_attribute(function: Any, attribute: str) -> None:
    """Add an attribute to an LLVM function; do nothing where llvmlite has no set of attributes.

    `set.add` bypasses the check of llvmlite, which accepts only the attributes that it lists.
    """
    attributes = getattr(function, "attributes", None)
    if isinstance(attributes, set):
        set.add(attributes, attribute)
