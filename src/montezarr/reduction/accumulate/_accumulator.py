"""Fold values of consecutive paths into partial states, and merge those of several tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import value_error
from montezarr.core.tunables.limits import GROUPS_MAX
from montezarr.random.seeding import BLOCK
from montezarr.reduction.accumulate._merge_tree import (
    VALUES,
    MergeTree,
    NodeKey,
    NodeStates,
    TailKey,
    squeeze,
)
from montezarr.reduction.accumulate._reduced_variable import (
    NOTHING_LOST,
    Arrays,
    ReducedVariable,
    clean,
    finite_sample,
    lost_in,
    sample_of,
)
from montezarr.reduction.accumulate._whole import as_float64
from montezarr.statistics import Sample
from montezarr.statistics._tails import (
    MOST_ROWS,
    Tails,
    merge_tails,
    rows_of,
    tail_bytes,
    tails_of,
)

NO_GROUP: NodeKey = (-1, None)
"""Key under which values that belong to no group are counted."""


@dataclass(frozen=True, slots=True)
class Group:
    """The array of group codes, and the codes that are groups, where these are known.

    Values of other codes, NaN and masked paths belong to no group; they are counted.
    """

    array: int
    masked: float | None = None
    codes: tuple[float, ...] | None = None


class Piece(NamedTuple):
    """Values of a part of a block: its first path, and the arrays of all variables."""

    start: int
    arrays: Arrays


class PartialState:
    """Partial state of ranges of paths; two of them join into that of both.

    Attributes
    ----------
    tree : MergeTree
        The states that are merged along the tree of blocks.
    states : dict
        By reduced variable and group, the states that may be merged in any order.
    lost : dict
        By reduced variable and group, the number of values that are not finite, (cells,).
    tails : dict
        By reduced variable and group, the largest and smallest values, where a statistic needs
        them, and the largest and smallest terms of each statistic that averages terms; missing if
        the states of some paths lack them, as those of earlier versions do.
    pieces : dict of int to list of Piece
        By block, the values of blocks whose paths are not all there yet.
    paths : int
        Number of paths folded, without those in pieces.
    is_shared : bool
        Whether a copy shares the arrays, which must then not change.
    """

    __slots__ = ("is_shared", "lost", "paths", "pieces", "states", "tails", "tree")

    def __init__(self) -> None:
        self.tree = MergeTree()
        self.states: dict[NodeKey, tuple[Any, ...]] = {}
        self.lost: dict[NodeKey, NDArray[np.int64]] = {}
        self.tails: dict[TailKey, Tails] = {}
        self.pieces: dict[int, list[Piece]] = {}
        self.paths = 0
        self.is_shared = False

    def copy(self) -> PartialState:
        """Return a copy that does not change when paths are added to this one."""
        out = PartialState()
        out.tree.nodes = dict(self.tree.nodes)
        out.states, out.lost = dict(self.states), dict(self.lost)
        out.tails = dict(self.tails)
        out.pieces = {block: list(pieces) for block, pieces in self.pieces.items()}
        out.paths = self.paths
        out.is_shared = self.is_shared = True
        return out


class Accumulator:
    """Folds values into partial states, by reduced variable and group.

    Parameters
    ----------
    reduced_variables : sequence of ReducedVariable
        The statistics to take, and of which arrays.
    group : Group, optional
        The array of group codes.
    """

    def __init__(self, reduced_variables: Sequence[ReducedVariable], group: Group | None = None):
        self.reduced_variables = tuple(reduced_variables)
        self.group = group

    def add(self, partial_state: PartialState, start: int, arrays: Arrays) -> None:
        """Fold the paths from `start` on, in place.

        Parts of a block are kept as pieces until the rest of the block is added.
        """
        n = arrays[0].shape[-1]
        first = min(-(-start // BLOCK) * BLOCK, start + n)
        last = max(first, (start + n) // BLOCK * BLOCK)
        self._keep(partial_state, start, [a[..., : first - start] for a in arrays])
        if last > first:
            whole = [a[..., first - start : last - start] for a in arrays]
            self._blocks(partial_state, first // BLOCK, whole, BLOCK)
        self._keep(partial_state, last, [a[..., last - start :] for a in arrays])

    def join(self, partial_state: PartialState, other: PartialState) -> None:
        """Add the states of other paths, in place; `other` must not be used afterwards."""
        partial_state.tree.join(self.merge, other.tree)
        partial_state.is_shared |= other.is_shared
        for key, states in other.states.items():
            mine = partial_state.states.get(key)
            kinds = self.reduced_variables[key[0]].any_order
            if mine is not None:
                pairs = zip(kinds, mine, states, strict=True)
                is_shared = partial_state.is_shared
                states = tuple(k.merge(a, b) if is_shared else k.absorb(a, b) for k, a, b in pairs)
            partial_state.states[key] = states
        _join_tails(partial_state, other)
        for key, count in other.lost.items():
            partial_state.lost[key] = (
                partial_state.lost[key] + count if key in partial_state.lost else count
            )
        _check_groups(len(partial_state.lost) // max(1, len(self.reduced_variables)))
        partial_state.paths += other.paths
        for pieces in other.pieces.values():
            for piece in pieces:
                self._keep(partial_state, piece.start, piece.arrays)

    def merge(self, a: NodeStates, b: NodeStates) -> NodeStates:
        """Return the states of neighbouring ranges of blocks; those of `a` come first."""
        out = {**a, **b}
        for key in a.keys() & b.keys():
            kinds = self.reduced_variables[key[0]].in_order
            pairs = zip(kinds, a[key], b[key], strict=True)
            out[key] = tuple(kind.merge(x, y) for kind, x, y in pairs)
        return out

    def finish(self, partial_state: PartialState, stop: int) -> None:
        """Fold the last block, which ends at path `stop` and may be incomplete."""
        block, rest = divmod(stop, BLOCK)
        if rest and block in partial_state.pieces:
            self._complete(partial_state, block, rest)

    def totals(self, partial_state: PartialState) -> dict[NodeKey, list[Any]]:
        """Return the final states of all statistics, by reduced variable and group."""
        node_states = partial_state.tree.total(self.merge)
        out = {}
        keys = [key for key in partial_state.lost if key != NO_GROUP]
        for key in sorted(keys, key=lambda key: (key[0], key[1] is not None, key[1])):
            reduced = self.reduced_variables[key[0]]
            in_order = iter(squeeze(state) for state in node_states.get(key, ()))
            any_order = iter(partial_state.states.get(key, ()))
            out[key] = [
                next(any_order if statistic.order_free else in_order)
                for statistic in reduced.statistics
            ]
        return out

    def nothing(self, reduced: ReducedVariable) -> list[Any]:
        """Return the states of the statistics of a reduced variable for zero paths."""
        sample = self.blank(reduced)
        states = [statistic.chunk(sample) for statistic in reduced.statistics]
        return [
            state if statistic.order_free else squeeze(state)
            for statistic, state in zip(reduced.statistics, states, strict=True)
        ]

    def blank(self, reduced: ReducedVariable) -> Sample:
        """Return a sample of a reduced variable: one block of zero paths."""
        axis = () if reduced.axis is None else (self.axis_length(reduced),)
        values = np.empty((*axis, reduced.cells, 1, 0))
        return Sample(values, 0, reduced.source, reduced.order)

    def file_bytes(self) -> int:
        """Return an upper bound of the bytes of a file of states."""
        total = 0
        for reduced in self.reduced_variables:
            fixed = sum(np.asarray(a).nbytes for state in self.nothing(reduced) for a in state)
            growing = sum(statistic.bytes_for(reduced.cells) for statistic in reduced.statistics)
            total += 64 * fixed + 8 * growing + 4 * self.tail_bytes(reduced)
        return 2**26 + total * (1 if self.group is None else GROUPS_MAX)

    def tail_bytes(self, reduced: ReducedVariable) -> int:
        """Return the bytes of the tails of a reduced variable."""
        rows = reduced.cells * (1 if reduced.axis is None else self.axis_length(reduced))
        terms = sum(statistic.has_terms for statistic in reduced.statistics)
        return tail_bytes(rows) * reduced.has_tails + tail_bytes(reduced.cells) * terms

    def axis_length(self, reduced: ReducedVariable) -> int:
        """Return the length of the axis that the statistics take as a whole."""
        if reduced.axis == -1:
            return len(reduced.arrays)
        assert reduced.source.times is not None
        return len(reduced.source.times)

    # --- from arrays to states ----------------------------------------------------------------

    def _keep(self, partial_state: PartialState, start: int, arrays: Arrays) -> None:
        """Keep the values of a part of a block until the block is whole."""
        n = arrays[0].shape[-1]
        if n == 0:
            return
        block = start // BLOCK
        # Copy: the buffer of the values may be reused.
        piece = Piece(start, [np.array(array) for array in arrays])
        partial_state.pieces.setdefault(block, []).append(piece)
        if sum(p.arrays[0].shape[-1] for p in partial_state.pieces[block]) == BLOCK:
            self._complete(partial_state, block, BLOCK)

    def _complete(self, partial_state: PartialState, block: int, size: int) -> None:
        pieces = sorted(partial_state.pieces.pop(block), key=lambda piece: piece.start)
        reduced_variables = zip(*(piece.arrays for piece in pieces), strict=True)
        several = len(pieces) > 1
        arrays = [np.concatenate(p, axis=-1) if several else p[0] for p in reduced_variables]
        self._blocks(partial_state, block, arrays, size)

    def _blocks(self, partial_state: PartialState, block: int, arrays: Arrays, size: int) -> None:
        """Fold whole blocks of `size` paths."""
        partial_state.paths += arrays[0].shape[-1]
        codes = None if self.group is None else self._codes(arrays[self.group.array])
        if codes is not None:
            count = np.array([np.isnan(codes).sum()])
            partial_state.lost[NO_GROUP] = partial_state.lost.get(NO_GROUP, 0) + count
        known: dict[int, tuple[NDArray[np.floating[Any]], NDArray[Any]]] = {}
        node_states: NodeStates = {}
        for position, reduced in enumerate(self.reduced_variables):
            sample = None if codes is not None else finite_sample(reduced, arrays, block, size)
            if sample is not None:
                key = position, None
                lost = [NOTHING_LOST]
                node_states[key] = self._one(partial_state, key, sample, lost)
                continue
            parts = []
            for i, masked in zip(reduced.arrays, reduced.masked, strict=True):
                if i not in known:
                    known[i] = clean(arrays[i], masked, reduced.source.name)
                parts.append(known[i])
            for group, mask in _groups(codes, arrays[reduced.arrays[0]].shape, reduced.only):
                values = [
                    part if mask is None else np.where(mask, part, np.nan) for part, _ in parts
                ]
                lost = [bad if mask is None else bad & mask for _, bad in parts]
                key = position, group
                sample = sample_of(reduced, values, block, size)
                node_states[key] = self._one(partial_state, key, sample, lost)
        count = arrays[0].shape[-1] // size
        partial_state.tree.add_run(self.merge, block, count, node_states)

    def _one(
        self,
        partial_state: PartialState,
        key: NodeKey,
        sample: Sample,
        lost: Arrays,
    ) -> tuple[Any, ...]:
        """Fold values of a reduced variable and group; return the states for the merge tree."""
        reduced = self.reduced_variables[key[0]]
        mine = partial_state.states.get(key)
        kinds = reduced.any_order
        if mine is None:
            states = tuple(kind.chunk(sample) for kind in kinds)
        elif partial_state.is_shared:
            pairs = zip(kinds, mine, strict=True)
            states = tuple(kind.merge(state, kind.chunk(sample)) for kind, state in pairs)
        else:
            pairs = zip(kinds, mine, strict=True)
            states = tuple(kind.update(state, sample) for kind, state in pairs)
        partial_state.states[key] = states
        in_order = tuple(kind.chunk(sample) for kind in reduced.in_order)
        _add_tails(partial_state, reduced, key, sample)
        count = lost_in(reduced, lost)
        partial_state.lost[key] = (
            partial_state.lost[key] + count if key in partial_state.lost else count
        )
        return in_order

    def _codes(self, values: NDArray[Any]) -> NDArray[np.float64]:
        assert self.group is not None
        codes = as_float64(values, self.group.masked, "by").copy()
        if self.group.masked is not None:
            codes[values == self.group.masked] = np.nan
        if self.group.codes is not None:
            codes[~np.isin(codes, self.group.codes)] = np.nan
        return codes


def _add_tails(
    partial_state: PartialState, reduced: ReducedVariable, key: NodeKey, sample: Sample
) -> None:
    """Add the tails of the values of a sample, and of the terms that statistics average."""
    of_terms = [(i, kind) for i, kind in enumerate(reduced.statistics) if kind.has_terms]
    of_values = [(VALUES, None)] if reduced.has_tails else []
    for which, statistic in (*of_values, *of_terms):
        place = (*key, which)
        is_known = place in partial_state.tails or key not in partial_state.lost
        if is_known:
            terms = sample if statistic is None else sample.terms_of(statistic)
            if rows_of(terms) <= MOST_ROWS:
                partial_state.tails[place] = tails_of(terms, partial_state.tails.get(place))


def _join_tails(partial_state: PartialState, other: PartialState) -> None:
    """Add the tails of other paths; keep those of a key only if all its paths have them."""
    for place in list(partial_state.tails):
        if place[:2] in other.lost and place not in other.tails:
            del partial_state.tails[place]
    for place, tails in other.tails.items():
        if place in partial_state.tails:
            partial_state.tails[place] = merge_tails(partial_state.tails[place], tails)
        elif place[:2] not in partial_state.lost:
            partial_state.tails[place] = tails


def _groups(codes: Any, shape: tuple[int, ...], only: float | None) -> Iterator[tuple[Any, Any]]:
    """Yield each group, or `only` that one, with the mask of its values, broadcast to `shape`."""
    if codes is None:
        yield None, None
        return
    found = np.unique(codes[np.isfinite(codes)]).tolist() if only is None else [only]
    _check_groups(len(found))
    for code in found:
        mask = codes == code
        yield code, np.broadcast_to(mask, shape) if mask.ndim in (1, len(shape)) else mask


def _check_groups(count: int) -> None:
    if count > GROUPS_MAX:
        raise value_error("by", f"at most {GROUPS_MAX} groups", f"{count} or more")


class SplitAccumulation:
    """Folds paths in order, and starts a new partial state at each split.

    Parameters
    ----------
    accumulator : Accumulator
        Folds the values.
    splits : sequence of int
        Path counts at which a part ends: multiples of a block, increasing.
    """

    def __init__(self, accumulator: Accumulator, splits: Sequence[int] = ()):
        self.accumulator, self._cuts = accumulator, list(splits)
        self.parts: list[tuple[int, PartialState]] = []
        self._current = PartialState()

    def add(self, start: int, arrays: Arrays) -> None:
        """Fold the paths from `start` on."""
        stop = start + arrays[0].shape[-1]
        low = start
        while self._cuts and self._cuts[0] <= stop:
            cut = self._cuts.pop(0)
            if cut > low:
                inside = [array[..., low - start : cut - start] for array in arrays]
                self.accumulator.add(self._current, low, inside)
            self.parts.append((cut, self._current))
            self._current, low = PartialState(), max(low, cut)
        if low < stop:
            self.accumulator.add(
                self._current, low, [array[..., low - start :] for array in arrays]
            )

    def finish(self, stop: int) -> None:
        """Fold the last block, which may be incomplete, if no path follows `stop`."""
        self.accumulator.finish(self._current, stop)

    def end(self, stop: int) -> list[tuple[int, PartialState]]:
        """Return the end and the partial state of each part; the last part ends at `stop`."""
        if not self.parts or self.parts[-1][0] < stop:
            self.parts.append((stop, self._current))
        return self.parts
