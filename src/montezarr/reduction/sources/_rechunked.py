"""Other chunks of the same paths: how Dask cuts and joins the arrays of runs to add them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any, NamedTuple

from montezarr.core.compat.dask import Alias, DataNode, NestedContainer, Task, as_tasks
from montezarr.reduction.sources._alike import name_of, needed_by

MERGED = "rechunk-merge-"
"""Prefix of the names of layers in which Dask cuts and joins chunks."""


class Piece(NamedTuple):
    """A part of a chunk: the number of the chunk, and the range of its paths there."""

    chunk: int
    start: int
    stop: int


class Joined(NamedTuple):
    """A layer of other chunks of the same paths: the place of their number in a key, and paths."""

    axis: int
    chunks: tuple[int, ...]


def joined_chunks(
    name: str, layer: Mapping[Any, Any], below: str, chunks: tuple[int, ...]
) -> Joined | None:
    """Return the chunks of a layer that only cuts and joins those of another along the paths.

    Parameters
    ----------
    name : str
        Name of the layer.
    layer : mapping
        Its tasks.
    below : str
        Name of the layer whose chunks it joins.
    chunks : tuple of int
        The paths of each of these.

    Returns
    -------
    Joined or None
        None if they are not the same paths in the same order.
    """
    tasks = as_tasks(dict(layer), all_keys=EveryKey())
    own = [key for key in tasks if name_of(key) == name]
    all_keys = own + [
        k for task in tasks.values() for k in task.dependencies if name_of(k) == below
    ]
    axes = {i for key in all_keys for i in range(1, len(key)) if key[i]}
    if len(axes) != 1:
        return None
    axis = axes.pop()
    ends, found, done = [0, *accumulate(chunks)], [], 0
    for i, key in enumerate(sorted(own, key=lambda key: key[axis])):
        pieces = _pieces(key, tasks, below, chunks, axis) if key[axis] == i else None
        if pieces is None:
            return None
        before = done
        for piece in pieces:
            if ends[piece.chunk] + piece.start != done:
                return None
            done = ends[piece.chunk] + piece.stop
        found.append(done - before)
    return Joined(axis, tuple(found)) if done == ends[-1] else None


def _pieces(
    key: Any, tasks: Mapping[Any, Any], below: str, chunks: tuple[int, ...], axis: int
) -> list[Piece] | None:
    """Return the pieces that a chunk is made of, in order; None if it is made of anything else."""
    if name_of(key) == below:
        return [Piece(key[axis], 0, chunks[key[axis]])] if key[axis] < len(chunks) else None
    task = tasks.get(key)
    if isinstance(task, Alias):
        return _pieces(task.target, tasks, below, chunks, axis)
    if not isinstance(task, Task):
        return None
    parts = [_pieces(needed, tasks, below, chunks, axis) for needed in needed_by(task)]
    pieces = [piece for part in parts if part is not None for piece in part]
    if any(part is None for part in parts) or not pieces:
        return None
    kind = getattr(task.func, "__name__", "")
    if kind == "concatenate_shaped":
        shape = _plain(task.args[1])
        is_along = tuple(shape) == tuple(
            len(parts) if i == axis - 1 else 1 for i in range(len(shape))
        )
        return pieces if is_along else None
    return _cut(pieces, _plain(task.args[1]), axis) if kind == "getitem" else None


def _cut(pieces: list[Piece], index: Any, axis: int) -> list[Piece] | None:
    """Return a slice of one piece; of other dimensions, which are not cut, Dask takes all."""
    if len(pieces) != 1 or not isinstance(index, tuple) or len(index) < axis:
        return None
    if not all(isinstance(entry, slice) and entry.step in (None, 1) for entry in index):
        return None
    (piece,) = pieces
    start, stop, _ = index[axis - 1].indices(piece.stop - piece.start)
    if any((entry.start or 0) != 0 for i, entry in enumerate(index) if i != axis - 1):
        return None
    return [Piece(piece.chunk, piece.start + start, piece.start + stop)]


def _plain(argument: Any) -> Any:
    """Return an argument of a task without the nodes of Dask around its parts."""
    if isinstance(argument, DataNode):
        return argument.value
    if isinstance(argument, NestedContainer):
        return tuple(_plain(part) for part in _parts(argument))
    return argument


def _parts(container: Any) -> Iterator[Any]:
    for part in container.args:
        yield from part if isinstance(part, (list, tuple)) else [part]


class EveryKey:
    """A container of every key, for the tasks of a layer that refer to other layers."""

    def __contains__(self, key: Any) -> bool:
        return isinstance(key, tuple) and bool(key) and isinstance(key[0], str)
