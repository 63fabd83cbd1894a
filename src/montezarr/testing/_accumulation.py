"""Ways to accumulate a sample, and assertions that their results agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from montezarr.random.seeding import BLOCK
from montezarr.reduction.accumulate import (
    Accumulator,
    PartialState,
    ReducedVariable,
    SplitAccumulation,
)
from montezarr.statistics import Estimate, Source, Statistic
from montezarr.testing._samples import SAMPLE_CELLS, Array


def reduced_variable_of(statistic: Statistic, source: Source) -> ReducedVariable:
    """Return the reduced variable of one statistic."""
    if statistic.axis == "variable":
        n = len(source.names)
        return ReducedVariable(source, tuple(range(n)), SAMPLE_CELLS, -1, (statistic,), (None,) * n)
    axis = None if statistic.axis is None else 0
    return ReducedVariable(source, (0,), SAMPLE_CELLS, axis, (statistic,), (None,))


def arrays_of(statistic: Statistic) -> Callable[[Array], list[Array]]:
    """Return the function that makes the arrays of `Accumulator.add` from values."""
    return list if statistic.axis == "variable" else lambda values: [values]


def at_once(accumulator: Accumulator, statistic: Statistic, values: Array) -> PartialState:
    """Fold all paths in one range."""
    partial_state, n = PartialState(), values.shape[-1]
    if n:
        accumulator.add(partial_state, 0, arrays_of(statistic)(values))
    accumulator.finish(partial_state, n)
    return partial_state


def in_ranges(
    accumulator: Accumulator, statistic: Statistic, values: Array, plan: int
) -> PartialState:
    """Fold ranges of any size in any order into several states, and join these in any order."""
    rng, n = np.random.default_rng(plan), values.shape[-1]
    states = [PartialState() for _ in range(rng.integers(1, 5))]
    ranges = list(_ranges(rng, n, 1 if plan % 2 else BLOCK))
    for i in rng.permutation(len(ranges)):
        start, stop = ranges[i]
        state = states[rng.integers(len(states))]
        accumulator.add(state, start, arrays_of(statistic)(values[..., start:stop]))
    return _joined(accumulator, rng, states, n)


def in_parts(
    accumulator: Accumulator, statistic: Statistic, values: Array, plan: int
) -> PartialState:
    """Fold tasks of consecutive paths, with splits inside them, as a stream does."""
    rng, n = np.random.default_rng(plan), values.shape[-1]
    states = []
    for start, stop in _ranges(rng, n, 1 if plan % 2 else BLOCK):
        splits = [
            split
            for split in range(BLOCK, n, BLOCK)
            if start < split <= stop and rng.random() < 0.5
        ]
        parts, low = SplitAccumulation(accumulator, splits), start
        while low < stop:
            high = min(low + int(rng.integers(1, 2 * BLOCK)), stop)
            parts.add(low, arrays_of(statistic)(values[..., low:high]))
            low = high
        states += [state for _, state in parts.end(stop)]
    return _joined(accumulator, rng, states, n)


def _ranges(rng: np.random.Generator, n: int, unit: int) -> Iterator[tuple[int, int]]:
    """Yield ranges that cover n paths; all ends but the last are multiples of a unit."""
    splits = np.unique(rng.integers(0, n // unit + 1, rng.integers(0, 9)) * unit)
    ends = [int(split) for split in splits if 0 < split < n] + ([n] if n else [])
    start = 0
    for stop in ends:
        yield start, stop
        start = stop


def _joined(
    accumulator: Accumulator, rng: np.random.Generator, states: list[PartialState], n: int
) -> PartialState:
    total = PartialState()
    for i in rng.permutation(len(states)):
        accumulator.join(total, states[i])
    accumulator.finish(total, n)
    return total


def assert_same_bits(a: Any, b: Any, name: str) -> None:
    """Assert that two arrays have the same type, shape and bits; NaN is NaN, -0.0 is not 0.0."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.dtype == b.dtype, name
    assert a.shape == b.shape, name
    assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f"), name
    if a.dtype.kind == "f":
        assert np.array_equal(np.signbit(a[a == 0.0]), np.signbit(b[b == 0.0])), name


def assert_same_state(a: Any, b: Any) -> None:
    """Assert that two states have the same bits."""
    assert type(a) is type(b)
    for name, left, right in zip(a._fields, a, b, strict=True):
        assert_same_bits(left, right, name)


def assert_same_estimates(a: Mapping[str, Estimate], b: Mapping[str, Estimate]) -> None:
    """Assert that two sets of results have the same bits."""
    assert list(a) == list(b)
    for name, estimate in a.items():
        assert_same_bits(estimate.values, b[name].values, name)
        assert estimate.dims == b[name].dims, name
        assert estimate.power == b[name].power, name
        assert_same_coords(estimate, b[name], name)


def assert_same_coords(a: Estimate, b: Estimate, name: str) -> None:
    """Assert that two results have the same coordinates."""
    assert a.coords.keys() == b.coords.keys(), name
    for label, coordinate in a.coords.items():
        other = b.coords[label]
        if isinstance(coordinate, tuple):
            assert coordinate[0] == other[0], (name, label)
            coordinate, other = coordinate[1], other[1]
        assert np.array_equal(coordinate, other), (name, label)


def assert_agrees(found: Mapping[str, Any], expected: Mapping[str, Any], tolerance: float) -> None:
    """Assert that results equal those of a reference up to rounding, and integers exactly.

    Rounding is relative to the largest entry of a cell, among a result and its standard error: the
    error of a mean measures how much cancelled out.
    """
    for name, wanted in expected.items():
        stem = name.removesuffix("_se")
        array, wanted = np.asarray(found[name]), np.asarray(wanted)
        assert array.shape == wanted.shape, name
        if array.dtype.kind in "iu":
            assert np.array_equal(array, wanted), name
            continue
        assert np.array_equal(np.isnan(array), np.isnan(wanted)), name
        inside = tuple(range(1, wanted.ndim))
        sizes = [np.abs(np.nan_to_num(expected.get(key, 0.0))) for key in (stem, f"{stem}_se")]
        scale = np.maximum(*sizes).max(axis=inside, keepdims=True, initial=0.0)
        far = np.abs(np.nan_to_num(array) - np.nan_to_num(wanted)) > tolerance * scale
        assert not far.any(), (name, array[far], wanted[far])
