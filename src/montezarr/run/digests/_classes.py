"""The parts of a class that count: its name, and the code of the user's own parent classes."""

from __future__ import annotations

from typing import Any

from montezarr.core.public_ids import public_id
from montezarr.run.digests._functions import function_pieces
from montezarr.run.digests._generated import methods_before
from montezarr.run.digests._pieces import DigestPart, DigestParts
from montezarr.run.digests._source import PLAIN, function_in, is_foundation, tree_of


def class_pieces(kind: type, seen: frozenset[int]) -> DigestParts:
    """Yield the parts of a class and its parents: source, methods from elsewhere, plain members."""
    yield public_id(kind).encode()
    if id(kind) in seen:
        return
    seen = seen | {id(kind)}
    for parent in kind.__mro__:
        if is_foundation(parent):
            continue
        source = tree_of(parent)
        yield (source or "").encode()
        members: dict[str, Any] = {**vars(parent), **methods_before(parent)}
        for name, member in sorted(members.items()):
            function = function_in(member)
            # The source of a class in a function does not show its closure.
            if function is not None and (not source or function.__closure__):
                yield name.encode()
                yield from function_pieces(function, seen)
            elif not name.startswith("__") and isinstance(member, PLAIN):
                yield name.encode()
                yield DigestPart(member, seen)
