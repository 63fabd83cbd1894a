"""The parts of values that count, by the kind of value."""

from __future__ import annotations

import ast
import copyreg
import hashlib
import itertools
import types
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

import cloudpickle
import numpy as np
from numpy.typing import NDArray

from montezarr.core.added_fields import counted_fields
from montezarr.core.public_ids import public_id
from montezarr.run.digests._classes import class_pieces
from montezarr.run.digests._functions import function_pieces
from montezarr.run.digests._pieces import DigestPart, DigestParts
from montezarr.run.digests._source import function_in


class Opaque(Exception):
    """A part of a value that has no digest."""

    def __init__(self, part: Any):
        super().__init__(part)
        self.part = part


_PLAIN = {
    kind: f"\x00{kind.__module__}.{kind.__qualname__}\x00".encode()
    for kind in (type(None), bool, int, float, complex, str, bytes)
}
"""Types that are hashed without recursion, since there may be millions, with their prefixes."""


def digest_value(value: Any, seen: frozenset[int] = frozenset()) -> str:
    """Return the 128-bit digest of a value; `seen` is as in `DigestPart`."""
    hasher = hashlib.sha256()
    _feed(hasher, value, seen)
    return hasher.hexdigest()[:32]


def _feed(hasher: Any, value: Any, seen: frozenset[int]) -> None:
    """Hash `value` by structure: type first, so that 1, 1.0 and "1" differ.

    What cannot be looked into counts by its type and the bytes that pickling makes of it.
    """
    head = _PLAIN.get(type(value))
    hasher.update(head or f"\x00{public_id(type(value))}\x00".encode())
    try:
        if head is not None:
            hasher.update(repr(value).encode())
            return
        for piece in _pieces(value, seen):
            if isinstance(piece, DigestPart):
                _feed(hasher, piece.value, piece.seen)
            else:
                hasher.update(piece)
    except Opaque:
        raise
    except RecursionError as error:  # the reachable depth depends on the caller
        raise Opaque(value) from error
    except Exception as error:
        try:
            hasher.update(cloudpickle.dumps(value, protocol=4))
        except Exception:
            raise Opaque(value) from error


def _pieces(value: Any, seen: frozenset[int]) -> DigestParts:
    if isinstance(value, (int, float, complex, str, bytes)):  # of a subclass
        yield repr(value).encode()
        return
    if isinstance(value, type):
        yield from class_pieces(value, seen)
        return
    if id(value) in seen:
        return
    seen = seen | {id(value)}
    if isinstance(value, np.ndarray):
        yield from _array_pieces(value, seen)
    elif isinstance(value, (Mapping, set, frozenset)):
        # In the order of the digests: that of a set and its repr differs between processes.
        items = value.items() if isinstance(value, Mapping) else value
        yield "".join(sorted(digest_value(item, seen) for item in items)).encode()
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield DigestPart(item, seen)
    elif isinstance(value, types.ModuleType):
        yield value.__name__.encode()
    elif (function := function_in(value)) is not None:
        yield from function_pieces(function, seen)
    elif isinstance(value, types.MethodType):  # of a class, as in SimPy, or another callable
        yield DigestPart(value.__self__, seen)
        yield DigestPart(value.__func__, seen)
    elif is_dataclass(value):
        yield from class_pieces(type(value), seen)
        for field in counted_fields(value):
            yield field.name.encode()
            yield DigestPart(getattr(value, field.name), seen)
    elif isinstance(value, np.generic):
        yield repr(value).encode()
    else:
        yield from _object_pieces(value, seen)


def _array_pieces(array: NDArray[Any], seen: frozenset[int]) -> DigestParts:
    yield f"{array.dtype}{array.dtype.str}{array.shape}".encode()
    if isinstance(array, np.ma.MaskedArray):
        yield DigestPart(np.ma.getmaskarray(array), seen)
        array = array.data
    if array.dtype.hasobject or array.dtype.kind == "T":  # its bytes are addresses
        yield DigestPart(array.tolist(), seen)
    else:
        yield np.ascontiguousarray(array).tobytes()


def _object_pieces(value: Any, seen: frozenset[int]) -> DigestParts:
    yield from class_pieces(type(value), seen)
    try:
        reducer = copyreg.dispatch_table.get(type(value))
        reduced = reducer(value) if reducer is not None else value.__reduce_ex__(4)
    except Exception as error:
        if type(value) is not itertools.count:
            raise Opaque(value) from error
        # As pickled before Python 3.14: a simulation of SimPy counts its events with one.
        reduced = itertools.count, ast.literal_eval(f"({repr(value)[6:-1]},)")
    # (function, arguments, state, items, pairs): hash the parts that pickling would store.
    if isinstance(reduced, str):
        yield reduced.encode()
        return
    for part in reduced[1:3]:
        yield DigestPart(part, seen)
    for items in reduced[3:5]:
        yield DigestPart(None if items is None else list(items), seen)
